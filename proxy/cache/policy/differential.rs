//! A hundred thousand made-up exchanges, judged by us and by another reading of the same RFC (`http-cache-semantics`).
//!
//! Where the two differ, `reasons` must say why, by section; a difference nobody can explain fails and is shown, and so
//! does an explanation that explains nothing. `TIDEGATE_SEED=7` makes up others.

mod cases;
mod reasons;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_cache_semantics::{CacheOptions, CachePolicy};

use super::directives::Wish;
use super::life::Source;
use super::reuse::{Use, reuse};
use super::store::{Answer, Asked, Plan, storable};
use super::testing::{NOW, fields};
use crate::base::cached::Why;
use crate::config::checked::RouteCache;
use cases::{Case, Cases};
use reasons::{REASONS, explanation};

const SEED: u64 = 2_026;
const CASES: u32 = 100_000;

/// One question, answered twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// May it be stored? Ours says why not.
    Storable(Option<Why>, bool),
    /// How long is it fresh from its receipt on, in seconds?
    Left(u64, u64),
    /// How old is it now, in seconds?
    Age(u64, u64),
    /// Is the later request given it as it is?
    Given(Use, bool),
}

/// The questions on which the two differ, and whether all were asked.
fn differences(case: &Case) -> Vec<Question> {
    let ours = ours(case);
    let theirs = theirs(case);
    if ours.is_ok() != theirs.is_storable() {
        return vec![Question::Storable(ours.err(), theirs.is_storable())];
    }
    let Ok(plan) = ours else { return Vec::new() };
    let later = NOW + case.elapsed * 1_000;
    let then = UNIX_EPOCH + Duration::from_millis(later);
    let mut all = Vec::new();
    let received = UNIX_EPOCH + Duration::from_millis(NOW);
    let left = match plan.life.no_cache {
        true => 0,
        false => plan.life.fresh_until(None).saturating_sub(NOW) / 1_000,
    };
    let left = (left, theirs.time_to_live(received).as_secs());
    let age = (plan.life.age(later) / 1_000, theirs.age(then).as_secs());
    // A tenth of a time is rounded to seconds there.
    let rounding = u64::from(plan.life.source == Source::Heuristic);
    if left.0.abs_diff(left.1) > rounding {
        all.push(Question::Left(left.0, left.1));
    }
    if age.0 != age.1 {
        all.push(Question::Age(age.0, age.1));
    }
    if all.is_empty() {
        all.extend(given(case, &plan, &theirs, later, then));
    }
    all
}

fn ours(case: &Case) -> Result<Plan, Why> {
    let (request, answer) = (head(&case.request), head(&case.answer));
    let asked = Asked {
        method: &case.method,
        headers: &request,
        path: "/a",
        origin: "http://shop.example",
        target: "/a",
        selecting: &[],
    };
    let answer = Answer {
        status: StatusCode::from_u16(case.status).unwrap(),
        headers: &answer,
    };
    storable(&asked, &answer, &RouteCache::default(), NOW, NOW)
}

fn theirs(case: &Case) -> CachePolicy {
    let request = request(&case.method, &case.request);
    let mut answer = Response::new(());
    *answer.status_mut() = StatusCode::from_u16(case.status).unwrap();
    *answer.headers_mut() = head(&case.answer);
    let received: SystemTime = UNIX_EPOCH + Duration::from_millis(NOW);
    CachePolicy::new_options(&request, &answer, received, CacheOptions::default())
}

fn head(of: &[(&str, String)]) -> HeaderMap {
    let of: Vec<(&str, &str)> = of
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    fields(&of)
}

fn request(method: &Method, of: &[(&str, String)]) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = method.clone();
    *request.uri_mut() = "http://shop.example/a".parse().unwrap();
    *request.headers_mut() = head(of);
    request
}

fn given(
    case: &Case,
    plan: &Plan,
    theirs: &CachePolicy,
    later: u64,
    then: SystemTime,
) -> Option<Question> {
    let headers = head(&case.later);
    let ours = match plan.selection.matches(&headers) {
        true => reuse(&plan.life, &Wish::of(&headers, false), None, later),
        false => Use::Fetch(Why::OtherVariant),
    };
    let is_given = matches!(ours, Use::Fresh | Use::Stale(_) | Use::Refresh);
    let request = request(&Method::GET, &case.later);
    let theirs = theirs
        .before_request(&request, then)
        .satisfies_without_revalidation();
    (is_given != theirs).then_some(Question::Given(ours, theirs))
}

#[test]
fn another_reading_of_the_rfc_differs_only_where_we_can_say_why() {
    let seed = std::env::var("TIDEGATE_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    let mut cases = Cases::new(seed);
    let mut used: BTreeMap<&str, u32> = BTreeMap::new();
    let mut alike = 0;
    for number in 0..CASES {
        let case = cases.make();
        let differences = differences(&case);
        alike += u32::from(differences.is_empty());
        for difference in differences {
            let why = explanation(&case, difference);
            let why = why.unwrap_or_else(|| {
                panic!("seed {seed}, case {number}: nobody can say why {difference:?} of {case:#?}")
            });
            *used.entry(why).or_default() += 1;
        }
    }
    assert!(alike > CASES / 2, "only {alike} alike, {used:#?}");
    for reason in REASONS {
        assert!(
            used.contains_key(reason.why),
            "explains nothing: {}",
            reason.why
        );
    }
}
