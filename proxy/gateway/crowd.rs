//! Everybody who is connected: how many may be, who has waited too long, who goes when room is needed.
//!
//! A connection costs no timer and no task of its own here: now and then one walk over all of them finds those whose
//! time is over. Never closes a connection that has a request, unless its node's drain is over.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pingora::server::ShutdownWatch;
use slab::Slab;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::conn::{Conn, Port};
use crate::base::reason::Refusal;
use crate::config::checked::Limits;
use crate::guard::client::group;
use crate::live::control::Control;

/// How long an idle connection is still listened to once the process stops: a request that was on its way is
/// answered instead of reset.
pub const LAST_CALL: Duration = Duration::from_millis(200);
/// How long ago the last answer of those was over at least: by then it is sent, or waits to be.
const SETTLED: Duration = Duration::from_millis(50);
/// How often the crowd is looked at: a tenth of the idle limit, within these.
const OFTEN: Duration = Duration::from_millis(20);
const SELDOM: Duration = Duration::from_millis(500);
/// And by a process on its way out.
const LEAVING: Duration = Duration::from_millis(100);
/// Who waited less is not sent away to make room: its next request may be on its way.
const SPARED: Duration = Duration::from_secs(1);
/// A look at everybody is not free: a flood of newcomers does not get one each.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// When room is needed, one idle connection in so many goes, the oldest first, and at least one.
const SHARE: usize = 64;
/// So many who are turned away are waited for at the same time: they have no place, but a descriptor each, and those
/// that are set aside must not run out.
const TURNED_AWAY: usize = 32;

/// Everybody who is connected, all ports together.
#[derive(Debug)]
pub struct Crowd {
    /// What the process can hold, whatever the file allows.
    room: usize,
    inside: Mutex<Inside>,
    turned_away: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Inside {
    conns: Slab<Option<Arc<Conn>>>,
    /// Requests of HTTP/2 beyond the first of their connections.
    streams: usize,
    /// Connections of each client, addresses grouped.
    of_client: HashMap<IpAddr, usize>,
    /// Connections that were sent away and whose place is not taken yet.
    room_made: usize,
    /// When it was last looked who could go.
    looked: Option<Instant>,
}

/// A place in the crowd. Dropping it gives it free.
#[derive(Debug)]
pub struct Place {
    crowd: Arc<Crowd>,
    port: Arc<Port>,
    at: usize,
    client: Option<IpAddr>,
}

impl Crowd {
    /// A crowd of at most `room`.
    pub fn new(room: usize) -> Self {
        Crowd {
            room,
            inside: Mutex::default(),
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY)),
        }
    }

    /// Whether one more who is turned away may be waited for.
    pub fn has_time(&self) -> Option<OwnedSemaphorePermit> {
        self.turned_away.clone().try_acquire_owned().ok()
    }

    /// The process has no descriptor left: those who have been idle longest go.
    pub fn is_short(&self) {
        self.inside.lock().make_room();
    }

    /// Takes a place for a connection by `port`. Where there is none, the connections that have been idle longest
    /// make room.
    ///
    /// # Errors
    /// When nobody could go.
    pub fn enter(self: &Arc<Self>, port: &Arc<Port>, limits: &Limits) -> Result<Place, Refusal> {
        let most = limits.connections.unwrap_or(usize::MAX);
        let mut inside = self.inside.lock();
        let taken = inside.conns.len();
        if taken < most && taken + inside.streams < self.room {
            inside.room_made = 0;
        } else if !inside.has_room(Instant::now()) {
            return Err(Refusal::Connections);
        }
        port.metrics.active.inc();
        Ok(Place {
            crowd: self.clone(),
            port: port.clone(),
            at: inside.conns.insert(None),
            client: None,
        })
    }

    /// Takes a place for a further request of an HTTP/2 connection; `None`: there is none.
    pub fn takes_stream(self: &Arc<Self>) -> Option<StreamPlace> {
        let mut inside = self.inside.lock();
        if inside.conns.len() + inside.streams >= self.room {
            return None;
        }
        inside.streams += 1;
        Some(StreamPlace(self.clone()))
    }

    /// Whether somebody has not been sent all of an answer that is over.
    pub fn is_sending(&self) -> bool {
        let inside = self.inside.lock();
        let mut conns = inside.conns.iter().filter_map(|(_, conn)| conn.as_ref());
        conns.any(|conn| conn.is_sending())
    }

    /// Closes whose time is over: idle for `limit`, or on a node whose drain is over. `everybody`: all who are idle.
    fn sweep(&self, limit: Option<Duration>, everybody: bool) {
        let limit = if everybody { Some(SETTLED) } else { limit };
        for (_, conn) in &self.inside.lock().conns {
            let Some(conn) = conn else { continue };
            if limit.is_some_and(|limit| conn.close_if_idle(limit)) {
                continue;
            }
            if conn.is_to_be_cut() {
                conn.cut();
            }
        }
    }
}

impl Inside {
    /// Whether there is room after all.
    fn has_room(&mut self, now: Instant) -> bool {
        let lately = |at| now.duration_since(at) < LOOK_AGAIN;
        if self.room_made == 0 && !self.looked.is_some_and(lately) {
            self.looked = Some(now);
            self.room_made = self.make_room();
        }
        let has_room = self.room_made > 0;
        self.room_made = self.room_made.saturating_sub(1);
        has_room
    }

    /// Sends away those who have been idle longest; how many.
    fn make_room(&self) -> usize {
        let conns = self.conns.iter().filter_map(|(_, conn)| conn.as_ref());
        let mut idle: Vec<_> = conns
            .filter_map(|conn| Some((conn.idle_for().filter(|idle| *idle >= SPARED)?, conn)))
            .collect();
        idle.sort_unstable_by_key(|(idle, _)| std::cmp::Reverse(*idle));
        let wanted = idle.len().div_ceil(SHARE);
        idle.iter()
            .filter(|(_, conn)| conn.close_if_idle(SPARED))
            .take(wanted)
            .count()
    }
}

impl Place {
    /// Tells who it is. `counted`: it counts among the connections of its client, and there may be so many.
    ///
    /// # Errors
    /// When the client has too many.
    pub fn is_taken_by(
        &mut self,
        conn: &Arc<Conn>,
        counted: Option<Option<usize>>,
    ) -> Result<(), Refusal> {
        let mut inside = self.crowd.inside.lock();
        if let Some(most) = counted {
            let client = group(conn.peer);
            let count = inside.of_client.entry(client).or_default();
            if most.is_some_and(|most| *count >= most) {
                return Err(Refusal::ConnectionsPerIp);
            }
            *count += 1;
            self.client = Some(client);
        }
        inside.conns[self.at] = Some(conn.clone());
        Ok(())
    }
}

/// A place for a request of HTTP/2. Dropping it gives it free.
#[derive(Debug)]
pub struct StreamPlace(Arc<Crowd>);

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.0.inside.lock().streams -= 1;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.crowd.inside.lock();
        inside.conns.remove(self.at);
        if let Some(client) = self.client
            && let Some(count) = inside.of_client.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                inside.of_client.remove(&client);
            }
        }
        self.port.metrics.active.dec();
    }
}

/// Looks after the crowd until the process ends.
pub async fn watch_over(crowd: Arc<Crowd>, control: Arc<Control>, shutdown: ShutdownWatch) {
    let mut cuts = control.cuts();
    let mut stopping_since: Option<Instant> = None;
    loop {
        let limit = control.hold.look(|now| now.config.timeouts.idle);
        let pause = match stopping_since {
            Some(_) => OFTEN,
            // The end of patience is to be felt soon.
            None if control.lifecycle.is_stopping() => LEAVING,
            None => (limit.unwrap_or(SELDOM) / 10).clamp(OFTEN, SELDOM),
        };
        tokio::select! {
            changed = cuts.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause) => {}
        }
        // Beside a process that serves, those who idle may stay until their next answer.
        if *shutdown.borrow() && !control.lifecycle.is_patient() {
            stopping_since.get_or_insert_with(Instant::now);
        }
        let last_call_is_over = stopping_since.is_some_and(|at| at.elapsed() >= LAST_CALL);
        crowd.sweep(limit, last_call_is_over);
    }
}
