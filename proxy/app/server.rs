//! The server: everything wired together, in the order it starts and stops.

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{oneshot, watch};

use super::activation::{Inherited, Role};
use super::listen;
use super::notify::{Notify, Pulse};
use super::room::Room;
use super::say;
use super::signals::Signals;
use super::stop::Running;
use super::succession::{self, settle};
use super::upgrade::{Estate, Predecessor, Replaces};
use crate::config::checked::Config;
use crate::gateway::Gateway;
use crate::gateway::conn::Port;
use crate::gateway::crowd::{self, Crowd};
use crate::gateway::entrance::take_in;
use crate::gateway::front::Front;
use crate::gateway::tls::Begun;
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

/// How long the last spans may take.
const SPANS_PATIENCE: Duration = Duration::from_secs(2);

/// Ports that are open, in the order of the configuration.
struct Ports {
    data: Vec<TcpListener>,
    admin: Option<TcpListener>,
}

/// Turns the express lane off, to find out whether it is at fault: everything works without it, and costs more.
const EXPRESS_LANE: &str = "TIDEGATE_EXPRESS_LANE";

/// Runs the proxy until it is told to stop, or another process has taken over. `of` says who may.
pub fn run(source: Source, of: Replaces) -> ExitCode {
    // First of all: as long as there is one thread.
    let mut predecessor = None;
    let served = Inherited::of_this_process().and_then(|mut inherited| {
        let stream = inherited.predecessor.take();
        predecessor = stream.map(Predecessor::hear).transpose()?;
        start_and_serve(source, of, inherited, &mut predecessor)
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say::complain(format_args!("error: {why}"));
            if let Some(predecessor) = predecessor {
                predecessor.failed(&why);
            }
            ExitCode::FAILURE
        }
    }
}

/// `predecessor` is left where this one cannot take over from it.
fn start_and_serve(
    source: Source,
    of: Replaces,
    inherited: Inherited,
    predecessor: &mut Option<Predecessor>,
) -> Result<(), String> {
    let main = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start: {e}"))?;
    let mut signals = main
        .block_on(async { Signals::install() })
        .map_err(|e| format!("cannot listen to signals: {e}"))?;
    let notify = Arc::new(Notify::of_this_process());

    let loaded = source.load();
    for problem in &loaded.problems {
        say::complain(format_args!("{problem}"));
    }
    let Some(config) = loaded.config.clone() else {
        let mut why = format!("{} cannot be used; nothing was started", source.name());
        if predecessor.is_some() {
            // Whoever asked for the upgrade does not see our standard error.
            let all = loaded.errors().map(|problem| problem.told_to_all());
            why = all.fold(why, |why, problem| format!("{why}\n\n{problem}"));
        }
        return Err(why);
    };
    let express = express_lane(std::env::var_os(EXPRESS_LANE))?;
    let ports = open_ports(&config, inherited, predecessor.is_some())?;
    let estate = ports
        .estate(&config)
        .map_err(|e| format!("no descriptor is left for the ports: {e}"))?;
    let threads = config.threads;
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
    let key = predecessor.as_ref().and_then(|p| p.hello.key.clone());
    let control = Control::succeed(source, config, &loaded, metrics, express, Instant::now(), key)
        .map_err(|e| format!("cannot open the access log: {e}\n  = help: look at `access_log.path`: its folder must exist and be writable"))?;
    let control = Arc::new(control);

    jobs::acme::load(&control);
    let stop_accepting = watch::Sender::new(false);
    let leave_stats = watch::Sender::new(false);
    let room = Room::of_this_process();
    keep_at_most(room.kept);
    room.tell(control.hold.load().config.limits.connections);
    let crowd = Arc::new(Crowd::new(room.clients));
    let data = data_path(threads, &crowd, &control, &stop_accepting)?;
    side_thread("jobs", jobs::run(control.clone(), room.probes))?;
    side_thread("redis", jobs::shared::run(control.clone()))?;
    side_thread("acme", jobs::acme::run(control.clone()))?;
    recompress(&control)?;
    #[cfg(feature = "otlp")]
    send_spans(&control)?;
    if let Some(before) = predecessor.as_ref() {
        main.block_on(settle(&control, &before.hello));
    }
    let open = accept(&data, ports.data, &crowd, &control, &stop_accepting)?;
    let stats = match ports.admin {
        Some(listener) => Some(serve_admin(
            listener,
            control.clone(),
            leave_stats.subscribe(),
        )?),
        None => None,
    };
    if let Some(before) = predecessor.take() {
        tracing::info!("process {} hands over to this one", before.hello.pid);
        before.serves(open);
    }
    main.block_on(async {
        let pulse = Pulse::of(data.handle().clone());
        notify.is_ready(&control);
        // Not before: its word after a reload is "ready", too.
        let _ = control.witness.set(notify.clone());
        tokio::spawn(notify.clone().keep(control.clone(), pulse));
        let running = Running {
            control: &control,
            crowd: &crowd,
            stop_accepting: &stop_accepting,
            estate: &estate,
        };
        tokio::select! {
            () = signals.until_stop(&control) => running.stop(&notify, &mut signals).await,
            heir = succession::found(&control, &estate, of) => {
                running.hand_over(heir, &notify, &leave_stats).await;
                running.drain(&mut signals).await;
                // Whoever asked for it has the answer by then: it ends by itself.
                if let Some(stats) = stats {
                    let _ = stats.await;
                }
            }
        }
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

/// Opens the ports of the file, or takes those that came with the process. `takes_over`: from another process.
fn open_ports(
    config: &Config,
    mut inherited: Inherited,
    takes_over: bool,
) -> Result<Ports, String> {
    let mut open = |role, addr, what| match inherited.take(role, addr) {
        Some(listener) => Ok(listener),
        None => listen::open(addr, what),
    };
    let data = config
        .listen
        .iter()
        .map(|l| open(Role::Data, l.addr, "the proxy"))
        .collect::<Result<_, String>>()?;
    let admin = match &config.admin {
        Some(admin) => Some(open(Role::Stats, admin.addr, "the stats port")?),
        None => None,
    };
    inherited.close_rest(takes_over)?;
    Ok(Ports { data, admin })
}

impl Ports {
    /// What the next process gets of them.
    fn estate(&self, config: &Config) -> io::Result<Estate> {
        let data = self.data.iter().zip(&config.listen);
        let data = data.map(|(port, listen)| (Role::Data, listen.addr, port));
        let stats = self.admin.iter().zip(&config.admin);
        let stats = stats.map(|(port, admin)| (Role::Stats, admin.addr, port));
        Estate::of(data.chain(stats))
    }
}

/// Starts the threads that serve requests.
fn data_path(
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
    runtime.spawn(crowd::watch_over(
        crowd.clone(),
        control.clone(),
        stop_accepting.subscribe(),
    ));
    Ok(runtime)
}

/// Accepts connections from now on; where.
fn accept(
    runtime: &Runtime,
    listeners: Vec<TcpListener>,
    crowd: &Arc<Crowd>,
    control: &Arc<Control>,
    stop_accepting: &watch::Sender<bool>,
) -> Result<Vec<String>, String> {
    let config = &control.hold.load().config;
    let settings = Arc::new(ServerConf {
        threads: config.threads,
        max_retries: MOST_ATTEMPTS,
        ..ServerConf::default()
    });
    let _in_runtime = runtime.enter();
    let proxy = Arc::new(http_proxy(&settings, Gateway::new(control.clone())));
    let mut open = Vec::new();
    for (at, (listener, listen)) in listeners.into_iter().zip(&config.listen).enumerate() {
        let addr = listener
            .local_addr()
            .map_err(|e| format!("a port was lost: {e}"))?;
        let label = addr.to_string();
        let tls = OnceLock::new();
        if listen.tls.is_some() {
            tls.get_or_init(|| control.metrics.tls(&label));
        }
        open.push(label.clone());
        let port = Arc::new(Port {
            metrics: control.metrics.listener(&label),
            label,
            open: OpenPort::new(at, listen),
            tls,
            begun: Begun::default(),
        });
        let front = Front::new(proxy.clone(), control.clone(), port, crowd.clone());
        let listener = tokio::net::TcpListener::from_std(listener)
            .map_err(|e| format!("a port was lost: {e}"))?;
        runtime.spawn(take_in(front, listener, stop_accepting.subscribe()));
        tracing::info!("listening on {addr}");
    }
    Ok(open)
}

/// Serves the stats port. What is returned ends once nobody is served any more, after `leaves`.
fn serve_admin(
    listener: TcpListener,
    control: Arc<Control>,
    leaves: watch::Receiver<bool>,
) -> Result<oneshot::Receiver<()>, String> {
    let addr = listener
        .local_addr()
        .map_err(|e| format!("the stats port was lost: {e}"))?;
    tracing::info!("stats port on {addr}");
    let (over, is_over) = oneshot::channel();
    side_thread("stats", async move {
        let _over = over; // dropped at the end, and that is the word
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => admin::serve(listener, control, leaves).await,
            Err(e) => tracing::error!("the stats port is gone: {e}; requests are served on"),
        }
    })?;
    Ok(is_over)
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
