//! Pages as people write them, and what must not become of them.

use proptest::prelude::*;

use super::*;

fn small(text: &str) -> String {
    let out = minified(text).expect("a page that is understood");
    String::from_utf8(out).expect("UTF-8 stays UTF-8")
}

#[test]
fn runs_of_whitespace_become_one_and_tags_stay_as_they_are() {
    let text = "<!DOCTYPE  html>\n\n<html>\n  <head>\n    <title>a  b</title>\n  </head>\n  <body  class=x   id = 'y  z'>\n    <p>one  two \n three\t<b>four</b>  five</p>\n    <img src=a/b.png alt=  hi >\n    <br/>\n  </body>\n</html>\n";
    let wanted = "<!DOCTYPE  html>\n<html>\n<head>\n<title>a  b</title>\n</head>\n<body  class=x   id = 'y  z'>\n<p>one two\nthree <b>four</b> five</p>\n<img src=a/b.png alt=  hi >\n<br/>\n</body>\n</html>\n";
    assert_eq!(small(text), wanted);
    assert_eq!(
        small("a &nbsp;  &lt;  \u{a0}  b  < c"),
        "a &nbsp; &lt; \u{a0} b < c"
    );
    assert_eq!(small("  a \r\n\r\n b \x0c  c"), " a\nb \x0c c");
    assert_eq!(small(""), "");
}

#[test]
fn whitespace_that_is_shown_or_read_by_a_program_stays() {
    for kept in [
        "<pre>  a\n\n  <b>  c  </b></pre>",
        "<listing>  a  </listing>",
        "<textarea>  a\n\n  b</textarea>",
        "<title>  a  </title>",
        "<script>\n  var a  =  '  ';\n  // </b>\n</script>",
        "<script type=text/template>  <b>  </b>  </script>",
        "<style>\n  a  {  }\n</style>",
        "<noscript>  a  </noscript>",
        "<xmp>  a  </xmp>",
        "<iframe>  a  </iframe>",
        "<plaintext>  a  </pre>  ",
    ] {
        let page = format!("<p>a  b</p>{kept}");
        assert_eq!(small(&page), format!("<p>a b</p>{kept}"));
    }
    assert_eq!(
        small("<pre>a  b</pre>  <i>c  d</i>"),
        "<pre>a  b</pre> <i>c d</i>"
    );
}

#[test]
fn a_page_whose_text_is_laid_out_in_other_ways_keeps_its_whitespace() {
    for page in [
        "<style>p { white-space: pre-wrap }</style><p>a  b</p>",
        "<p style='white-space:break-spaces'>a  b</p>",
        "<p style='WHITE-SPACE-COLLAPSE : preserve'>a  b</p>",
        "<p class=whitespace-pre>a  b</p>",
        "<svg><text xml:space=preserve>a  b</text></svg>",
        "<p contenteditable>a  b</p>",
        "<p>{{ a == 'b  c' }}</p>",
        "<my-markdown>a\n\n  b</my-markdown>  c  d",
        "<pre><div></pre>a  b",
        "<pre><table></pre>a  b",
        "<pre>a  b",
    ] {
        assert_eq!(small(page), page);
    }
    assert_eq!(
        small("<p style='white-space:nowrap'>a  b</p>"),
        "<p style='white-space:nowrap'>a b</p>"
    );
}

#[test]
fn a_comment_goes_only_if_it_is_prose() {
    assert_eq!(small("a<!-- The main navigation, for all. -->b"), "ab");
    assert_eq!(small("<!-- begin footer -->\n<p>"), "\n<p>");
    for kept in [
        "<!--[if lt IE 9]><script src=a></script><![endif]-->",
        "<!--[if !IE]><!-->",
        "<!--<![endif]-->",
        "<!--#include virtual=\"/a\" -->",
        "<!--# echo var=a -->",
        "<!--esi <p> -->",
        "<!-- ko if: some.thing -->",
        "<!-- /ko -->",
        "<!---->",
        "<!-- -->",
        "<!--$-->",
        "<!--[-->",
        "<!-- wp:paragraph -->",
        "<!-- more -->",
        "<!-- google_ad_section_start now -->",
        "<!-- Copyright 2024 Somebody -->",
        "<!-- BEGIN noindex -->",
        "<!-- <p>  not  now  </p> -->",
        "<!--! a licence of words -->",
        "<?php a  b ?>",
        "<![CDATA[ a  b ]]>",
    ] {
        assert_eq!(small(kept), kept);
    }
}

#[test]
fn a_page_that_nests_without_end_ends_nothing() {
    for tag in [
        "<div>",
        "<b>",
        "<svg><g>",
        "<pre>",
        "<table><tr><td>",
        "<!--",
        "<a b=\"",
        "<script>",
    ] {
        let page = tag.repeat(300_000 / tag.len());
        if let Some(out) = minified(&page) {
            assert!(out.len() <= page.len());
        }
    }
}

#[test]
fn where_the_tokenizer_is_not_sure_the_page_is_not_understood() {
    assert_eq!(
        minified("<select><xmp><script>\"use strict\";</script></select>"),
        None
    );
}

/// A page without the whitespace of it.
fn bare(text: &str) -> String {
    text.replace([' ', '\n', '\r', '\t'], "")
}

proptest! {
    #[test]
    fn nothing_but_whitespace_goes_and_no_word_is_joined(
        shreds in prop::collection::vec(
            prop_oneof![
                4 => "[ \n\t\r]{0,3}[a-c&;]{0,2}[ \n]{0,3}",
                4 => "</?(p|b|pre|div|script|style|textarea|svg|title|table|td|template)( [a-c]=?[\"' ]?)?/?>",
                1 => "<!--[ a>-]{0,4}-->",
                1 => any::<String>(),
            ],
            0..24,
        ),
    ) {
        let page = shreds.concat();
        if let Some(out) = minified(&page) {
            let out = String::from_utf8(out).expect("UTF-8 stays UTF-8");
            if !page.contains("<!") {
                prop_assert_eq!(bare(&out), bare(&page));
                let words = |text: &str| text.split_ascii_whitespace().map(String::from).collect::<Vec<_>>();
                prop_assert_eq!(words(&out), words(&page));
            }
            prop_assert!(out.len() <= page.len());
            prop_assert_eq!(minified(&out).map(|again| again.len()), Some(out.len()));
        }
    }
}
