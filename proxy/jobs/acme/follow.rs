//! Answers to challenges that other proxies wait for: the CA may come to any of those that share a Redis and a name.
//!
//! Looked for once a second, away from requests, while the file asks for certificates and Redis is there. What is told
//! there is checked to be an answer, and is bounded.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::answers::{Answer, Own};
use super::board;
use super::wanted::Asked;
use crate::live::control::Control;
use crate::live::issued::Issued;

/// How often: well below the time that who orders leaves us.
const EVERY: Duration = Duration::from_secs(1);

/// Runs until the process ends.
pub async fn run(control: &Control, own: &Own) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut given = Given::default();
    loop {
        ticks.tick().await;
        let board = super::board(control).filter(board::Board::is_up);
        let asks = Asked::of(&control.hold.load().config).is_some();
        let Some(board) = board.filter(|_| asks) else {
            given.follow(Vec::new(), own, &control.issued);
            continue;
        };
        // A fault says nothing: what is given stays for now.
        let Ok(told) = board.told().await else {
            continue;
        };
        given.follow(told, own, &control.issued);
    }
}

/// What is given for others, by what is told of it, so that what stays is not made anew.
#[derive(Default)]
struct Given(HashMap<(String, String), Answer>);

impl Given {
    /// From now on this is given, and nothing else. Those of our `own` orders come and go with them alone: a Redis that
    /// goes away while the CA looks takes nothing from it.
    fn follow(&mut self, told: Vec<(String, String)>, own: &Own, issued: &Issued) {
        self.0.retain(|is, answer| {
            let stays = told.contains(is);
            if !stays && !own.has(&is.0) {
                answer.forget(issued);
            }
            stays
        });
        for is in told {
            if !own.has(&is.0)
                && !self.0.contains_key(&is)
                && let Some(answer) = Answer::read(&is.0, &is.1)
            {
                answer.give(issued);
                self.0.insert(is, answer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_told_goes_with_redis_and_what_we_order_stays() {
        let (own, issued, mut given) = (Own::default(), Issued::default(), Given::default());
        let ours = Answer::token("ours", "ours.thumb").unwrap();
        let told = || [("ours", "ours.thumb"), ("theirs", "theirs.thumb")];
        let told = || {
            told()
                .map(|(t, a)| (format!("token:{t}"), a.to_owned()))
                .to_vec()
        };
        // Read on the board before our own order is known to be one, and after.
        for known in [false, true] {
            let mut first = Given::default();
            if !known {
                first.follow(told(), &own, &issued);
            }
            own.put(std::slice::from_ref(&ours));
            ours.give(&issued);
            first.follow(told(), &own, &issued);
            assert!(issued.answer("theirs").is_some());
            first.follow(Vec::new(), &own, &issued);
            assert_eq!(issued.answer("theirs"), None);
            assert_eq!(issued.answer("ours").as_deref(), Some("ours.thumb"));
        }
        own.take_away(&[ours]);
        given.follow(told(), &own, &issued);
        given.follow(Vec::new(), &own, &issued);
        assert_eq!(issued.answer("ours"), None, "not ours any more");
    }
}
