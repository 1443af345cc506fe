//! Steady load, open loop: a request leaves when its time has come, whatever became of the others.
//!
//! Each request has an id of its own and each answer is checked for it, for its status and for its length. There are
//! no retries. A connection that the proxy closes between requests is no failure when it was seen before a request
//! was written to it; a connection that ends after a request was written is one.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, JoinSet};

use super::Gate;
use super::client::{Client, Request};

/// What is sent, and how fast.
#[derive(Clone)]
pub struct Load {
    rate: u32,
    count: usize,
    new_every: usize,
    method: &'static str,
    body: usize,
    name: &'static str,
    page: Option<fn(usize) -> String>,
}

impl Load {
    /// GETs at this many a second, on keep-alive connections.
    pub fn at(rate: u32) -> Self {
        Load {
            rate,
            count: usize::MAX,
            new_every: usize::MAX,
            method: "GET",
            body: 0,
            name: "load",
            page: None,
        }
    }

    /// No more than this many.
    pub fn count(mut self, count: usize) -> Self {
        self.count = count;
        self
    }

    /// Each n-th request on a connection of its own.
    pub fn new_connection_every(mut self, n: usize) -> Self {
        self.new_every = n;
        self
    }

    /// POSTs with a body of this many bytes.
    pub fn posts(mut self, body: usize) -> Self {
        self.method = "POST";
        self.body = body;
        self
    }

    /// The n-th asks for this page. The right answer, whoever it was made for, is a body that begins with the page's
    /// target.
    pub fn pages(mut self, page: fn(usize) -> String) -> Self {
        self.page = Some(page);
        self
    }

    /// With this word in its ids, when a story has several loads.
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Runs to its count.
    pub async fn run(self, to: SocketAddr) -> Tally {
        assert_ne!(self.count, usize::MAX, "a bounded load");
        self.drive(to, Gate::closed()).await
    }

    /// Runs beside the story until it is stopped (or its count is reached).
    pub fn start(self, to: SocketAddr) -> Running {
        let stop = Gate::closed();
        let task = tokio::spawn(self.drive(to, stop.clone()));
        Running { stop, task }
    }

    async fn drive(self, to: SocketAddr, stop: Gate) -> Tally {
        let idle: Arc<Mutex<Vec<Client>>> = Arc::default();
        let mut tasks: JoinSet<(Sent, Option<String>)> = JoinSet::new();
        let mut tally = Tally::default();
        let began = Instant::now();
        for n in 0..self.count {
            let due = began + Duration::from_secs(1) * n as u32 / self.rate;
            let stopped = tokio::select! {
                biased;
                () = stop.passed() => true,
                () = tokio::time::sleep_until(due.into()) => false,
            };
            if stopped {
                break;
            }
            let request = self.request(n);
            let fresh = n % self.new_every == self.new_every - 1;
            let page = self.page.map(|page| page(n));
            tasks.spawn(one(to, request, page, fresh, idle.clone()));
            while let Some(done) = tasks.try_join_next() {
                tally.count(done.expect("a request's task does not panic"));
            }
        }
        while let Some(done) = tasks.join_next().await {
            tally.count(done.expect("a request's task does not panic"));
        }
        tally
    }

    fn request(&self, n: usize) -> Request {
        let request = if self.method == "POST" {
            Request::post("/load", vec![b'p'; self.body])
        } else {
            Request::get(&self.page.map_or("/load".into(), |page| page(n)))
        };
        request.id(format!("{}-{n}", self.name))
    }
}

/// A load beside the story.
pub struct Running {
    stop: Gate,
    task: JoinHandle<Tally>,
}

impl Running {
    /// Sends nothing more, waits for every answer, and counts.
    pub async fn stop(self) -> Tally {
        self.stop.open();
        self.task.await.expect("the load does not panic")
    }

    /// Whether all was sent and answered.
    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits until it has sent all.
    pub async fn done(self) -> Tally {
        self.task.await.expect("the load does not panic")
    }
}

/// What became of a load.
#[derive(Default, Clone)]
pub struct Tally {
    /// Requests sent.
    pub sent: usize,
    /// Requests with the right answer.
    pub ok: usize,
    /// Failures by kind, with the ids.
    pub failed: BTreeMap<String, Vec<String>>,
    /// Right answers by node.
    pub by_node: BTreeMap<String, usize>,
    /// Connections opened.
    pub connections: usize,
    /// The longest wait for an answer.
    pub slowest: Duration,
    /// Every wait for an answer.
    pub waits: Vec<Duration>,
}

/// What is known of a request beside its failure.
struct Sent {
    id: String,
    node: String,
    opened: usize,
    took: Duration,
}

impl Tally {
    fn count(&mut self, (sent, failure): (Sent, Option<String>)) {
        self.sent += 1;
        self.connections += sent.opened;
        self.slowest = self.slowest.max(sent.took);
        self.waits.push(sent.took);
        match failure {
            None => {
                self.ok += 1;
                *self.by_node.entry(sent.node).or_default() += 1;
            }
            Some(kind) => self.failed.entry(kind).or_default().push(sent.id),
        }
    }

    /// Number of failures.
    pub fn failures(&self) -> usize {
        self.failed.values().map(Vec::len).sum()
    }

    /// 0 failed of at least `least`, or a panic that says what failed.
    #[track_caller]
    pub fn nothing_failed_of(&self, least: usize) {
        println!("{self}");
        assert_eq!(self.failures(), 0, "{self}");
        assert!(
            self.sent >= least,
            "only {} of {least} were sent",
            self.sent
        );
    }

    /// 99 of 100 answers came within this time.
    pub fn p99(&self) -> Duration {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        waits[(waits.len() * 99).div_ceil(100) - 1]
    }

    /// Right answers of this node.
    pub fn of(&self, node: &str) -> usize {
        self.by_node.get(node).copied().unwrap_or(0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} sent, {} failed, {} connections, slowest {:?}, by node {:?}",
            self.sent,
            self.failures(),
            self.connections,
            self.slowest,
            self.by_node,
        )?;
        for (kind, ids) in &self.failed {
            let some: Vec<_> = ids.iter().take(5).collect();
            write!(f, "\n  {} × {kind}: {some:?} …", ids.len())?;
        }
        Ok(())
    }
}

async fn one(
    to: SocketAddr,
    request: Request,
    page: Option<String>,
    fresh: bool,
    idle: Arc<Mutex<Vec<Client>>>,
) -> (Sent, Option<String>) {
    let began = Instant::now();
    let mut sent = Sent {
        id: request.its_id().into(),
        node: String::new(),
        opened: 0,
        took: Duration::ZERO,
    };
    let failure = exchange(to, request, page.as_deref(), fresh, &idle, &mut sent)
        .await
        .err();
    sent.took = began.elapsed();
    (sent, failure)
}

async fn exchange(
    to: SocketAddr,
    request: Request,
    page: Option<&str>,
    fresh: bool,
    idle: &Mutex<Vec<Client>>,
    sent: &mut Sent,
) -> Result<(), String> {
    let request = if fresh {
        request.field("Connection", "close")
    } else {
        request
    };
    let pooled = if fresh { None } else { take_open(idle) };
    let mut client = match pooled {
        Some(client) => client,
        None => {
            sent.opened = 1;
            let connected = Client::connect(to).await;
            connected.map_err(|e| format!("connect: {e}"))?
        }
    };
    let asked = client.ask(&request).await;
    let again = if sent.opened == 0 { "reused" } else { "new" };
    let answer = asked.map_err(|e| format!("{e} on a {again} connection"))?;
    sent.node = answer.node().to_owned();
    if answer.status != 200 {
        return Err(format!("status {}: {}", answer.status, answer.text()));
    }
    let id = answer.head.get("x-id").unwrap_or("none");
    let is_right = match page {
        Some(page) => answer.text().starts_with(&format!("{page} ")),
        None => id == request.its_id() && answer.text().contains(id),
    };
    if !is_right {
        return Err(format!("wrong answer {id:?} for {:?}", request.its_id()));
    }
    if answer.stays_open && !fresh {
        idle.lock().unwrap().push(client);
    }
    Ok(())
}

/// An idle connection that the proxy has not closed.
fn take_open(idle: &Mutex<Vec<Client>>) -> Option<Client> {
    loop {
        let mut client = idle.lock().unwrap().pop()?;
        if !client.is_closed() {
            return Some(client);
        }
    }
}
