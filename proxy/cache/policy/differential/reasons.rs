//! Why two readings of the RFC differ: what they are asked and answer, and what of the case leads to it.

use http::Method;

use super::super::reuse::Use;
use super::Question;
use super::cases::Case;
use crate::base::cached::Why;

/// Why two readings differ.
pub(super) struct Reason {
    /// In words, with the section.
    pub(super) why: &'static str,
    /// Whether it is the reason here.
    holds: fn(&Case, Question) -> bool,
}

/// The first reason that holds.
pub(super) fn explanation(case: &Case, question: Question) -> Option<&'static str> {
    let reason = REASONS
        .iter()
        .find(|reason| (reason.holds)(case, question))?;
    Some(reason.why)
}

/// All of them, the particular ones first.
pub(super) const REASONS: &[Reason] = &[
    // -- what is stored
    Reason {
        why: "an answer to HEAD has no body to be stored (RFC 9110 §9.3.2)",
        holds: |case, question| case.method == Method::HEAD && refused(question, Why::Method),
    },
    Reason {
        why: "a POST's answer is stored for its own URL alone (RFC 9110 §9.3.3)",
        holds: |case, question| case.method == Method::POST && refused(question, Why::Method),
    },
    Reason {
        why: "what can neither be fresh nor validated is of no use (RFC 9111 §3 allows it, does not ask for it)",
        holds: |_, question| {
            let all = [Why::NoFreshness, Why::Stale, Why::NoCache];
            all.iter().any(|why| refused(question, *why))
        },
    },
    Reason {
        why: "`Vary: *` is never used again, so never stored (RFC 9111 §4.1)",
        holds: |case, question| has(case, "vary", "*") && refused(question, Why::VaryAny),
    },
    Reason {
        why: "cookies are not stored unless the route says so; it stores them and never uses them",
        holds: |case, question| has(case, "set-cookie", "") && refused(question, Why::SetCookie),
    },
    Reason {
        why: "explicit freshness is enough whatever the status (RFC 9111 §3); it stores those it knows",
        holds: |case, question| {
            let known = [200, 203, 204, 301, 302, 307, 404, 410];
            stored(question) && !known.contains(&case.status)
        },
    },
    Reason {
        why: "must-understand overrides no-store, or forbids storing (RFC 9111 §5.2.2.3); it does not know it",
        holds: |case, question| {
            let is_about = stored(question) || refused(question, Why::NotUnderstood);
            is_about && says(case, "must-understand")
        },
    },
    Reason {
        why: "a qualified private or no-cache is about those fields (RFC 9111 §5.2.2.4, §5.2.2.7); to it, about all",
        holds: |case, question| {
            let is_about = stored(question) || ours_is_more(question);
            is_about
                && (has(case, "cache-control", "private=\"")
                    || has(case, "cache-control", "no-cache=\""))
        },
    },
    // -- how Cache-Control is written
    Reason {
        why: "directive names are case-insensitive (RFC 9111 §5.2); it reads lower case alone",
        holds: |case, question| {
            directives(case)
                .iter()
                .any(|(name, _)| name.contains(char::is_uppercase))
                && is_of_spelling(question)
        },
    },
    Reason {
        why: "commas within quotes separate nothing (RFC 9110 §5.6.4); it splits there",
        holds: |case, question| has(case, "cache-control", "x=\"a,") && is_of_spelling(question),
    },
    Reason {
        why: "of a directive twice the stricter counts (RFC 9111 §4.2.1); to it the first, and must-revalidate",
        holds: |case, question| {
            let all = directives(case);
            let same = |one: &str, other: &str| one.trim_end() == other.trim_end();
            let is_twice = |at: usize| all[at + 1..].iter().any(|(name, _)| same(name, all[at].0));
            (0..all.len()).any(is_twice) && is_of_spelling(question)
        },
    },
    Reason {
        why: "a span is digits and nothing else, 0 otherwise (RFC 9111 §4.2.1), for ever from 2^31 on (§1.2.2)",
        holds: |case, question| {
            directives(case)
                .iter()
                .any(|(name, value)| is_no_span(name, value))
                && is_of_spelling(question)
        },
    },
    Reason {
        why: "public with a value is not public",
        holds: |case, question| has(case, "cache-control", "public=x") && is_of_spelling(question),
    },
    // -- how long
    Reason {
        why: "proxy-revalidate forbids use only when stale (RFC 9111 §5.2.2.8); to it always",
        holds: |case, question| says(case, "proxy-revalidate") && ours_is_more(question),
    },
    Reason {
        why: "immutable says nothing of how long (RFC 8246); to it a day",
        holds: |case, question| {
            says(case, "immutable") && (theirs_is_more(question) || asked(question, Why::Expired))
        },
    },
    Reason {
        why: "Pragma means nothing in an answer (RFC 9111 §5.4); to it no-cache",
        holds: |case, question| {
            let is_alone = !case.answer.iter().any(|(name, _)| *name == "cache-control");
            is_alone && has(case, "pragma", "no-cache") && (ours_is_more(question))
        },
    },
    Reason {
        why: "heuristic freshness is a day at most (RFC 9111 §4.2.2 leaves it to us); it has no limit",
        holds: |case, question| {
            has(case, "last-modified", "") && theirs_is_more(question) && !has(case, "expires", "")
        },
    },
    Reason {
        why: "a date has one of three forms (RFC 9110 §5.6.7); it reads those of e-mail",
        holds: |case, question| {
            let odd = |(name, value): &(&str, String)| {
                matches!(*name, "date" | "expires" | "last-modified") && !is_imf_fixdate(value)
            };
            matches!(question, Question::Left(..)) && case.answer.iter().any(odd)
        },
    },
    Reason {
        why: "of Age the first member counts, when it is digits (RFC 9111 §5.1); it reads all of it, with a sign",
        holds: |case, question| {
            let odd = ["+30", "30, 0"].iter().any(|age| has(case, "age", age));
            odd && matches!(question, Question::Age(..) | Question::Left(..))
        },
    },
    // -- whether it is used
    Reason {
        why: "no-cache is validated whatever max-stale says (RFC 9111 §5.2.2.4)",
        holds: |case, question| wants(case, "max-stale") && asked(question, Why::NoCache),
    },
    Reason {
        why: "s-maxage is never used stale (RFC 9111 §5.2.2.10); to it max-stale is stronger",
        holds: |case, question| {
            let never = says(case, "s-maxage") || says(case, "proxy-revalidate");
            never && wants(case, "max-stale") && asked(question, Why::Expired)
        },
    },
    Reason {
        why: "what is stale may be used while it is refreshed (RFC 5861 §3); it does not know it",
        holds: |case, question| {
            says(case, "stale-while-revalidate") && question == Question::Given(Use::Refresh, false)
        },
    },
    Reason {
        why: "a POST's answer serves later GETs (RFC 9110 §9.3.3); to it POSTs",
        holds: |case, question| {
            case.method == Method::POST && has(case, "content-location", "/a") && given(question)
        },
    },
    Reason {
        why: "Pragma of a request counts without Cache-Control alone (RFC 9111 §5.4); to it always",
        holds: |case, question| {
            let is_alone = wishes(case).is_empty();
            let pragma = case
                .later
                .iter()
                .any(|(name, value)| *name == "pragma" && value == "no-cache");
            pragma && !is_alone && given(question)
        },
    },
    Reason {
        why: "languages of the same weight have no order (RFC 9110 §12.5.4), nor blanks a meaning (RFC 9111 §4.1)",
        holds: |case, question| has(case, "vary", "") && given(question),
    },
    Reason {
        why: "a tenth of a time is not rounded to seconds here",
        holds: |case, question| {
            let is_heuristic = has(case, "last-modified", "") && !has(case, "expires", "");
            is_heuristic && question == Question::Given(Use::Fresh, false)
        },
    },
    Reason {
        why: "max-stale reaches to the end of its last second (RFC 9111 §5.2.1.2: no more than); to it, until there",
        holds: |case, question| {
            wants(case, "max-stale")
                && question == Question::Given(Use::Stale(Why::MaxStale), false)
        },
    },
    Reason {
        why: "a span in a request is digits and nothing else (RFC 9111 §1.2.2); to it, what is none is no bound",
        holds: |case, question| {
            wishes(case)
                .iter()
                .any(|(name, value)| is_no_span(name, value))
                && matches!(question, Question::Given(..))
        },
    },
    Reason {
        why: "max-age=0 wants validation, however young the answer is (RFC 9111 §5.2.1.1)",
        holds: |case, question| {
            wishes(case).contains(&("max-age", "0")) && asked(question, Why::RequestMaxAge)
        },
    },
    Reason {
        why: "of two wishes of a request the stricter counts; to it the first",
        holds: |case, question| {
            let all = wishes(case);
            is_asked(question) && all.len() == 2 && all[0].0 == all[1].0
        },
    },
    Reason {
        why: "who names a freshness is given nothing stale (RFC 9111 §5.2.1.3), max-stale or not",
        holds: |case, question| {
            wants(case, "min-fresh") && wants(case, "max-stale") && asked(question, Why::Expired)
        },
    },
];

/// Whether we do not store it, for this reason, and it would.
fn refused(question: Question, why: Why) -> bool {
    question == Question::Storable(Some(why), true)
}

/// Whether we store it and it would not.
fn stored(question: Question) -> bool {
    question == Question::Storable(None, false)
}

/// Whether it is fresh for longer to us, or not fresh at all to it.
fn ours_is_more(question: Question) -> bool {
    matches!(question, Question::Left(ours, theirs) if ours > theirs)
}

fn theirs_is_more(question: Question) -> bool {
    matches!(question, Question::Left(ours, theirs) if ours < theirs)
}

/// Whether how `Cache-Control` is written can make the difference.
fn is_of_spelling(question: Question) -> bool {
    !matches!(question, Question::Age(..))
}

/// Whether we use it, and it would not.
fn given(question: Question) -> bool {
    matches!(question, Question::Given(_, false))
}

/// Whether we ask the origin, and it would not.
fn is_asked(question: Question) -> bool {
    matches!(question, Question::Given(_, true))
}

/// Whether we ask the origin for this reason, and it would not.
fn asked(question: Question, why: Why) -> bool {
    matches!(question, Question::Given(Use::Validate(ours) | Use::Fetch(ours), true) if ours == why)
}

/// Whether an answer's field has this in it.
fn has(case: &Case, field: &str, part: &str) -> bool {
    let is_it = |(name, value): &(&str, String)| *name == field && value.contains(part);
    case.answer.iter().any(is_it)
}

/// The directives of the answer, as one sees them who knows neither quotes nor letter case.
fn directives(case: &Case) -> Vec<(&str, &str)> {
    split(&case.answer)
}

/// Those of the later request.
fn wishes(case: &Case) -> Vec<(&str, &str)> {
    split(&case.later)
}

fn split<'a>(fields: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    let lines = fields.iter().filter(|(name, _)| *name == "cache-control");
    let members = lines
        .flat_map(|(_, line)| line.split(", "))
        .filter(|member| !member.is_empty());
    members
        .map(|member| member.split_once('=').unwrap_or((member, "")))
        .collect()
}

fn says(case: &Case, directive: &str) -> bool {
    directives(case).iter().any(|(name, _)| *name == directive)
}

fn wants(case: &Case, directive: &str) -> bool {
    wishes(case).iter().any(|(name, _)| *name == directive)
}

/// Whether this should be a span of time and is not written as one that ends.
fn is_no_span(name: &str, value: &str) -> bool {
    let is_one = value.bytes().all(|b| b.is_ascii_digit())
        && value.parse::<u32>().is_ok_and(|n| n < 1 << 31);
    let should = matches!(
        name.trim_end(),
        "max-age" | "s-maxage" | "max-stale" | "min-fresh"
    );
    should && (!is_one || name.ends_with(' '))
}

fn is_imf_fixdate(value: &str) -> bool {
    httpdate::parse_http_date(value).is_ok_and(|at| httpdate::fmt_http_date(at) == value)
}
