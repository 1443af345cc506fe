//! What a signal does.
//!
//! | signal | effect |
//! |---|---|
//! | SIGHUP | reload |
//! | SIGUSR1 | open the access log anew |
//! | SIGTERM, SIGINT | stop in good order; the second one: at once |

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::live::control::Control;

/// The signals the process listens to. Installed first: without a handler, SIGHUP would kill the process.
pub struct Signals {
    hangup: Signal,
    reopen: Signal,
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
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Serves signals until one asks the process to stop.
    pub async fn until_stop(&mut self, control: &Arc<Control>) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => { control.reload("SIGHUP", false); }
                _ = self.reopen.recv() => control.hold.load().log.reopen(),
                () = stop(&mut self.terminate, &mut self.interrupt) => return,
            }
        }
    }

    /// Waits for another signal to stop; one to reload no longer matters.
    pub async fn stop_again(&mut self) {
        stop(&mut self.terminate, &mut self.interrupt).await;
    }
}

async fn stop(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
