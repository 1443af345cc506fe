//! Lines of the log: what they say, and that they say it as serde_json would.

mod reference;

use std::net::IpAddr;

use http::Method;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use super::*;
use crate::base::reason::End;
use crate::base::trace::Trace;

fn written(finished: &Finished<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    write(&mut line, &mut Second::default(), finished);
    line
}

fn read(finished: &Finished<'_>) -> Value {
    serde_json::from_slice(&written(finished)).unwrap()
}

#[test]
fn a_line_is_one_line_of_json_whatever_the_request_holds() {
    let odd = "/a\n\u{1b}[31m\u{7f}é\u{9b}31m\u{202e}gpj.\u{2028}ü";
    let line = written(&Finished::example(odd, &["app-1"]));
    let text = String::from_utf8(line).unwrap();
    let (text, end) = text.split_at(text.len() - 1);
    assert_eq!(end, "\n");
    let shown = |c: char| c == 'é' || c == 'ü' || (c.is_ascii() && !c.is_ascii_control());
    assert!(text.chars().all(shown), "{text}");
    let value: Value = serde_json::from_str(text).unwrap();
    assert_eq!(value["path"], odd);
    assert_eq!(value["host"], "a\"b");
    assert_eq!(value["ts"], "1970-01-01T00:00:01.500Z");
    assert_eq!(value["t"]["ttfb"], 0.0015);
    assert_eq!(value["nodes"][0], "app-1");
    assert!(value.get("query").is_none());
}

#[test]
fn a_line_says_what_the_cache_did_and_nothing_where_there_is_none() {
    let asked = read(&Finished {
        cache: Some(Outcome::Miss),
        cache_reason: Some(Why::SetCookie),
        ..Finished::example("/", &[])
    });
    assert_eq!(asked["cache"], "miss");
    assert_eq!(asked["cache_reason"], "set_cookie");
    let plain = read(&Finished::example("/", &[]));
    assert!(plain.get("cache").is_none() && plain.get("cache_reason").is_none());
}

#[test]
fn a_line_names_the_encoding_and_nothing_where_the_body_went_as_it_is() {
    let of = |encoding| {
        let finished = Finished {
            encoding,
            ..Finished::example("/", &[])
        };
        read(&finished).get("encoding").cloned()
    };
    assert_eq!(of(Some(Coding::Brotli)), Some("br".into()));
    assert_eq!(of(Some(Coding::Zstd)), Some("zstd".into()));
    assert_eq!(of(Some(Coding::Identity)), None);
    assert_eq!(of(None), None);
}

#[test]
fn a_time_that_cannot_be_told_is_the_nearest_that_can() {
    let epoch = SystemTime::UNIX_EPOCH;
    let at = |at| {
        read(&Finished {
            at,
            ..Finished::example("/", &[])
        })["ts"]
            .clone()
    };
    assert_eq!(
        at(epoch - Duration::from_millis(1)),
        "1970-01-01T00:00:00.000Z"
    );
    let after = epoch + Duration::from_secs(LAST_SECOND + 86_400);
    assert_eq!(at(after), "9999-12-31T23:59:59.000Z");
}

/// What a request may hold: texts by their kind, the rest at random.
#[derive(Debug, Clone)]
struct Told {
    at: Duration,
    texts: Vec<String>,
    query: Option<String>,
    nodes: Vec<String>,
    client: IpAddr,
    method: Method,
    version: Version,
    tls: Option<&'static str>,
    sni: Option<String>,
    status: u16,
    bytes: (u64, u64),
    waits: [Option<Duration>; 3],
    total: Duration,
    words: (
        Option<Outcome>,
        Option<Why>,
        Option<Coding>,
        Option<Refusal>,
    ),
    trace: Option<(u128, u64)>,
    end: End,
}

impl Told {
    fn with<T>(&self, see: impl FnOnce(&Finished<'_>) -> T) -> T {
        let nodes: Vec<&str> = self.nodes.iter().map(String::as_str).collect();
        let [id, listener, route, host, path, upstream] = &self.texts[..] else {
            unreachable!("six texts");
        };
        see(&Finished {
            at: SystemTime::UNIX_EPOCH + self.at,
            id,
            client: self.client,
            listener,
            route,
            method: &self.method,
            host,
            path,
            query: self.query.as_deref(),
            version: self.version,
            tls: self.tls,
            sni: self.sni.as_deref(),
            status: self.status,
            bytes_in: self.bytes.0,
            bytes_out: self.bytes.1,
            queue: self.waits[0],
            connect: self.waits[1],
            ttfb: self.waits[2],
            total: self.total,
            upstream,
            nodes: &nodes,
            cache: self.words.0,
            cache_reason: self.words.1,
            encoding: self.words.2,
            grpc_status: self.status.is_multiple_of(3).then_some(u32::from(self.status)),
            dry_run: self.words.3,
            trace: self.trace.map(|(id, span)| Trace::begins(id, span, false)),
            recording: None,
            end: self.end,
        })
    }
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[ -~]{0,40}",
        2 => "[a-z0-9/.-]{0,40}",
        1 => "[\\x00-\\x1f\"\\\\\\x7f/a]{0,20}",
        1 => "[\u{7e}-\u{a0}\u{61c}\u{200a}-\u{2070}\u{feff}é\u{1f600}a]{0,20}",
        1 => any::<String>(),
    ]
}

/// From nothing to years, in every order of magnitude.
fn times() -> impl Strategy<Value = Duration> {
    (any::<u64>(), 20_u32..64).prop_map(|(nanos, shift)| Duration::from_nanos(nanos >> shift))
}

fn told() -> impl Strategy<Value = Told> {
    let at = prop_oneof![0..4_000_000_000_u64, 0..=LAST_SECOND];
    let at = (at, 0..1_000_000_000_u32).prop_map(|(s, nanos)| Duration::new(s, nanos));
    let method = select(vec![
        Method::GET,
        Method::PUT,
        Method::from_bytes(b"!#$%&'*+|~").unwrap(),
    ]);
    let version = select(vec![Version::HTTP_10, Version::HTTP_11, Version::HTTP_2]);
    let tls = select(vec![None, Some("1.2"), Some("1.3")]);
    let total = prop_oneof![times(), any::<Duration>()];
    let words = (
        option::of(select(&Outcome::ALL[..])),
        option::of(select(Why::ALL)),
        option::of(select(&Coding::ALL[..])),
        option::of(select(&Refusal::ALL[..])),
    );
    let end = select(vec![End::Ok, End::ClientAbort, End::Refused(Refusal::Acl)]);
    let waits = prop::array::uniform3(option::of(times()));
    (
        (at, vec(texts(), 6), option::of(texts()), vec(texts(), 0..4)),
        (
            any::<IpAddr>(),
            method,
            (version, tls, option::of(texts())),
            any::<u16>(),
        ),
        (
            any::<(u64, u64)>(),
            waits,
            total,
            words,
            end,
            option::of(any::<(u128, u64)>()),
        ),
    )
        .prop_map(|(of_words, of_client, of_end)| {
            let (at, texts, query, nodes) = of_words;
            let (client, method, (version, tls, sni), status) = of_client;
            let (bytes, waits, total, words, end, trace) = of_end;
            Told {
                at,
                texts,
                query,
                nodes,
                client,
                method,
                version,
                tls,
                sni,
                status,
                bytes,
                waits,
                total,
                words,
                trace,
                end,
            }
        })
}

proptest! {
    #[test]
    fn lines_are_byte_for_byte_those_of_serde_json_within_their_bound(
        requests in vec(told(), 1..4),
    ) {
        // One for all of them: a second that was told before must not shine through.
        let mut second = Second::default();
        for told in requests.iter().chain(&requests) {
            let mut line = Vec::new();
            let (reference, most) = told.with(|finished| {
                write(&mut line, &mut second, finished);
                (reference::written(finished), most(finished))
            });
            prop_assert_eq!(String::from_utf8(line.clone()), String::from_utf8(reference));
            prop_assert!(line.len() <= most, "{} of {most}", line.len());
        }
    }
}

#[test]
fn the_longest_words_and_numbers_are_within_the_bound() {
    let longest = |words: &mut dyn Iterator<Item = &'static str>| words.map(str::len).max();
    let words = [
        longest(&mut Outcome::ALL.iter().map(|o| o.as_str())),
        longest(&mut Why::ALL.iter().map(|w| w.as_str())),
        longest(&mut Coding::ALL.iter().map(|c| c.as_str())),
        longest(&mut Refusal::ALL.iter().map(|r| r.as_str())),
    ];
    let none = Finished {
        id: "",
        listener: "",
        route: "",
        host: "",
        upstream: "",
        query: Some(""),
        client: "1111:2222:3333:4444:5555:6666:7777:8888".parse().unwrap(),
        status: u16::MAX,
        bytes_in: u64::MAX,
        bytes_out: u64::MAX,
        queue: Some(Duration::MAX),
        connect: Some(Duration::MAX),
        ttfb: Some(Duration::MAX),
        total: Duration::MAX,
        cache: Some(Outcome::Hit),
        cache_reason: Some(Why::Fresh),
        encoding: Some(Coding::Brotli),
        grpc_status: Some(u32::MAX),
        dry_run: Some(Refusal::Acl),
        trace: Some(Trace::begins(u128::MAX, u64::MAX, true)),
        end: End::Refused(Refusal::ConnectionsPerIp),
        ..Finished::example("", &[])
    };
    let words: usize = words.into_iter().flatten().sum();
    assert!(written(&none).len() + words <= FIXED);
}
