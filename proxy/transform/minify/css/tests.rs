//! Style sheets as people write them, and what must not become of them.

use proptest::prelude::*;

use super::*;

fn small(text: &str) -> String {
    let out = minified(text).expect("a style sheet that is understood");
    String::from_utf8(out).expect("UTF-8 stays UTF-8")
}

#[test]
fn whitespace_and_comments_go_and_values_stay_as_they_are() {
    let rows = [
        ("a { color : red ; }\n\nb { }\n", "a{color :red;}b{}"),
        (
            "a {\n  color: #FFFFFF;\n  margin: 0px 1.50em\n}",
            "a{color:#FFFFFF;margin:0px 1.50em}",
        ),
        (
            "a { width: calc( 1px + 2px  *  3 ) }",
            "a{width:calc(1px + 2px * 3)}",
        ),
        ("a { width: calc(1px - -2px) }", "a{width:calc(1px - -2px)}"),
        ("a :hover , a:hover b > i {}", "a :hover,a:hover b > i{}"),
        (
            "a .b{} a.b{} a [x] {} a[ x = 'y  z' ] {}",
            "a .b{}a.b{}a [x]{}a[x = 'y  z']{}",
        ),
        (
            "a { content: \"  /* no */  }\" }",
            "a{content:\"  /* no */  }\"}",
        ),
        (
            "a { background: url( data:image/svg+xml;a  ) no-repeat }",
            "a{background:url( data:image/svg+xml;a  ) no-repeat}",
        ),
        (
            "@media screen and (min-width: 1px) , print { a { b: c } }",
            "@media screen and (min-width: 1px),print{a{b:c}}",
        ),
        (
            "@import  url('a.css')  screen ;\na{}",
            "@import url('a.css') screen;a{}",
        ),
        ("a { b: c !important ; ; }", "a{b:c !important;;}"),
        (
            "a{font:12px/1.5 \"A B\" , serif}",
            "a{font:12px/1.5 \"A B\",serif}",
        ),
        (":nth-child( 2n + 1 ){}", ":nth-child(2n + 1){}"),
        (
            "/* a */ a /* b */ b /**/ { /* c */ color /* d */ : red }",
            "a b{color :red}",
        ),
        (".\\31 23 .a\\31  b{}", ".\\31 23 .a\\31  b{}"),
        (
            "@font-face { unicode-range: U+26, U+0-7F }",
            "@font-face{unicode-range:U+26,U+0-7F}",
        ),
        (
            "a { filter: alpha( opacity=50 ); *zoom: 1 }",
            "a{filter:alpha(opacity=50);*zoom:1}",
        ),
        ("a { &:hover { b: c } d: e }", "a{&:hover{b:c}d:e}"),
        ("a { b: hover { c: d } }", "a{b: hover{c:d}}"),
        ("a { color: red", "a{color:red"),
        ("", ""),
    ];
    for (text, wanted) in rows {
        assert_eq!(small(text), wanted, "{text:?}");
    }
}

#[test]
fn a_comment_that_parts_two_tokens_leaves_something_that_does() {
    assert_eq!(small("a{b:1/* */2}"), "a{b:1/**/2}");
    assert_eq!(small("a/* */b{}"), "a/**/b{}");
    assert_eq!(small("a/* */.b{}"), "a.b{}");
    assert_eq!(small("a{b:c/* */(d)}"), "a{b:c/**/(d)}");
}

#[test]
fn licences_and_words_for_tools_stay() {
    let text = "/*! Licence:  MIT */\na { }\n/*# sourceMappingURL=a.css.map */\n/*@ x */";
    let wanted = "/*! Licence:  MIT */ a{}/*# sourceMappingURL=a.css.map */ /*@ x */";
    assert_eq!(small(text), wanted);
}

#[test]
fn values_of_custom_properties_stay_for_scripts_to_read() {
    let text = ":root {\n  --a:  { \"x\" : 1 ,\n 2 } /* b */ ;\n  --b:;\n  /*! c */ --c: a  b\n}";
    let wanted = ":root{--a:  { \"x\" : 1 ,\n 2 } /* b */ ;--b:;/*! c */ --c: a  b\n}";
    assert_eq!(small(text), wanted);
    assert_eq!(small("a { b: var( --c , 1px ) }"), "a{b:var(--c,1px)}");
}

#[test]
fn what_is_no_style_sheet_is_not_understood() {
    let deep = "a{".repeat(MOST_DEEP + 1);
    for text in [
        "a{}}",
        "a)",
        "<!-- a{} -->",
        "a{b:\"c\n}",
        "a{b:url(c d)}",
        "a{b:\\\n}",
        "  @charset \"latin1\"; a{}",
        deep.as_str(),
        &"(".repeat(1_000_000),
    ] {
        assert_eq!(minified(text), None, "{:?}", &text[..text.len().min(40)]);
    }
    let charset = "@charset \"utf-8\";\na{}";
    assert_eq!(small(charset), "@charset \"utf-8\";a{}");
}

/// The tokens of a style sheet without whitespace and comments, blocks and all.
fn tokens<'i>(parser: &mut Parser<'i, '_>, found: &mut Vec<String>) {
    while let Ok(token) = parser.next_including_whitespace_and_comments() {
        let class = class(token);
        if !matches!(class, Ok(Class::Space | Class::Comment)) {
            found.push(format!("{token:?}"));
        }
        if let Ok(Class::Opens(_)) = class {
            let nested = parser.parse_nested_block(|nested| {
                tokens(nested, found);
                Ok::<(), ParseError<'_, ()>>(())
            });
            nested.expect("its tokens are all read");
            found.push("end".to_string());
        }
    }
}

fn tokens_of(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut input = ParserInput::new(text);
    tokens(&mut Parser::new(&mut input), &mut found);
    found
}

proptest! {
    #[test]
    fn no_token_goes_or_is_joined_whatever_it_is_given(
        shreds in prop::collection::vec(
            prop_oneof![
                6 => "[ \n\t]{0,2}[{}();,:.#>+~*=\\[\\]-]",
                4 => "[ \n]{0,2}(a|b-c|--x|1|2.5|3px|4%|#f|@media|\\.c|\\\\31 |!important|url\\( ?x ?\\)|U\\+26)",
                2 => "[ ]{0,1}/\\*[!#a ]{0,3}\\*/",
                1 => "\"[a /*{;]{0,4}\"",
                1 => any::<String>(),
            ],
            0..32,
        ),
    ) {
        let text = shreds.concat();
        if let Some(out) = minified(&text) {
            let out = String::from_utf8(out).expect("UTF-8 stays UTF-8");
            prop_assert_eq!(tokens_of(&out), tokens_of(&text), "{} became {}", text, out);
            prop_assert_eq!(small(&out), out);
        }
    }
}
