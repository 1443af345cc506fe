//! Differences in how certificates are got.
//!
//! A key that changed is told to have changed, and no more of it.

use super::Changes;
use crate::base::units::show_duration;
use crate::config::checked::Acme;
use crate::config::validate::acme::{CHALLENGES, KEYS};

/// Tells what is different.
pub(super) fn acme(out: &mut Changes, was: Option<&Acme>, is: Option<&Acme>) {
    let (Some(was), Some(is)) = (was, is) else {
        let told = |acme: Option<&Acme>| acme.map_or("off", |a| a.directory.as_str()).to_owned();
        return out.shown("acme", &told(was), &told(is));
    };
    let told = |acme: &Acme| {
        let none = || "none".to_owned();
        [
            ("email", acme.emails.join(", ")),
            ("directory", acme.directory.clone()),
            (
                "ca",
                acme.ca
                    .as_ref()
                    .map_or_else(none, |ca| ca.path.display().to_string()),
            ),
            ("challenge", CHALLENGES.word(acme.challenge).into()),
            ("state", acme.state.display().to_string()),
            (
                "renew_before",
                acme.renew_before
                    .map_or("a third of its life".into(), show_duration),
            ),
            ("key", KEYS.word(acme.key).into()),
            ("profile", acme.profile.clone().unwrap_or_else(none)),
            (
                "eab.kid",
                acme.eab.as_ref().map_or_else(none, |eab| eab.kid.clone()),
            ),
            ("share", acme.share.to_string()),
        ]
    };
    for ((key, was), (_, is)) in told(was).into_iter().zip(told(is)) {
        out.shown(&format!("acme.{key}"), &was, &is);
    }
    let certs = |acme: &Acme| acme.ca.as_ref().map(|ca| ca.certs.clone());
    if certs(was) != certs(is) {
        out.say("acme: whom to trust as the CA's server has changed".into());
    }
    let key = |acme: &Acme| acme.eab.as_ref().map(|eab| eab.key.key.clone());
    if key(was) != key(is) {
        out.say("acme: the key of `eab` is another one".into());
    }
}
