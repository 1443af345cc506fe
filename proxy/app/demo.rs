//! `tidegate demo`: three small app servers with the proxy in front, to see it work before reading anything.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Uri};
use axum::routing::get;

use super::cli::DemoArgs;
use super::say;
use super::upgrade::Replaces;
use super::{listen, server};
use crate::live::source::Source;

const APPS: u16 = 3;
/// The longest a demo request may be made to wait.
const SLOWEST: u64 = 60_000;

/// Starts everything and runs until it is stopped.
pub fn demo(args: &DemoArgs) -> ExitCode {
    match prepare(args) {
        Ok(()) => server::run(Source::File(args.file.clone()), Replaces::Demo),
        Err(why) => {
            say::complain(format_args!("error: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn prepare(args: &DemoArgs) -> Result<(), String> {
    let mut apps = Vec::new();
    for i in 0..APPS {
        let port = if args.apps == 0 { 0 } else { args.apps + i };
        let listener = listen::open(SocketAddr::from(([127, 0, 0, 1], port)), "an app server")?;
        apps.push(listener.local_addr().map_err(|e| e.to_string())?);
        start_app(format!("app-{}", i + 1), listener)?;
    }
    let written = write_file(args, &apps)?;
    say::out(format_args!("{}", welcome(args, &apps, written)));
    Ok(())
}

fn start_app(name: String, listener: std::net::TcpListener) -> Result<(), String> {
    let fail = |e: std::io::Error| format!("cannot start {name}: {e}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(fail)?;
    let app = Arc::new(App {
        name: name.clone(),
        served: AtomicU64::new(0),
    });
    let work = async move {
        let router = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/slow", get(slow))
            .fallback(hello)
            .with_state(app);
        if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
            let _ = axum::serve(listener, router).await;
        }
    };
    std::thread::Builder::new()
        .name(name.clone())
        .spawn(move || runtime.block_on(work))
        .map(drop)
        .map_err(fail)
}

struct App {
    name: String,
    served: AtomicU64,
}

async fn hello(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> String {
    let n = app.served.fetch_add(1, Relaxed) + 1;
    let client = headers
        .get("x-forwarded-for")
        .and_then(|v| v.to_str().ok())
        .unwrap_or("somebody who came past the proxy");
    format!(
        "hello from {}: request {n}, {uri}, for {client}\n",
        app.name
    )
}

#[derive(serde::Deserialize)]
struct Wait {
    ms: Option<u64>,
}

async fn slow(State(app): State<Arc<App>>, Query(wait): Query<Wait>) -> String {
    let ms = wait.ms.unwrap_or(5_000).min(SLOWEST);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    format!("{} took {ms} ms over this\n", app.name)
}

/// Writes the configuration unless there is one; whether it did.
fn write_file(args: &DemoArgs, apps: &[SocketAddr]) -> Result<bool, String> {
    if Path::new(&args.file).exists() {
        return Ok(false);
    }
    let nodes: String = apps
        .iter()
        .enumerate()
        .map(|(i, addr)| format!("      - {{ addr: \"{addr}\", id: app-{} }}\n", i + 1))
        .collect();
    let text = format!(
        "# Written by `tidegate demo`. Edit it while the demo runs: a change is in use within a second.\nlisten:\n  - addr: \"{}\"\nadmin:\n  addr: \"{}\"\naccess_log: {{ format: \"off\" }}   # json shows a line a request\nupstreams:\n  web:\n    balance: round_robin\n    health: {{ path: /healthz, interval: 1s }}\n    nodes:\n{nodes}routes:\n  - upstream: web\n",
        args.listen, args.admin
    );
    std::fs::write(&args.file, text)
        .map(|()| true)
        .map_err(|e| format!("cannot write {}: {e}", args.file.display()))
}

fn welcome(args: &DemoArgs, apps: &[SocketAddr], written: bool) -> String {
    let file = args.file.display();
    let apps: Vec<_> = apps.iter().map(ToString::to_string).collect();
    format!(
        "
app servers   {}
proxy         http://{}
stats port    http://{}
configuration {file}{}

Three things to try, in another terminal:
  1. curl http://{}/            again and again: each app server takes its turn
  2. edit {file}: add `state: drain` to a node, save, and look at the stats port
  3. curl \"http://{}/slow?ms=10000\" and then tidegate drain web/app-1 --wait 60s --admin {}

Ctrl-C ends it.
",
        apps.join(" "),
        args.listen,
        args.admin,
        if written {
            ""
        } else {
            " (was there already, used as it is)"
        },
        args.listen,
        args.listen,
        args.admin,
    )
}
