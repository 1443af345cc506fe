//! Differences of how connections to nodes begin.
//!
//! A file that holds something else now is told to have changed, and no more of it.

use super::Changes;
use crate::config::checked::{NodeTls, Upstream};
use crate::config::validate::node_tls::{PROXY_PROTOCOLS, VERSIONS};

pub(super) fn node_tls(
    out: &mut Changes,
    what: impl Fn(&str) -> String,
    was: &Upstream,
    is: &Upstream,
) {
    match (&was.tls, &is.tls) {
        (Some(was), Some(is)) => tls(out, &what, was, is),
        (was, is) => out.shown(&what("tls"), word(was.is_some()), word(is.is_some())),
    }
    out.shown(
        &what("proxy_protocol"),
        PROXY_PROTOCOLS.word(was.proxy_protocol),
        PROXY_PROTOCOLS.word(is.proxy_protocol),
    );
}

fn word(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn tls(out: &mut Changes, what: impl Fn(&str) -> String, was: &NodeTls, is: &NodeTls) {
    let name = |tls: &NodeTls| tls.sni.clone().unwrap_or_else(|| "the node's name".into());
    out.shown(&what("tls.sni"), &name(was), &name(is));
    out.plain(&what("tls.verify"), &was.verify, &is.verify);
    let (before, now) = (
        VERSIONS.word(was.min_version),
        VERSIONS.word(is.min_version),
    );
    out.shown(&what("tls.min_version"), before, now);
    if was.ca != is.ca {
        out.say(format!("{} changed", what("tls.ca")));
    }
    if was.identity != is.identity {
        out.say(format!("{} changed", what("tls.cert and tls.key")));
    }
}
