//! What a signal does.
//!
//! | signal | effect |
//! |---|---|
//! | SIGHUP | reload |
//! | SIGUSR1 | open the access log anew |
//! | SIGUSR2 | hand the ports to the binary on the disk |
//! | SIGTERM, SIGINT | stop in good order; the second one: at once |
//!
//! Who handed over reloads no more and is replaced no more: both are for the process that serves, and the log names it.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::live::control::Control;
use crate::live::handover::{NotNow, PATIENCE};

/// The signals the process listens to. Installed first: without a handler, SIGHUP would kill the process.
pub struct Signals {
    hangup: Signal,
    reopen: Signal,
    replace: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn install() -> std::io::Result<Self> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            replace: signal(SignalKind::user_defined2())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Serves signals until one asks the process to stop.
    pub async fn until_stop(&mut self, control: &Arc<Control>) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => {
                    control.reload("SIGHUP", false);
                }
                _ = self.reopen.recv() => control.hold.load().log.reopen(),
                _ = self.replace.recv() => ask_to_be_replaced(control),
                () = stop(&mut self.terminate, &mut self.interrupt) => return,
            }
        }
    }

    /// Waits for another signal to stop. The access log may still be rotated meanwhile; nothing else matters any more.
    pub async fn stop_again(&mut self, control: &Control) {
        loop {
            tokio::select! {
                _ = self.reopen.recv() => control.hold.load().log.reopen(),
                _ = self.hangup.recv() => not_ours("SIGHUP", control),
                _ = self.replace.recv() => not_ours("SIGUSR2", control),
                () = stop(&mut self.terminate, &mut self.interrupt) => return,
            }
        }
    }
}

fn ask_to_be_replaced(control: &Control) {
    // Nobody waits for the answer: log and events tell how it ends.
    match control.handover.ask("SIGUSR2".into(), PATIENCE) {
        Ok(_) => {}
        Err(NotNow::UnderWay) => {
            tracing::warn!("SIGUSR2: the next process is being started already; one at a time");
        }
        Err(NotNow::Unheard) => tracing::warn!("SIGUSR2: this process stops"),
    }
}

fn not_ours(signal: &str, control: &Control) {
    match control.lifecycle.successor() {
        Some(next) => tracing::warn!(
            "{signal}: this process has handed over and only finishes what it has; process {} serves, send it there",
            next.pid
        ),
        None => tracing::info!("{signal}: this process stops"),
    }
}

async fn stop(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
