//! No request is ever answered with another's answer, and none that is broken reaches a node: thousands of made-up
//! requests, each with a canary behind it, read by the proxy and by the tests' own reader, which must agree.
//!
//! What the reader calls good must be answered by the origin with the right id and arrive there with the same method,
//! target, host and body; what it calls broken must be refused, and nothing behind it answered. `httparse` has its say
//! about every forwarded head. A disagreement is never settled by making a request rarer.
//!
//! `TIDEGATE_DIFFERENTIAL=100000` sends more, `TIDEGATE_SEED=7` sends others.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::support::attacks;
use crate::support::exchange::{Bodiless, Cut, Exchange, Reply, Silence};
use crate::support::notation::show;
use crate::support::policy::{self, Verdict};
use crate::support::proxy::{Tidegate, web};
use crate::support::recorder::{Id, Recorder, mark, marks};

/// Requests by default.
const MANY: u64 = 20_000;
/// Seed by default: the same requests on every machine and day.
const SEED: u64 = 2_026;
/// Connections at the same time.
const AT_ONCE: u64 = 32;
/// Requests on one connection, as long as it lives.
const ON_ONE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(10);
const LIMITS: &str = "timeouts: { header: 3s, body: 2s }\naccess_log: { format: off }\n";

/// What was sent, what was to become of it, and what did.
struct Attack {
    sent: Vec<u8>,
    due: Vec<Verdict>,
    replies: Vec<Reply>,
    wrong: Option<String>,
}

fn number(name: &str, otherwise: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(otherwise, |n| {
        n.parse().unwrap_or_else(|_| panic!("{name}: a number"))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_requests_are_read_alike_by_everybody() {
    let (many, seed) = (
        number("TIDEGATE_DIFFERENTIAL", MANY),
        number("TIDEGATE_SEED", SEED),
    );
    let recorder = Recorder::start().await;
    let tide = Tidegate::run(LIMITS.to_owned() + &web("", format!("[{recorder}]"))).await;
    let began = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..AT_ONCE)
        .map(|_| tokio::spawn(worker(tide.addr(), seed, next.clone(), many)))
        .collect();
    let mut attacks = Vec::new();
    for worker in workers {
        attacks.extend(worker.await.expect("a worker does not panic"));
    }
    let took = began.elapsed();
    for attack in attacks.iter_mut().filter(|a| a.wrong.is_none()) {
        attack.wrong = at_the_origin(attack, &recorder).err();
    }
    let answers = attacks.iter().flat_map(|a| &a.replies);
    let answered = answers.filter(|r| r.status == 200).count();
    let wrong: Vec<&Attack> = attacks.iter().filter(|a| a.wrong.is_some()).collect();
    let summary = format!(
        "differential: seed {seed}, {} requests with canaries, {answered} answers of the origin, which read {} \
         requests; {} disagreements",
        attacks.len(),
        recorder.requests(),
        wrong.len(),
    );
    eprintln!("{summary} ({took:.1?})");
    let mut faults = recorder.faults();
    faults.truncate(10);
    assert!(
        wrong.is_empty() && faults.is_empty(),
        "{summary}\n{}{}",
        told(&wrong),
        faults.join("\n")
    );
    assert_eq!(recorder.requests(), answered, "{summary}");
}

/// Sends attacks on one connection after the other.
async fn worker(to: SocketAddr, seed: u64, next: Arc<AtomicU64>, many: u64) -> Vec<Attack> {
    let mut done = Vec::new();
    let mut open: Option<(Exchange, usize)> = None;
    loop {
        let n = next.fetch_add(1, Relaxed);
        if n >= many {
            return done;
        }
        let (exchange, used) = match open.take() {
            Some(open) => open,
            None => (Exchange::connect(to).await.expect("the proxy listens"), 0),
        };
        let (attack, still) = one(exchange, seed, n).await;
        open = still.filter(|_| used < ON_ONE).map(|e| (e, used + 1));
        done.push(attack);
    }
}

/// Sends one attack and its canary; the connection, when it goes on.
async fn one(mut exchange: Exchange, seed: u64, n: u64) -> (Attack, Option<Exchange>) {
    // Each from a seed of its own: they are the same whichever worker sends them.
    let mut rng = fastrand::Rng::with_seed(seed.wrapping_mul(1 << 32).wrapping_add(n));
    let (id, canary) = (2 * n + 1, 2 * n + 2);
    let mut sent = attacks::make(&mut rng, &mark(id));
    sent.extend(
        format!(
            "GET /canary/{} HTTP/1.1\r\nHost: tide.test\r\n\r\n",
            mark(canary)
        )
        .bytes(),
    );
    let due = policy::stream(&sent);
    let waits = matches!(due.last(), Some(Verdict::Wait));
    let want = due.len() - usize::from(waits);
    let like_head = sent[..12.min(sent.len())].windows(4).any(|w| w == b"HEAD");
    let bodiless = |at: usize| match &due[at] {
        Verdict::Forward { request, .. } if request.method == "HEAD" => Bodiless::Yes,
        Verdict::Refuse(_) if at == 0 && like_head => Bodiless::Either,
        _ => Bodiless::No,
    };
    // Who has more to come but sends no more has left.
    let cut = if rng.u8(..4) == 0 {
        Cut::Bytes
    } else {
        Cut::Whole
    };
    exchange.send(&sent, cut, waits);
    let (replies, silence) = exchange.replies(want, PATIENCE, bodiless).await;
    let mut attack = Attack {
        wrong: answers(&due, &replies, silence).err(),
        sent,
        due,
        replies,
    };
    let stays = matches!(
        attack.due.last(),
        Some(Verdict::Forward { stays: true, .. })
    );
    if attack.wrong.is_some() || stays {
        return (
            attack,
            Some(exchange).filter(|_| stays && silence.is_none()),
        );
    }
    // Nothing more is to be answered; a word about the part that never became a request is allowed.
    let mut more = exchange.replies(1, PATIENCE, |_| Bodiless::Either).await;
    let is_refusal = |r: &Reply| waits && (400..500).contains(&r.status);
    if more.0.first().is_some_and(is_refusal) {
        more = exchange.replies(1, PATIENCE, |_| Bodiless::Either).await;
    }
    if more != (Vec::new(), Some(Silence::Closed)) {
        attack.wrong = Some(format!("afterwards comes {more:?} instead of the end"));
        attack.replies.extend(more.0);
    }
    (attack, None)
}

/// The id of a request that is to be forwarded.
fn id_of(said: &Verdict) -> Option<Id> {
    match said {
        Verdict::Forward { request, .. } => {
            let fields = request.fields.iter().flat_map(|(_, v)| marks(v));
            marks(request.target.as_bytes())
                .into_iter()
                .chain(fields)
                .next()
        }
        _ => None,
    }
}

/// Whether each answer is the right one.
fn answers(due: &[Verdict], replies: &[Reply], silence: Option<Silence>) -> Result<(), String> {
    for (at, said) in due.iter().enumerate() {
        let reply = replies.get(at);
        match (said, reply) {
            (Verdict::Forward { .. }, Some(r)) if r.status == 200 && r.id == id_of(said) => {}
            (Verdict::Local(status), Some(r)) if r.status == *status => {}
            (Verdict::Refuse(_), Some(r)) if r.closes && is_refusal(r.status) => {}
            // A body that breaks off may cost the connection without a word.
            (Verdict::Refuse(_), None) if silence == Some(Silence::Closed) => {}
            (Verdict::Wait, None) => {}
            _ => {
                let got = reply.map_or(format!("{silence:?}"), |r| format!("{r:?}"));
                return Err(format!("answer {} is {got}", at + 1));
            }
        }
    }
    Ok(())
}

fn is_refusal(status: u16) -> bool {
    matches!(status, 400 | 405 | 408 | 413 | 414 | 417 | 431 | 501 | 505)
}

/// Whether the origin saw what it was to see, as it was to see it, and nothing else.
fn at_the_origin(attack: &Attack, recorder: &Recorder) -> Result<(), String> {
    let mut due: BTreeMap<Id, Vec<&Verdict>> = BTreeMap::new();
    for id in marks(&attack.sent) {
        due.entry(id).or_default();
    }
    for said in &attack.due {
        if let Some(id) = id_of(said) {
            due.entry(id).or_default().push(said);
        }
    }
    for (id, due) in due {
        let taken = recorder.of(id);
        let wholes: Vec<_> = taken.iter().filter(|t| t.whole).collect();
        if let Some(fault) = taken.iter().find_map(|t| t.fault.clone()) {
            return Err(fault);
        }
        if wholes.len() != due.len() {
            return Err(format!(
                "the origin saw {} of {} for {id}",
                wholes.len(),
                due.len()
            ));
        }
        for (whole, said) in wholes.iter().zip(due) {
            let Verdict::Forward {
                request, target, ..
            } = said
            else {
                continue;
            };
            let host =
                |r: &crate::support::strict::Request| r.one("host").map(|h| h.to_lowercase());
            let same = whole.request.method == request.method
                && whole.request.target == *target
                && (host(&whole.request) == host(request) || host(request).is_none())
                && whole.request.body == request.body;
            if !same {
                return Err(format!("the origin read {:?}", whole.request));
            }
        }
    }
    Ok(())
}

/// The first disagreements, in words; alike ones once.
fn told(wrong: &[&Attack]) -> String {
    let mut out = String::new();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for attack in wrong {
        let why = attack.wrong.as_deref().unwrap_or_default();
        let kind = why.split(['/', '{']).next().unwrap_or_default();
        let kind: String = kind.chars().filter(|c| !c.is_ascii_digit()).collect();
        let seen = kinds.entry(kind).or_default();
        *seen += 1;
        if *seen > 4 {
            continue;
        }
        let due: Vec<String> = attack.due.iter().map(brief).collect();
        let (due, sent) = (due.join(", "), show(&attack.sent));
        out.push_str(&format!("\n{why}\n  sent: {sent}\n  due:  {due}\n"));
    }
    for (kind, n) in kinds {
        out.push_str(&format!("{n:6} x {kind}\n"));
    }
    out
}

fn brief(said: &Verdict) -> String {
    match said {
        Verdict::Forward {
            request, target, ..
        } => format!("{} {target} + {}", request.method, request.body.len()),
        other => format!("{other:?}"),
    }
}
