//! `admin:` as it is in force. A token is the file it is in.

use super::{Writer, list, quoted};
use crate::config::checked::Admin;
use crate::config::index::At;

/// Writes `admin:`.
pub(super) fn admin(out: &mut Writer, admin: Option<&Admin>, root: &At) {
    let Some(admin) = admin else {
        return out.value(root, "admin", "off");
    };
    let at = root.key("admin");
    out.section("admin", false);
    out.value(&at, "addr", &quoted(&admin.addr.to_string()));
    if !admin.tokens.is_empty() {
        out.section("tokens", false);
        for (i, token) in admin.tokens.iter().enumerate() {
            let at = at.key("tokens").item(i);
            out.entry();
            out.value(&at, "name", &quoted(&token.name));
            out.value(&at, "role", token.role.as_str());
            let path = quoted(&token.file.path.to_string_lossy());
            out.value(&at, "token_file", &path);
            out.close();
        }
        out.close();
    }
    if !admin.hosts.is_empty() {
        let hosts = admin.hosts.iter().map(|host| quoted(host));
        out.value(&at, "hosts", &list(hosts));
    }
    out.close();
}
