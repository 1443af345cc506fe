//! Answers that a client does not take at once: sent as it takes them, and told however that ends.
//!
//! How slow a client may be is judged where its bytes pass (`client_io`). Who is cut, by whatever limit, is told as in the
//! other lane.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use pingora::time::timeout;

use super::super::client_io::ClientIo;
use super::super::conn::Conn;
use super::super::front::CUT_AFTER_LIMIT;
use super::decide::Lane;
use super::{Batch, Moment};
use crate::base::reason::End;
use crate::live::control::Control;
use crate::live::snapshot::Snapshot;
use crate::telemetry::metrics::RequestInFlight;

/// Answers of which something is left to send.
pub struct Unsent {
    batch: Option<Box<Batch>>,
    /// Bytes that were.
    sent: u64,
    /// What was read of the requests.
    requests: Bytes,
    control: Arc<Control>,
    snapshot: Arc<Snapshot>,
    conn: Arc<Conn>,
    moment: Moment,
    _in_flight: RequestInFlight,
}

impl Unsent {
    /// What is left of a batch of which `sent` bytes were.
    pub fn new(
        (batch, sent): (Box<Batch>, u64),
        requests: Bytes,
        control: &Arc<Control>,
        snapshot: Arc<Snapshot>,
        conn: &Arc<Conn>,
        moment: Moment,
    ) -> Box<Unsent> {
        let times = &snapshot.config.timeouts;
        conn.inlet
            .sends_within(times.write, snapshot.config.limits.send_rate);
        Box::new(Unsent {
            batch: Some(batch),
            sent,
            requests,
            control: control.clone(),
            snapshot,
            conn: conn.clone(),
            moment,
            _in_flight: control.metrics.begin_request(),
        })
    }

    /// Sends it. `false`: the connection is over.
    pub async fn send(mut self: Box<Self>, io: &mut ClientIo) -> bool {
        let limit = self.snapshot.config.timeouts.request;
        let all = async {
            loop {
                match self.send_some(io).await {
                    Ok(true) => tokio::task::yield_now().await,
                    Ok(false) => return Ok(()),
                    Err(e) => return Err(e),
                }
            }
        };
        let sent = match limit {
            Some(limit) => match timeout(limit + CUT_AFTER_LIMIT, all).await {
                Ok(sent) => sent,
                Err(_) => {
                    self.tell(End::RequestTimeout);
                    return false;
                }
            },
            None => all.await,
        };
        let end = match sent {
            Ok(()) => End::Ok,
            Err(_) => self.conn.fault().unwrap_or(End::ClientAbort),
        };
        self.tell(end);
        end == End::Ok
    }

    /// Sends some more. `false`: that was all.
    async fn send_some(&mut self, io: &mut ClientIo) -> io::Result<bool> {
        let Some(batch) = &mut self.batch else {
            return Ok(false);
        };
        let (sent, length) = (self.sent, batch.length());
        if sent < length {
            let more = poll_fn(|cx| batch.poll_send(io, cx, sent)).await?;
            self.sent += more as u64;
        }
        if self.sent < length {
            self.tell_more(None);
            return Ok(true);
        }
        poll_fn(|cx| io.poll_gathered(cx)).await?;
        Ok(false)
    }

    /// Tells how the requests ended that were not told yet. Only the first call counts.
    fn tell(&mut self, end: End) {
        self.tell_more(Some(end));
        if let Some(batch) = self.batch.take() {
            batch.is_over();
        }
    }

    /// Tells of the requests whose answer is all sent, and with an `end` of the one that it cut.
    fn tell_more(&mut self, end: Option<End>) {
        let lane = Lane {
            control: &self.control,
            now: &self.snapshot,
            conn: &self.conn,
            moment: self.moment,
        };
        if let Some(batch) = &mut self.batch {
            batch.tell(lane, &self.requests, self.sent, end);
        }
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        if self.batch.is_some() {
            self.tell(self.moment.end_of_dropped(&self.snapshot, &self.conn));
        }
    }
}
