//! `tracing:` which trace requests belong to, and where that is told.
//!
//! Nothing here may let a secret come into what is shown: what the collector asks for has a file of its own.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::Url;

use super::words::{self, Choices};
use crate::base::units::show_duration;
use crate::config::checked::{
    KeyFile, Otlp, RequestId, Sample, ServerTiming, TraceContext, Tracing,
};
use crate::config::defaults;
use crate::config::files::Gathered;
use crate::config::fit::shorten;
use crate::config::index::At;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::tracing as schema;

/// The longest that one batch may take.
const LONGEST: Duration = Duration::from_secs(60);
/// Spans that may wait; each takes about a kilobyte.
const QUEUE: RangeInclusive<u32> = 64..=65_536;
/// Bytes of a service's name.
const SERVICE: usize = 128;
/// Fields that a collector may ask for.
const HEADERS: usize = 32;
/// The path of OTLP over HTTP for traces.
const PATH: &str = "/v1/traces";

/// `tracing.context`
pub const CONTEXTS: Choices<TraceContext> = Choices {
    what: "trace context",
    words: &[
        ("off", TraceContext::Off),
        ("pass", TraceContext::Pass),
        ("create", TraceContext::Create),
    ],
    aka: &[
        ("false", "off"),
        ("none", "off"),
        ("ignore", "off"),
        ("propagate", "pass"),
        ("inject", "create"),
        ("true", "create"),
        ("on", "create"),
    ],
    later: &[],
};

/// `tracing.server_timing`
pub const TIMINGS: Choices<ServerTiming> = Choices {
    what: "server timing",
    words: &[
        ("false", ServerTiming::Off),
        ("trusted", ServerTiming::Trusted),
        ("true", ServerTiming::On),
    ],
    aka: &[
        ("off", "false"),
        ("no", "false"),
        ("on", "true"),
        ("yes", "true"),
    ],
    later: &[],
};

/// Fields that mean something already: an id there would be read as that.
const TAKEN: [&str; 30] = [
    "accept-encoding",
    "authorization",
    "cache-control",
    "cache-status",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "location",
    "range",
    "server-timing",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-real-ip",
];

/// `tracing:`
pub fn check(all: &Gathered, problems: &mut Problems) -> Tracing {
    let at = all.at.key("tracing");
    let Some(keys) = &all.file.tracing else {
        return defaults::tracing();
    };
    let default = defaults::tracing();
    let otlp = otlp(
        keys.otlp.as_ref(),
        all.otlp_headers.as_ref(),
        &at.key("otlp"),
        problems,
    );
    let unsaid = match keys.otlp.is_some() {
        true => TraceContext::Create,
        false => default.context,
    };
    let context = CONTEXTS.read(
        keys.context.as_deref(),
        &at.key("context"),
        unsaid,
        problems,
    );
    if keys.otlp.is_some() && context != TraceContext::Create {
        let what = "spans are of traces that this proxy takes part in";
        let help = "write `context: create`, or remove `otlp`";
        problems.push(Problem::error(at.key("context").place(), what).help(help));
    }
    if keys.sample.is_some() && context != TraceContext::Create {
        let what = "`sample` does nothing: this proxy takes part in no trace";
        let problem = Problem::warning(at.key("sample").key_place(), what);
        problems.push(problem.help("write `context: create`, or remove `sample`"));
    }
    Tracing {
        context,
        sample: sample(
            keys.sample.as_deref(),
            &at.key("sample"),
            default.sample,
            problems,
        ),
        service: service(
            keys.service.as_deref(),
            &at.key("service"),
            default.service,
            problems,
        ),
        server_timing: TIMINGS.read(
            keys.server_timing.as_deref(),
            &at.key("server_timing"),
            default.server_timing,
            problems,
        ),
        request_id: request_id(keys.request_id.as_ref(), &at.key("request_id"), problems),
        otlp,
    }
}

/// Reads which traces are recorded: `parent`, `1%` or `0.01`.
fn sample(word: Option<&str>, at: &At, default: Sample, problems: &mut Problems) -> Sample {
    let Some(word) = word else {
        return default;
    };
    if word == "parent" {
        return Sample::Parent;
    }
    let number = match word.strip_suffix('%') {
        Some(hundredths) => hundredths.trim_end().parse().map(|n: f64| n / 100.0),
        None => word.parse(),
    };
    match number {
        Ok(share) if (0.0..=1.0).contains(&share) => Sample::Share(share),
        _ => {
            let what = format!("\"{}\" is no share of traces", shorten(word));
            let help =
                "write a share like 1% or 0.01, or `parent` for those that whoever asks records";
            problems.push(Problem::error(at.place(), what).help(help));
            default
        }
    }
}

/// A share as it is written: in hundredths where that is shorter to read.
pub fn show_sample(sample: Sample) -> String {
    match sample {
        Sample::Parent => "parent".into(),
        Sample::Share(share) => format!("{share:?}"),
    }
}

fn service(word: Option<&str>, at: &At, default: String, problems: &mut Problems) -> String {
    let Some(word) = word else {
        return default;
    };
    let fine = |c: char| !c.is_control();
    if word.trim().is_empty() || word.len() > SERVICE || !word.chars().all(fine) {
        let what = format!("\"{}\" cannot be the name of a service", shorten(word));
        let help = format!("write a name like shop-edge, at most {SERVICE} characters on one line");
        problems.push(Problem::error(at.place(), what).help(help));
        return default;
    }
    word.into()
}

fn request_id(keys: Option<&schema::RequestId>, at: &At, problems: &mut Problems) -> RequestId {
    let default = defaults::tracing().request_id;
    let (word, here, returned) = match keys {
        None => return default,
        Some(schema::RequestId::Word(word)) => (Some(word), at.clone(), default.returned),
        Some(schema::RequestId::Keys(keys)) => {
            let here = at.key("return");
            let returned = words::flag(keys.r#return.as_deref(), &here, default.returned, problems);
            (keys.header.as_ref(), at.key("header"), returned)
        }
    };
    let Some(word) = word else {
        return RequestId {
            returned,
            ..default
        };
    };
    let refuse = |what: String, help: &str, problems: &mut Problems| {
        problems.push(Problem::error(here.place(), what).help(help));
    };
    if words::is_off(word) {
        let what = "a request always has an id: the log and the answers to failures name it".into();
        refuse(
            what,
            "write the name of the field, X-Request-Id is usual",
            problems,
        );
        return RequestId {
            returned,
            ..default
        };
    }
    // Apps that read fields from the environment cannot tell `_` from `-`, and such fields of clients are dropped.
    let name = HeaderName::from_bytes(word.as_bytes());
    let name = name.ok().filter(|name| !name.as_str().contains('_'));
    let Some(header) = name else {
        let what = format!("\"{}\" is not the name of a header field", shorten(word));
        refuse(
            what,
            "write it as X-Request-Id: letters, digits and -",
            problems,
        );
        return RequestId {
            returned,
            ..default
        };
    };
    if TAKEN.contains(&header.as_str()) {
        let what = format!("the field {word} means something else already");
        refuse(
            what,
            "use a field of its own, X-Request-Id is usual",
            problems,
        );
        return RequestId {
            returned,
            ..default
        };
    }
    RequestId {
        header,
        shown: word.clone(),
        returned,
    }
}

/// Reads `otlp:`, beside the file it names. `None`: there is none, or what is wrong was told.
fn otlp(
    keys: Option<&schema::Otlp>,
    headers: Option<&KeyFile>,
    at: &At,
    problems: &mut Problems,
) -> Option<Otlp> {
    let Some(keys) = keys else {
        if at.is_blank() {
            missing_endpoint(at, problems);
        }
        return None;
    };
    if !cfg!(feature = "otlp") {
        let what = "this program was built without the sending of spans";
        let help = "build it with `cargo build --release --features otlp`";
        problems.push(Problem::error(at.key_place(), what).help(help));
    }
    let endpoint = endpoint(keys.endpoint.as_deref(), at, problems);
    let here = at.key("timeout");
    let mut timeout = words::positive(
        keys.timeout.as_deref(),
        &here,
        defaults::OTLP_TIMEOUT,
        problems,
    );
    if timeout > LONGEST {
        let what = format!(
            "{} is too long: spans would pile up meanwhile",
            show_duration(timeout)
        );
        let help = format!("write {} or less", show_duration(LONGEST));
        problems.push(Problem::error(here.place(), what).help(help));
        timeout = defaults::OTLP_TIMEOUT;
    }
    let queue = words::whole(
        keys.queue.as_deref(),
        &at.key("queue"),
        QUEUE,
        defaults::OTLP_QUEUE,
        problems,
    );
    let fields = headers.map(|file| self::headers(file, &at.key("headers_file"), problems));
    Some(Otlp {
        endpoint: endpoint?,
        headers_file: headers.map(|file| file.path.clone()),
        headers: fields.unwrap_or_default(),
        timeout,
        queue: queue as usize,
    })
}

fn missing_endpoint(at: &At, problems: &mut Problems) {
    let what = "`otlp` does not say who collects spans";
    let help = "write `otlp: { endpoint: \"http://127.0.0.1:4318\" }`, or remove it";
    problems.missing("endpoint", Problem::error(at.key_place(), what).help(help));
}

/// Reads the address of the collector; with no path it is the usual one.
fn endpoint(word: Option<&str>, otlp: &At, problems: &mut Problems) -> Option<String> {
    const HELP: &str =
        "write `http://HOST:4318` or `https://…`; /v1/traces is added where there is no path";
    let at = otlp.either("endpoint", "url");
    let Some(word) = word else {
        if !at.given() || at.is_blank() {
            missing_endpoint(otlp, problems);
        }
        return None; // or it is of the wrong kind, which is told
    };
    // A key may be anywhere in what is not understood: neither its words nor its line are repeated then.
    let is_odd = word.contains(['@', '?']);
    let (place, shown) = match is_odd {
        true => (at.place().without_text(), "this".into()),
        false => (at.place(), format!("\"{}\"", shorten(word))),
    };
    let refuse = |what: String, help: &str, problems: &mut Problems| {
        problems.push(Problem::error(place.clone(), what).help(help));
        None
    };
    let Ok(url) = Url::parse(word) else {
        return refuse(
            format!("{shown} is not the address of a collector"),
            HELP,
            problems,
        );
    };
    if is_odd || url.password().is_some() {
        let what = "a key in the address is shown wherever the address is".into();
        let help = "write `headers_file: FILE` in its place; the file has one `Name: value` a line";
        return refuse(what, help, problems);
    }
    if !matches!(url.scheme(), "http" | "https") {
        let what = format!(
            "\"{}\" is not spoken with collectors",
            shorten(url.scheme())
        );
        let help = "spans are sent as OTLP over HTTP, port 4318 in most collectors; gRPC, port 4317, is not spoken";
        return refuse(what, help, problems);
    }
    if url.host_str().is_none_or(str::is_empty) || url.fragment().is_some() {
        return refuse(
            format!("{shown} is not the address of a collector"),
            HELP,
            problems,
        );
    }
    if url.port() == Some(4317) {
        let what = "port 4317 is where collectors speak gRPC";
        let problem = Problem::warning(at.place(), what);
        problems.push(
            problem.help("spans are sent as OTLP over HTTP: most collectors take that on 4318"),
        );
    }
    let mut url = url;
    if url.path() == "/" {
        url.set_path(PATH);
    }
    Some(url.into())
}

/// The fields in a file, one `Name: value` a line; blank lines and lines with `#` in front do not count.
fn headers(file: &KeyFile, at: &At, problems: &mut Problems) -> Vec<(HeaderName, HeaderValue)> {
    const HELP: &str =
        "write one field a line, as `Authorization: Bearer KEY`, in at most 32 lines";
    let path = file.path.display();
    let Ok(text) = std::str::from_utf8(file.key.bytes()) else {
        let what = format!("{path} is not text");
        problems.push(Problem::error(at.place(), what).help(HELP));
        return Vec::new();
    };
    let mut out = Vec::new();
    let lines = (1..).zip(text.lines().map(str::trim));
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let field = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            let mut value = HeaderValue::from_str(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        });
        match field {
            Some(field) if out.len() < HEADERS => out.push(field),
            _ => {
                // The line may be a key: it is not repeated.
                let what =
                    format!("line {number} of {path} is not a header field that can be sent");
                problems.push(Problem::error(at.place(), what).help(HELP));
                return out;
            }
        }
    }
    out
}
