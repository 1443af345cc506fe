//! How the process ends: not ready, then not accepting, then empty or out of patience.
//!
//! Nobody who was accepted is dropped before the patience that the file gives them is over. After a hand-over there is more
//! of it, since another process serves meanwhile.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;

use super::notify::Notify;
use super::signals::Signals;
use super::succession::{self, Heir, Served};
use super::upgrade::Estate;
use crate::base::reason::End;
use crate::base::units::show_duration;
use crate::config::checked::Shutdown;
use crate::gateway::crowd::Crowd;
use crate::live::control::Control;

/// How often the stopping process looks whether it is empty.
const LOOK: Duration = Duration::from_millis(10);
/// Idle connections are gone by then: the front's last call and a little.
const IDLE_ARE_GONE: Duration = Duration::from_millis(300);
/// What ending takes beside the times of the file.
const A_LITTLE: Duration = Duration::from_secs(5);

/// What comes after the attempt to hand over.
pub enum After {
    /// The other one does not serve: this one does as before.
    ServesOn,
    /// The same, and it was asked to stop meanwhile.
    Stops,
    /// The other one serves, and this one finishes what it has.
    Drains {
        /// It was asked to stop meanwhile.
        is_told: bool,
    },
}

/// What there is to stop.
pub struct Running<'a> {
    /// What serves.
    pub control: &'a Control,
    /// Who is connected.
    pub crowd: &'a Crowd,
    /// True: no data port accepts any more.
    pub stop_accepting: &'a watch::Sender<bool>,
    /// Our handles of the ports for a next process.
    pub estate: &'a Estate,
}

impl Running<'_> {
    /// Stops at the operator's word.
    pub async fn stop(&self, notify: &Notify, signals: &mut Signals) {
        let limits = self.control.hold.load().config.shutdown;
        self.control.begin_stopping();
        notify.stops(limits.pre_stop + limits.grace + A_LITTLE);
        tracing::info!(
            "stopping: not ready any more, accepting for another {:?}",
            limits.pre_stop
        );
        tokio::select! {
            () = self.in_good_order(&limits) => {}
            () = signals.stop_again(self.control) => self.at_once(),
        }
    }

    async fn in_good_order(
        &self,
        Shutdown {
            pre_stop, grace, ..
        }: &Shutdown,
    ) {
        sleep(*pre_stop).await;
        self.accept_no_more();
        self.finish(*grace).await;
    }

    /// Accepts no more and waits until all that is under way is finished, at most as long as `grace`.
    async fn finish(&self, grace: Duration) {
        let closed = Instant::now();
        tracing::info!("accepting no more, {} requests in flight", self.in_flight());
        let idle_may_come = || self.open() > 0 && closed.elapsed() < IDLE_ARE_GONE;
        while self.is_busy() || idle_may_come() {
            if closed.elapsed() >= grace {
                tracing::warn!(
                    "out of patience after {grace:?}: {} requests are cut",
                    self.in_flight()
                );
                return self.end_tunnels().await;
            }
            sleep(LOOK).await;
        }
    }

    /// Whoever only listens learns that it is over, and can come again elsewhere.
    async fn end_tunnels(&self) {
        self.control.tunnels.end(End::Stopped, Instant::now()).await;
    }

    /// Lets another process serve. Where it does, from now on nobody new comes to this one, on any port. Signals wait
    /// meanwhile, for as long as it takes to accept, except for the wish to stop, of which the other one is told.
    pub async fn hand_over(
        &self,
        heir: Heir,
        notify: &Notify,
        signals: &mut Signals,
        leave_stats: &watch::Sender<bool>,
    ) -> After {
        let goes = heir.goes(self.control);
        tokio::pin!(goes);
        let mut is_told = false;
        let served = loop {
            tokio::select! {
                served = &mut goes => break served,
                () = signals.only_stop(), if !is_told => is_told = true,
            }
        };
        let Some(served) = served else {
            return match is_told {
                true => After::Stops,
                false => After::ServesOn,
            };
        };
        if is_told {
            tracing::info!("asked to stop: so is process {}", served.successor.pid);
            served.process.is_told_to_end();
        }
        self.is_replaced(served, notify, leave_stats).await;
        After::Drains { is_told }
    }

    async fn is_replaced(
        &self,
        served: Served,
        notify: &Notify,
        leave_stats: &watch::Sender<bool>,
    ) {
        let Served {
            process,
            successor,
            answer,
        } = served;
        let pid = successor.pid;
        self.control.hand_over(successor.clone());
        self.accept_no_more();
        // Before it hears that it is on its own: what it says counts only once the manager knows who it is.
        notify.hands_over(pid);
        let child = process.set_free().await;
        tracing::info!(
            "upgrade: process {pid} (version {}) serves from now on",
            successor.version
        );
        // Whoever asked and asks again is to meet the one that serves.
        leave_stats.send_replace(true);
        let _ = answer.send(Ok(successor));
        if let Some(child) = child {
            tokio::spawn(succession::mourn(child, pid));
        }
    }

    /// Another process serves: whoever is connected to this one may stay until their next answer. Ends when nobody is left,
    /// or when the time of the file is over; sooner at the operator's word, which may have come already (`is_told`).
    pub async fn drain(&self, signals: &mut Signals, is_told: bool) {
        let limits = self.control.hold.load().config.shutdown;
        let told = async {
            if !is_told {
                signals.stop_again(self.control).await;
            }
        };
        tokio::select! {
            biased;
            () = told => {
                tracing::info!("asked to stop: what is in flight has {}", show_duration(limits.grace));
                self.control.lifecycle.lose_patience();
            }
            () = self.until_empty(limits.handover) => return,
        }
        tokio::select! {
            () = self.finish(limits.grace) => {}
            () = signals.stop_again(self.control) => self.at_once(),
        }
    }

    async fn until_empty(&self, limit: Duration) {
        let begun = Instant::now();
        tracing::info!(
            "{} connections with {} requests in flight are served to their end, at most for {}",
            self.open(),
            self.in_flight(),
            show_duration(limit)
        );
        while self.is_busy() || self.open() > 0 {
            if begun.elapsed() >= limit {
                self.control.lifecycle.lose_patience();
                // Who idles hears the last call; who works has had their time.
                tokio::join!(self.idle_leave(), self.end_tunnels());
                if self.is_busy() {
                    tracing::warn!(
                        "out of patience after {} (`shutdown.handover`): {} requests are cut",
                        show_duration(limit),
                        self.in_flight()
                    );
                }
                return;
            }
            sleep(LOOK).await;
        }
    }

    /// Waits until those who idle have heard the last call.
    async fn idle_leave(&self) {
        let begun = Instant::now();
        while self.open() > 0 && begun.elapsed() < 2 * IDLE_ARE_GONE {
            sleep(LOOK).await;
        }
    }

    fn accept_no_more(&self) {
        // The handles first: a port is closed by who accepts on it, when nobody waits there any more.
        self.estate.close();
        self.stop_accepting.send_replace(true);
    }

    fn at_once(&self) {
        self.accept_no_more();
        tracing::warn!(
            "asked again: stopping at once, {} requests are cut",
            self.in_flight()
        );
    }

    fn is_busy(&self) -> bool {
        self.in_flight() > 0 || self.crowd.is_sending()
    }

    fn in_flight(&self) -> i64 {
        self.control.metrics.in_flight()
    }

    fn open(&self) -> i64 {
        self.control.metrics.connection_totals().0
    }
}
