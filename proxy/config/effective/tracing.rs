//! Traces and request ids, written so that they load again.
//!
//! What the collector asks for stays in its file. Keys that do nothing are left out: they would be warned of when the
//! text is loaded.

use super::{Writer, quoted, yes_no};
use crate::base::units::show_duration;
use crate::config::checked::{TraceContext, Tracing};
use crate::config::index::At;
use crate::config::validate::tracing::{CONTEXTS, TIMINGS, show_sample};

/// Writes `tracing:`.
pub(super) fn tracing(out: &mut Writer, tracing: &Tracing, at: &At) {
    out.section("tracing", false);
    out.value(at, "context", &quoted(CONTEXTS.word(tracing.context)));
    if tracing.context == TraceContext::Create {
        out.value(at, "sample", &show_sample(tracing.sample));
    }
    out.value(at, "service", &quoted(&tracing.service));
    out.value(at, "server_timing", TIMINGS.word(tracing.server_timing));
    let (id, here) = (&tracing.request_id, at.key("request_id"));
    // Short or long, a value of the mapping comes from where the word stands.
    let header = match here.is_mapping() {
        true => here.key("header"),
        false => here.clone(),
    };
    out.section("request_id", false);
    out.line("header", &quoted(&id.shown), &header);
    out.line("return", yes_no(id.returned), &here.key("return"));
    out.close();
    if let Some(otlp) = &tracing.otlp {
        let at = at.key("otlp");
        out.section("otlp", false);
        out.line(
            "endpoint",
            &quoted(&otlp.endpoint),
            &at.either("endpoint", "url"),
        );
        if let Some(path) = &otlp.headers_file {
            out.value(&at, "headers_file", &quoted(&path.to_string_lossy()));
        }
        out.value(&at, "timeout", &show_duration(otlp.timeout));
        out.value(&at, "queue", &otlp.queue.to_string());
        out.close();
    }
    out.close();
}
