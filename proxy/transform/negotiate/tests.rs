//! What is sent to whom: a table of awkward fields, and a reader of its own that says what was refused.

use fastrand::Rng;
use http::HeaderValue;

use http::HeaderMap;

use super::*;

const OFFERED: [Coding; 4] = [Coding::Zstd, Coding::Brotli, Coding::Gzip, Coding::Deflate];

fn accepted(lines: &[Vec<u8>]) -> Accepted {
    let mut headers = HeaderMap::new();
    for line in lines {
        let value = HeaderValue::from_bytes(line).expect("a value as clients may send it");
        headers.append(ACCEPT_ENCODING, value);
    }
    Accepted::of(&headers)
}

fn of(line: &str) -> Accepted {
    accepted(&[line.into()])
}

/// One case of the table.
struct Case {
    name: String,
    answer: Coding,
    lines: Vec<Vec<u8>>,
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let rows = include_str!("awkward.txt").lines();
    for row in rows.filter(|row| !row.is_empty() && !row.starts_with('#')) {
        if let Some(line) = row.strip_prefix("    ") {
            let case = cases.last_mut().expect("a case before its lines");
            case.lines.push(bytes(line));
        } else {
            let (answer, name) = row.split_once(' ').expect("an answer and a name");
            cases.push(Case {
                name: name.into(),
                answer: Coding::of(answer.as_bytes()).expect("a coding"),
                lines: Vec::new(),
            });
        }
    }
    cases
}

fn bytes(line: &str) -> Vec<u8> {
    let mut parts = line.split('\\');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (byte, rest) = match part.as_bytes()[0] {
            b't' => (b'\t', &part[1..]),
            b's' => (b' ', &part[1..]),
            b'x' => (u8::from_str_radix(&part[1..3], 16).unwrap(), &part[3..]),
            other => panic!("\\{other} is no escape"),
        };
        bytes.push(byte);
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
}

#[test]
fn awkward_fields_have_the_answers_of_the_table() {
    let cases = cases();
    assert!(cases.len() >= 100, "{} cases", cases.len());
    let names: std::collections::BTreeSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), cases.len(), "every case has a name of its own");
    for case in &cases {
        let chosen = accepted(&case.lines).choose(&OFFERED);
        assert_eq!(chosen, case.answer, "{}", case.name);
        let refused = refused(&case.lines);
        assert!(
            chosen == Coding::Identity || !refused[chosen as usize],
            "{}",
            case.name
        );
    }
}

#[test]
fn the_route_says_what_is_sent_among_equals() {
    use Coding::{Brotli, Deflate, Gzip, Identity, Zstd};
    let all = of("gzip, deflate, br, zstd");
    assert_eq!(all.choose(&[Deflate, Gzip]), Deflate);
    assert_eq!(all.choose(&[Brotli, Zstd, Gzip]), Brotli);
    assert_eq!(all.choose(&[]), Identity);
    assert_eq!(
        all.choose(&[Identity, Gzip]),
        Gzip,
        "identity is never offered"
    );
    assert_eq!(of("br").choose(&[Gzip, Deflate]), Identity);
    assert_eq!(
        of("identity;q=0").choose(&[Brotli, Gzip]),
        Gzip,
        "most clients read it"
    );
    assert_eq!(of("identity;q=0").choose(&[Brotli, Deflate]), Brotli);
    assert_eq!(
        of("identity;q=0").choose(&[]),
        Identity,
        "there is nothing else"
    );
    assert_eq!(of("identity;q=0, gzip").choose(&[Brotli]), Brotli);
}

#[test]
fn what_is_taken_is_not_what_is_refused_and_some_is_neither() {
    let told = |line: &str| {
        let accepted = of(line);
        let of = |coding| (accepted.takes(coding), accepted.refuses(coding));
        [Coding::Identity, Coding::Gzip, Coding::Brotli].map(of)
    };
    let (taken, refused, neither) = ((true, false), (false, true), (false, false));
    assert_eq!(told(""), [taken, neither, neither]);
    assert_eq!(told("gzip"), [taken, taken, neither]);
    assert_eq!(told("gzip;q=0"), [taken, refused, neither]);
    assert_eq!(told("*"), [taken, taken, taken]);
    assert_eq!(told("*;q=0"), [refused, refused, refused]);
    assert_eq!(told("*;q=0, gzip"), [refused, taken, refused]);
    assert_eq!(told("identity;q=0, *"), [refused, taken, taken]);
    assert_eq!(told("identity, *;q=0"), [taken, refused, refused]);
}

#[test]
fn weights_are_kept_in_the_order_of_all_codings() {
    for (at, coding) in Coding::ALL.into_iter().enumerate() {
        assert_eq!(coding as usize, at);
    }
    assert!(size_of::<Accepted>() <= 24);
}

/// What these lines refuse, read in the plainest way: text, split, compared.
fn refused(lines: &[Vec<u8>]) -> [bool; 5] {
    let mut named: [Vec<f64>; 5] = Default::default();
    let mut star: Vec<f64> = Vec::new();
    let text: Vec<String> = lines
        .iter()
        .map(|l| String::from_utf8_lossy(l).into_owned())
        .collect();
    let mut named_so_far = 0;
    for member in text.join(",").to_lowercase().split(',') {
        let trim = |part: &str| part.trim_matches([' ', '\t']).to_owned();
        let parts: Vec<String> = member.split(';').map(trim).collect();
        let is_letter = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if parts[0].is_empty() || !parts[0].chars().all(is_letter) {
            continue;
        }
        let known = match &parts[..] {
            [_] => Some(1.0),
            [_, weight] => weight.strip_prefix("q=").and_then(plain_weight),
            _ => None,
        };
        // Meant as a refusal or not: only what every client reads is sent all the same.
        if known.is_none() && parts[0] == "identity" {
            continue;
        }
        named_so_far += 1;
        let weight = known.unwrap_or(0.0);
        match &parts[0][..] {
            "*" => star.push(weight),
            "identity" => named[0].push(weight),
            "gzip" | "x-gzip" => named[1].push(weight),
            "deflate" => named[2].push(weight),
            "br" => named[3].push(weight),
            "zstd" => named[4].push(weight),
            _ => {}
        }
    }
    if named_so_far > 64 {
        return [false; 5];
    }
    named.map(|weights| match weights.is_empty() {
        true => star.contains(&0.0),
        false => weights.contains(&0.0),
    })
}

/// All weights there are, written out.
fn plain_weight(text: &str) -> Option<f64> {
    let digits = text.get(2..).unwrap_or("");
    let is_number = digits.chars().all(|c| c.is_ascii_digit()) && digits.len() <= 3;
    let known = match text.get(..2).unwrap_or(text) {
        "0" | "1" => true,
        "0." => is_number,
        "1." => is_number && digits.chars().all(|c| c == '0'),
        _ => false,
    };
    known.then(|| format!("{text}0").replace(".0", ".00").parse().ok())?
}

/// A header nobody wrote by hand, most of it nearly right.
fn made_up(rng: &mut Rng) -> Vec<Vec<u8>> {
    const NAMES: [&str; 16] = [
        "gzip", "x-gzip", "deflate", "br", "zstd", "identity", "*", "GZip", "BR", "ZSTD",
        "Identity", "compress", "g zip", "", "\"gzip\"", "brotli",
    ];
    const WEIGHTS: [&str; 24] = [
        "",
        "",
        "",
        ";q=0",
        ";q=0.0",
        ";q=0.000",
        ";q=0.",
        ";Q=0",
        " ; q=0",
        "\t;\tq=1",
        ";q=1",
        ";q=1.000",
        ";q=0.5",
        ";q=0.001",
        ";q=0.999",
        ";q=1.1",
        ";q=00",
        ";q=-0",
        ";q=0.0000",
        ";q=",
        ";q=0;a",
        ";x=0",
        ";q =0",
        ";q=\"0\"",
    ];
    let member = |rng: &mut Rng| {
        let blank = [" ", "", "", "\t", "  "][rng.usize(..5)];
        let mut member = blank.as_bytes().to_vec();
        member.extend_from_slice(NAMES[rng.usize(..NAMES.len())].as_bytes());
        member.extend_from_slice(WEIGHTS[rng.usize(..WEIGHTS.len())].as_bytes());
        if rng.u8(..12) == 0 {
            let at = rng.usize(..=member.len());
            member.insert(at, rng.u8(b' '..b'~'));
        }
        member
    };
    let lines = rng.usize(..4);
    let line = |rng: &mut Rng| {
        let most = if rng.u8(..40) == 0 { 90 } else { 7 };
        let members: Vec<_> = (0..rng.usize(..most)).map(|_| member(rng)).collect();
        members.join(&b',')
    };
    (0..lines).map(|_| line(rng)).collect()
}

#[test]
fn nothing_is_sent_that_was_refused_while_anything_else_is_left() {
    let mut rng = Rng::with_seed(6);
    let (mut coded, mut refusals) = (0, 0);
    for round in 0..50_000 {
        let lines = made_up(&mut rng);
        let accepted = accepted(&lines);
        let refused = refused(&lines);
        let mut offered = OFFERED;
        rng.shuffle(&mut offered);
        let chosen = accepted.choose(&offered);
        let show = || {
            lines
                .iter()
                .map(|l| String::from_utf8_lossy(l))
                .collect::<Vec<_>>()
        };
        for coding in Coding::ALL {
            assert_eq!(
                accepted.refuses(coding),
                refused[coding as usize],
                "{round}: {:?}",
                show()
            );
            assert!(!(accepted.takes(coding) && accepted.refuses(coding)));
        }
        let nothing_left = refused.iter().all(|refused| *refused);
        assert!(
            nothing_left || !refused[chosen as usize],
            "{round}: {chosen:?} of {:?}",
            show()
        );
        coded += u32::from(chosen != Coding::Identity);
        refusals += u32::from(refused.contains(&true));
    }
    assert!(
        coded > 10_000 && refusals > 10_000,
        "{coded} coded, {refusals} with refusals"
    );
}
