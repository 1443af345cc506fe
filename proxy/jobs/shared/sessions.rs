//! Redis is told which node has which session, behind the requests that say so.
//!
//! While Redis is away what is to be told waits, as much as there is room for, and goes out in its order when it is back.
//! Never tells one thing again and again: what Redis refuses is given up, and found out anew when somebody asks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::balance::sticky::shared::Outbox;
use crate::kv::{Fault, Kv, Op, State};

/// From what could not be told to the next try.
const PAUSE: Duration = Duration::from_millis(100);

/// Tells what comes for as long as it runs.
pub(super) async fn tell(kv: Arc<Kv>, outbox: Arc<Outbox>) {
    let mut state = kv.state();
    loop {
        // It ends with the handle, which is here.
        let _ = state.wait_for(State::is_up).await;
        let few = outbox.next().await;
        let mut commands = Vec::with_capacity(2 * few.len());
        let now = Instant::now();
        few.iter().for_each(|told| told.say(&mut commands, now));
        match kv.ask_patiently(Op::Session, &commands).await {
            Ok(_) => {}
            Err(Fault::Refused(why)) => {
                tracing::debug!("redis does not take {} session(s): {why}", few.len());
            }
            Err(_) => {
                outbox.put_back(few);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
