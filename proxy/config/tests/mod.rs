//! The configuration as an operator meets it: whole files in, diagnostics or a checked configuration out.
//!
//! Nothing here may test a function from inside: what does not show to an operator may change freely.

/// Certificates from a CA.
mod acme;
/// Files that must be refused, and how that reads.
mod admin;
mod broken;
/// The keys of the cache.
mod cache;
/// What checked configurations look like.
mod checked;
/// The keys of compression.
mod compress;
/// Include, nodes_file, what to watch.
mod files;
/// Hints on what was probably not meant.
mod hints;
/// Laws over thousands of cases.
mod laws;
/// TLS and PROXY protocol to nodes.
mod node_tls;
/// The effective configuration and differences.
mod told;

use super::*;

/// An environment without variables.
fn no_env(_: &str) -> Option<String> {
    None
}

/// A configuration with these sections, which says nothing of its own beyond a port.
fn with(sections: &str) -> Loaded {
    let text = format!("listen: [{{ addr: 127.0.0.1:8080 }}]\n{sections}");
    load_text(&text, "tidegate.yaml", &no_env)
}

/// A configuration with two good nodes and these routes.
fn with_routes(routes: &str) -> Loaded {
    let up = "upstreams: { web: { health: off, nodes: [10.0.0.1:80, 10.0.0.2:80] } }\n";
    with(&format!("{up}routes:\n{routes}"))
}

/// The configuration, which must be usable.
fn good(loaded: &Loaded) -> &Config {
    let config = loaded.config.as_ref();
    config.unwrap_or_else(|| panic!("refused:\n{}", rendered(loaded)))
}

/// All diagnostics, as an operator sees them.
fn rendered(loaded: &Loaded) -> String {
    let all: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    all.join("\n")
}
