//! The server: everything wired together, in the order it starts and stops.

use std::ffi::OsString;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use super::listen;
use super::room::Room;
use super::say;
use super::signals::Signals;
use crate::base::reason::End;
use crate::config::checked::{Config, Shutdown};
use crate::gateway::Gateway;
use crate::gateway::conn::Port;
use crate::gateway::crowd::{self, Crowd};
use crate::gateway::entrance::take_in;
use crate::gateway::front::Front;
use crate::jobs::recompress::Line;
use crate::live::control::Control;
use crate::live::doors::OpenPort;
use crate::live::peers;
use crate::live::source::Source;
use crate::telemetry::metrics::Metrics;
use crate::upstream::kept::keep_at_most;
use crate::{admin, jobs};

/// Attempts of one request. Our own rules end sooner: each node is tried once, however many there are.
const MOST_ATTEMPTS: usize = usize::MAX;
/// How often the stopping process looks whether it is empty.
const LOOK: Duration = Duration::from_millis(10);
/// Idle connections are gone by then: the front's last call and a little.
const IDLE_ARE_GONE: Duration = Duration::from_millis(300);

/// How long the last spans may take.
const SPANS_PATIENCE: Duration = Duration::from_secs(2);

/// Ports that are open, in the order of the configuration.
struct Ports {
    data: Vec<TcpListener>,
    admin: Option<TcpListener>,
}

/// Turns the express lane off, to find out whether it is at fault: everything works without it, and costs more.
const EXPRESS_LANE: &str = "TIDEGATE_EXPRESS_LANE";

/// Runs the proxy until it is told to stop.
pub fn run(source: Source) -> ExitCode {
    match start_and_serve(source) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say::complain(format_args!("error: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn start_and_serve(source: Source) -> Result<(), String> {
    let main = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start: {e}"))?;
    let mut signals = main
        .block_on(async { Signals::install() })
        .map_err(|e| format!("cannot listen to signals: {e}"))?;

    let loaded = source.load();
    for problem in &loaded.problems {
        say::complain(format_args!("{problem}"));
    }
    let Some(config) = loaded.config.clone() else {
        return Err(format!(
            "{} cannot be used; nothing was started",
            source.name()
        ));
    };
    let express = express_lane(std::env::var_os(EXPRESS_LANE))?;
    let ports = open_ports(&config)?;
    let threads = config.threads;
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
    let control = Control::start(source, config, &loaded, metrics, express, Instant::now())
        .map_err(|e| format!("cannot open the access log: {e}\n  = help: look at `access_log.path`: its folder must exist and be writable"))?;
    let control = Arc::new(control);

    let stop_accepting = watch::Sender::new(false);
    let room = Room::of_this_process();
    keep_at_most(room.kept);
    room.tell(control.hold.load().config.limits.connections);
    let crowd = Arc::new(Crowd::new(room.clients));
    let data = data_path(ports.data, threads, &crowd, &control, &stop_accepting)?;
    side_thread("jobs", jobs::run(control.clone(), room.probes))?;
    side_thread("redis", jobs::shared::run(control.clone()))?;
    recompress(&control)?;
    #[cfg(feature = "otlp")]
    send_spans(&control)?;
    if let Some(listener) = ports.admin {
        serve_admin(listener, control.clone())?;
    }
    main.block_on(async {
        signals.until_stop(&control).await;
        stop(&control, &crowd, &stop_accepting, &mut signals).await;
        peers::leave(&control).await;
    });
    // What is still in flight is dropped here, and tells so.
    data.shutdown_timeout(Duration::from_millis(200));
    control.hold.load().log.flush();
    if cfg!(feature = "otlp") {
        let left = control.spans.flush(SPANS_PATIENCE);
        if left > 0 {
            tracing::warn!("{left} spans did not reach the collector before the end");
        }
    }
    tracing::info!("stopped");
    Ok(())
}

/// Whether the express lane is on, given what the environment says of it.
fn express_lane(said: Option<OsString>) -> Result<bool, String> {
    match said.as_ref().map(|said| said.to_str()) {
        None | Some(Some("on")) => Ok(true),
        Some(Some("off")) => Ok(false),
        Some(_) => Err(format!(
            "the environment variable {EXPRESS_LANE} is {:?}; it can be `on` or `off`\n  = help: leave it out: \
             the express lane, which answers from the cache where requests come in, is on then",
            said.unwrap_or_default()
        )),
    }
}

fn open_ports(config: &Config) -> Result<Ports, String> {
    let data = config
        .listen
        .iter()
        .map(|l| listen::open(l.addr, "the proxy"))
        .collect::<Result<_, String>>()?;
    let admin = match &config.admin {
        Some(admin) => Some(listen::open(admin.addr, "the stats port")?),
        None => None,
    };
    Ok(Ports { data, admin })
}

/// Starts the threads that serve requests.
fn data_path(
    listeners: Vec<TcpListener>,
    threads: usize,
    crowd: &Arc<Crowd>,
    control: &Arc<Control>,
    stop_accepting: &watch::Sender<bool>,
) -> Result<Runtime, String> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("data")
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start {threads} threads: {e}"))?;
    let settings = Arc::new(ServerConf {
        threads,
        max_retries: MOST_ATTEMPTS,
        ..ServerConf::default()
    });
    let _in_runtime = runtime.enter();
    let proxy = Arc::new(http_proxy(&settings, Gateway::new(control.clone())));
    runtime.spawn(crowd::watch_over(
        crowd.clone(),
        control.clone(),
        stop_accepting.subscribe(),
    ));
    let config = &control.hold.load().config;
    for (at, (listener, listen)) in listeners.into_iter().zip(&config.listen).enumerate() {
        let addr = listener
            .local_addr()
            .map_err(|e| format!("a port was lost: {e}"))?;
        let label = addr.to_string();
        let port = Arc::new(Port {
            metrics: control.metrics.listener(&label),
            label,
            open: OpenPort::new(at, listen),
        });
        let front = Front::new(proxy.clone(), control.clone(), port, crowd.clone());
        let listener = tokio::net::TcpListener::from_std(listener)
            .map_err(|e| format!("a port was lost: {e}"))?;
        runtime.spawn(take_in(front, listener, stop_accepting.subscribe()));
        tracing::info!("listening on {addr}");
    }
    Ok(runtime)
}

fn serve_admin(listener: TcpListener, control: Arc<Control>) -> Result<(), String> {
    let addr = listener
        .local_addr()
        .map_err(|e| format!("the stats port was lost: {e}"))?;
    tracing::info!("stats port on {addr}");
    side_thread("stats", async move {
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => admin::serve(listener, control).await,
            Err(e) => tracing::error!("the stats port is gone: {e}; requests are served on"),
        }
    })
}

/// Starts the threads that compress behind the answers.
fn recompress(control: &Arc<Control>) -> Result<(), String> {
    let Some(line) = control.recompress.take_line() else {
        return Ok(());
    };
    let line: Line = Arc::new(tokio::sync::Mutex::new(line));
    for _ in 0..control.recompress.threads() {
        let work = jobs::recompress::run(control.clone(), line.clone());
        side_thread("recompress", work)?;
    }
    Ok(())
}

/// Starts the thread that sends spans; it sleeps while there are none.
#[cfg(feature = "otlp")]
fn send_spans(control: &Arc<Control>) -> Result<(), String> {
    let control = control.clone();
    std::thread::Builder::new()
        .name("traces".into())
        .spawn(move || jobs::traces::run(&control))
        .map(drop)
        .map_err(|e| format!("cannot start the traces thread: {e}"))
}

/// Runs `work` on a thread of its own, away from the requests.
fn side_thread(name: &str, work: impl Future<Output = ()> + Send + 'static) -> Result<(), String> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start the {name} thread: {e}"))?;
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || runtime.block_on(work))
        .map(drop)
        .map_err(|e| format!("cannot start the {name} thread: {e}"))
}

/// Not ready, then not accepting, then empty or out of patience.
async fn stop(
    control: &Control,
    crowd: &Crowd,
    stop_accepting: &watch::Sender<bool>,
    signals: &mut Signals,
) {
    let limits = control.hold.load().config.shutdown;
    control.begin_stopping();
    tracing::info!(
        "stopping: not ready any more, accepting for another {:?}",
        limits.pre_stop
    );
    tokio::select! {
        () = in_good_order(control, crowd, stop_accepting, &limits) => {}
        () = signals.stop_again() => {
            stop_accepting.send_replace(true);
            tracing::warn!("asked again: stopping at once, {} requests are cut", in_flight(control));
        }
    }
}

async fn in_good_order(
    control: &Control,
    crowd: &Crowd,
    stop_accepting: &watch::Sender<bool>,
    Shutdown { pre_stop, grace }: &Shutdown,
) {
    tokio::time::sleep(*pre_stop).await;
    stop_accepting.send_replace(true);
    let closed = Instant::now();
    tracing::info!(
        "accepting no more, {} requests in flight",
        in_flight(control)
    );
    let idle_may_come = || open(control) > 0 && closed.elapsed() < IDLE_ARE_GONE;
    while in_flight(control) > 0 || crowd.is_sending() || idle_may_come() {
        if closed.elapsed() >= *grace {
            tracing::warn!(
                "out of patience after {grace:?}: {} requests are cut",
                in_flight(control)
            );
            // Whoever only listens learns that it is over, and can come again elsewhere.
            control.tunnels.end(End::Stopped, Instant::now()).await;
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn in_flight(control: &Control) -> i64 {
    control.metrics.in_flight()
}

fn open(control: &Control) -> i64 {
    control.metrics.connection_totals().0
}
