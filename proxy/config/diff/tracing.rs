//! Differences in traces and request ids.
//!
//! Told by key, as the file has them; of what a collector asks for only that it changed.

use super::Changes;
use crate::base::units::show_duration;
use crate::config::checked::{Otlp, Tracing};
use crate::config::validate::tracing::{CONTEXTS, TIMINGS, show_sample};

/// Tells what is different.
pub(super) fn tracing(out: &mut Changes, was: &Tracing, is: &Tracing) {
    for ((key, was), (_, is)) in told(was).into_iter().zip(told(is)) {
        out.shown(&format!("tracing.{key}"), &was, &is);
    }
    let (Some(was), Some(is)) = (&was.otlp, &is.otlp) else {
        let endpoint = |otlp: &Option<Otlp>| match otlp {
            None => "none".into(),
            Some(otlp) => otlp.endpoint.clone(),
        };
        return out.shown("tracing.otlp", &endpoint(&was.otlp), &endpoint(&is.otlp));
    };
    for ((key, was), (_, is)) in told_otlp(was).into_iter().zip(told_otlp(is)) {
        out.shown(&format!("tracing.otlp.{key}"), &was, &is);
    }
    if was.headers != is.headers {
        out.say("the fields for the collector of spans changed".into());
    }
}

fn told(tracing: &Tracing) -> [(&'static str, String); 6] {
    let id = &tracing.request_id;
    [
        ("context", CONTEXTS.word(tracing.context).into()),
        ("sample", show_sample(tracing.sample)),
        ("service", tracing.service.clone()),
        ("server_timing", TIMINGS.word(tracing.server_timing).into()),
        ("request_id.header", id.shown.clone()),
        ("request_id.return", id.returned.to_string()),
    ]
}

fn told_otlp(otlp: &Otlp) -> [(&'static str, String); 4] {
    let path = otlp.headers_file.as_ref();
    [
        ("endpoint", otlp.endpoint.clone()),
        (
            "headers_file",
            path.map_or("none".into(), |path| path.display().to_string()),
        ),
        ("timeout", show_duration(otlp.timeout)),
        ("queue", otlp.queue.to_string()),
    ]
}
