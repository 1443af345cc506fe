//! The scanner against the grammar written as expressions, against the data path's own reading, and in pieces.

use super::*;
use proptest::prelude::*;

const TRAILERS: u32 = 100;

fn verdict(body: &[u8]) -> Result<Scanned, Bad> {
    Chunks::new(TRAILERS).scan(body)
}

/// The data, by the data path's own way of reading sizes.
fn decoded(mut body: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((at, size))) = httparse::parse_chunk_size(body) else {
            panic!("another size: {:?}", body.escape_ascii().to_string());
        };
        let (chunk, rest) = body[at..].split_at(size as usize);
        if size == 0 {
            return data;
        }
        data.extend_from_slice(chunk);
        body = rest.strip_prefix(b"\r\n").unwrap();
    }
}

/// The grammar once more, slowly: a body is `1*DIGIT *ext CRLF data CRLF` … `0 *ext CRLF *trailer CRLF`.
fn naive(body: &[u8]) -> Option<usize> {
    use regex::bytes::Regex;
    let token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
    let text = r#"[\t\x20-\x7e\x80-\xff]"#;
    let quoted = r#""(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\TEXT)*""#.replace("TEXT", text);
    let size = format!("(?-u)^([0-9A-Fa-f]{{1,16}})(?:;{token}(?:=(?:{token}|{quoted}))?)*\r\n");
    let size = Regex::new(&size).unwrap();
    let trailers = Regex::new(&format!("(?-u)^((?:{token}:{text}*\r\n)*)\r\n")).unwrap();
    let mut at = 0;
    loop {
        let line = size.captures(&body[at..])?;
        let length = u64::from_str_radix(std::str::from_utf8(&line[1]).unwrap(), 16).unwrap();
        at += line[0].len();
        if length == 0 {
            let last = trailers.captures(&body[at..])?;
            return (last[1].len() <= TRAILERS as usize).then_some(at + last[0].len());
        }
        at = at.checked_add(usize::try_from(length).ok()?)?;
        at += body.get(at..)?.starts_with(b"\r\n").then_some(2)?;
    }
}

#[test]
fn a_body_ends_where_it_says() {
    for (body, data) in [
        ("0\r\n\r\n", 0),
        ("5\r\nhello\r\n0\r\n\r\n", 5),
        ("5\r\nhello\r\nA\r\n0123456789\r\n000\r\n\r\n", 15),
        ("0000000000000001\r\n\r\r\n0\r\n\r\n", 1),
        ("1;a;b=c;d=\"e;\\\" \t\"\r\nx\r\n0;last\r\n\r\n", 1),
        ("0\r\nX-Sum: 1\r\nY:\r\n\r\n", 0),
    ] {
        let mut chunks = Chunks::new(TRAILERS);
        let longer = [body.as_bytes(), b"rest"].concat();
        let over = true;
        let used = body.len();
        assert_eq!(chunks.scan(&longer), Ok(Scanned { used, over }), "{body:?}");
        assert_eq!((chunks.data(), chunks.is_over()), (data, true));
        let used = 0;
        assert_eq!(chunks.scan(b"more"), Ok(Scanned { used, over }));
    }
}

#[test]
fn what_is_almost_a_chunked_body_is_none() {
    for (body, bad) in [
        ("\r\n", Bad::Size),
        (" \r\n", Bad::Size),
        (";x\r\n\r\n", Bad::Size),
        ("0x5\r\n", Bad::Size),
        ("+5\r\n", Bad::Size),
        ("-0\r\n", Bad::Size),
        ("5_0\r\n", Bad::Size),
        ("5 \r\n", Bad::Size),
        ("5 ;a\r\n", Bad::Size),
        ("5\n", Bad::Size),
        ("5\r5", Bad::LineEnd),
        ("00000000000000000\r\n", Bad::SizeTooLarge),
        ("1;\r\n", Bad::Extension),
        ("1;a=\r\n", Bad::Extension),
        ("1;a =b\r\n", Bad::Extension),
        ("1; a=b\r\n", Bad::Extension),
        ("1;a=\"b\r\n", Bad::Extension),
        ("1;a=\"b\"c\r\n", Bad::Extension),
        ("1;a\nb", Bad::Extension),
        ("1\r\nxy", Bad::LineEnd),
        ("1\r\nx\n", Bad::LineEnd),
        ("1\r\nx\r0", Bad::LineEnd),
        ("1\r\nx\r\n\r\n", Bad::Size),
        ("0\r\n\n", Bad::Trailer),
        ("0\r\n\rX", Bad::LineEnd),
        ("0\r\n X: y\r\n", Bad::Trailer),
        ("0\r\nX : y\r\n", Bad::Trailer),
        ("0\r\nX\r\n", Bad::Trailer),
        ("0\r\n: y\r\n", Bad::Trailer),
        ("0\r\nX: y\n", Bad::Trailer),
        ("0\r\nX: y\0", Bad::Trailer),
        ("0\r\nX: y\r\n z\r\n", Bad::Trailer),
        ("HTTP/1.1 200 OK\r\n", Bad::Size),
    ] {
        assert_eq!(verdict(body.as_bytes()), Err(bad), "{body:?}");
    }
}

#[test]
fn what_nobody_reads_has_an_end() {
    let line = |n| format!("1;{}\r\n", "a".repeat(n));
    let most = LINE_AT_MOST as usize - 4;
    assert!(verdict(line(most).as_bytes()).is_ok());
    let too_long = Err(Bad::ExtensionsTooLong);
    assert_eq!(verdict(line(most + 1).as_bytes()), too_long);
    assert_eq!(verdict("1;a\r\nx\r\n".repeat(40_000).as_bytes()), too_long);
    let trailer = |n| format!("0\r\nX:{}\r\n\r\n", "y".repeat(n));
    assert!(verdict(trailer(96).as_bytes()).is_ok());
    let too_many = Err(Bad::TrailersTooLong);
    assert_eq!(verdict(trailer(97).as_bytes()), too_many);
}

#[test]
fn the_largest_size_is_counted_and_not_awaited_byte_by_byte() {
    let mut chunks = Chunks::new(TRAILERS);
    assert!(chunks.scan(b"ffffffffffffffff\r\n").is_ok());
    assert!(chunks.scan(&[b'\n'; 1 << 20]).is_ok());
    assert_eq!((chunks.data(), chunks.is_over()), (1 << 20, false));
}

/// Bodies, most of them well-formed, some with one byte put in, taken out or changed.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let extension = prop_oneof![
        4 => Just(""), 1 => Just(";a"), 1 => Just(";a=b"), 1 => Just(";a=\"b\\\"\r;\""), 1 => Just(";a=\"\\;\""),
    ];
    let chunk = (prop::collection::vec(any::<u8>(), 1..40), extension);
    let trailers = prop_oneof![3 => Just(""), 1 => Just("X: y\r\n"), 1 => Just("X:\r\nYy:\t\r\n")];
    let body = (prop::collection::vec(chunk, 0..5), trailers).prop_map(|(chunks, trailers)| {
        let mut body = Vec::new();
        for (data, extension) in chunks {
            body.extend(format!("{:x}{extension}\r\n", data.len()).bytes());
            body.extend(data);
            body.extend(b"\r\n");
        }
        body.extend(format!("0\r\n{trailers}\r\nrest").bytes());
        body
    });
    let odd = prop::sample::select(b"\r\n \t;=\"\\:0aFx_+\0\x0b\x80\xff".as_slice());
    (body, 0..8u8, any::<prop::sample::Index>(), odd).prop_map(|(mut body, how, at, odd)| {
        let at = at.index(body.len());
        match how {
            0 => body.insert(at, odd),
            1 => body[at] = odd,
            2 => drop(body.remove(at)),
            3 => body.truncate(at),
            _ => {}
        }
        body
    })
}

proptest! {
    #[test]
    fn the_verdict_is_that_of_the_grammar(body in bodies()) {
        let over = verdict(&body).ok().filter(|s| s.over).map(|s| s.used);
        prop_assert_eq!(over, naive(&body));
    }

    #[test]
    fn a_body_that_passes_has_the_same_data_for_the_data_path(body in bodies()) {
        let mut chunks = Chunks::new(TRAILERS);
        if chunks.scan(&body).is_ok_and(|s| s.over) {
            prop_assert_eq!(decoded(&body).len() as u64, chunks.data());
        }
    }

    #[test]
    fn the_verdict_does_not_depend_on_the_pieces(
        body in bodies(),
        cuts in prop::collection::vec(1..9usize, 1..9),
    ) {
        let whole = verdict(&body);
        let mut chunks = Chunks::new(TRAILERS);
        let mut used = 0;
        let mut pieces = Ok(Scanned { used, over: false });
        for size in cuts.into_iter().cycle() {
            let piece = &body[used..body.len().min(used + size)];
            match chunks.scan(piece) {
                Ok(scanned) => used += scanned.used,
                Err(bad) => pieces = Err(bad),
            }
            if pieces.is_err() || piece.is_empty() || chunks.is_over() {
                break;
            }
        }
        prop_assert_eq!(pieces.map(|_| Scanned { used, over: chunks.is_over() }), whole);
    }
}
