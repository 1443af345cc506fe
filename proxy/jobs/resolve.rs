//! Names to addresses, in the background.
//!
//! One task a name, so that a slow server holds up no other name; all on the thread of the jobs, so that it holds up
//! no request. A name that cannot be resolved is never fatal: the last good addresses stay in use, it is asked for
//! again soon, and log, metrics and the status page say what is missing.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

use crate::config::checked::Dns;
use crate::live::control::Control;

/// One look-up.
mod ask;

use ask::{Failure, Found, ask};

/// The first pause after a failure. Each further failure doubles it, up to `dns.interval`.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Look-ups at the same time: each has some descriptors, and no server is to be stormed.
const AT_ONCE: usize = 16;
/// Addresses of one name that become nodes. More is a mistake of whoever writes the records, or somebody's attack.
const MAX_ADDRESSES: usize = 256;

/// Resolves what the generation in use names, for as long as the process lives.
pub async fn run(control: &Arc<Control>) {
    let mut generations = control.generations();
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut dns = control.hold.load().config.dns.clone();
    let mut running: HashMap<(String, u16), AbortHandle> = HashMap::new();
    let mut tasks = JoinSet::new();
    loop {
        generations.borrow_and_update();
        let names: BTreeSet<(String, u16)> = control.names().into_iter().collect();
        control.keep_names(&names.iter().map(label).collect());
        let is = control.hold.load().config.dns.clone();
        let as_before = is == dns;
        dns = is;
        running.retain(|name, task| {
            let stays = as_before && names.contains(name) && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        });
        for name in names {
            running.entry(name).or_insert_with_key(|name| {
                let (label, host) = (label(name), name.0.clone());
                let follow = Follow {
                    control: control.clone(),
                    dns: dns.clone(),
                    label,
                    told: None,
                    too_many: false,
                };
                tasks.spawn(follow.run(host, name.1, turns.clone()))
            });
        }
        tokio::select! {
            changed = generations.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            // Ended by an abort of ours, or by a fault: then it is started again.
            Some(_) = tasks.join_next() => {}
        }
    }
}

/// How a name is called in the log, the metrics and on the status page.
fn label((host, port): &(String, u16)) -> String {
    format!("{host}:{port}")
}

/// One name that is followed.
struct Follow {
    control: Arc<Control>,
    dns: Dns,
    label: String,
    /// What was told of it last, so that a failure is told once.
    told: Option<String>,
    /// It was told that it has too many addresses.
    too_many: bool,
}

impl Follow {
    async fn run(mut self, host: String, port: u16, turns: Arc<Semaphore>) {
        let mut failures = 0;
        loop {
            // The semaphore is never closed.
            let turn = turns.acquire().await;
            let answer = ask(&host, &self.dns).await;
            drop(turn);
            let pause = match answer {
                Ok(found) => {
                    failures = if found.missing.is_some() {
                        failures + 1
                    } else {
                        0
                    };
                    self.found(found, port, failures)
                }
                Err(failure) => {
                    failures += 1;
                    self.failed(&failure);
                    self.pause_after(failures)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Puts what was found in use; how long it holds.
    fn found(&mut self, found: Found, port: u16, failures: u32) -> Duration {
        let mut addresses: BTreeSet<IpAddr> = found.addresses.into_iter().collect();
        let mut holds = found.holds;
        match found.missing {
            // Half an answer takes no node away: of the other half what was known stays.
            Some((family, failure)) => {
                let known = self.control.addresses_of(&self.label);
                let of_family = known
                    .iter()
                    .map(SocketAddr::ip)
                    .filter(|ip| family.has(*ip));
                addresses.extend(of_family);
                self.tell(&format!(
                    "only half of its addresses are known: {}",
                    failure.why
                ));
                holds = holds.min(self.pause_after(failures));
            }
            None => {
                if self.told.take().is_some() {
                    tracing::info!("{} is resolved again", self.label);
                }
            }
        }
        let many = addresses.len();
        if many > MAX_ADDRESSES && !self.too_many {
            tracing::warn!(
                "{} has {many} addresses: the first {MAX_ADDRESSES} of them are used; look at its records",
                self.label
            );
        }
        self.too_many = many > MAX_ADDRESSES;
        let used = addresses.into_iter().take(MAX_ADDRESSES);
        let used = used.map(|ip| SocketAddr::new(ip, port)).collect();
        self.control.resolved(&self.label, used);
        holds
    }

    fn failed(&mut self, failure: &Failure) {
        let Failure { result, why } = failure;
        self.control.not_resolved(&self.label, result, why);
        self.tell(&format!("it cannot be resolved: {why}"));
    }

    fn tell(&mut self, what: &str) {
        if self.told.as_deref() == Some(what) {
            return;
        }
        let rest = match self.control.addresses_of(&self.label).len() {
            0 => "it has no node until then".into(),
            n => format!("the addresses known before stay in use ({n})"),
        };
        tracing::warn!(
            "{}: {what}; {rest}, and it is asked for again soon",
            self.label
        );
        self.told = Some(what.into());
    }

    /// How long until the next look-up after so many failures in a row, a tenth more or less, so that many proxies do
    /// not ask a server that came back in the same moment.
    fn pause_after(&self, failures: u32) -> Duration {
        growing(failures, self.dns.interval).mul_f64(0.9 + 0.2 * fastrand::f64())
    }
}

fn growing(failures: u32, longest: Duration) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_after_failures_grow_to_the_interval_and_no_further() {
        let longest = Duration::from_secs(3);
        let pauses = [1, 2, 3, 4, 5, u32::MAX].map(|n| growing(n, longest).as_millis());
        assert_eq!(pauses, [500, 1_000, 2_000, 3_000, 3_000, 3_000]);
        assert_eq!(growing(9, Duration::from_millis(100)).as_millis(), 100);
    }
}
