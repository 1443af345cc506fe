//! Reads the stream of purges: what others purged takes effect here, in their order.
//!
//! On a connection of its own, which waits for news. Each second, and when somebody saw that there is more, it looks at the
//! head: a stream that went back or is another one is read from its beginning. What may have been missed is not known,
//! so everything is made stale then; an answer that was purged is never taken for a fresh one.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::chain::{Head, Way};
use super::outbox::kept::Lost;
use super::purges::{Local, Purges};
use super::purges_stats::{add, set};
use super::stream::{BLOCK, PAGE, Told, entries_of, head_of, told};
use crate::cache::policy::life::Millis;
use crate::kv::{Command, Fault, Link, Op, Reply};

/// How long an answer may take that waits for nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// Until the next try after the connection was lost, and the least between two looks at the head that somebody asked for.
const PAUSE: Duration = Duration::from_millis(50);
/// The same at the most, where it is lost again and again.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How the reader is.
#[derive(Debug, Default)]
struct Reader {
    /// It was said that nothing is heard.
    is_deaf: bool,
    /// It was said that purges are shared.
    is_begun: bool,
    /// Purges of others that took effect since something was said.
    since: usize,
    /// From then on we tell those of others again, too, that Redis forgot.
    others_from: Millis,
}

impl Purges {
    /// Reads the stream for as long as it runs.
    pub async fn follow(self: &Arc<Self>, local: &Arc<impl Local>) {
        let mut reader = Reader::default();
        let mut pause = PAUSE;
        loop {
            let ended = match self.kv.dial().await {
                Ok(link) => self.listen(&link, local, &mut reader, &mut pause).await,
                Err(fault) => Err(fault),
            };
            set(&self.stats().in_step, 0);
            if let Err(fault) = ended
                && !reader.is_deaf
            {
                reader.is_deaf = true;
                tracing::warn!(
                    "purges of other proxies are not heard from Redis at {}: {fault}. It is tried again; what they purge meanwhile \
                     takes effect here after that",
                    self.kv.address()
                );
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Reads the stream by this connection, until that is of no use any more.
    async fn listen(
        self: &Arc<Self>,
        link: &Link,
        local: &Arc<impl Local>,
        reader: &mut Reader,
        pause: &mut Duration,
    ) -> Result<(), Fault> {
        while self.hear(link, local, reader).await? {
            *pause = PAUSE;
        }
        Ok(())
    }

    /// One look at the head, and what follows from it. `false`: the connection waits for news of a stream that is gone.
    async fn hear(
        self: &Arc<Self>,
        link: &Link,
        local: &Arc<impl Local>,
        reader: &mut Reader,
    ) -> Result<bool, Fault> {
        let (told, now) = (self.outbox.lock().count(), Instant::now());
        let head = self.head(link).await?;
        if self.chain.read().is_other(&head) {
            self.read_again(link, head, local, reader).await?;
        }
        let last = self.chain.read().last();
        set(&self.stats().position, last.n);
        if self.position() == Some(head.last) {
            self.has_heard(now);
            self.all_is_read(told, local, reader);
        }
        let Some(reply) = self.news(link, last.n).await? else {
            return Ok(false);
        };
        let entries = entries_of(&reply);
        if entries.is_empty() && head.last.n > last.n {
            // The head tells of purges that are not on the stream.
            self.chain.write().lose();
            return Ok(true);
        }
        self.take(entries, local, reader).await?;
        // Where news never end, too.
        if self.position().is_some_and(|at| at.n >= head.last.n) {
            self.has_heard(now);
        }
        Ok(true)
    }

    /// How far the chain goes by now; where there is none, it begins.
    async fn head(&self, link: &Link) -> Result<Head, Fault> {
        let reply = ask(link, self.stream.head(), PATIENCE).await?;
        if let Some(head) = head_of(&reply) {
            return Ok(head);
        }
        let reply = ask(link, self.stream.begin(self.draw()), PATIENCE).await?;
        head_of(&reply).ok_or_else(|| Fault::Broken("its head of the purges is no head".into()))
    }

    /// Waits for what follows this number. `None`: the stream is another one.
    async fn news(&self, link: &Link, n: u64) -> Result<Option<Reply>, Fault> {
        let limit = PATIENCE + Duration::from_millis(BLOCK);
        let mut news = pin!(ask(link, self.stream.news(n), limit));
        loop {
            tokio::select! {
                reply = &mut news => return reply.map(Some),
                () = self.woken.notified() => {}
            }
            let looked = self
                .kv
                .ask_patiently(Op::Purge, &[self.stream.head()])
                .await;
            let head = looked.ok().and_then(|replies| head_of(replies.first()?));
            if head.is_none_or(|head| self.chain.read().is_other(&head)) {
                self.chain.write().lose();
                return Ok(None);
            }
            sleep(PAUSE).await;
        }
    }

    /// Reads the stream from its beginning, or from where we were if that is still on it, up to this head.
    async fn read_again(
        self: &Arc<Self>,
        link: &Link,
        head: Head,
        local: &Arc<impl Local>,
        reader: &mut Reader,
    ) -> Result<(), Fault> {
        let last = self.chain.read().last();
        self.chain.write().lose();
        set(&self.stats().in_step, 0);
        let look = [self.stream.from(0, 1), self.stream.from(last.n, 1)];
        let replies = link.ask(&look, PATIENCE).await?;
        let one = |at: usize| told(replies.get(at)?.list()?.first()?, local.seed());
        let first = one(0).map(|told| told.link);
        let there = one(1).filter(|told| told.link.at.n == last.n);
        let there = there.map(|told| told.link.at.uid);
        let way = self.chain.read().way(&head, first.as_ref(), there);
        if let Way::Restart(begin) = way {
            add(&self.stats().resyncs, usize::from(reader.is_begun));
            self.chain.write().restart(begin, local.now());
        }
        loop {
            let last = self.chain.read().last();
            let page = self.stream.from(last.n + 1, PAGE);
            let reply = ask(link, page, PATIENCE).await?;
            let entries = reply.list().unwrap_or_default();
            if entries.is_empty() {
                break;
            }
            self.take(entries, local, reader).await?;
            if self.chain.read().last() == last {
                return Ok(()); // it changed while it was read: the next look shows how
            }
        }
        self.settle(&head, way, local, reader).await;
        Ok(())
    }

    /// All of the stream is read.
    async fn settle(
        self: &Arc<Self>,
        head: &Head,
        way: Way,
        local: &Arc<impl Local>,
        reader: &mut Reader,
    ) {
        if !self.chain.read().has(head.last) {
            // The head tells of purges that are not on the stream.
            self.chain.write().restart(head.last, local.now());
        }
        let has_missed = self.chain.read().has_missed();
        let mut stale = 0;
        if has_missed {
            let doubt = { local.clone() };
            stale = spawn_blocking(move || doubt.doubt_all()).await.unwrap_or(0);
        }
        let is_settled = self.chain.write().settle(head);
        let (begun, heard) = (reader.is_begun, std::mem::take(&mut reader.since));
        if !is_settled {
            return;
        }
        reader.is_begun = true;
        reader.others_from = local.now().saturating_add(self.patience());
        reader.is_deaf = false;
        let redis = self.kv.address();
        if has_missed && (begun || stale > 0) {
            add(&self.stats().missed, 1);
            let said = format!(
                "purges of other proxies may have been missed while Redis at {redis} was not heard: {stale} stored answers \
                 are stale now and are validated before they are used; caught up with {heard} purges of others"
            );
            local.note(said, true);
        } else if !begun {
            tracing::info!(
                "purges are shared by Redis at {redis}: caught up with {heard} purges of others"
            );
        } else if way == Way::GoOn {
            let said = format!(
                "purges of other proxies are heard again: caught up with {heard} purges of others"
            );
            local.note(said, false);
        } else {
            let said = format!(
                "Redis at {redis} has forgotten purges: none was missed here, caught up with {heard} purges of others"
            );
            local.note(said, false);
        }
    }

    /// Nothing is left to read; by then so many of our purges had been told.
    fn all_is_read(&self, count: u64, local: &Arc<impl Local>, reader: &mut Reader) {
        set(&self.stats().in_step, 1);
        if std::mem::take(&mut reader.is_deaf) {
            let heard = reader.since;
            let said = format!(
                "purges of other proxies are heard again: caught up with {heard} purges of others"
            );
            local.note(said, false);
        }
        reader.since = 0;
        let now = local.now();
        let mut chain = self.chain.write();
        chain.forget(now);
        // What was told, has no place and is on no stream was lost with the Redis that took it. Where the stream began
        // anew nobody doubts what is stored, so each purge goes there that anybody knows; else whoever missed one does.
        let since = now.saturating_sub(self.keep());
        let lost = Lost {
            stream: chain.stream(),
            since: if chain.is_new() { 0 } else { since },
            told: count,
            others: now >= reader.others_from,
        };
        let mut outbox = self.outbox.lock();
        let again = outbox.again(lost, since, |purge| chain.is_placed(purge));
        set(&self.stats().queued, outbox.waiting() as u64);
        drop(outbox);
        drop(chain);
        if again > 0 {
            add(&self.stats().again, again);
            tracing::info!("Redis lost {again} purges: they are told again");
            self.news.notify_one();
        }
    }

    /// Entries of the stream take effect and get their places.
    async fn take(
        self: &Arc<Self>,
        entries: &[Reply],
        local: &Arc<impl Local>,
        reader: &mut Reader,
    ) -> Result<(), Fault> {
        let seed = local.seed();
        let all: Vec<Told> = entries
            .iter()
            .filter_map(|entry| told(entry, seed))
            .collect();
        if all.len() < entries.len() {
            add(&self.stats().foreign, entries.len() - all.len());
            self.chain.write().lose();
            if all.is_empty() {
                // Somebody else writes there; the next purge clears it away.
                sleep(LONGEST_PAUSE).await;
            }
        }
        let (purges, place) = (self.clone(), local.clone());
        // It may walk over all that is stored: not on the thread that drives the sockets.
        let done = spawn_blocking(move || purges.takes_effect(&all, &*place)).await;
        let (new, time) = done.map_err(|e| Fault::Broken(e.to_string().into()))?;
        reader.since += new;
        if let (1.., Some(told)) = (new, time) {
            self.note_lag(told).await;
        }
        Ok(())
    }

    /// What is new takes effect; returns how many, and when the last one was told.
    fn takes_effect(&self, all: &[Told], local: &impl Local) -> (usize, Option<u64>) {
        let mut chain = self.chain.write();
        let (mut new, mut time) = (Vec::new(), None);
        for told in all {
            let link = &told.link;
            if chain.knows(link.purge) {
                continue;
            }
            time = Some(told.time);
            chain.begin(link.purge, link.concern, local.sequence(), local.now());
            match &told.record {
                Some(record) => new.push(record.clone()),
                None => {
                    add(&self.stats().foreign, 1);
                    new.push(super::record::Record::not_understood(link.purge));
                }
            }
        }
        drop(chain);
        if !new.is_empty() {
            let mut began = Vec::with_capacity(new.len());
            local.carry_out(&new, &mut |purge, at| began.push((purge, at)));
            let mut chain = self.chain.write();
            began
                .iter()
                .for_each(|(purge, at)| chain.began_at(*purge, *at));
        }
        add(&self.stats().received, new.len());
        let mut chain = self.chain.write();
        let _ = all.iter().all(|told| chain.place(&told.link)); // one that does not follow loses the chain
        set(&self.stats().position, chain.last().n);
        let mut outbox = self.outbox.lock();
        let records = all.iter().filter_map(|told| told.record.as_ref());
        records.for_each(|record| outbox.heard(record, local.now()));
        (new.len(), time)
    }

    /// Notes how long the last purge took, by the clock of Redis alone.
    async fn note_lag(&self, told: u64) {
        let time = [Command::new("TIME")];
        let Ok(replies) = self.kv.ask_patiently(Op::Purge, &time).await else {
            return;
        };
        let parts = replies.first().and_then(Reply::list).unwrap_or_default();
        if let [Some(seconds), Some(micros)] = [0, 1].map(|at| parts.get(at).and_then(Reply::int)) {
            let now = seconds.saturating_mul(1_000).saturating_add(micros / 1_000);
            let now = u64::try_from(now).unwrap_or(0);
            set(&self.stats().lag, now.saturating_sub(told));
        }
    }
}

/// One command by itself; an error that is its answer is a fault.
async fn ask(link: &Link, command: Command, limit: Duration) -> Result<Reply, Fault> {
    let replies = link.ask(&[command], limit).await?;
    Ok(replies.into_iter().next().unwrap_or(Reply::Nil))
}
