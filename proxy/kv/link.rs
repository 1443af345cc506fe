//! A connection of its own: for who waits for news, which would hold up all others on the shared one.

use std::time::Duration;

use tokio::time::timeout;

use super::command::{self, Command, Reply};
use super::connect::Conn;
use super::fault::Fault;

/// A connection that nobody else uses. Closed when it is dropped.
#[derive(Debug)]
pub struct Link {
    conn: Conn,
}

impl Link {
    pub(super) fn new(conn: Conn) -> Link {
        Link { conn }
    }

    /// Asks, all commands in one round trip, as [`super::Kv::ask`] does.
    ///
    /// # Errors
    /// When there is no answer within `limit`, or nothing but errors. After anything but [`Fault::Refused`] the link is of
    /// no use any more.
    pub async fn ask(&self, commands: &[Command], limit: Duration) -> Result<Vec<Reply>, Fault> {
        match timeout(limit, self.conn.run(commands)).await {
            Ok(done) => done.and_then(command::not_only_errors),
            Err(_) => Err(Fault::Timeout),
        }
    }
}
