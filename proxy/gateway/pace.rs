//! How long one side may keep the other waiting, and how fast it must be while it is waited for.
//!
//! Only time spent waiting counts: a slow node does not make its client slow. Holds a timer only while somebody waits.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

/// Rates are judged over at least this much waiting: a pause is not a rate.
const WINDOW: Duration = Duration::from_secs(5);

/// The pace of one direction of a connection.
#[derive(Debug, Default)]
pub struct Pace {
    /// Since when it is waited for, and the end of patience.
    waiting: Option<(Instant, Option<Pin<Box<Sleep>>>)>,
    /// Time waited and bytes moved in the window under way.
    waited: Duration,
    moved: u64,
}

impl Pace {
    /// Whether nobody waits.
    pub fn is_unbroken(&self) -> bool {
        self.waiting.is_none()
    }

    /// Notes `moved` bytes that nobody waited for.
    pub fn goes_on(&mut self, moved: usize) {
        self.moved += moved as u64;
    }

    /// Notes a step: `moved` bytes, or none yet. `pause` is how long one step may take, `rate` how many bytes a second
    /// of waiting must move.
    ///
    /// # Errors
    /// `TimedOut` when it took too long or moved too little.
    pub fn check(
        &mut self,
        moved: Option<usize>,
        pause: Option<Duration>,
        rate: Option<u64>,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        match moved {
            Some(moved) => self.moves(moved, pause, rate),
            None => self.waits(pause, cx),
        }
    }

    fn waits(&mut self, pause: Option<Duration>, cx: &mut Context<'_>) -> io::Result<()> {
        let (_, patience) = self.waiting.get_or_insert_with(|| (Instant::now(), None));
        // Waiting may have begun before there was a limit to it.
        if let (None, Some(pause)) = (&patience, pause) {
            *patience = Some(Box::pin(tokio::time::sleep(pause)));
        }
        match patience.as_mut().map(|sleep| sleep.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => Err(late("no byte in time")),
            _ => Ok(()),
        }
    }

    fn moves(
        &mut self,
        moved: usize,
        pause: Option<Duration>,
        rate: Option<u64>,
    ) -> io::Result<()> {
        let Some((since, _)) = self.waiting.take() else {
            self.goes_on(moved);
            return Ok(());
        };
        // Longer than patience lasts: nobody asked in the meantime, so nobody waited.
        let elapsed = since.elapsed();
        let waited = pause.is_none_or(|pause| elapsed <= pause);
        let waited = if waited { elapsed } else { Duration::ZERO };
        self.came(waited, moved as u64, rate)
    }

    /// Notes `moved` bytes that were waited for so long.
    ///
    /// # Errors
    /// `TimedOut` when that was too little.
    pub fn came(&mut self, waited: Duration, moved: u64, rate: Option<u64>) -> io::Result<()> {
        self.waited += waited;
        self.moved += moved;
        if self.waited < WINDOW {
            return Ok(());
        }
        let wanted = rate
            .unwrap_or(0)
            .saturating_mul(self.waited.as_millis() as u64)
            / 1_000;
        if self.moved < wanted {
            return Err(late("too few bytes a second"));
        }
        self.waited = Duration::ZERO;
        self.moved = 0;
        Ok(())
    }
}

fn late(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn a_limit_that_is_set_while_somebody_waits_ends_the_waiting() {
        let mut pace = Pace::default();
        let pause = Some(Duration::from_millis(20));
        let begun = poll_fn(|cx| Poll::Ready(pace.check(None, None, None, cx))).await;
        assert!(begun.is_ok() && !pace.is_unbroken());
        let late = poll_fn(|cx| match pace.check(None, pause, None, cx) {
            Ok(()) => Poll::Pending,
            Err(late) => Poll::Ready(late),
        });
        let late = tokio::time::timeout(Duration::from_secs(10), late).await;
        assert_eq!(late.map(|e| e.kind()).ok(), Some(io::ErrorKind::TimedOut));
    }
}
