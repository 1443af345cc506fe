//! A handle on the real binary: its file, its ports, its signals, its log.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::client::{Answer, Client, Request};
use super::origin::{Origin, nodes};
use super::process::{Done, Process, finish};
use super::wire::Broken;
use super::{check, eventually};

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_tidegate");

/// How long the program may take to start, and how long a change may take that has no promise of its own.
pub const SOON: Duration = Duration::from_secs(8);

/// Keys every configuration has unless the story writes its own.
const USUAL: [(&str, &str); 3] = [
    ("listen:", "listen: [{ addr: \"127.0.0.1:0\" }]\n"),
    ("admin:", "admin: { addr: \"127.0.0.1:0\" }\n"),
    ("threads:", "threads: 2\n"),
];

/// A whole configuration: the story's part and the usual rest.
pub fn complete(yaml: &str) -> String {
    let mut whole = String::new();
    for (key, line) in USUAL {
        if !yaml.lines().any(|l| l.starts_with(key)) {
            whole.push_str(line);
        }
    }
    whole + yaml.trim_start_matches('\n')
}

/// Runs `tidegate` with these arguments to its end.
pub async fn tidegate<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Done {
    let mut command = Command::new(BINARY);
    finish(command.args(args)).await
}

/// The running proxy.
pub struct Tidegate {
    process: Process,
    dir: TempDir,
    addr: SocketAddr,
    admin: SocketAddr,
}

impl Tidegate {
    /// Starts it on this configuration and waits until it is ready.
    pub async fn run(yaml: impl AsRef<str>) -> Self {
        let tide = Tidegate::run_unready(yaml).await;
        eventually("ready", SOON, async || {
            let answer = tide.api("GET", "/readyz", "").await;
            check(answer.status == 200, answer.text())
        })
        .await;
        tide
    }

    /// Starts it on this configuration and waits until its ports are open.
    pub async fn run_unready(yaml: impl AsRef<str>) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        std::fs::write(dir.path().join("tidegate.yaml"), complete(yaml.as_ref()))
            .expect("a writable folder");
        Tidegate::run_in(dir).await
    }

    /// Starts it on `tidegate.yaml` of a folder that the story has filled.
    pub async fn run_in(dir: TempDir) -> Self {
        let path = dir.path().join("tidegate.yaml");
        Tidegate::run_as(Command::new(BINARY).args(["run", "-c"]).arg(&path), dir).await
    }

    /// Starts it on this configuration with hooks that panic when a request asks for it (`X-Fault: HOOK`), and a
    /// clock that goes [forward](Tidegate::forward).
    pub async fn run_with_faults(yaml: impl AsRef<str>) -> Self {
        Tidegate::run_with_faults_and(&[], yaml).await
    }

    /// The same, with these variables in its environment.
    pub async fn run_with_faults_and(env: &[(&str, &str)], yaml: impl AsRef<str>) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let path = dir.path().join("tidegate.yaml");
        std::fs::write(&path, complete(yaml.as_ref())).expect("a writable folder");
        let mut command = Command::new(BINARY);
        command
            .env("TIDEGATE_FAULTS", "1")
            .envs(env.iter().copied());
        Tidegate::run_as(command.args(["run", "-c"]).arg(&path), dir).await
    }

    /// Starts it on this configuration as a process that may open so many files.
    pub async fn run_with_files(files: usize, yaml: impl AsRef<str>) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let path = dir.path().join("tidegate.yaml");
        std::fs::write(&path, complete(yaml.as_ref())).expect("a writable folder");
        let limited = format!("ulimit -n {files} && exec \"$0\" run -c \"$1\"");
        let mut command = Command::new("sh");
        Tidegate::run_as(command.args(["-c", &limited, BINARY]).arg(&path), dir).await
    }

    /// Starts it by this command, in whose place other processes may come: they end with the story.
    pub async fn run_leading(command: &mut Command, dir: TempDir) -> Self {
        Tidegate::of(Process::start_leading(command), dir).await
    }

    async fn run_as(command: &mut Command, dir: TempDir) -> Self {
        Tidegate::of(Process::start(command), dir).await
    }

    async fn of(process: Process, dir: TempDir) -> Self {
        let (addr, admin) = ports(&process).await;
        Tidegate {
            process,
            dir,
            addr,
            admin,
        }
    }

    /// The data port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Every data port, in the order of the file.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        let log = self.process.output().err;
        log.iter()
            .filter_map(|l| port(l, "listening on "))
            .collect()
    }

    /// The stats port.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Its configuration file.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("tidegate.yaml")
    }

    /// The folder of its configuration file.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    // -- the data port

    /// A connection to the data port.
    pub async fn connect(&self) -> Client {
        let connected = Client::connect(self.addr).await;
        connected.unwrap_or_else(|e| panic!("the data port: {e}"))
    }

    /// The answer to a request on a connection of its own.
    pub async fn ask(&self, request: &Request) -> Answer {
        let answer = self.try_ask(request).await;
        answer.unwrap_or_else(|e| panic!("{request:?}: {e}"))
    }

    /// The answer to a request on a connection of its own, or how it broke.
    pub async fn try_ask(&self, request: &Request) -> Result<Answer, Broken> {
        Client::connect(self.addr).await?.ask(request).await
    }

    /// The answer to a GET.
    pub async fn get(&self, target: &str) -> Answer {
        self.ask(&Request::get(target)).await
    }

    /// Puts the clock of its cache forward; it was started [with faults](Tidegate::run_with_faults).
    pub async fn forward(&self, by: Duration) {
        self.sets_clock(&format!("+{}", by.as_millis())).await;
    }

    /// Stops the clock of its cache at so many milliseconds since 1970; putting it forward moves it from there. It was
    /// started [with faults](Tidegate::run_with_faults).
    pub async fn stop_clock(&self, at: u64) {
        self.sets_clock(&format!("={at}")).await;
    }

    async fn sets_clock(&self, to: &str) {
        let request = Request::new("HEAD", "/clock").field("X-Clock", to);
        self.ask(&request).await;
    }

    // -- the file

    /// Replaces the file by rename, as editors and deploy tools do.
    pub fn write(&self, yaml: &str) {
        self.write_file("tidegate.yaml", &complete(yaml));
    }

    /// Replaces a file of its folder by rename.
    pub fn write_file(&self, name: &str, text: &str) {
        let fresh = self.dir().join(format!(".{name}.new"));
        std::fs::write(&fresh, text).expect("a writable folder");
        std::fs::rename(&fresh, self.dir().join(name)).expect("a rename in one folder");
    }

    /// Writes the file in place, truncating it first.
    pub fn write_in_place(&self, yaml: &str) {
        std::fs::write(self.path(), complete(yaml)).expect("a writable folder");
    }

    /// Replaces the file and waits until the next generation serves; returns how long it took.
    pub async fn apply(&self, yaml: &str) -> Duration {
        let before = self.generation().await;
        let began = Instant::now();
        self.write(yaml);
        self.reaches_generation(before + 1).await;
        began.elapsed()
    }

    // -- the stats port

    /// Any request to the stats port; `body` is JSON.
    pub async fn api(&self, method: &str, target: &str, body: &str) -> Answer {
        let mut request = if body.is_empty() {
            Request::new(method, target)
        } else {
            let json = ("Content-Type", "application/json");
            Request::post(target, body)
                .method(method)
                .field(json.0, json.1)
        };
        request = request.host(&self.admin.to_string());
        request = request.field("Connection", "close");
        if let Some(token) = self.token() {
            request = request.field("Authorization", &format!("Bearer {token}"));
        }
        let asked = async { Client::connect(self.admin).await?.ask(&request).await }.await;
        asked.unwrap_or_else(|e| panic!("stats port, {method} {target}: {e}"))
    }

    /// The token that this story brings everywhere: what `own.token` in the folder of its file holds.
    fn token(&self) -> Option<String> {
        std::fs::read_to_string(self.dir().join("own.token")).ok()
    }

    /// A GET that must answer 200 with JSON.
    pub async fn json(&self, target: &str) -> Value {
        let answer = self.api("GET", target, "").await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        answer.json()
    }

    /// A verb on a node: `drain`, `undrain`, `down`.
    pub async fn verb(&self, node: &str, verb: &str) -> Value {
        let (upstream, id) = node.split_once('/').expect("UPSTREAM/NODE");
        let target = format!("/api/v1/upstreams/{upstream}/nodes/{id}/{verb}");
        let answer = self.api("POST", &target, "").await;
        assert_eq!(answer.status, 200, "{verb} {node}: {}", answer.text());
        answer.json()
    }

    /// What the stats port says of a node.
    pub async fn node(&self, node: &str) -> Value {
        let (upstream, id) = node.split_once('/').expect("UPSTREAM/NODE");
        self.json(&format!("/api/v1/upstreams/{upstream}/nodes/{id}"))
            .await
    }

    /// Waits until the stats port shows a node with this value at this key.
    pub async fn node_has(&self, node: &str, key: &str, value: impl Into<Value>) {
        let value = value.into();
        eventually(&format!("{node} has {key} {value}"), SOON, async || {
            let seen = self.node(node).await;
            check(seen[key] == value, seen)
        })
        .await;
    }

    /// `/api/v1/status`.
    pub async fn status(&self) -> Value {
        self.json("/api/v1/status").await
    }

    /// The generation of the configuration that serves.
    pub async fn generation(&self) -> u64 {
        let status = self.status().await;
        status["generation"].as_u64().expect("a generation")
    }

    /// Waits until this generation (or a later one) serves.
    pub async fn reaches_generation(&self, n: u64) {
        eventually(&format!("generation {n}"), SOON, async || {
            let status = self.status().await;
            check(status["generation"].as_u64() >= Some(n), &status)
        })
        .await;
    }

    /// The sum of the samples of a metric whose labels have these values; `None` when there is none.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let text = self.api("GET", "/metrics", "").await.text();
        let mut found = None;
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').expect("NAME VALUE");
            let (its_name, its_labels) = series.split_once('{').unwrap_or((series, ""));
            let fits = |(k, v): &(&str, &str)| its_labels.contains(&format!("{k}=\"{v}\""));
            if its_name == name && labels.iter().all(fits) {
                *found.get_or_insert(0.0) += value.parse::<f64>().expect("a number");
            }
        }
        found
    }

    /// Waits until a metric has this value.
    pub async fn metric_is(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let what = format!("{name}{labels:?} is {value}");
        eventually(&what, SOON, async || {
            let seen = self.metric(name, labels).await;
            check(seen == Some(value), format!("{seen:?}"))
        })
        .await;
    }

    /// Waits until so many requests were refused for this reason.
    pub async fn refused(&self, reason: &str, n: usize) {
        let labels = [("reason", reason)];
        self.metric_is("tidegate_requests_refused_total", &labels, n as f64)
            .await;
    }

    /// Waits until this many connections stand.
    pub async fn stands_at(&self, connections: usize) {
        self.metric_is("tidegate_connections_active", &[], connections as f64)
            .await;
    }

    /// Waits until nobody is connected and nothing is being worked on.
    pub async fn is_empty(&self) {
        self.stands_at(0).await;
        self.metric_is("tidegate_http_requests_in_flight", &[], 0.0)
            .await;
    }

    // -- the process

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Its exit code, once it has ended.
    pub async fn ended(&self, limit: Duration) -> i32 {
        self.process.ended(limit).await
    }

    /// A command of the same binary that talks to this one.
    pub async fn command(&self, args: &[&str]) -> Done {
        let mut command = Command::new(BINARY);
        let command = command.args(args);
        if let Some(token) = self.token() {
            command.env("TIDEGATE_TOKEN", token);
        }
        finish(command.env("TIDEGATE_ADMIN", self.admin.to_string())).await
    }

    /// Its log.
    pub fn log(&self) -> String {
        self.process.output().err.join("\n")
    }

    /// Waits for the access log line of a request to this path.
    pub async fn told(&self, path: &str) -> Value {
        eventually(&format!("an access log line of {path}"), SOON, async || {
            let lines = self.access_log();
            let line = lines.into_iter().find(|l| l["path"] == path);
            line.ok_or("no such line")
        })
        .await
    }

    /// Waits until the access log has (at least) so many lines.
    pub async fn tells(&self, lines: usize) -> Vec<Value> {
        eventually(&format!("{lines} lines of access log"), SOON, async || {
            let log = self.access_log();
            if log.len() >= lines {
                return Ok(log);
            }
            Err(log.len())
        })
        .await
    }

    /// Every access log line so far.
    pub fn access_log(&self) -> Vec<Value> {
        let out = self.process.output().out;
        let parse = |l: &String| {
            serde_json::from_str(l).unwrap_or_else(|e| panic!("not a JSON line ({e}): {l}"))
        };
        out.iter().map(parse).collect()
    }
}

impl Drop for Tidegate {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.process.output().err;
            let last = log.len().saturating_sub(60);
            eprintln!("--- the proxy's log\n{}\n---", log[last..].join("\n"));
        }
    }
}

/// The ports a starting proxy tells in its log: the first data port and the stats port.
pub async fn ports(process: &Process) -> (SocketAddr, SocketAddr) {
    eventually("the proxy listens", SOON, async || {
        let log = process.output().err;
        let told = |what: &str| log.iter().find_map(|l| port(l, what));
        match (told("listening on "), told("stats port on ")) {
            (Some(data), Some(admin)) => Ok((data, admin)),
            _ if !process.runs() => panic!("it ended at once:\n{}", log.join("\n")),
            _ => Err(format!("its log is:\n{}", log.join("\n"))),
        }
    })
    .await
}

fn port(line: &str, after: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(after)?;
    let word = rest.split_whitespace().next()?;
    word.trim_end_matches(['.', ',']).parse().ok()
}

/// The smallest configuration: one upstream `web` with these keys (a line each) and nodes, and a route to it.
pub fn web(keys: &str, nodes: impl std::fmt::Display) -> String {
    let mut yaml = format!("upstreams:\n  web:\n    nodes: {nodes}\n");
    for key in keys.lines().map(str::trim).filter(|k| !k.is_empty()) {
        yaml.push_str(&format!("    {key}\n"));
    }
    yaml + "routes:\n  - upstream: web\n"
}

/// One origin and the proxy in front of it, with `top`, further sections, at the top of the file.
pub async fn one_node_under(top: &str) -> (Origin, Tidegate) {
    let app = Origin::start("app-1").await;
    let tide = Tidegate::run(format!("{top}{}", web("", nodes([&app])))).await;
    (app, tide)
}

/// One origin and the proxy in front of it.
pub async fn one_node() -> (Origin, Tidegate) {
    one_node_with("").await
}

/// The same, the upstream with these keys.
pub async fn one_node_with(keys: &str) -> (Origin, Tidegate) {
    let app = Origin::start("app-1").await;
    let tide = Tidegate::run(web(keys, nodes([&app]))).await;
    (app, tide)
}
