//! Scripts as people write them, and what must not become of them.

use proptest::prelude::*;

use super::*;

fn small(text: &str) -> String {
    let out = minified(text).unwrap_or_else(|| panic!("a script that is understood: {text}"));
    String::from_utf8(out).expect("UTF-8 stays UTF-8")
}

#[test]
fn whitespace_and_comments_go_and_tokens_stay_as_they_are() {
    let rows = [
        (
            "  var  a  =  1 ;  // why\n  var b = 'x  y' ;\n",
            "var a=1;var b='x  y';",
        ),
        (
            "function f ( a , b ) {\n  return a + b ;\n}\n",
            "function f(a,b){return a+b;}",
        ),
        (
            "const s = `a  ${ b  +  `c  ${d}` }  // e`;",
            "const s=`a  ${ b  +  `c  ${d}` }  // e`;",
        ),
        (
            "x = a / b / c ; y = /  [/ ]  /g;",
            "x=a / b / c;y= /  [/ ]  /g;",
        ),
        ("x = /* a */ /b/g.test ( c ) in d", "x= /b/g.test(c)in d"),
        ("if (/a b/i .test(x)) y()", "if(/a b/i .test(x))y()"),
        ("x = a ++ + b - -c + + d", "x=a++ +b- -c+ +d"),
        ("1 .toString ( ) ; 1. .x", "1 .toString();1. .x"),
        ("a ?. b ; c ? .5 : d ?? e", "a?. b;c? .5:d??e"),
        (
            "for ( let i = 0 ; i < 3 ; i ++ ) { }",
            "for(let i=0;i<3;i++){}",
        ),
        (
            "class A extends B { static #x = 1 ; get y ( ) { return this . #x } }",
            "class A extends B{static #x=1;get y(){return this . #x}}",
        ),
        (
            "import a , { b as c } from \"d\" ; export default a",
            "import a,{b as c}from\"d\";export default a",
        ),
        ("async ( ) => { await x ; }", "async()=>{await x;}"),
        ("'use strict'\nvar ä = \"ö\"", "'use strict'\nvar ä =\"ö\""),
        ("/* only */ // comments", ""),
        ("", ""),
    ];
    for (text, wanted) in rows {
        assert_eq!(small(text), wanted, "{text:?}");
    }
}

#[test]
fn a_line_end_that_may_end_a_statement_stays() {
    let rows = [
        ("a = b\n\n  ++c", "a=b\n++c"),
        (
            "return_()\nfunction f() {\n  return\n  1\n}",
            "return_()\nfunction f(){return\n1}",
        ),
        (
            "a = function () {}\n;[1].map(b)",
            "a=function(){};[1].map(b)",
        ),
        ("a = function () {}\n(b)", "a=function(){}\n(b)"),
        ("{ } /* a\n b */ y = 1", "{}\ny=1"),
        ("a // b\n/c/ d", "a\n/c/ d"),
        ("x\u{2028}y", "x\u{2028}y"),
        ("throw a\r\nb", "throw a\nb"),
        ("do x\nwhile (y)\nz", "do x\nwhile(y)\nz"),
        (
            "let a\nlet b = {\n  c: [\n 1,\n 2\n]\n}\nd",
            "let a\nlet b={c:[1,2]}\nd",
        ),
        (
            "break_: for (;;) { continue\n break_ }",
            "break_:for(;;){continue\nbreak_}",
        ),
    ];
    for (text, wanted) in rows {
        assert_eq!(small(text), wanted, "{text:?}");
    }
}

#[test]
fn licences_and_words_for_tools_stay_with_the_whitespace_around_them() {
    for kept in [
        "/*! licence  1 */\n",
        "//! licence  2\n",
        "/* Copyright  3 */\n",
        "/** @license 4 */\n",
        "//# sourceMappingURL=a.js.map\n",
        "/*@cc_on  x */\n",
        "/* #__PURE__ */ ",
        "/* webpackChunkName: \"a\" */ ",
    ] {
        let text = format!("a = b ;\n{kept}c = d ;");
        let is_kept = !kept.contains("PURE");
        let wanted = if is_kept {
            format!("a=b;\n{kept}c=d;")
        } else {
            "a=b;c=d;".into()
        };
        assert_eq!(small(&text), wanted);
    }
    assert_eq!(
        small("a = b ;\n//# sourceMappingURL=x\n"),
        "a=b;\n//# sourceMappingURL=x\n"
    );
}

#[test]
fn what_is_no_script_is_not_understood() {
    for text in [
        "a b c",
        "{ \"a\" : ",
        "x = `a",
        "/* a",
        "<p>a</p>",
        "x = <p>  a </p>",
        "x = <p/>",
        "#!/usr/bin/node\nx",
        "<!-- a\nx = 1",
        "x\n--> a",
        "@@",
    ] {
        assert_eq!(minified(text), None, "{text:?}");
    }
    assert_eq!(minified(&";".repeat(MOST + 1)), None);
}

#[test]
fn a_script_that_nests_without_end_costs_its_minification_and_nothing_else() {
    for (open, inner, close) in [
        ("[", "1", "]"),
        ("(", "1", ")"),
        ("{", ";", "}"),
        ("`${", "1", "}`"),
        ("!", "a", ""),
        ("a=>", "1", ""),
        ("if(a)", "b", ""),
        ("a?b:", "c", ""),
        ("", "a", ".b"),
        ("", "a", "(1)"),
        ("{a:", "", ""),
        ("x=", "1", ""),
        ("<", "", ""),
    ] {
        let times = (MOST - 8) / (open.len() + close.len());
        let text = open.repeat(times) + inner + &close.repeat(times);
        if let Some(out) = minified(&text) {
            assert!(out.len() <= text.len());
        }
    }
}

/// The tokens of a script that is understood.
fn tokens(text: &str) -> Vec<String> {
    let language = Language::new(tree_sitter_javascript::LANGUAGE);
    let kinds = Kinds::new(&language);
    let tree = parsed(text, &language).expect("a script");
    let mut found = Vec::new();
    let all = leaves(&tree, &kinds, |node| {
        if node.kind_id() != kinds.comment && !node.byte_range().is_empty() {
            found.push(text[node.byte_range()].to_string());
        }
        Some(())
    });
    all.expect("nothing foreign");
    found
}

/// Statements with whitespace, comments and line ends where they may be.
fn scripts() -> impl Strategy<Value = String> {
    let gap = || prop_oneof![4 => Just(" "), 2 => Just("\n"), 1 => Just(" /* a */ "), 1 => Just(" // b\n"), 1 => Just("/*! c */")];
    let words = prop_oneof![
        Just("a"),
        Just("b"),
        Just("1"),
        Just(".5"),
        Just("2."),
        Just("'c  d'"),
        Just("`e ${ f }`"),
        Just("/g  h/i"),
        Just("("),
        Just(")"),
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just("+"),
        Just("-"),
        Just("++"),
        Just("--"),
        Just("/"),
        Just("*"),
        Just("="),
        Just("=>"),
        Just("?"),
        Just(":"),
        Just("?."),
        Just("."),
        Just("..."),
        Just(","),
        Just(";"),
        Just("<"),
        Just(">"),
        Just("!"),
        Just("in"),
        Just("of"),
        Just("return"),
        Just("if"),
        Just("else"),
        Just("for"),
        Just("var"),
        Just("let"),
        Just("async"),
        Just("await"),
        Just("function"),
        Just("class"),
        Just("get"),
        Just("static"),
        Just("new"),
        Just("typeof"),
        Just("yield"),
        Just("x=y"),
        Just("f()"),
        Just(";"),
        Just("{}"),
        Just("(a)"),
        Just("&&"),
        Just("=1;"),
    ];
    prop::collection::vec((words, gap()), 1..9).prop_map(|parts| {
        parts
            .iter()
            .fold(String::new(), |text, (word, gap)| text + word + gap)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn every_token_of_a_script_stays_one(text in scripts()) {
        if let Some(out) = minified(&text) {
            let out = String::from_utf8(out).expect("UTF-8 stays UTF-8");
            prop_assert_eq!(tokens(&out), tokens(&text), "{:?} became {:?}", text, out);
            prop_assert_eq!(small(&out), out);
        }
    }
}
