//! Keeps the connection: connects, probes, says how Redis is. The only one who does.
//!
//! Requests never find out for themselves that Redis is back. While it is away, nobody but this task asks it anything,
//! and after it returned the next request is answered as ever.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::command::{Command, Reply};
use super::fault::Fault;
use super::{Kv, Op, PATIENCE, State};

/// From a connection that failed to the next try, the first time; twice as much each time after.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The same at the most.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often it is asked whether it is there.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Keeps the connection for as long as it runs. To be run once a handle.
pub async fn keep(kv: Arc<Kv>) {
    let mut pause = FIRST_PAUSE;
    loop {
        match open(&kv).await {
            Ok(()) => {
                pause = FIRST_PAUSE;
                until_lost(&kv).await;
                let pause = {
                    let breaker = kv.breaker.lock();
                    breaker.is_open().then(|| breaker.pause())
                };
                if let Some(pause) = pause {
                    let last = kv.fault.lock().as_ref().map(ToString::to_string);
                    let last = last.unwrap_or_default();
                    let why =
                        format!("it failed five times within ten seconds; the last time {last}");
                    tell(&kv, down(&why));
                    sleep(Duration::from_millis(pause)).await;
                }
            }
            Err(fault) => {
                tell(&kv, down(&fault.to_string()));
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Waits until the connection is of no use any more; asks each second, so that a Redis that left is missed before a
/// request wants it.
async fn until_lost(kv: &Kv) {
    loop {
        if timeout(HEARTBEAT, kv.lost.notified()).await.is_ok() {
            return;
        }
        // What else it comes to is noted where all faults are.
        if let Ok(replies) = kv.ask(Op::Probe, &[Command::new("PING")]).await
            && !is_pong(&replies)
        {
            return;
        }
    }
}

/// Connects and asks whether it answers in time; if so, everybody may ask from now on.
async fn open(kv: &Kv) -> Result<(), Fault> {
    let conn = kv.address().connect(PATIENCE).await?;
    let ping = [Command::new("PING")];
    let begun = std::time::Instant::now();
    let answered = timeout(kv.limit(), conn.run(&ping)).await;
    let answered = answered.unwrap_or(Err(Fault::Timeout));
    let answered = answered.and_then(super::command::not_only_errors);
    kv.stats.note(Op::Probe, &ping, &answered, begun.elapsed());
    if !is_pong(&answered?) {
        return Err(Fault::Broken("what answers there is no Redis".into()));
    }
    kv.install(Some(conn));
    kv.breaker.lock().close(kv.now());
    tell(kv, State::Up);
    Ok(())
}

/// Whether this is what Redis answers to PING.
fn is_pong(replies: &[Reply]) -> bool {
    let is_it = |reply: &Reply| reply.bytes().is_some_and(|bytes| **bytes == *b"PONG");
    replies.len() == 1 && replies.iter().all(is_it)
}

fn down(why: &str) -> State {
    State::Down(why.into())
}

/// Says how Redis is, in one line for each change. A reason that is another one by now is only shown.
fn tell(kv: &Kv, is: State) {
    let mut changed = false;
    kv.state.send_if_modified(|was| {
        changed = was.is_up() != is.is_up() || *was == State::Unknown;
        if *was == is {
            return false;
        }
        was.clone_from(&is);
        if changed {
            *kv.since.lock() = std::time::Instant::now();
        }
        changed
    });
    let address = kv.address();
    match is {
        State::Down(why) if changed => tracing::warn!(
            "redis {address} is not used: {why}. Requests are served without it; it is tried again each second"
        ),
        State::Up if changed => tracing::info!("redis {address} is used"),
        _ => {}
    }
}
