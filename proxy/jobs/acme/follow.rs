//! Answers to challenges that other proxies wait for: the CA may come to any of those that share a Redis and a name.
//!
//! Looked for once a second, away from requests, while the file asks for certificates and Redis is there. What is told
//! there is checked to be an answer, and is bounded.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::answers::Answer;
use super::board;
use super::wanted::Asked;
use crate::live::control::Control;

/// How often: well below the time that who orders leaves us.
const EVERY: Duration = Duration::from_secs(1);

/// Runs until the process ends.
pub async fn run(control: &Control) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // By what is told of them, so that what stays is not made anew.
    let mut given: HashMap<(String, String), Answer> = HashMap::new();
    loop {
        ticks.tick().await;
        let board = super::board(control).filter(board::Board::is_up);
        let asks = Asked::of(&control.hold.load().config).is_some();
        let Some(board) = board.filter(|_| asks) else {
            given
                .drain()
                .for_each(|(_, answer)| answer.forget(&control.issued));
            continue;
        };
        // A fault says nothing: what is given stays for now.
        let Ok(told) = board.told().await else {
            continue;
        };
        given.retain(|is, answer| {
            let stays = told.contains(is);
            if !stays {
                answer.forget(&control.issued);
            }
            stays
        });
        for is in told {
            if !given.contains_key(&is)
                && let Some(answer) = Answer::read(&is.0, &is.1)
            {
                answer.give(&control.issued);
                given.insert(is, answer);
            }
        }
    }
}
