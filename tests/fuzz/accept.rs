//! `Accept-Encoding`: what is refused is not sent, and nothing is sent that nobody named.
//!
//! The bytes are lines.

use http::{HeaderMap, HeaderValue};
use tidegate::base::coding::Coding;
use tidegate::transform::negotiate::Accepted;

const OFFERED: [Coding; 4] = [Coding::Zstd, Coding::Brotli, Coding::Gzip, Coding::Deflate];

/// Members that are read for sure; beyond them what is added here may not be heard.
const FEW: usize = 50;

/// Lines.
pub fn run(bytes: &[u8]) {
    let lines = bytes.split(|byte| *byte == b'\n');
    let values = lines.filter_map(|line| HeaderValue::from_bytes(line).ok());
    let lines: Vec<HeaderValue> = values.collect();
    let chosen = |more: &str| {
        let mut request = HeaderMap::new();
        // Said first: what comes behind many members is not heard.
        request.append(
            "accept-encoding",
            HeaderValue::from_str(more).expect("ours"),
        );
        for line in &lines {
            request.append("accept-encoding", line.clone());
        }
        Accepted::of(&request).choose(&OFFERED)
    };
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let names = |word: &str| text.contains(word);
    let plain = chosen("");
    assert!(
        plain == Coding::Identity || names(plain.as_str()) || names("*") || names("identity"),
        "{plain:?} from nowhere"
    );
    assert_eq!(chosen(","), plain, "nothing more was said");
    let everything = "identity;q=0, gzip;q=0, deflate;q=0, br;q=0, zstd;q=0";
    assert_eq!(chosen(everything), Coding::Identity, "never 406");
    for coding in OFFERED {
        let name = coding.as_str();
        let without = chosen(&format!("{name};q=0"));
        assert_ne!(without, coding, "refused");
        if plain != coding && plain != Coding::Identity && !names("identity") && !names("*") {
            assert_eq!(without, plain, "another one was refused");
        }
    }
    let members = bytes.split(|byte| matches!(byte, b',' | b'\n')).count();
    if members < FEW {
        let reversed: Vec<&str> = text.split(['\n', ',']).rev().collect();
        if let (true, Ok(line)) = (text.is_ascii(), HeaderValue::from_str(&reversed.join(","))) {
            let mut request = HeaderMap::new();
            request.append("accept-encoding", line);
            let whole = lines.len() == text.split('\n').count();
            let backwards = Accepted::of(&request).choose(&OFFERED);
            assert!(!whole || backwards == plain, "order says nothing");
        }
    }
}
