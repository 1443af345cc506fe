//! What a stripper may do to a text, told by one that parses it and by one that only knows tokens.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// What comes out of a text that comes in pieces of these lengths, in turn.
fn pieces(text: &[u8], lengths: &[usize]) -> Vec<u8> {
    let (mut stripper, mut out, mut rest) = (Box::new(Stripper::new()), Vec::new(), text);
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, later) = rest.split_at((*length).clamp(1, rest.len()));
        stripper.write(piece, &mut out);
        rest = later;
    }
    stripper.finish(&mut out);
    out
}

fn minified(text: &str) -> String {
    let out = pieces(text.as_bytes(), &[text.len()]);
    String::from_utf8(out).expect("UTF-8 stays UTF-8")
}

#[test]
fn whitespace_between_tokens_goes_and_nothing_else() {
    let rows = [
        (
            " { \"a\" :\t[ 1 , 2 ] ,\r\n \"b\" : { } } \n",
            r#"{"a":[1,2],"b":{}}"#,
        ),
        ("[ ]", "[]"),
        ("[\n  [ ],\n  { }\n]", "[[],{}]"),
        (" \"a  b\\\" c\" ", "\"a  b\\\" c\""),
        ("[ true , false , null ]", "[true,false,null]"),
        ("[ -0 , 1.50e+007 , 1E-2 , 0.0 ]", "[-0,1.50e+007,1E-2,0.0]"),
        (r#"{ "a": 1, "a": 2 }"#, r#"{"a":1,"a":2}"#),
        (r#"[ "\u00e4\/ ä" ]"#, r#"["\u00e4\/ ä"]"#),
        (" 12 ", "12"),
        ("[\"\x7f\"]", "[\"\x7f\"]"),
    ];
    for (text, wanted) in rows {
        assert_eq!(minified(text), wanted, "{text:?}");
    }
}

#[test]
fn what_is_not_json_goes_on_as_it_is_from_there() {
    let rows = [
        ("1 2", "1 2"),
        ("true false", "true false"),
        ("\"a\"  \"b\"", "\"a\"  \"b\""),
        ("{ \"a\": 1 }\n{ \"a\": 2 }\n", "{\"a\":1}\n{ \"a\": 2 }\n"),
        ("[ 1, 2 3 ]", "[1,2 3 ]"),
        ("[ 1, ]  ", "[1, ]  "),
        ("[ 1, // why\n 2 ]", "[1, // why\n 2 ]"),
        ("{ 'a': 1 }", "{ 'a': 1 }"),
        ("{ a : 1 }", "{ a : 1 }"),
        ("[ 01 ]", "[01 ]"),
        ("\u{feff}{ }", "\u{feff}{ }"),
        (" \u{feff}{ }", " \u{feff}{ }"),
        ("[ \"a\n b\" , 1 ]", "[\"a\n b\" , 1 ]"),
        ("[ \"\\x\" , 1 ]", "[\"\\x\" , 1 ]"),
        ("[ \"\\u12 4\" , 1 ]", "[\"\\u12 4\" , 1 ]"),
        ("[ nul l , 1 ]", "[nul l , 1 ]"),
        ("[ 1. , 1 ]", "[1. , 1 ]"),
        ("[ - 1 , 1 ]", "[- 1 , 1 ]"),
        ("[ 1 } ]", "[1 } ]"),
        ("{ } ]", "{} ]"),
        ("{ \"a\" 1 : 2 }", "{\"a\" 1 : 2 }"),
        ("{ 1 : 2 }", "{ 1 : 2 }"),
        (")]}',\n{ }", ")]}',\n{ }"),
        ("[ 1\u{a0}, 2 ]", "[1\u{a0}, 2 ]"),
        ("[ NaN ]", "[ NaN ]"),
        ("  ", "  "),
        ("[ 1 ,  ", "[1,  "),
        ("\"a  ", "\"a  "),
    ];
    for (text, wanted) in rows {
        assert_eq!(minified(text), wanted, "{text:?}");
    }
}

#[test]
fn utf_16_is_not_json_whatever_it_says_inside() {
    let text: Vec<u8> = "[ 1 ]".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(pieces(&text, &[3]), text);
}

#[test]
fn what_nests_deeper_than_it_remembers_goes_on_as_it_is_from_there() {
    let nested = |levels: usize| format!("{}{}", "[ ".repeat(levels), "] ".repeat(levels));
    let all = minified(&nested(MOST_DEEP));
    assert_eq!(all, nested(MOST_DEEP).replace(' ', ""));

    let deeper = nested(MOST_DEEP + 1);
    let kept = "[".repeat(MOST_DEEP) + &deeper[2 * MOST_DEEP - 1..];
    assert_eq!(minified(&deeper), kept);
}

#[test]
fn a_run_of_whitespace_longer_than_it_holds_stays_with_what_follows() {
    let run = |length: usize| format!("[ 1,{}2 , 3 ]", " ".repeat(length));
    assert_eq!(minified(&run(MOST_HELD)), "[1,2,3]");
    let long = run(MOST_HELD + 1);
    assert_eq!(minified(&long), long.replacen(' ', "", 1));
}

/// A value, and a text of it with whitespace wherever it may be.
fn spaced() -> impl Strategy<Value = String> {
    let space = || "[ \t\r\n]{0,4}";
    let leaf = prop_oneof![
        Just("null".to_string()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][-+]?[0-9]{1,2})?",
        any::<String>().prop_map(|s| Value::from(s).to_string()),
        "(a|  |\\\\u00[0-9a-fA-F]{2}|\\\\[nrt/\\\\\"]){0,6}".prop_map(|s| format!("\"{s}\"")),
    ];
    let tree = leaf.prop_recursive(6, 64, 6, move |inner| {
        let element = (space(), inner.clone(), space()).prop_map(|(a, v, b)| a + &v + &b);
        let member = ("[a-c ]{0,2}", space(), space(), element.clone())
            .prop_map(|(name, a, b, value)| format!("{a}\"{name}\"{b}:{value}"));
        let list = move |open: char, close: char, items: Vec<String>, empty: String| {
            let inside = if items.is_empty() {
                empty
            } else {
                items.join(",")
            };
            format!("{open}{inside}{close}")
        };
        prop_oneof![
            (prop::collection::vec(element, 0..6), space())
                .prop_map(move |(items, empty)| list('[', ']', items, empty)),
            (prop::collection::vec(member, 0..6), space())
                .prop_map(move |(items, empty)| list('{', '}', items, empty)),
        ]
    });
    (space(), tree, space()).prop_map(|(a, tree, b)| a + &tree + &b)
}

/// Bytes that look like JSON here and there.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let shred = prop_oneof![
        8 => "[ \t\r\n]{0,3}[]\\[{}:,]",
        4 => "[ \n]{0,2}(true|false|null|-?[0-9.eE+]{1,4})",
        4 => "[ \n]{0,2}\"[a \\\\\"nu0]{0,4}\"",
        1 => "[ \n]{0,2}(//|/\\*|\\*/|'| \u{feff}|tru|#)",
        1 => any::<String>(),
    ];
    prop::collection::vec(shred, 0..24).prop_map(|shreds| shreds.concat().into_bytes())
}

/// What a reader who knows only strings, words and punctuation sees of a text: whitespace counts where it parts two
/// words.
fn tokens(text: &[u8]) -> Vec<Vec<u8>> {
    let is_word = |byte: u8| {
        !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'"') && !b"[]{}:,".contains(&byte)
    };
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(&first) = rest.first() {
        let length = match first {
            b'"' => {
                let mut is_escaped = true; // the opening quote
                let end = rest.iter().position(|&byte| {
                    let ends = byte == b'"' && !is_escaped;
                    is_escaped = byte == b'\\' && !is_escaped;
                    ends
                });
                end.map_or(rest.len(), |end| end + 1)
            }
            _ if is_word(first) => rest.iter().position(|&b| !is_word(b)).unwrap_or(rest.len()),
            _ => 1,
        };
        let (token, later) = rest.split_at(length);
        if !token[0].is_ascii_whitespace() {
            found.push(token.to_vec());
        }
        rest = later;
    }
    found
}

/// Whether there is whitespace that says nothing.
fn has_spare(text: &str) -> bool {
    let mut without_strings = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '"' {
            while let Some(inside) = characters.next().filter(|&c| c != '"') {
                if inside == '\\' {
                    characters.next();
                }
            }
        } else {
            without_strings.push(character);
        }
    }
    without_strings.contains([' ', '\t', '\r', '\n'])
}

proptest! {
    #[test]
    fn a_json_text_says_the_same_without_its_whitespace(text in spaced()) {
        let out = minified(&text);
        prop_assert!(!has_spare(&out), "{out:?}");
        prop_assert_eq!(tokens(out.as_bytes()), tokens(text.as_bytes()));
        let values: (Value, Value) = (
            serde_json::from_str(&text).expect("JSON is made"),
            serde_json::from_str(&out).expect("JSON stays JSON"),
        );
        prop_assert_eq!(values.0, values.1);
        prop_assert_eq!(minified(&out), out);
    }

    #[test]
    fn it_does_not_matter_where_a_text_is_cut(
        text in prop_oneof![spaced().prop_map(String::into_bytes), garbage()],
        cuts in prop::collection::vec(1usize..9, 1..9),
    ) {
        prop_assert_eq!(pieces(&text, &cuts), pieces(&text, &[text.len()]));
    }

    #[test]
    fn what_is_no_json_loses_no_token_and_none_is_joined(text in garbage()) {
        let out = pieces(&text, &[text.len()]);
        prop_assert_eq!(tokens(&out), tokens(&text));
        prop_assert_eq!(pieces(&out, &[3]), out);
    }

    #[test]
    fn it_drops_something_of_a_broken_text_only_before_the_break(text in spaced(), at in any::<prop::sample::Index>()) {
        let mut broken = text.into_bytes();
        let at = at.index(broken.len() + 1);
        broken.insert(at, 0);
        let out = pieces(&broken, &[7]);
        prop_assert!(out.ends_with(&broken[at..]));
    }
}
