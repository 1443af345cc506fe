//! The front door with nothing behind it: what the express lane takes for a request, to be measured without a network.
//!
//! One connection goes the way it goes in `front`, over any stream. What is not answered in the lane is thrown away
//! where it would be handed on, so that what every such request pays up to there is measured too. Never part of a
//! running proxy.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use bytes::BytesMut;
use pingora::protocols::Stream;

use super::client_io::ClientIo;
use super::conn::{Conn, Port};
use super::crowd::Crowd;
use super::linger::Seat;
use super::turn::{Counts, Turn, turn};
use super::waiting::{self, Waited};
use crate::base::reason::Refusal;
use crate::live::control::Control;

/// What became of the requests of a connection.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Rehearsed {
    /// Writes by which requests were answered: one for all those that were read together.
    pub answers: u64,
    /// Requests that would have been handed on.
    pub handed_on: u64,
}

/// Serves the requests of `stream`, a connection of `peer` by `port`, until it ends. They have no bodies.
///
/// # Errors
/// Why a head was refused, or the connection not taken in.
pub async fn rehearse(
    control: &Arc<Control>,
    port: &Arc<Port>,
    stream: Stream,
    peer: IpAddr,
) -> Result<Rehearsed, Refusal> {
    let limits = control.hold.look(|now| now.config.limits);
    let place = Arc::new(Crowd::new(1)).enter(port, &limits)?;
    let conn = Arc::new(Conn::new(port.clone(), Some(peer)));
    let mut io = Box::new(ClientIo::new(stream, Seat::new(conn.clone(), place)));
    let (mut buffer, mut counts) = (BytesMut::new(), Counts::default());
    let mut done = Rehearsed::default();
    let mut since = Instant::now();
    loop {
        conn.waits(since);
        let head = waiting::for_head(&mut io, &mut buffer, &conn, control, None, None);
        let end = match head.await {
            Waited::Head(end) => end,
            Waited::Gone => return Ok(done),
            Waited::Refused(why) => return Err(why),
        };
        let turn = poll_fn(|cx| {
            let (to, from) = ((&mut *io, cx), (&mut buffer, end));
            Poll::Ready(turn(control, to, &conn, from, &mut counts))
        });
        match turn.await {
            Turn::Answered { at, closes } => {
                done.answers += 1;
                if closes {
                    return Ok(done);
                }
                since = at;
            }
            Turn::HandedOn(end, ..) => {
                done.handed_on += 1;
                // It goes with the memory it is in, as it does when it is handed on.
                buffer = buffer.split_off(end);
                since = Instant::now();
            }
            Turn::Unsent { unsent, closes } => {
                done.answers += 1;
                if !unsent.send(&mut io).await || closes {
                    return Ok(done);
                }
                since = Instant::now();
            }
            Turn::Refused(why) => return Err(why),
            Turn::Gone => return Ok(done),
        }
    }
}
