//! Lines of the log: what they say, and that they arrive.

use super::*;

#[test]
fn a_line_is_one_line_of_json_whatever_the_request_holds() {
    let odd = "/a\n\u{1b}[31m\u{7f}é\u{9b}31m\u{202e}gpj.\u{2028}ü";
    let line = written(&Finished::example(odd, &["app-1"])).unwrap();
    let text = String::from_utf8(line).unwrap();
    let (text, end) = text.split_at(text.len() - 1);
    assert_eq!(end, "\n");
    let shown = |c: char| c == 'é' || c == 'ü' || (c.is_ascii() && !c.is_ascii_control());
    assert!(text.chars().all(shown), "{text}");
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(value["path"], odd);
    assert_eq!(value["host"], "a\"b");
    assert_eq!(value["ts"], "1970-01-01T00:00:01.500Z");
    assert_eq!(value["t"]["ttfb"], 0.0015);
    assert_eq!(value["nodes"][0], "app-1");
    assert!(value.get("query").is_none());
}

#[test]
fn a_line_says_what_the_cache_did_and_nothing_where_there_is_none() {
    let line = |finished: &Finished<'_>| -> serde_json::Value {
        serde_json::from_slice(&written(finished).unwrap()).unwrap()
    };
    let asked = line(&Finished {
        cache: Some(Outcome::Miss),
        cache_reason: Some(Why::SetCookie),
        ..Finished::example("/", &[])
    });
    assert_eq!(asked["cache"], "miss");
    assert_eq!(asked["cache_reason"], "set_cookie");
    let plain = line(&Finished::example("/", &[]));
    assert!(plain.get("cache").is_none() && plain.get("cache_reason").is_none());
}

#[test]
fn a_line_names_the_encoding_and_nothing_where_the_body_went_as_it_is() {
    let of = |encoding| {
        let finished = Finished {
            encoding,
            ..Finished::example("/", &[])
        };
        let line = written(&finished).unwrap();
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        line.get("encoding").cloned()
    };
    assert_eq!(of(Some(Coding::Brotli)), Some("br".into()));
    assert_eq!(of(Some(Coding::Zstd)), Some("zstd".into()));
    assert_eq!(of(Some(Coding::Identity)), None);
    assert_eq!(of(None), None);
}

#[test]
fn lines_reach_the_file_and_a_flush_waits_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let config = checked::AccessLog {
        path: LogPath::File(path.clone()),
        format: LogFormat::Json,
        sample: 1.0,
    };
    let log = AccessLog::open(&config, IntCounter::new("d", "d").unwrap()).unwrap();
    for _ in 0..100 {
        log.tell(&Finished::example("/", &[]));
    }
    log.flush();
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 100);
    std::fs::rename(&path, dir.path().join("access.log.1")).unwrap();
    log.reopen();
    log.tell(&Finished::example("/", &[]));
    log.flush();
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
}

#[test]
fn failures_are_told_whatever_the_sample() {
    let config = checked::AccessLog {
        path: LogPath::Stdout,
        format: LogFormat::Json,
        sample: 0.25,
    };
    let log = AccessLog::open(&config, IntCounter::new("d", "d").unwrap()).unwrap();
    assert!(log.wants(true, || 0.99));
    assert!(!log.wants(false, || 0.99));
    assert!(log.wants(false, || 0.2));
}
