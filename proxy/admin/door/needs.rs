//! Which role a request needs: its method and path say so, whatever its handler does.
//!
//! What is not named here needs more rather than less: a new verb is one for `ops` from its first day.

use axum::http::{Method, StatusCode};

use crate::admin::caller::Caller;
use crate::admin::problem::Problem;
use crate::base::role::Role;

/// What anybody may read who reaches the port: there is no data in it. `/` and what is below [`ASSETS`] are the page,
/// which brings the token of its user for everything else; `/readyz` names nothing to strangers.
pub const OPEN: [&str; 3] = ["/", "/healthz", "/readyz"];
/// What somebody asks who only wants to know whether we live.
pub const PROBES: [&str; 2] = ["/healthz", "/readyz"];
/// Below this is what the page is made of.
pub const ASSETS: &str = "/assets/";
/// What outlives the process: what is written into its file, and the process that follows it.
pub const LASTING: [&str; 2] = ["/api/v1/save", "/api/v1/upgrade"];

/// Whether it may change something. GET never does (RFC 9110 §9.2.1).
pub fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// The role that is needed; `None`: none is.
pub fn role(method: &Method, path: &str) -> Option<Role> {
    match (changes(method), path) {
        (true, path) if LASTING.contains(&path) => Some(Role::Admin),
        (true, _) => Some(Role::Ops),
        (false, path) if OPEN.contains(&path) || path.starts_with(ASSETS) => None,
        (false, _) => Some(Role::Read),
    }
}

/// 403, and what to do.
pub fn refuse(caller: &Caller, needed: Role) -> Problem {
    let (has, needed) = (caller.role.as_str(), needed.as_str());
    let detail = match &caller.name {
        Some(name) => format!(
            "the token `{name}` has the role {has}, and this needs {needed}: use another one, or change its role in the configuration (`admin.tokens`)"
        ),
        None => format!(
            "callers without a token have the role {has}, and this needs {needed}: name a token with that role in the configuration (`admin.tokens`), and bring it"
        ),
    };
    Problem::new(StatusCode::FORBIDDEN, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_needs_read_changing_ops_and_the_file_admin() {
        for (method, path, needed) in [
            ("GET", "/", None),
            ("HEAD", "/", None),
            ("GET", "/healthz", None),
            ("GET", "/readyz", None),
            ("GET", "/assets/app.js", None),
            ("GET", "/assets", Some(Role::Read)),
            ("GET", "//", Some(Role::Read)),
            ("GET", "/metrics", Some(Role::Read)),
            ("GET", "/api/v1/status", Some(Role::Read)),
            ("GET", "/api/v1/save", Some(Role::Read)),
            ("GET", "/nothing", Some(Role::Read)),
            ("POST", "/", Some(Role::Ops)),
            ("POST", "/assets/app.js", Some(Role::Ops)),
            ("POST", "/api/v1/reload", Some(Role::Ops)),
            ("DELETE", "/api/v1/upstreams/web/nodes/a", Some(Role::Ops)),
            ("OPTIONS", "/api/v1/status", Some(Role::Ops)),
            ("BREW", "/pot", Some(Role::Ops)),
            ("POST", "/api/v1/save", Some(Role::Admin)),
            ("POST", "/api/v1/upgrade", Some(Role::Admin)),
        ] {
            let method: Method = method.parse().expect("a method");
            assert_eq!(role(&method, path), needed, "{method} {path}");
        }
    }
}
