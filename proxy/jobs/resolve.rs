//! Names to addresses, in the background.
//!
//! A name that cannot be resolved is never fatal: the last good addresses stay in use, and the status page says what
//! is missing.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::live::control::Control;

/// From one look-up to the next. The system's resolver does not tell how long an answer holds; ten seconds follow a
/// moved record soon enough and cost a resolver nothing.
const EVERY: Duration = Duration::from_secs(10);
/// A name without any address yet is asked for sooner.
const EVERY_WHILE_MISSING: Duration = Duration::from_secs(1);
/// How long one look-up may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Resolves what the generation in use names, for as long as the process lives.
pub async fn run(control: &Control) {
    let mut generations = control.generations();
    let mut complained = HashSet::new();
    loop {
        let names = wanted(control);
        complained.retain(|name| names.contains(name));
        let mut missing = false;
        for name in &names {
            // One after the other: a handful of names, and the resolver is not to be stormed.
            missing |= !resolve(control, name, &mut complained).await;
        }
        let pause = if missing { EVERY_WHILE_MISSING } else { EVERY };
        // A new generation may name something new; one that only has other addresses, which is what a look-up leads
        // to, must not lead to the next look-up.
        let something_new = async {
            loop {
                if generations.changed().await.is_err() {
                    std::future::pending::<()>().await; // the process is ending
                }
                if wanted(control) != names {
                    return;
                }
            }
        };
        let _ = timeout(pause, something_new).await;
    }
}

fn wanted(control: &Control) -> BTreeSet<(String, u16)> {
    control.names().into_iter().collect()
}

/// `false`: no address this time.
async fn resolve(
    control: &Control,
    name: &(String, u16),
    complained: &mut HashSet<(String, u16)>,
) -> bool {
    let (host, port) = name;
    let answer = timeout(PATIENCE, lookup_host((host.as_str(), *port))).await;
    let why = match answer {
        Ok(Ok(found)) => {
            let addresses: Vec<_> = found.collect();
            if !addresses.is_empty() {
                complained.remove(name);
                control.resolved(&format!("{host}:{port}"), addresses);
                return true;
            }
            "it has no address".to_string()
        }
        Ok(Err(e)) => e.to_string(),
        Err(_) => format!("no answer within {PATIENCE:?}"),
    };
    if complained.insert(name.clone()) {
        tracing::warn!(
            "{host}:{port} cannot be resolved: {why}; the addresses known before stay in use"
        );
    }
    false
}
