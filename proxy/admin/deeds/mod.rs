//! Who changed what: handlers say what they did, and here, in one place, it is written into the audit, the events and
//! the log.
//!
//! A handler takes `Extension(deeds): Extension<Deeds>` and calls [`Deeds::done`] right after the change took effect,
//! before it waits for anything. What no handler told (refusals at the door, mistakes) is told from the request and
//! its answer. It is written when the last handle is gone, also where the caller left before it had an answer. Nothing
//! that a caller sends is written without a bound, and no token ever.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::http::{Method, StatusCode, Uri};
use parking_lot::Mutex;

use super::caller::Caller;
use crate::live::control::Control;
use crate::telemetry::audit::Deed;
use crate::telemetry::events::{Event, Kind, Level};

/// A flood of refusals becomes a few lines.
mod refusals;

pub use refusals::{Refusals, Refused};

/// Deeds of one request that have a place of their own in the audit and the events; the log has all of them.
const MOST: usize = 100;
/// What a wrong token is called in the audit.
const WRONG_TOKEN: &str = "wrong token";
/// Characters of a text that are kept.
const LONGEST: usize = 300;
/// The caller was gone before there was an answer: no status that anybody is sent, but one that logs know.
const LEFT: u16 = 499;

/// What is done by one request. Clones are handles of the same.
#[derive(Debug, Clone)]
pub struct Deeds(Arc<Attempt>);

/// One request that may change something.
#[derive(Debug)]
struct Attempt {
    control: Arc<Control>,
    refusals: Arc<Refusals>,
    caller: Caller,
    /// The verb and what it is about, as the request's line says it.
    line: (String, String),
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// No more than a request may ask for at once.
    deeds: Vec<Said>,
    /// Nothing was to be changed: somebody only looked what would be.
    looked: bool,
    /// What stands for the request's line.
    line: Option<(String, String)>,
    /// The status of the answer and, where it is a problem, its words.
    answer: Option<(u16, String)>,
}

/// One of them.
#[derive(Debug)]
struct Said {
    action: &'static str,
    target: String,
    before: String,
    after: String,
    status: u16,
}

impl Deeds {
    /// Of a request of this caller.
    pub fn of(
        control: &Arc<Control>,
        refusals: &Arc<Refusals>,
        caller: Caller,
        method: &Method,
        uri: &Uri,
    ) -> Self {
        Deeds(Arc::new(Attempt {
            control: control.clone(),
            refusals: refusals.clone(),
            caller,
            line: verb_and_target(method, uri.path()),
            told: Mutex::default(),
        }))
    }

    /// `action` was carried out on `target` (a node as `UPSTREAM/NODE`; empty where there is one only): what it was
    /// before and what it is now, in words.
    pub fn done(
        &self,
        action: &'static str,
        target: impl Into<String>,
        before: impl Into<String>,
        after: impl Into<String>,
    ) {
        self.add(Said {
            action,
            target: target.into(),
            before: before.into(),
            after: after.into(),
            status: StatusCode::OK.as_u16(),
        });
    }

    /// One of several was not carried out, and why. Where all of a request is refused, the problem that answers it
    /// says so already.
    pub fn refused(
        &self,
        action: &'static str,
        target: impl Into<String>,
        status: StatusCode,
        why: impl Into<String>,
    ) {
        self.add(Said {
            action,
            target: target.into(),
            before: String::new(),
            after: why.into(),
            status: status.as_u16(),
        });
    }

    /// It is about no deed: a wrong token was brought.
    pub(super) fn wrong_token(&self, method: &Method, uri: &Uri) {
        let target = short(format!("{method} {}", uri.path()));
        self.0.told.lock().line = Some((WRONG_TOKEN.into(), target));
    }

    /// The request is answered so.
    pub(super) fn answered(&self, status: StatusCode, why: &str) {
        self.0.told.lock().answer = Some((status.as_u16(), why.to_string()));
    }

    /// The request only looked what it would change: there is nothing to tell, unless it is refused.
    pub fn looked(&self) {
        self.0.told.lock().looked = true;
    }

    fn add(&self, one: Said) {
        self.0.told.lock().deeds.push(one);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let told = std::mem::take(self.told.get_mut());
        let nothing_told = told.deeds.is_empty();
        let mut deeds = told.deeds.into_iter();
        for one in deeds.by_ref().take(MOST) {
            self.write(one.action, one.target, one.before, one.after, one.status);
        }
        self.sum_up(deeds);
        let failed = (told.answer.as_ref()).is_none_or(|(status, _)| *status >= 400);
        if nothing_told && (failed || !told.looked) {
            let left = || (LEFT, "the caller left before it was answered".to_string());
            let (status, why) = told.answer.unwrap_or_else(left);
            let line = std::mem::take(&mut self.line);
            let (action, target) = told.line.unwrap_or(line);
            self.write(&action, target, String::new(), why, status);
        }
    }
}

impl Attempt {
    /// Tells the rest of a long list in one line, and the log all of it.
    fn sum_up(&self, rest: impl Iterator<Item = Said>) {
        let who = self.caller.to_string();
        let (mut done, mut not) = (0, 0);
        for one in rest {
            let deed = self.deed(one.action, one.target, one.before, one.after, one.status);
            match deed.outcome() {
                "ok" => done += 1,
                _ => not += 1,
            }
            tracing::info!("{} ({})", in_words(&who, &deed), deed.status);
        }
        if done + not > 0 {
            let more = format!("{} more of the same request", done + not);
            let ended = format!("{done} done, {not} not; each is in the log");
            self.write("and", more, String::new(), ended, 200);
        }
    }

    fn deed(
        &self,
        action: &str,
        target: String,
        before: String,
        after: String,
        status: u16,
    ) -> Deed {
        Deed {
            at: SystemTime::now(),
            who: self.caller.name.as_ref().map(ToString::to_string),
            from: self.caller.addr.to_string(),
            action: action.into(),
            target: short(target),
            before: short(before),
            after: short(after),
            status,
        }
    }

    fn write(&self, action: &str, target: String, before: String, after: String, status: u16) {
        let deed = self.deed(action, target, before, after, status);
        if (400..500).contains(&status) {
            let refused = Refused {
                from: self.caller.addr.ip(),
                deed,
            };
            return self
                .refusals
                .note(&self.control.audit, refused, Instant::now());
        }
        let text = in_words(&self.caller.to_string(), &deed);
        let level = match deed.outcome() {
            "ok" => {
                tracing::info!("{text}");
                Level::Info
            }
            _ => {
                tracing::error!("{text} ({status})");
                Level::Error
            }
        };
        let mut event = Event::new(deed.at, Kind::Admin, level, text);
        if let Some((upstream, node)) = deed.target.split_once('/')
            && deed.action != "purge"
        {
            event = event.of_node(upstream, node);
        }
        self.control
            .events
            .note(event.to_generation(self.control.hold.load().generation));
        self.control.audit.note(deed);
    }
}

/// `deploy (10.0.0.5:99): drain web/app-1: up weight 1 -> drain weight 1`
fn in_words(who: &str, deed: &Deed) -> String {
    let mut text = format!("{who}: {}", deed.action);
    if !deed.target.is_empty() {
        text.push(' ');
        text.push_str(&deed.target);
    }
    text.push_str(match (deed.before.is_empty(), deed.after.is_empty()) {
        (true, true) => "",
        _ => ": ",
    });
    text.push_str(&deed.before);
    if !deed.before.is_empty() && !deed.after.is_empty() {
        text.push_str(" -> ");
    }
    text.push_str(&deed.after);
    text
}

/// The verb and what it is about, of a request's line: `POST …/upstreams/web/nodes/app-1/drain` is `drain` of
/// `web/app-1`.
fn verb_and_target(method: &Method, path: &str) -> (String, String) {
    let parts: Vec<&str> = path
        .strip_prefix("/api/v1/")
        .unwrap_or_default()
        .split('/')
        .collect();
    let (action, target) = match (method, parts.as_slice()) {
        (&Method::POST, ["upstreams", upstream, "nodes", node, verb]) => {
            (verb.to_string(), format!("{upstream}/{node}"))
        }
        (&Method::POST, ["upstreams", upstream, "nodes"]) => ("add".into(), upstream.to_string()),
        (&Method::DELETE, ["upstreams", upstream, "nodes", node]) => {
            ("remove".into(), format!("{upstream}/{node}"))
        }
        (&Method::PATCH, ["upstreams", upstream, "nodes", node]) => {
            ("change".into(), format!("{upstream}/{node}"))
        }
        (&Method::POST, [verb]) if !verb.is_empty() => (verb.to_string(), String::new()),
        _ => (method.to_string(), path.to_string()),
    };
    (short(action), short(target))
}

/// At most [`LONGEST`] characters, in one line.
fn short(text: String) -> String {
    if text.len() <= LONGEST && !text.contains(char::is_control) {
        return text;
    }
    let one_line = |c: char| if c.is_control() { ' ' } else { c };
    let mut cut: String = text.chars().take(LONGEST).map(one_line).collect();
    if text.chars().nth(LONGEST).is_some() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests;
