//! The wish to be replaced by the binary on the disk: who has it says so here, and who starts processes hears it.
//!
//! One at a time; a second one is told so and waits for nothing. What comes of it is the answer to who asked, however
//! it ends: nobody is left waiting longer than they said.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

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

/// Wishes to be replaced, at most one at a time.
#[derive(Debug)]
pub struct Handover {
    asks: mpsc::Sender<Ask>,
    heard: Mutex<Option<mpsc::Receiver<Ask>>>,
    under_way: AtomicBool,
}

impl Default for Handover {
    fn default() -> Self {
        let (asks, heard) = mpsc::channel(1);
        Handover {
            asks,
            heard: Mutex::new(Some(heard)),
            under_way: AtomicBool::new(false),
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
}
