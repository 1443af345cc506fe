//! Everything wrong, odd or barely right that a client can send, and what has to become of it: `tests/corpus/`.
//!
//! Each case is sent on a fresh connection, after a good request, and with a canary glued behind it; in one piece and
//! byte by byte; all to one running proxy in front of one origin that writes down every byte. What is refused must
//! not reach the origin, and a canary is answered with its own id or not at all. A case that fails is never struck or
//! softened to make this pass: the grammar decides.
//!
//! `TIDEGATE_CORPUS=K04` runs the cases whose ids begin so, and prints every failure of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::support::cases::{self, Case, Slot};
use crate::support::exchange::{Bodiless, Cut, Exchange, Reply, Silence};
use crate::support::notation::show;
use crate::support::policy::{Verdict, verdict};
use crate::support::proxy::{Tidegate, web};
use crate::support::recorder::{Id, Recorder, mark};

/// Runs at the same time.
const AT_ONCE: usize = 48;
/// Longer than the limits of the proxy under test, see [`LIMITS`], even where the machine has other things to do.
const PATIENCE: Duration = Duration::from_secs(15);
/// Short limits, so that what waits for more is over soon.
const LIMITS: &str = "timeouts: { header: 3s, body: 1s }\naccess_log: { format: off }\n";

/// What stands around a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Fresh,
    AfterGood,
    BeforeCanary,
}

const MODES: [Mode; 3] = [Mode::Fresh, Mode::AfterGood, Mode::BeforeCanary];
const CUTS: [Cut; 2] = [Cut::Whole, Cut::Bytes];

static NEXT: AtomicU64 = AtomicU64::new(1);

fn next_id() -> Id {
    NEXT.fetch_add(1, Relaxed)
}

fn good(id: Id) -> Vec<u8> {
    format!(
        "GET /canary/{} HTTP/1.1\r\nHost: tide.test\r\n\r\n",
        mark(id)
    )
    .into_bytes()
}

/// One run: what was sent and heard, and the requests that the origin is to have seen whole.
struct Run {
    case: usize,
    mode: Mode,
    cut: Cut,
    id: Id,
    replies: Vec<Reply>,
    sent: Vec<u8>,
    heard: Vec<u8>,
    /// Good requests around the case, and those of them that were answered.
    around: Vec<Id>,
    answered: Vec<Id>,
    wrong: Option<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_of_the_corpus_ends_as_it_must() {
    let only = std::env::var("TIDEGATE_CORPUS").ok();
    let wanted = |c: &Case| only.as_ref().is_none_or(|only| c.id.starts_with(only));
    let cases: Arc<Vec<Case>> = Arc::new(cases::all().into_iter().filter(wanted).collect());
    let recorder = Recorder::start().await;
    let tide = Tidegate::run(LIMITS.to_owned() + &web("", format!("[{recorder}]"))).await;
    let began = Instant::now();
    let mut runs = runs(&cases, tide.addr()).await;
    let took = began.elapsed();
    judge(&cases, &mut runs, &recorder);
    let failures = report(&cases, &runs, only.is_some());
    let summary = format!(
        "corpus: {} cases x 6 = {} runs, {} failures",
        cases.len(),
        runs.len(),
        runs.iter().filter(|r| r.wrong.is_some()).count(),
    );
    eprintln!(
        "{summary} ({took:.1?}; the origin read {} requests in {} bytes)",
        recorder.requests(),
        recorder.bytes()
    );
    let mut strangers = strangers(&runs, &recorder);
    strangers.extend(recorder.faults());
    strangers.truncate(20);
    assert!(
        failures.is_empty() && strangers.is_empty(),
        "{summary}\n{failures}\nwhat the origin saw and nobody was to send:\n{}",
        strangers.join("\n")
    );
}

async fn runs(cases: &Arc<Vec<Case>>, to: std::net::SocketAddr) -> Vec<Run> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = Vec::new();
    for case in 0..cases.len() {
        for (mode, cut) in MODES.iter().flat_map(|m| CUTS.map(|c| (*m, c))) {
            if mode == Mode::BeforeCanary && cases[case].expect.alone {
                continue;
            }
            let turn = room.clone().acquire_owned().await.expect("never closed");
            let cases = cases.clone();
            tasks.push(tokio::spawn(async move {
                let run = run(&cases[case], case, mode, cut, to).await;
                drop(turn);
                run
            }));
        }
    }
    let mut runs = Vec::new();
    for task in tasks {
        runs.push(task.await.expect("a run does not panic"));
    }
    runs
}

async fn run(case: &Case, at: usize, mode: Mode, cut: Cut, to: std::net::SocketAddr) -> Run {
    let id = next_id();
    let mut run = Run {
        case: at,
        mode,
        cut,
        id,
        replies: Vec::new(),
        sent: case.bytes(&mark(id)),
        heard: Vec::new(),
        around: Vec::new(),
        answered: Vec::new(),
        wrong: None,
    };
    let mut exchange = match Exchange::connect(to).await {
        Ok(exchange) => exchange,
        Err(e) => {
            run.wrong = Some(format!("no connection: {e}"));
            return run;
        }
    };
    run.wrong = talk(case, &mut run, &mut exchange).await.err();
    run.heard = exchange.heard().to_vec();
    run
}

/// One good request and its answer.
async fn ask(exchange: &mut Exchange, run: &mut Run) -> Result<(), String> {
    let id = next_id();
    run.around.push(id);
    exchange.send(&good(id), Cut::Whole, false);
    match exchange.replies(1, PATIENCE, |_| Bodiless::No).await {
        (replies, None) if replies[0].status == 200 && replies[0].id == Some(id) => {
            run.answered.push(id);
            Ok(())
        }
        other => Err(format!("{other:?}")),
    }
}

/// Sends the case and looks at every answer; what is wrong.
async fn talk(case: &Case, run: &mut Run, exchange: &mut Exchange) -> Result<(), String> {
    let expect = &case.expect;
    if run.mode == Mode::AfterGood {
        let asked = ask(exchange, run).await;
        asked.map_err(|e| format!("the good request before it: {e}"))?;
    }
    let canary = next_id();
    let glued = run.mode == Mode::BeforeCanary;
    if glued {
        run.sent.extend(good(canary));
        run.around.push(canary);
    }
    let own = expect.replies.len();
    // On a connection that has to be closed the canary must not be answered: that shows when it is closed.
    let want = own + usize::from(glued && expect.closes != Some(true));
    let bodiless = |at: usize| match expect.replies.get(at) {
        Some(slot) if slot.headless => Bodiless::Yes,
        _ => Bodiless::No,
    };
    exchange.send(&run.sent, run.cut, expect.eof);
    let (replies, silence) = exchange.replies(want, PATIENCE, bodiless).await;
    run.replies = replies.iter().take(own).cloned().collect();
    for (at, slot) in expect.replies.iter().enumerate() {
        match (replies.get(at), silence) {
            (Some(reply), _) => fits(slot, reply, run.id)?,
            (None, Some(Silence::Closed)) if slot.or_none => return Ok(()),
            (None, silence) => return Err(format!("answer {} is missing: {silence:?}", at + 1)),
        }
    }
    let last = &replies[own - 1];
    match (replies.get(own), silence) {
        (Some(reply), _) if reply.status == 200 && reply.id == Some(canary) => {
            run.answered.push(canary);
        }
        (Some(reply), _) => return Err(format!("the canary's answer is {reply:?}")),
        (None, Some(Silence::Closed)) if expect.closes.is_none() => return Ok(()),
        (None, Some(silence)) => return Err(format!("the canary is not answered: {silence:?}")),
        (None, None) => {}
    }
    let refused = last.status >= 400;
    if refused && !last.closes {
        return Err("a refusal without `Connection: close`".into());
    }
    let must_close = expect.closes == Some(true) || (expect.closes.is_none() && refused);
    if must_close && expect.eof && !refused && glued {
        // Everything before the end is answered, the canary too.
        return canary_then_close(exchange, &mut run.answered, canary).await;
    }
    if must_close {
        return match exchange.closed(PATIENCE).await {
            None => Err("it stays open".into()),
            Some(more) if more.is_empty() => Ok(()),
            Some(more) => Err(format!("after the last answer comes {}", show(&more))),
        };
    }
    if expect.closes == Some(false) && !glued {
        let asked = ask(exchange, run).await;
        asked.map_err(|e| format!("a good request after it: {e}"))?;
    }
    Ok(())
}

async fn canary_then_close(
    exchange: &mut Exchange,
    answered: &mut Vec<Id>,
    canary: Id,
) -> Result<(), String> {
    let (replies, _) = exchange.replies(1, PATIENCE, |_| Bodiless::No).await;
    match replies.as_slice() {
        [reply] if reply.id == Some(canary) => answered.push(canary),
        other => return Err(format!("the canary before the end: {other:?}")),
    }
    let closed = exchange.closed(PATIENCE).await;
    closed.map(drop).ok_or("it stays open".into())
}

fn fits(slot: &Slot, reply: &Reply, id: Id) -> Result<(), String> {
    if !slot.statuses.contains(&reply.status) {
        return Err(format!("the answer is {reply:?}"));
    }
    match reply.id {
        Some(other) if other != id => Err(format!("the answer is another's: {reply:?}")),
        _ => Ok(()),
    }
}

/// Looks at what the origin saw of each run.
fn judge(cases: &[Case], runs: &mut [Run], recorder: &Recorder) {
    for run in runs.iter_mut().filter(|r| r.wrong.is_none()) {
        let expect = &cases[run.case].expect;
        let taken = recorder.of(run.id);
        let wholes = taken.iter().filter(|t| t.whole).count();
        let is_success = |r: &&Reply| r.status < 300 && !expect.local;
        let due = run.replies.iter().filter(is_success).count();
        if wholes != due {
            run.wrong = Some(format!(
                "the origin saw {wholes} of {due}: {}",
                heads(&taken)
            ));
        } else if taken.len() > due && !expect.cut {
            run.wrong = Some(format!("the origin saw a part: {}", heads(&taken)));
        } else if let Some(wrong) = taken.iter().find_map(|t| differs(expect, t, run.id)) {
            run.wrong = Some(wrong);
        }
    }
}

fn heads(taken: &[crate::support::recorder::Taken]) -> String {
    let heads = taken.iter().map(|t| show(&t.head));
    heads.collect::<Vec<_>>().join(" and ")
}

fn differs(
    expect: &cases::Expect,
    taken: &crate::support::recorder::Taken,
    id: Id,
) -> Option<String> {
    if taken.fault.is_some() {
        return taken.fault.clone();
    }
    let head = taken.head.to_ascii_lowercase();
    // Cases are read with the id 0.
    let with_id = |part: &Vec<u8>| {
        let text = show(part).replace("~0~", "\\i");
        let part = crate::support::notation::bytes(&text, &mark(id));
        part.unwrap_or_default().to_ascii_lowercase()
    };
    let has = |part: &Vec<u8>| {
        let part = with_id(part);
        head.windows(part.len()).any(|w| w == part)
    };
    if let Some(part) = expect.sees.iter().find(|p| !has(p)) {
        return Some(format!("no {} in {}", show(part), show(&taken.head)));
    }
    if let Some(part) = expect.lacks.iter().find(|p| has(p)) {
        return Some(format!("{} in {}", show(part), show(&taken.head)));
    }
    let body = expect.body.as_ref().map(with_id)?;
    let its = taken.request.body.to_ascii_lowercase();
    (taken.whole && body != its).then(|| format!("the body is {}", show(&its)))
}

/// Requests at the origin that no answered request accounts for. Those of runs that failed anyway are told there.
fn strangers(runs: &[Run], recorder: &Recorder) -> Vec<String> {
    let mut due: BTreeMap<Id, usize> = BTreeMap::new();
    for id in runs.iter().flat_map(|r| &r.answered) {
        *due.entry(*id).or_default() += 1;
    }
    let failed = runs.iter().filter(|r| r.wrong.is_some());
    let told: BTreeSet<Id> = runs
        .iter()
        .map(|r| r.id)
        .chain(failed.flat_map(|r| r.around.iter().copied()))
        .collect();
    let wholes = recorder.wholes();
    let strange = wholes
        .iter()
        .filter(|(id, n)| !told.contains(id) && due.get(id) != Some(n));
    strange
        .map(|(id, n)| format!("{n} x {}: {}", mark(*id), heads(&recorder.of(*id))))
        .collect()
}

/// The failures in words: each case once with its first failing run, or every run.
fn report(cases: &[Case], runs: &[Run], all: bool) -> String {
    let mut out = String::new();
    let mut failed: Vec<usize> = Vec::new();
    for run in runs {
        let (Some(wrong), case) = (&run.wrong, &cases[run.case]) else {
            continue;
        };
        let first = failed.last() != Some(&run.case);
        if first {
            failed.push(run.case);
            out.push_str(&format!("\n{} {}\n", case.id, case.why));
        }
        let Run { mode, cut, .. } = run;
        out.push_str(&format!("  {mode:?} {cut:?}: {wrong}\n"));
        if first || all {
            let (sent, heard) = (show(&run.sent), show(&run.heard));
            out.push_str(&format!("    sent:  {sent}\n    heard: {heard}\n"));
        }
    }
    let ids: Vec<&str> = failed.iter().map(|at| cases[*at].id.as_str()).collect();
    if !ids.is_empty() {
        out.push_str(&format!("\nfailing cases: {}\n", ids.join(" ")));
    }
    out
}

/// The corpus and the tests' own reading of requests agree on what is good: two authors, one grammar.
#[test]
fn the_corpus_and_the_strict_reader_agree() {
    let mut wrong = Vec::new();
    for case in cases::all() {
        let bytes = case.bytes("~0~");
        let may = &case.expect.replies[0];
        let said = verdict(&bytes);
        let agrees = match &said {
            Verdict::Forward { .. } => may.statuses.contains(&200),
            Verdict::Local(status) => may.statuses.contains(status),
            Verdict::Refuse(statuses) => {
                may.or_none || may.statuses.iter().any(|s| statuses.contains(s))
            }
            Verdict::Wait => case.expect.alone || may.or_none || may.statuses[0] >= 400,
        };
        if !agrees {
            let said = match said {
                Verdict::Forward { target, .. } => format!("forwards {target}"),
                other => format!("{other:?}"),
            };
            wrong.push(format!("{} ({}): {said}", case.id, case.why));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
