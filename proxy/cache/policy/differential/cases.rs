//! Exchanges made up: mostly what origins and clients say, now and then what they should not.

use fastrand::Rng;
use http::Method;

use super::super::testing::date;

/// A request and its answer, and another request some time later.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) method: Method,
    pub(super) status: u16,
    pub(super) request: Vec<(&'static str, String)>,
    pub(super) answer: Vec<(&'static str, String)>,
    pub(super) later: Vec<(&'static str, String)>,
    /// Seconds from the answer to the later request.
    pub(super) elapsed: u64,
}

/// Cases, the same for the same seed.
pub(super) struct Cases(Rng);

const STATUSES: [u16; 20] = [
    200, 200, 200, 200, 200, 200, 203, 204, 206, 301, 302, 307, 404, 410, 403, 500, 503, 304, 201,
    599,
];
const SPANS: [&str; 8] = ["0", "1", "10", "60", "600", "3600", "86400", "1000000"];
const ODD_SPANS: [&str; 10] = [
    "-1",
    "x",
    "",
    "'60'",
    "60.0",
    "\"60\"",
    "0060",
    "+60",
    "99999999999",
    "60 ",
];
const FLAGS: [&str; 9] = [
    "no-store",
    "no-cache",
    "private",
    "public",
    "must-revalidate",
    "proxy-revalidate",
    "must-understand",
    "immutable",
    "extension",
];
const ODD_DIRECTIVES: [&str; 12] = [
    "No-Store",
    "PRIVATE",
    "Max-Age=60",
    "no-cache=\"a\"",
    "private=\"a\"",
    "x=\"a, max-age=60\"",
    "x=\"a, no-store, b\"",
    "max-age =60",
    "max-age= 60",
    "max-age=10, max-age=600",
    "max-age",
    "public=x",
];

impl Cases {
    pub(super) fn new(seed: u64) -> Cases {
        Cases(Rng::with_seed(seed))
    }

    pub(super) fn make(&mut self) -> Case {
        let method = match self.0.u8(..32) {
            0 => Method::POST,
            1 => Method::HEAD,
            2 => Method::PUT,
            _ => Method::GET,
        };
        Case {
            method,
            status: self.one(&STATUSES),
            request: self.request(8),
            answer: self.answer(),
            later: self.request(2),
            elapsed: self.one(&[0, 0, 1, 5, 10, 30, 60, 100, 600, 3_600, 100_000]),
        }
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.0.usize(..of.len())]
    }

    /// Once in so many times.
    fn once_in(&mut self, times: u32) -> bool {
        self.0.u32(..times) == 0
    }

    /// A request's fields; `Cache-Control` once in so many times.
    fn request(&mut self, controlled: u32) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        if self.once_in(controlled) {
            all.push(("cache-control", self.wishes()));
        }
        if self.once_in(16) {
            all.push(("pragma", self.one(&["no-cache", "x"]).into()));
        }
        if self.once_in(8) {
            all.push(("authorization", "Basic eA==".into()));
        }
        if self.once_in(2) {
            all.push(("foo", self.one(&["1", "1", "2", "1, 2", "1,2"]).into()));
        }
        if self.once_in(2) {
            let languages = ["de", "de", "en, de", "de, en", "de;q=0.5, en"];
            all.push(("accept-language", self.one(&languages).into()));
        }
        all
    }

    fn wishes(&mut self) -> String {
        let mut all = Vec::new();
        for _ in 0..self.0.usize(1..3) {
            let name = self.one(&["max-age", "min-fresh", "max-stale", "max-stale"]);
            all.push(match self.0.u8(..8) {
                0 => "no-cache".to_owned(),
                1 => "no-store".to_owned(),
                2 => "max-stale".to_owned(),
                _ => format!("{name}={}", self.span()),
            });
        }
        all.join(", ")
    }

    fn span(&mut self) -> &'static str {
        match self.once_in(32) {
            true => self.one(&ODD_SPANS),
            false => self.one(&SPANS),
        }
    }

    fn answer(&mut self) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        for _ in 0..self.one(&[0, 1, 1, 1, 1, 1, 1, 2]) {
            all.push(("cache-control", self.control()));
        }
        if !self.once_in(8) {
            all.push(("date", self.date(&[0, 0, -1, -100, 100, 10_000])));
        }
        if self.once_in(3) {
            all.push((
                "expires",
                self.date(&[0, -60, 10, 60, 600, 10_000, 9_999_999]),
            ));
        }
        if self.once_in(3) {
            all.push((
                "last-modified",
                self.date(&[0, 50, -60, -600, -86_400, -9_999_999]),
            ));
        }
        if self.once_in(3) {
            all.push(("etag", "\"a\"".into()));
        }
        if self.once_in(4) {
            let ages = [
                "0",
                "5",
                "30",
                "100",
                "4000",
                "99999999999",
                "-1",
                "x",
                "+30",
                "30, 0",
                "1.5",
            ];
            let at = if self.once_in(8) {
                self.0.usize(..ages.len())
            } else {
                self.0.usize(..5)
            };
            all.push(("age", ages[at].into()));
        }
        if self.once_in(16) {
            all.push(("set-cookie", "a=b".into()));
        }
        if self.once_in(8) {
            let names = [
                "foo",
                "Foo, Accept-Language",
                "accept-language",
                "*",
                "foo, *",
                "",
            ];
            all.push(("vary", self.one(&names).into()));
        }
        if self.once_in(16) {
            all.push(("pragma", "no-cache".into()));
        }
        if self.once_in(4) {
            all.push(("content-location", self.one(&["/a", "/b"]).into()));
        }
        all
    }

    fn control(&mut self) -> String {
        let mut all = Vec::new();
        for _ in 0..self.one(&[0, 1, 1, 2, 2, 3]) {
            let name = self.one(&[
                "max-age",
                "max-age",
                "s-maxage",
                "stale-while-revalidate",
                "stale-if-error",
            ]);
            all.push(match self.0.u8(..32) {
                0 => self.one(&ODD_DIRECTIVES).to_owned(),
                1..9 => self.one(&FLAGS).to_owned(),
                _ => format!("{name}={}", self.span()),
            });
        }
        all.join(", ")
    }

    fn date(&mut self, seconds: &[i64]) -> String {
        if !self.once_in(16) {
            let at = self.one(seconds);
            return date(at);
        }
        let odd = [
            "0",
            "",
            "x",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 +0100",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "THU, 18 AUG 2050 02:01:18 gmt",
            "Thursday, 18-Aug-50 02:01:18 GMT",
            "Thu Aug 18 02:01:18 2050",
        ];
        self.one(&odd).into()
    }
}
