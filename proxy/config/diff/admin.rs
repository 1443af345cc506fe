//! Differences of the stats port.
//!
//! A token that changed is told to have changed, and no more of it.

use super::Changes;
use crate::config::checked::{Admin, AdminToken};

/// Tells what is different in `admin:`.
pub(super) fn admin(out: &mut Changes, was: Option<&Admin>, is: Option<&Admin>) {
    let addr = |admin: Option<&Admin>| admin.map_or("off".into(), |a| a.addr.to_string());
    out.restart("admin", &addr(was), &addr(is));
    let (Some(was), Some(is)) = (was, is) else {
        return;
    };
    tokens(out, &was.tokens, &is.tokens);
    let hosts = |admin: &Admin| match admin.hosts.is_empty() {
        true => "none".into(),
        false => admin.hosts.join(", "),
    };
    out.shown("admin.hosts", &hosts(was), &hosts(is));
}

/// Tokens are the same by their name.
fn tokens(out: &mut Changes, was: &[AdminToken], is: &[AdminToken]) {
    let named = |all: &[AdminToken], name: &str| all.iter().position(|t| &*t.name == name);
    for gone in was.iter().filter(|t| named(is, &t.name).is_none()) {
        out.say(format!("admin: token `{}` removed", gone.name));
    }
    for token in is {
        let Some(old) = named(was, &token.name).map(|at| &was[at]) else {
            let role = token.role.as_str();
            out.say(format!("admin: token `{}` added, role {role}", token.name));
            continue;
        };
        let what = |key: &str| format!("admin: token `{}`: {key}", token.name);
        out.shown(&what("role"), old.role.as_str(), token.role.as_str());
        let path = |token: &AdminToken| token.file.path.display().to_string();
        out.shown(&what("token_file"), &path(old), &path(token));
        if old.file.key != token.file.key {
            out.say(format!("admin: token `{}` is another one", token.name));
        }
    }
    if was.is_empty() != is.is_empty() {
        out.say(match is.is_empty() {
            true => "admin: without tokens, only callers on this machine are let in".into(),
            false => "admin: everybody needs a token, callers on this machine too".into(),
        });
    }
}
