//! The cache as the stats port shows it: how full, how useful, what is asked for most, and what would become of a
//! request.
//!
//! The names are a contract with tools outside; fields are added, never renamed.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{Problem, Wrong};
use crate::base::coding::Coding;
use crate::cache::entry::Body;
use crate::cache::explain::{source, state};
use crate::cache::key::Key;
use crate::cache::policy::life::FOR_EVER;
use crate::cache::policy::tags::tags;
use crate::config::checked::Route;
use crate::live::control::{Control, Explained, Variant};
use crate::live::snapshot::Express;
use crate::telemetry::top::{Counted, Top};

/// One asks at a time what is stored: it takes a thread for as long as it walks.
static WALKS: Semaphore = Semaphore::const_new(1);
/// URLs of a list in one answer.
const TOP: usize = 20;
/// Bytes of a URL that are shown; the longest that may be stored has thousands.
const LONGEST: usize = 512;

/// `GET /api/v1/cache`
#[derive(Debug, Serialize, ToSchema)]
pub struct CacheView {
    /// Answers stored.
    pub entries: u64,
    /// Bodies in other encodings beside them.
    pub encoded: u64,
    /// Memory that those take; part of `bytes`.
    pub encoded_bytes: u64,
    /// Memory taken.
    pub bytes: u64,
    /// Memory that may be.
    pub capacity_bytes: u64,
    /// Fetches in flight.
    pub fills: u64,
    /// Bodies that are being made in other encodings.
    pub makings: u64,
    /// Answers that wait to be compressed better, or are right now.
    pub recompressing: u64,
    /// URLs whose answers were not storable a moment ago.
    pub not_storable: u64,
    /// Answers that left the store since the start, by reason.
    pub evictions: BTreeMap<&'static str, u64>,
    /// Requests since the start, by what was done with them.
    pub requests: BTreeMap<&'static str, u64>,
    /// Answers that were not stored since the start, by reason.
    pub uncacheable: BTreeMap<&'static str, u64>,
    /// Of all but `bypass`, the share that was answered from the store; none: there were none.
    pub hit_ratio: Option<f64>,
    /// Whether the express lane serves each route, in the order of the configuration in use.
    pub routes: Vec<RouteView>,
    /// What is asked for most, since the start.
    pub top: TopView,
}

/// One route.
#[derive(Debug, Serialize, ToSchema)]
pub struct RouteView {
    /// Its name.
    pub route: String,
    /// `open`, or why the express lane does not serve it: `no_cache`, `redirect`, `cluster_limit`, `off`.
    pub express: &'static str,
}

/// What is asked for most.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopView {
    /// By requests answered from the store.
    pub hits: Vec<CountedView>,
    /// By requests that it had nothing to use for.
    pub misses: Vec<CountedView>,
    /// By body bytes sent.
    pub bytes: Vec<CountedView>,
}

/// One URL of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountedView {
    /// The URL.
    pub url: String,
    /// Counted at least.
    pub at_least: u64,
    /// Counted at most.
    pub at_most: u64,
}

impl From<Counted<Arc<Key>>> for CountedView {
    fn from(counted: Counted<Arc<Key>>) -> Self {
        CountedView {
            url: shown(&counted.name),
            at_least: counted.at_least,
            at_most: counted.at_most,
        }
    }
}

/// `GET /api/v1/cache/explain`
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplainView {
    /// What the answer is stored under.
    pub key: String,
    /// The route; none matches where it is missing.
    pub route: Option<String>,
    /// What the cache would do; missing where the route has none.
    pub outcome: Option<&'static str>,
    /// Why.
    pub reason: Option<&'static str>,
    /// The same in a sentence.
    pub decision: String,
    /// How often it was answered from the store, where it is among those that are asked for most.
    pub hits: Option<CountedView>,
    /// What is stored under the key.
    pub variants: Vec<VariantView>,
}

/// A stored answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct VariantView {
    /// Whether it is for the request.
    pub is_for_request: bool,
    /// Its status.
    pub status: u16,
    /// Fresh or stale, and where that comes from, in words.
    pub state: String,
    /// Its age.
    pub age_seconds: u64,
    /// How long it is fresh, all in all; none: for ever.
    pub lifetime_seconds: Option<u64>,
    /// Where that comes from.
    pub lifetime_from: &'static str,
    /// How long it still is; negative: since when it is not.
    pub fresh_for_seconds: i64,
    /// How long ago it was purged softly, if it was.
    pub purged_seconds_ago: Option<u64>,
    /// How long after its freshness it may be used while it is refreshed.
    pub stale_while_revalidate_seconds: u64,
    /// How long after its freshness it may be used when nodes fail; none: nobody says so.
    pub stale_if_error_seconds: Option<u64>,
    /// It is validated before every use.
    pub no_cache: bool,
    /// It is never used stale.
    pub must_revalidate: bool,
    /// A node can be asked whether it is still right.
    pub has_validator: bool,
    /// What it can be purged by.
    pub tags: Vec<String>,
    /// Bytes of its head, its body and its key.
    pub size_bytes: u64,
    /// The encoding it came in; none: one that is not known here, or several.
    pub encoding: Option<&'static str>,
    /// Bytes of its body in other encodings; none: it is no smaller so.
    pub encoded_bytes: BTreeMap<&'static str, Option<u64>>,
    /// The request fields that selected it, each in its one form; none: the request had no such field.
    pub selected_by: BTreeMap<String, Option<String>>,
}

/// What this file answers.
pub fn routes() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new()
        .routes(routes!(cache))
        .routes(routes!(explain))
}

/// `GET /api/v1/cache`
#[utoipa::path(
    get, path = "/api/v1/cache", tag = "read",
    responses((status = 200, body = CacheView))
)]
pub async fn cache(State(control): State<Arc<Control>>) -> Json<CacheView> {
    Json(view(&control, TOP))
}

/// The cache now, with the `most` of each list.
pub fn view(control: &Control, most: usize) -> CacheView {
    let stats = control.cache_stats();
    let list = |top: &Top<Arc<Key>>| top.first(most).into_iter().map(Into::into).collect();
    let requests = stats.requests.into_iter();
    CacheView {
        entries: stats.store.entries,
        encoded: stats.store.forms,
        encoded_bytes: stats.store.form_bytes,
        bytes: stats.store.bytes,
        capacity_bytes: stats.store.capacity,
        fills: stats.store.fills,
        makings: stats.store.makings,
        recompressing: control.recompress.unfinished(),
        not_storable: stats.store.marks,
        evictions: stats.store.evicted.into_iter().collect(),
        requests: requests.map(|(did, n)| (did.as_str(), n)).collect(),
        uncacheable: stats.uncacheable.into_iter().collect(),
        hit_ratio: stats.hit_ratio,
        routes: lanes(control),
        top: TopView {
            hits: list(&control.top.hits),
            misses: list(&control.top.misses),
            bytes: list(&control.top.bytes),
        },
    }
}

/// Whether the express lane serves each route.
fn lanes(control: &Control) -> Vec<RouteView> {
    let now = control.hold.load();
    let both = now.config.routes.iter().zip(&now.express);
    let view = |(route, express): (&Route, &Express)| RouteView {
        route: route.name.clone(),
        express: express.as_str(),
    };
    both.map(view).collect()
}

/// `GET /api/v1/cache/explain?url=http://HOST/PATH&header=Name:%20value&method=GET`
#[utoipa::path(
    get, path = "/api/v1/cache/explain", tag = "read",
    params(
        ("url" = String, Query, description = "http://HOST/PATH"),
        ("method" = Option<String>, Query, description = "GET unless said"),
        ("header" = Option<Vec<String>>, Query, description = "a field, `Name: value`; as often as there are"),
    ),
    responses((status = 200, body = ExplainView), Wrong)
)]
pub async fn explain(
    State(control): State<Arc<Control>>,
    RawQuery(query): RawQuery,
) -> Result<Json<ExplainView>, Problem> {
    let asked = Question::of(query.as_deref().unwrap_or_default())
        .map_err(|why| Problem::new(StatusCode::BAD_REQUEST, why))?;
    let explaining = move || control.explain(&asked.url, &asked.method, &asked.headers);
    // It walks over all that is stored: not on the thread that answers everybody else, and one after the other.
    let _turn = WALKS.acquire().await;
    let explained = tokio::task::spawn_blocking(explaining).await;
    let explained = explained
        .map_err(|e| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?
        .map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.to_string()))?;
    Ok(Json(explained.into()))
}

/// A request that nobody sent.
struct Question {
    url: String,
    method: Method,
    headers: HeaderMap,
}

impl Question {
    fn of(query: &str) -> Result<Question, String> {
        const SEND: &str = "ask with ?url=http://HOST/PATH, and if it matters with &method=GET and any number of &header=NAME:%20VALUE, each escaped";
        let mut asked = Question {
            url: String::new(),
            method: Method::GET,
            headers: HeaderMap::new(),
        };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "url" => asked.url = value.into_owned(),
                "method" => {
                    asked.method =
                        (value.parse()).map_err(|_| format!("{value:?} is no method; {SEND}"))?;
                }
                "header" => {
                    let field = field(&value);
                    let (name, value) =
                        field.ok_or_else(|| format!("{value:?} is no field; {SEND}"))?;
                    asked.headers.append(name, value);
                }
                _ => return Err(format!("there is no parameter {name:?}; {SEND}")),
            }
        }
        match asked.url.is_empty() {
            true => Err(SEND.into()),
            false => Ok(asked),
        }
    }
}

/// A field as it is written, `Name: value`.
fn field(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
}

impl From<Explained> for ExplainView {
    fn from(told: Explained) -> Self {
        let verdict = told.verdict.as_ref();
        let variants = told.variants.iter();
        ExplainView {
            key: shown(&told.key),
            route: told.route,
            outcome: verdict.ok().map(|verdict| verdict.outcome.as_str()),
            reason: verdict.ok().map(|verdict| verdict.why.as_str()),
            decision: verdict.map_or_else(Clone::clone, |verdict| verdict.words.clone()),
            hits: told.hits.map(Into::into),
            variants: variants.map(|one| variant(one, told.now)).collect(),
        }
    }
}

fn variant(variant: &Variant, now: u64) -> VariantView {
    let (entry, life) = (&variant.entry, &variant.entry.life);
    let until = life.fresh_until(variant.expired_at);
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let mut fields = HeaderMap::new();
    for (name, value) in entry.head.fields() {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(&name),
            HeaderValue::from_maybe_shared(value),
        ) {
            fields.append(name, value);
        }
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let size = entry.head.lines().len() + entry.key.size();
    VariantView {
        is_for_request: variant.is_for_it,
        status: entry.head.status.as_u16(),
        state: state(life, variant.expired_at, now),
        age_seconds: life.age(now) / 1_000,
        lifetime_seconds: (life.lifetime < FOR_EVER).then_some(life.lifetime / 1_000),
        lifetime_from: source(life.source),
        fresh_for_seconds: signed(until).saturating_sub(signed(now)).div_euclid(1_000),
        purged_seconds_ago: (variant.expired_at).map(|at| now.saturating_sub(at) / 1_000),
        stale_while_revalidate_seconds: life.stale_while_revalidate / 1_000,
        stale_if_error_seconds: life.stale_if_error.map(|millis| millis / 1_000),
        no_cache: life.no_cache,
        must_revalidate: life.must_revalidate,
        has_validator: life.has_validator,
        tags: tags(&fields).map(text).collect(),
        size_bytes: entry.body.len() + size as u64,
        encoding: entry.head.coding().map(Coding::as_str),
        encoded_bytes: (entry.forms().iter())
            .map(|form| (form.coding.as_str(), form.body.as_ref().map(Body::len)))
            .collect(),
        selected_by: (entry.selection.told())
            .map(|(name, value)| (name.to_string(), value.map(text)))
            .collect(),
    }
}

/// A key as a URL, cut when it is very long.
fn shown(key: &Key) -> String {
    let mut url = key.to_string();
    if url.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| url.is_char_boundary(*at));
        url.truncate(end.unwrap_or(0));
        url.push('…');
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_a_url_and_perhaps_a_method_and_fields() {
        let asked = Question::of(
            "url=http%3A%2F%2Fa%2Fb%3Fc&method=HEAD&header=Accept:%20x&header=X-Empty:",
        )
        .ok()
        .unwrap();
        assert_eq!(
            (asked.url.as_str(), asked.method),
            ("http://a/b?c", Method::HEAD)
        );
        assert_eq!(asked.headers["accept"], "x");
        assert_eq!(asked.headers["x-empty"], "");
        for wrong in [
            "",
            "url=",
            "uri=http://a/",
            "url=http://a/&header=x",
            "url=http://a/&method=A%20B",
            "url=http://a/&header=a:%00",
        ] {
            assert!(
                Question::of(wrong).is_err_and(|why| why.contains("?url=")),
                "{wrong}"
            );
        }
    }
}
