//! What the service manager is told (sd_notify(3)): that the process is ready, reloads, stops, lives, who it is.
//!
//! Never waits for the manager and never fails because of it. Who handed over says no more: what it said would be taken
//! for the word of who serves.

use std::ffi::OsStr;
use std::fmt::Write;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;

/// Whether the threads that serve requests still do.
mod pulse;
/// The process in a line.
mod status;

pub use pulse::Pulse;

use crate::live::control::Control;
use crate::live::witness::Witness;

/// How often the line about the process is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants a sign of life, at least.
    watchdog: Option<Duration>,
    is_silent: AtomicBool,
}

impl Notify {
    /// As the environment says.
    pub fn of_this_process() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Notify::default();
        };
        match open(&name) {
            Ok(to) => Notify {
                to: Some(to),
                watchdog: sd_notify::watchdog_enabled(),
                is_silent: AtomicBool::new(false),
            },
            Err(e) => {
                tracing::warn!(
                    "the service manager cannot be told anything by NOTIFY_SOCKET={}: {e}",
                    name.to_string_lossy()
                );
                Notify::default()
            }
        }
    }

    /// Requests are served.
    pub fn is_ready(&self, control: &Control) {
        // The id again: in a process that took over, the manager may have it from the one before only.
        self.tell(&[
            NotifyState::Ready,
            NotifyState::MainPid(std::process::id()),
            NotifyState::Status(&status::line(control, None)),
        ]);
    }

    /// The process is on its way out, which may take so long.
    pub fn stops(&self, longest: Duration) {
        let longest = u32::try_from(longest.as_micros()).unwrap_or(u32::MAX);
        self.tell(&[
            NotifyState::Stopping,
            NotifyState::ExtendTimeoutUsec(longest),
            NotifyState::Status("stopping: requests in flight finish"),
        ]);
    }

    /// The process `pid` serves from now on. The last that is said.
    pub fn hands_over(&self, pid: u32) {
        self.tell(&[NotifyState::MainPid(pid)]);
        self.is_silent.store(true, Relaxed);
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        let Some((socket, to)) = &self.to else { return };
        if self.is_silent.load(Relaxed) {
            return;
        }
        let mut words = String::new();
        for state in states {
            // Writing to a string does not fail.
            let _ = writeln!(words, "{state}");
        }
        if let Err(e) = socket.send_to_addr(words.as_bytes(), to) {
            tracing::debug!("the service manager was not told: {e}");
        }
    }

    /// Tells how the process is, and that it lives for as long as the data threads answer.
    pub async fn keep(self: Arc<Self>, control: Arc<Control>, mut pulse: Pulse) {
        if self.to.is_none() {
            return;
        }
        let beat = self.watchdog.map(|limit| limit / 2);
        let mut looks = tokio::time::interval(LOOK);
        let mut beats = tokio::time::interval(beat.unwrap_or(LOOK));
        // Late once is no reason to be early the next time.
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = String::new();
        let mut before = None;
        loop {
            tokio::select! {
                _ = looks.tick() => {
                    let now = status::Count::of(&control);
                    let line = status::line(&control, before.replace(now.clone()).map(|was| now.since(&was)));
                    if line != told && !control.lifecycle.is_stopping() {
                        self.tell(&[NotifyState::Status(&line)]);
                        told = line;
                    }
                }
                _ = beats.tick(), if beat.is_some() => match pulse.feel(beat.unwrap_or(LOOK) / 2).await {
                    Ok(()) => self.tell(&[NotifyState::Watchdog]),
                    Err(why) => tracing::error!("no sign of life to the service manager: {why}"),
                },
            }
        }
    }
}

/// The manager hears of reloads by signal, by the stats port and of changed files alike.
impl Witness for Notify {
    fn begins(&self, control: &Control) {
        if control.lifecycle.is_stopping() {
            return; // a word about anything else would take the last one back
        }
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(_) => self.tell(&[NotifyState::Reloading]),
        }
    }

    fn ends(&self, control: &Control) {
        if !control.lifecycle.is_stopping() {
            self.is_ready(control);
        }
    }
}

/// A way to the socket `name`: a path, or with `@` a name in the abstract space of Linux.
fn open(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let to = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => {
            let words = "it is no path and no abstract name";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(by: &UnixDatagram) -> String {
        let mut room = [0; 512];
        let n = by.recv(&mut room).unwrap();
        String::from_utf8_lossy(&room[..n]).into_owned()
    }

    #[test]
    fn a_path_and_an_abstract_name_both_lead_to_the_manager() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("@tidegate-test-{}", std::process::id());
        let hidden = SocketAddr::from_abstract_name(&name.as_bytes()[1..]).unwrap();
        let managers = [
            (
                UnixDatagram::bind(&path).unwrap(),
                path.clone().into_os_string(),
            ),
            (UnixDatagram::bind_addr(&hidden).unwrap(), name.into()),
        ];
        for (manager, name) in &managers {
            let notify = Notify {
                to: Some(open(name).unwrap()),
                ..Notify::default()
            };
            notify.tell(&[NotifyState::Ready, NotifyState::Status("well")]);
            assert_eq!(heard(manager), "READY=1\nSTATUS=well\n");
            notify.hands_over(9);
            notify.stops(Duration::from_secs(1));
            assert_eq!(heard(manager), "MAINPID=9\n");
            manager.set_nonblocking(true).unwrap();
            assert!(manager.recv(&mut [0; 9]).is_err(), "the last word");
        }
        assert!(open(OsStr::new("vsock:2:9")).is_err());
    }
}
