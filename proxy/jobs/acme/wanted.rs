//! Which certificates the file asks for, and where each of them stands.
//!
//! One list of names in the file is one certificate. What is known of one outlives a reload that does not change it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::certificate::Certificate;
use super::folder::{self, Folder};
use super::plan::{self, Window};
use crate::config::checked::{Acme, Config};
use crate::live::acme as told;
use crate::live::control::Control;

/// What the file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// From whom, and how.
    pub acme: Acme,
    /// For which names, each list once.
    pub lists: Vec<Vec<String>>,
}

impl Asked {
    /// What this configuration asks for; `None`: nothing.
    pub fn of(config: &Config) -> Option<Asked> {
        let acme = config.acme.clone()?;
        let mut seen = HashSet::new();
        let lists = config
            .listen
            .iter()
            .filter_map(|listen| listen.tls.as_ref());
        let lists = lists.map(|tls| tls.acme.clone());
        let lists: Vec<Vec<String>> = lists
            .filter(|names| !names.is_empty() && seen.insert(folder::id(names)))
            .collect();
        (!lists.is_empty()).then_some(Asked { acme, lists })
    }

    /// Where what comes of it is kept.
    pub fn folder(&self) -> Folder {
        Folder::of(&self.acme.state, &self.acme.directory)
    }
}

/// A certificate that the file asks for.
#[derive(Debug)]
pub struct Wanted {
    /// The names it is for.
    pub names: Vec<String>,
    /// The certificate in use.
    pub certificate: Option<Certificate>,
    /// When the CA wants it to be renewed, if it has said so.
    pub window: Option<Window>,
    /// When the CA is to be asked that.
    pub ask_window: SystemTime,
    /// When it is to be ordered.
    pub due: SystemTime,
    /// Orders that failed since one succeeded.
    pub failures: u32,
    /// Why the last one failed.
    pub failure: Option<String>,
    /// The certificate in use could not be kept: why, and when that is tried again.
    pub unkept: Option<(String, SystemTime)>,
}

impl Wanted {
    /// With what the folder holds for these names.
    pub fn load(names: Vec<String>, asked: &Asked, now: SystemTime) -> Wanted {
        let mut wanted = Wanted {
            certificate: stored(&asked.folder(), &names),
            names,
            window: None,
            ask_window: now,
            due: now,
            failures: 0,
            failure: None,
            unkept: None,
        };
        wanted.plan(&asked.acme, now);
        wanted
    }

    /// This certificate is used from now on.
    pub fn takes(&mut self, certificate: Certificate, acme: &Acme, now: SystemTime) {
        self.certificate = Some(certificate);
        self.window = None;
        self.ask_window = now;
        self.failures = 0;
        self.failure = None;
        self.plan(acme, now);
        // Whatever the file and the CA say: what is new is not renewed at once, and again and again.
        let until = self.certificate.as_ref().map_or(now, |c| c.life.until);
        let left = until.duration_since(now).unwrap_or_default();
        self.due = self.due.max(now + left / 3);
    }

    /// When it is to be ordered, as long as nothing fails.
    pub fn plan(&mut self, acme: &Acme, now: SystemTime) {
        self.due = self.planned(acme).unwrap_or(now);
    }

    /// When the certificate is to be renewed; `None`: there is none, or one that is not as the file wants it.
    pub fn planned(&self, acme: &Acme) -> Option<SystemTime> {
        let is = self
            .certificate
            .as_ref()
            .filter(|c| c.key == Some(acme.key))?;
        Some(plan::renewal(
            is.life,
            acme.renew_before,
            self.window,
            is.luck,
        ))
    }

    /// Whether `other` is better than what is in use.
    pub fn is_news(&self, other: &Certificate) -> bool {
        let same = |is: &Certificate| is.pem() == other.pem();
        let later = |is: &Certificate| is.life.until > other.life.until;
        !self
            .certificate
            .as_ref()
            .is_some_and(|is| same(is) || later(is))
    }

    /// So long after `now` it is tried again.
    pub fn again(&mut self, now: SystemTime, pause: Duration) {
        self.due = now + pause;
    }

    /// The first of its names.
    pub fn first(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// As people are told of it.
    pub fn told(&self, is_ordered: bool) -> told::Wanted {
        let unkept = self.unkept.as_ref().map(|(why, _)| why.clone());
        told::Wanted {
            names: self.names.clone(),
            is_ordered,
            until: self.certificate.as_ref().map(|c| c.life.until),
            next: Some(self.due),
            failures: self.failures,
            failure: self.failure.clone().or(unkept),
        }
    }
}

/// What the folder holds for these names; what cannot be used is told, and ordered anew.
pub fn stored(folder: &Folder, names: &[String]) -> Option<Certificate> {
    let path = folder.certificate(names);
    let text = match folder::read(&path) {
        Ok(text) => text?,
        Err(why) => {
            tracing::warn!(
                "acme: cannot read {}: {why}; the certificate is ordered anew",
                path.display()
            );
            return None;
        }
    };
    Certificate::read(&text, names)
        .map_err(|why| {
            tracing::warn!(
                "acme: {} cannot be used: {why}; the certificate is ordered anew",
                path.display()
            );
        })
        .ok()
}

/// Puts in use what the folder holds, so that the first handshake has it. To be called before ports are open.
pub fn load(control: &Arc<Control>) {
    let Some(asked) = Asked::of(&control.hold.load().config) else {
        return;
    };
    let (folder, now) = (asked.folder(), SystemTime::now());
    for names in &asked.lists {
        match stored(&folder, names) {
            Some(is) => {
                if is.life.until <= now {
                    tracing::error!(
                        "acme: the certificate for {} has expired; it is served all the same until the CA gives another one",
                        names.join(", ")
                    );
                }
                control.issued.install(names, is.certified);
            }
            None => tracing::warn!(
                "acme: there is no certificate for {} yet: handshakes are refused until the CA at {} has given one",
                names.join(", "),
                asked.acme.directory
            ),
        }
    }
}
