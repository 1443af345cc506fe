//! Request heads: what may come in is read alike by everybody, and has one form in which it goes on.
//!
//! The tests' own reader (`support/strict`, `support/policy`) and httparse have their say.

use tidegate::base::reason::Refusal;
use tidegate::wire::canon;
use tidegate::wire::head::{self, Body, Good, Rules};

use crate::support::policy::{self, Verdict};
use crate::support::strict::{self, Request};

/// Fields that say who the client is.
const TELL_CLIENT: [&str; 8] = [
    "forwarded",
    "forwarded-for",
    "x-forwarded",
    "x-real-ip",
    "client-ip",
    "x-client-ip",
    "true-client-ip",
    "x-cluster-client-ip",
];

/// Bytes from the beginning of a connection.
pub fn run(bytes: &[u8]) {
    let bytes = &bytes[head::empty_lines(bytes)..];
    let (plain, lenient) = rules();
    head::sketch(bytes);
    head::too_large(bytes, &plain);
    let end = head::end(bytes, 0);
    for at in [1, 2, 3, 4, 5, 16, bytes.len() / 2, bytes.len()] {
        let at = at.min(bytes.len());
        if head::end(&bytes[..at], 0).is_none() {
            assert_eq!(head::end(bytes, at), end, "found in one go and in two");
        }
    }
    let Some(end) = end else { return };
    let head = &bytes[..end];
    let _ = one_form(head, &lenient, true); // its promises are kept inside
    let verdict = one_form(head, &plain, false);
    agrees(head, verdict);
}

fn rules() -> (Rules, Rules) {
    let plain = Rules {
        max_head: policy::HEAD,
        max_fields: 100,
        max_target: 8 * 1024,
        max_body: None,
        merge_slashes: true,
        keep_underscores: false,
        drop: vec!["proxy".into(), "x-original-url".into()],
    };
    let lenient = Rules {
        max_body: Some(100),
        merge_slashes: false,
        keep_underscores: true,
        drop: Vec::new(),
        ..plain.clone()
    };
    (plain, lenient)
}

/// The head as it goes on, when it does.
fn one_form(head: &[u8], rules: &Rules, trusted: bool) -> Result<(Good, Vec<u8>), Refusal> {
    let verdict = head::check(head, rules, trusted);
    let written = canon::write(head, rules, trusted);
    let good = verdict?;
    let written = written.expect("a good head can be written");
    if written.len() > rules.max_head {
        return Ok((good, written.into()));
    }
    let again = head::check(&written, rules, trusted);
    let plain = Good {
        body: good.body,
        rewrite: false,
    };
    assert_eq!(again, Ok(plain), "what was written is good as it is");
    let twice = canon::write(&written, rules, trusted);
    assert_eq!(twice.as_ref(), Ok(&written), "written once is written");
    let (from, to) = (Parsed::of(head), Parsed::of(&written));
    assert_eq!((&from.method, from.minor), (&to.method, to.minor));
    clean(&written, &to, rules, trusted);
    connection(&from, &to);
    if good.rewrite {
        // Nothing is added that was not there, but the host of an absolute target.
        for field in &to.fields {
            let known = from.fields.contains(field)
                || ["host", "connection", "content-length"].contains(&field.0.as_str());
            assert!(known, "made up: {field:?}");
        }
    } else {
        assert_eq!(from.target, to.target);
        let sorted = |mut fields: Vec<_>| {
            fields.sort();
            fields
        };
        // Letters of `Connection` are written in lower case.
        let others = |p: &Parsed| {
            let fields = p.fields.iter().filter(|f| f.0 != "connection");
            sorted(fields.cloned().collect())
        };
        assert_eq!(others(&from), others(&to), "nothing to rewrite");
    }
    framed(&good, &written, &to);
    Ok((good, written.into()))
}

/// A head as httparse reads it.
#[derive(Debug)]
struct Parsed {
    method: String,
    target: String,
    minor: u8,
    /// Names in lower case.
    fields: Vec<(String, Vec<u8>)>,
}

impl Parsed {
    fn of(head: &[u8]) -> Self {
        let mut fields = [httparse::EMPTY_HEADER; head::MAX_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let parsed = request.parse(head);
        assert_eq!(parsed, Ok(httparse::Status::Complete(head.len())));
        let fields = request.headers.iter();
        Parsed {
            method: request.method.expect("complete").into(),
            target: request.path.expect("complete").into(),
            minor: request.version.expect("complete"),
            fields: fields
                .map(|f| (f.name.to_ascii_lowercase(), f.value.to_vec()))
                .collect(),
        }
    }

    fn all(&self, name: &str) -> Vec<&[u8]> {
        let its = self.fields.iter().filter(|(n, _)| n == name);
        its.map(|(_, v)| v.as_slice()).collect()
    }

    fn says(&self, token: &str) -> bool {
        let values = self.all("connection");
        let mut tokens = values.iter().flat_map(|v| v.split(|b| *b == b','));
        tokens.any(|t| t.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }
}

/// Nothing stands in a written head that two parsers might read in two ways, or that nobody may send.
fn clean(written: &[u8], to: &Parsed, rules: &Rules, trusted: bool) {
    let text = written.strip_suffix(b"\r\n\r\n").expect("one end");
    let breaks = text.windows(2).filter(|w| w == b"\r\n").count();
    let odd = text.iter().filter(|b| matches!(b, b'\r' | b'\n')).count();
    assert_eq!(odd, 2 * breaks, "a line end within a line");
    assert_eq!(breaks, to.fields.len(), "a line a field");
    let controls = text.iter().filter(|b| b.is_ascii_control()).count();
    let tabs = text.iter().filter(|b| **b == b'\t').count();
    assert_eq!(controls, odd + tabs, "a control character");
    assert!(to.target.starts_with('/') || to.target == "*");
    for single in [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
        "expect",
    ] {
        assert!(to.all(single).len() <= 1, "{single} twice");
    }
    assert!(to.minor == 0 || to.all("host").len() == 1);
    for (name, _) in &to.fields {
        assert!(rules.keep_underscores || !name.contains('_'), "{name}");
        assert!(!rules.drop.contains(name), "{name}");
        let tells = TELL_CLIENT.contains(&name.as_str())
            || (name.starts_with("x-forwarded-") && name.len() > 12);
        assert!(trusted || !tells, "{name}");
    }
}

/// The written `Connection` says what all of them said.
fn connection(from: &Parsed, to: &Parsed) {
    let upgrades = !to.all("upgrade").is_empty();
    let due: &[&[u8]] = match () {
        () if from.says("close") => &[b"close"],
        () if upgrades && from.says("upgrade") => &[b"upgrade"],
        () if from.says("keep-alive") => &[b"keep-alive"],
        () => &[],
    };
    assert_eq!(to.all("connection"), due);
    assert!(!upgrades || to.minor == 1);
}

/// The body ends where httparse's fields and the tests' own reader say.
fn framed(good: &Good, written: &[u8], to: &Parsed) {
    let (lengths, codings) = (to.all("content-length"), to.all("transfer-encoding"));
    let due = match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Body::Sized(0),
        ([length], []) => {
            let digits = std::str::from_utf8(length).expect("digits");
            Body::Sized(digits.parse().expect("digits"))
        }
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => Body::Chunked,
        both => panic!("framed in two ways: {both:?}"),
    };
    assert_eq!(good.body, due);
    if to.all("host") != [b""] {
        let read = strict::head(written);
        assert!(read.is_ok(), "the tests' own reader: {read:?}");
    }
}

/// The front door as it is told a second time says the same.
fn agrees(head: &[u8], verdict: Result<(Good, Vec<u8>), Refusal>) {
    let own = strict::head(head);
    match (verdict, policy::verdict(head)) {
        (Err(_), Verdict::Refuse(_)) => {}
        (Ok((_, written)), Verdict::Forward { target, .. }) => {
            assert_eq!(Parsed::of(&written).target, target);
        }
        (Ok((_, written)), Verdict::Local(_)) => assert_eq!(Parsed::of(&written).target, "*"),
        (Ok((good, _)), Verdict::Wait) => assert_ne!(good.body, Body::Sized(0)),
        (Ok((_, written)), refused) => {
            // HTTP/1.0 knows no Expect, and an empty Host is none.
            let to = Parsed::of(head);
            let fine = to.minor == 0 && (to.all("host") == [b""] || !to.all("expect").is_empty());
            assert!(fine, "let in: {refused:?} {written:?}");
        }
        (Err(why), told) => assert!(own.is_ok_and(|r| stricter(&r, why)), "{why:?}: {told:?}"),
    }
}

/// Where the proxy refuses more than the plain telling.
fn stricter(request: &Request, why: Refusal) -> bool {
    match why {
        // In any case of letters.
        Refusal::Method => true,
        Refusal::BadRequest => ["expect", "upgrade"]
            .iter()
            .any(|name| request.all(name).len() > 1),
        _ => false,
    }
}
