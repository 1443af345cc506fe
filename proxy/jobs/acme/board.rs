//! What proxies that share a Redis tell each other of certificates: who orders, the answers to challenges, and, where the
//! operator says so, certificates with their keys.
//!
//! What is read there is judged as if a stranger had written it. A Redis that is away costs an order more, nothing else.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::answers::Answer;
use super::certificate::Certificate;
use crate::kv::{Command, Fault, Kv, Op, Reply, Script, State};

/// How long the right to order lasts when who has it dies. Milliseconds.
const LEASE: u64 = 30_000;
/// How often who has it says that it lives.
pub const RENEWED: Duration = Duration::from_secs(10);
/// How long an answer stays that nobody took away: longer than an order takes. Milliseconds.
const ANSWERED: u64 = 600_000;
/// Answers that are believed: those of a few orders at a time.
const MOST: usize = 512;
/// The largest certificate with its key.
const LARGEST: usize = 64 * 1024;

/// Keeps the lease for who has it, or gives it back. KEYS: the lease. ARGV: whose, milliseconds or 0.
const KEEP: &str = r"#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
";

/// Where proxies that share a Redis read what they tell each other.
#[derive(Debug, Clone)]
pub struct Board {
    kv: Arc<Kv>,
    /// Ours, among those who share it.
    me: Arc<str>,
    /// What keys begin with.
    prefix: Arc<str>,
    keep: Arc<Script>,
}

impl Board {
    /// The board in this Redis. `me`: what others know this process by.
    pub fn new(kv: Arc<Kv>, prefix: &Arc<str>, me: Arc<str>) -> Board {
        Board {
            kv,
            me,
            prefix: prefix.clone(),
            keep: Arc::new(Script::new(KEEP)),
        }
    }

    /// Whether anybody reads it at this moment.
    pub fn is_up(&self) -> bool {
        self.kv.is_up()
    }

    /// Whether nobody has tried yet to reach it: a moment after the start.
    pub fn is_unknown(&self) -> bool {
        *self.kv.state().borrow() == State::Unknown
    }

    /// Takes the right to order what `id` stands for; `false`: another proxy has it.
    ///
    /// # Errors
    /// When Redis does not say.
    pub async fn take(&self, id: &str) -> Result<bool, Fault> {
        let take = Command::new("SET")
            .arg(self.lease(id))
            .arg(&*self.me)
            .arg("NX")
            .arg("PX")
            .arg(LEASE);
        let said = self.kv.ask_patiently(Op::Acme, &[take]).await?;
        Ok(said.first() == Some(&Reply::Ok))
    }

    /// Says that who has the right to order lives.
    pub async fn renew(&self, id: &str) {
        self.keep(id, LEASE).await;
    }

    /// Gives the right to order back.
    pub async fn give_back(&self, id: &str) {
        self.keep(id, 0).await;
    }

    /// A lease that cannot be kept ends by itself, and two who order do no harm.
    async fn keep(&self, id: &str, millis: u64) {
        let (key, millis) = (self.lease(id), millis.to_string());
        let args = [self.me.as_bytes(), millis.as_bytes()];
        let command = Command::script(&self.keep, &[key.as_bytes()], &args);
        let _ = self.kv.ask_patiently(Op::Acme, &[command]).await;
    }

    /// Tells the answers to challenges.
    ///
    /// # Errors
    /// When Redis does not take them.
    pub async fn tell(&self, answers: &[Answer]) -> Result<(), Fault> {
        let key = self.answers();
        let set = answers
            .iter()
            .fold(Command::new("HSET").arg(&key), |command, answer| {
                let (what, rest) = answer.told();
                command.arg(what).arg(rest)
            });
        let lasts = Command::new("PEXPIRE").arg(&key).arg(ANSWERED);
        self.kv
            .ask_patiently(Op::Acme, &[set, lasts])
            .await
            .map(drop)
    }

    /// Takes them away again.
    ///
    /// # Errors
    /// When Redis does not; they end by themselves then.
    pub async fn forget(&self, answers: &[Answer]) -> Result<(), Fault> {
        let all = Command::new("HDEL").arg(self.answers());
        let all = answers
            .iter()
            .fold(all, |command, answer| command.arg(answer.told().0));
        self.kv.ask_patiently(Op::Acme, &[all]).await.map(drop)
    }

    /// What others have told, as it stands there: what tells an answer from others, and the rest.
    ///
    /// # Errors
    /// When Redis does not say.
    pub async fn told(&self) -> Result<Vec<(String, String)>, Fault> {
        let ask = Command::new("HGETALL").arg(self.answers());
        let said = self.kv.ask_patiently(Op::Acme, &[ask]).await?;
        let flat = said.first().and_then(Reply::list).unwrap_or_default();
        let text = |reply: &Reply| {
            let text = String::from_utf8(reply.bytes()?.to_vec()).ok();
            text.filter(|text| text.len() <= super::answers::LONGEST)
        };
        let pairs = flat.chunks_exact(2).take(MOST);
        Ok(pairs
            .filter_map(|two| Some((text(&two[0])?, text(&two[1])?)))
            .collect())
    }

    /// The certificate that another proxy has left for these names; `None`: none that can be served.
    pub async fn certificate(&self, id: &str, names: &[String]) -> Option<Certificate> {
        let ask = Command::new("GET").arg(self.certificates(id));
        let said = self.kv.ask_patiently(Op::Acme, &[ask]).await.ok()?;
        let bytes = said.first()?.bytes()?;
        let text = std::str::from_utf8(bytes)
            .ok()
            .filter(|text| text.len() <= LARGEST)?;
        Certificate::read(text, names)
            .map_err(|why| {
                tracing::warn!(
                    "acme: what Redis has for {} is not used: {why}",
                    names.join(", ")
                )
            })
            .ok()
    }

    /// Leaves a certificate with its key for the others, as long as it holds.
    ///
    /// # Errors
    /// When Redis does not take it.
    pub async fn leave(&self, id: &str, is: &Certificate, now: SystemTime) -> Result<(), Fault> {
        let left = is.life.until.duration_since(now).unwrap_or_default();
        let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
        let set = Command::new("SET")
            .arg(self.certificates(id))
            .arg(is.pem())
            .arg("PX")
            .arg(millis);
        self.kv.ask_patiently(Op::Acme, &[set]).await.map(drop)
    }

    fn lease(&self, id: &str) -> String {
        format!("{}:{{acme}}:lease:{id}", self.prefix)
    }

    fn certificates(&self, id: &str) -> String {
        format!("{}:{{acme}}:certificate:{id}", self.prefix)
    }

    fn answers(&self) -> String {
        format!("{}:{{acme}}:answers", self.prefix)
    }
}
