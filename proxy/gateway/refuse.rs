//! Saying no at the door: told, counted, answered in a few words, closed.
//!
//! A refused request never becomes one: it reaches no hook and no node. Every refusal is counted; in the log a flood
//! of them becomes one line. Never waits long for a client that does not read its answer.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Version};
use pingora::protocols::Stream;
use pingora::time::timeout;
use tokio::io::AsyncWriteExt;

use super::answer;
use super::conn::Port;
use super::ctx::new_id;
use super::linger::read_out;
use crate::base::reason::{End, Refusal};
use crate::live::control::Control;
use crate::telemetry::finished::Finished;
use crate::wire::head;

/// How long a refused client may take to take the answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same for who is turned away because the house is full: room is what there is none of.
const HASTE: Duration = Duration::from_millis(200);

/// A refused request, as far as it is known.
#[derive(Debug)]
pub struct Refused {
    why: Refusal,
    id: String,
    method: Method,
    path: String,
    host: String,
}

impl Refused {
    /// Of a connection that sent nothing that was looked at.
    pub fn without_head(why: Refusal) -> Self {
        Refused {
            why,
            id: new_id(),
            method: Method::default(),
            path: String::new(),
            host: String::new(),
        }
    }

    /// What the client is told, on the wire. An answer to HEAD goes without its body.
    pub fn answer(&self) -> Bytes {
        let with_body = self.method != Method::HEAD;
        answer::on_the_wire(self.why.status(), &self.id, self.why.remedy(), with_body)
    }

    /// Of a head, or the beginning of one.
    pub fn of_head(why: Refusal, head: &[u8]) -> Self {
        let (method, path, host) = head::sketch(head);
        Refused {
            why,
            id: new_id(),
            method,
            path,
            host,
        }
    }
}

/// Counts and tells a refusal.
pub fn tell(control: &Control, port: &Port, peer: Option<IpAddr>, refused: &Refused) {
    let why = refused.why;
    control.metrics.refused(why);
    let snapshot = control.hold.load();
    let status = match why {
        Refusal::Prelude => 0,
        why => why.status().as_u16(),
    };
    let (log, tap) = (
        snapshot.log.wants(true, || 0.0),
        control.tap.is_heard(status),
    );
    if !(log || tap) || !control.flood.may_tell(SystemTime::now()) {
        return;
    }
    let finished = Finished {
        at: SystemTime::now(),
        id: &refused.id,
        client: peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |p| p.to_canonical()),
        listener: &port.label,
        route: "",
        method: &refused.method,
        host: &refused.host,
        path: &refused.path,
        query: None,
        version: Version::HTTP_11,
        tls: None,
        sni: None,
        status,
        bytes_in: 0,
        bytes_out: 0,
        queue: None,
        connect: None,
        ttfb: None,
        total: Duration::ZERO,
        upstream: "",
        nodes: &[],
        cache: None,
        cache_reason: None,
        encoding: None,
        grpc_status: None,
        dry_run: None,
        trace: None,
        recording: None,
        end: End::Refused(why),
    };
    if log {
        snapshot.log.tell(&finished);
    }
    if tap {
        control.tap.tell(&finished);
    }
}

/// Answers a refused head. What is still on its way is read out when the connection is dropped.
pub async fn answer(mut stream: Stream, refused: &Refused) {
    if !is_told(&mut stream, refused, PATIENCE).await {
        let (id, status) = (&refused.id, refused.why.status());
        tracing::debug!("request {id}: the client did not take its {status}");
    }
}

/// Answers a connection that nobody looked at.
pub async fn turn_away(mut stream: Stream, refused: &Refused) {
    if is_told(&mut stream, refused, HASTE).await {
        read_out(stream, HASTE).await;
    }
}

/// Whether the client took its answer in time.
async fn is_told(stream: &mut Stream, refused: &Refused, patience: Duration) -> bool {
    let answer = refused.answer();
    let written = timeout(patience, async {
        stream.write_all(&answer).await?;
        stream.flush().await
    });
    matches!(written.await, Ok(Ok(())))
}
