//! The wish to be replaced by the binary on the disk: who has it says so here, and who starts processes hears it.
//!
//! One at a time; a second one is told so and waits for nothing. What comes of it is the answer to who asked, however
//! it ends: nobody is left waiting longer than they said. Whoever needs the ports for something outside (a CA that comes
//! and looks) begins it only in the turn of this process, and has a bounded time to finish it before the turn is over.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use super::lifecycle::Successor;

/// How long the next process may take until it serves, where nobody says.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The longest that anybody may say: one upgrade at a time, and a forgotten one must not bar the next for hours.
pub const LONGEST: Duration = Duration::from_secs(600);

/// What came of it: who serves from now on, or why nobody else does.
pub type Outcome = Result<Successor, String>;

/// A wish to be replaced.
#[derive(Debug)]
pub struct Ask {
    /// Who asks, for the log.
    pub by: String,
    /// How long the next process may take until it serves.
    pub patience: Duration,
    /// Where the outcome is told.
    pub answer: oneshot::Sender<Outcome>,
}

/// Why a wish is not even tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotNow {
    /// The next process is being started already.
    UnderWay,
    /// Nobody hears it: the process stops, or has handed over, or is none that can be replaced.
    Unheard,
}

/// Whose turn it is on our ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Another process answers there: this one not yet, or no longer.
    Theirs,
    /// This process answers.
    Ours,
    /// This process answers, and another one is about to: what is under way may be finished, nothing is begun.
    Last,
}

/// Wishes to be replaced, at most one at a time.
#[derive(Debug)]
pub struct Handover {
    asks: mpsc::Sender<Ask>,
    heard: Mutex<Option<mpsc::Receiver<Ask>>>,
    under_way: AtomicBool,
    turn: watch::Sender<Turn>,
    /// Whether somebody does what needs our ports.
    busy: watch::Sender<bool>,
}

/// Something is done that needs our ports; dropped, it is done.
#[derive(Debug)]
pub struct Work<'a>(&'a Handover);

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.0.busy.send_replace(false);
    }
}

impl Default for Handover {
    fn default() -> Self {
        let (asks, heard) = mpsc::channel(1);
        Handover {
            asks,
            heard: Mutex::new(Some(heard)),
            under_way: AtomicBool::new(false),
            turn: watch::Sender::new(Turn::Theirs),
            busy: watch::Sender::new(false),
        }
    }
}

impl Handover {
    /// Who starts processes takes the wishes, once. Dropping what is returned ends the time in which there is a wish.
    pub fn hear(&self) -> Option<mpsc::Receiver<Ask>> {
        self.heard.lock().take()
    }

    /// Asks to be replaced; what comes of it is told there.
    ///
    /// # Errors
    /// When it is not even tried.
    pub fn ask(
        &self,
        by: String,
        patience: Duration,
    ) -> Result<oneshot::Receiver<Outcome>, NotNow> {
        if self.asks.is_closed() {
            return Err(NotNow::Unheard);
        }
        if self.under_way.swap(true, Relaxed) {
            return Err(NotNow::UnderWay);
        }
        let (answer, outcome) = oneshot::channel();
        let ask = Ask {
            by,
            patience: patience.min(LONGEST),
            answer,
        };
        self.asks.try_send(ask).map_err(|_| {
            self.is_over();
            NotNow::Unheard
        })?;
        Ok(outcome)
    }

    /// One has come to its end: the next may be tried.
    pub fn is_over(&self) {
        self.under_way.store(false, Relaxed);
    }

    /// From now on it is the turn of this one.
    pub fn is_turn_of(&self, turn: Turn) {
        self.turn.send_replace(turn);
    }

    /// Whose turn it is, to be followed.
    pub fn turn(&self) -> watch::Receiver<Turn> {
        self.turn.subscribe()
    }

    /// Begins what needs our ports, of which there is one at a time; `None`: it is not our turn.
    pub fn begin(&self) -> Option<Work<'_>> {
        // Said first: who ends the turn and then finds nobody busy can rely on it.
        self.busy.send_replace(true);
        let work = Work(self);
        (*self.turn.borrow() == Turn::Ours).then_some(work)
    }

    /// Returns when nothing is under way that needs our ports.
    pub async fn finished(&self) {
        // The sender lives as long as this does.
        let _ = self.busy.subscribe().wait_for(|busy| !busy).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_none_that_nobody_hears() {
        let handover = Handover::default();
        let ask = || handover.ask("a test".into(), LONGEST * 2).map(drop);
        let mut heard = handover.hear().expect("not taken yet");
        assert!(handover.hear().is_none(), "one hears them");
        assert_eq!(ask(), Ok(()));
        assert_eq!(ask(), Err(NotNow::UnderWay));
        let first = heard.try_recv().expect("it was asked for");
        assert_eq!(first.patience, LONGEST);
        assert_eq!(ask(), Err(NotNow::UnderWay), "heard is not over");
        handover.is_over();
        assert_eq!(ask(), Ok(()));
        drop(heard);
        handover.is_over();
        assert_eq!(ask(), Err(NotNow::Unheard));
    }

    #[tokio::test]
    async fn what_needs_the_ports_is_begun_in_our_turn_alone_and_its_end_can_be_awaited() {
        let handover = Handover::default();
        assert!(handover.begin().is_none(), "the ports are not open yet");
        handover.is_turn_of(Turn::Ours);
        let work = handover.begin().expect("it is our turn");
        handover.is_turn_of(Turn::Last);
        assert!(
            futures_util::poll!(std::pin::pin!(handover.finished())).is_pending(),
            "it is under way"
        );
        drop(work);
        handover.finished().await;
        assert!(handover.begin().is_none(), "nothing is begun any more");
        handover.finished().await;
    }
}
