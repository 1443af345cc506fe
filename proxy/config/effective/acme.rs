//! How certificates are got, as it is in force. A key is the file it is in.
//!
//! Without the section there is nothing to write: a file without certificates needs none.

use super::{Writer, list, quoted, yes_no};
use crate::base::units::show_duration;
use crate::config::checked::Acme;
use crate::config::index::At;
use crate::config::validate::acme::{CHALLENGES, KEYS};

/// Writes `acme:`.
pub(super) fn acme(out: &mut Writer, acme: Option<&Acme>, at: &At) {
    let Some(acme) = acme else { return };
    out.section("acme", false);
    if !acme.emails.is_empty() {
        let emails = acme.emails.iter().map(|email| quoted(email));
        out.value(at, "email", &list(emails));
    }
    out.value(at, "agree", "true");
    out.value(at, "directory", &quoted(&acme.directory));
    if let Some(ca) = &acme.ca {
        out.value(at, "ca", &quoted(&ca.path.to_string_lossy()));
    }
    out.value(at, "challenge", CHALLENGES.word(acme.challenge));
    out.value(at, "state", &quoted(&acme.state.to_string_lossy()));
    if let Some(before) = acme.renew_before {
        out.value(at, "renew_before", &show_duration(before));
    }
    out.value(at, "key", KEYS.word(acme.key));
    if let Some(profile) = &acme.profile {
        out.value(at, "profile", &quoted(profile));
    }
    if let Some(eab) = &acme.eab {
        let at = at.key("eab");
        out.section("eab", false);
        out.value(&at, "kid", &quoted(&eab.kid));
        let path = eab.key.path.to_string_lossy();
        out.value(&at, "key_file", &quoted(&path));
        out.close();
    }
    out.value(at, "share", yes_no(acme.share));
    out.close();
}
