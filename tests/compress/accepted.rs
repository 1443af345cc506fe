//! A thousand awkward `Accept-Encoding` headers against the running proxy: nobody is sent what it refused.

use super::*;
use crate::support::client::Client;

const OFFERED: [&str; 4] = ["zstd", "br", "gzip", "deflate"];
/// The same run every time; another number is another thousand.
const SEED: u64 = 0x7469_6465;
const HEADERS: usize = 1_000;

/// What a client takes, read in the plainest way: the rules of RFC 9110 §12.5.3, word for word.
struct Oracle(Vec<(String, f64)>);

impl Oracle {
    fn of(lines: &[String]) -> Self {
        let members = lines.iter().flat_map(|line| line.split(','));
        Oracle(members.filter_map(Oracle::member).collect())
    }

    /// `name`, or `name;q=0.xxx`. What has a weight that is none is refused, but for the plain body.
    fn member(text: &str) -> Option<(String, f64)> {
        let blank = [' ', '\t'];
        let text = text.trim_matches(blank).to_ascii_lowercase();
        let (name, weight) = match text.split_once(';') {
            None => (text.as_str(), Some(1.0)),
            Some((name, weight)) => (name.trim_matches(blank), Oracle::read(weight)),
        };
        let is_token = !name.is_empty() && !name.contains([' ', '\t', ';', '"', '/']);
        let weight = match name {
            "identity" => weight?,
            _ => weight.unwrap_or(0.0),
        };
        let name = if name == "x-gzip" { "gzip" } else { name };
        is_token.then(|| (name.to_owned(), weight))
    }

    /// The weight behind a semicolon.
    fn read(text: &str) -> Option<f64> {
        let digits = text.trim_matches([' ', '\t']).strip_prefix("q=")?;
        let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
        let is_weight = matches!(whole, "0" | "1")
            && rest.len() <= 3
            && rest.chars().all(|c| c.is_ascii_digit());
        let weight: f64 = digits.trim_end_matches('.').parse().ok()?;
        (is_weight && weight <= 1.0).then_some(weight)
    }

    /// The least weight under which it is named, by its name or else by `*`.
    fn weight(&self, coding: &str) -> Option<f64> {
        let least = |wanted: &str| {
            let all = self.0.iter().filter(|(name, _)| name == wanted);
            all.map(|(_, weight)| *weight).reduce(f64::min)
        };
        least(coding).or_else(|| least("*"))
    }

    fn refuses(&self, coding: &str) -> bool {
        self.weight(coding) == Some(0.0)
    }

    /// What is sent.
    fn answer(&self) -> &'static str {
        let named = self.0.iter().filter(|(name, _)| name == "identity");
        let plain = named.map(|(_, weight)| *weight).reduce(f64::min);
        let mut best = ("identity", 0.0);
        for coding in OFFERED {
            let weight = self.weight(coding).unwrap_or(0.0);
            if weight > best.1 {
                best = (coding, weight);
            }
        }
        if best.1 > 0.0 && best.1 >= plain.unwrap_or(0.0) {
            return best.0;
        }
        if !self.refuses("identity") {
            return "identity";
        }
        let bad = ["gzip", "zstd", "br", "deflate"];
        let left = bad.into_iter().find(|coding| !self.refuses(coding));
        left.unwrap_or("identity")
    }
}

/// One or two lines of what clients say, and of what none should.
fn awkward(random: &mut fastrand::Rng) -> Vec<String> {
    const NAMES: [&str; 16] = [
        "gzip", "br", "zstd", "deflate", "identity", "*", "gzip", "br", "GZIP", "Br", "x-gzip",
        "compress", "dcz", "", "g zip", "identity",
    ];
    const WEIGHTS: [&str; 22] = [
        "",
        "",
        "",
        ";q=0",
        ";q=0",
        ";q=0",
        ";q=0.000",
        ";q=0.",
        ";q=1",
        ";q=1.000",
        "; q=0.5",
        " ;q=0.8",
        ";Q=0.3",
        ";q=0.001",
        ";q=0.0001",
        ";q=1.001",
        ";q=.5",
        ";q=-1",
        ";q=",
        ";level=3",
        ";q=0.5;x=1",
        ";q = 0",
    ];
    const COMMAS: [&str; 5] = [",", ", ", " , ", ",,", ",\t"];
    let line = |random: &mut fastrand::Rng| {
        let mut text = String::new();
        for at in 0..random.usize(..8) {
            if at > 0 {
                text.push_str(random.choice(COMMAS).unwrap());
            }
            text.push_str(random.choice(NAMES).unwrap());
            text.push_str(random.choice(WEIGHTS).unwrap());
        }
        text
    };
    let lines = if random.u8(..5) == 0 { 2 } else { 1 };
    (0..lines).map(|_| line(random)).collect()
}

#[tokio::test]
async fn nobody_is_sent_what_it_refused() {
    for keys in [
        "cache: true\ncompress: { max_cpu: 100% }",
        "compress: { max_cpu: 100%, accept_encoding: identity }",
    ] {
        let stage = Stage::open(keys).await;
        let body = json(3_000);
        stage.says(body.clone(), JSON);
        let mut client = Client::connect(stage.tide.addr()).await.unwrap();
        let mut random = fastrand::Rng::with_seed(SEED);
        let mut sent = std::collections::HashMap::new();
        for n in 0..HEADERS {
            let lines = awkward(&mut random);
            let add = |request: Request, line: &String| request.field("Accept-Encoding", line);
            let request = lines.iter().fold(Request::get("/"), add);
            let answer = client.ask(&request).await.unwrap();
            let oracle = Oracle::of(&lines);
            let what = format!("{keys}: {n} of seed {SEED:#x}: {lines:?}");
            let got = encoding(&answer).to_owned();
            assert_eq!(answer.status, 200, "{what}");
            assert_eq!(got, oracle.answer(), "{what}");
            let nothing_left = OFFERED.iter().all(|coding| oracle.refuses(coding));
            assert!(!oracle.refuses(&got) || nothing_left, "{what}");
            assert!(decoded(&answer) == body, "{what}");
            *sent.entry(got).or_insert(0) += 1;
        }
        // None of the answers is rare enough to say nothing.
        assert_eq!(sent.len(), 5, "{sent:?}");
        assert!(sent.values().all(|n| *n > HEADERS / 50), "{sent:?}");
    }
}
