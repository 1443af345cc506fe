//! How long a node may take to begin its answer before another one is asked.
//!
//! Time alone does not end it: with nobody left to ask, or nothing left to pay another try with, a slow answer is better
//! than none. Never decides who is asked.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// Who could be asked instead.
pub trait Others: fmt::Debug + Send + Sync {
    /// Whether one of them is asked now. Asked once, and answered for good: what another try costs is paid here.
    fn may_be_asked(&self) -> bool;
}

/// How long an answer may take to begin: from the last byte of the request on, so that a long upload is no slow node.
#[derive(Debug)]
pub struct Patience {
    most: Duration,
    /// Who is asked then, if anybody may be.
    pub(super) others: Box<dyn Others>,
    /// Set when it is first waited for.
    over: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// So long, and then one of `others` is asked.
    pub fn new(most: Duration, others: Box<dyn Others>) -> Self {
        Patience {
            most,
            others,
            over: None,
        }
    }

    /// How long.
    pub fn most(&self) -> Duration {
        self.most
    }

    /// Something is sent: it begins anew when the answer is next waited for.
    pub(super) fn begins(&mut self) {
        self.over = None;
    }

    /// Whether it is over.
    pub(super) fn ends(&mut self, cx: &mut Context<'_>) -> bool {
        let most = self.most;
        let over = self.over.get_or_insert_with(|| Box::pin(sleep(most)));
        over.as_mut().poll(cx).is_ready()
    }
}
