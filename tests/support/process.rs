//! A child process: its output is kept, its end is an event, and it never outlives its story.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::sync::watch;

/// A child process whose output is kept and whose end is an event.
pub struct Process {
    pid: Pid,
    output: Arc<Mutex<Output>>,
    exit: watch::Receiver<Option<i32>>,
    /// Its own exit code, whoever else still writes where it wrote.
    gone: watch::Receiver<Option<i32>>,
    /// Whether it leads a group, all of which ends with the story.
    leads: bool,
}

/// What a process has printed.
#[derive(Default, Clone)]
pub struct Output {
    /// Lines of standard output.
    pub out: Vec<String>,
    /// Lines of standard error.
    pub err: Vec<String>,
}

impl Process {
    /// Starts a command.
    pub fn start(command: &mut Command) -> Self {
        Process::run(command, false)
    }

    /// Starts a command that may leave processes behind: they end with the story, too.
    pub fn start_leading(command: &mut Command) -> Self {
        Process::run(command.process_group(0), true)
    }

    fn run(command: &mut Command, leads: bool) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?} does not start: {e}"));
        let pid = Pid::from_raw(child.id().try_into().expect("a process id"));
        let output: Arc<Mutex<Output>> = Arc::default();
        let out = keep(child.stdout.take(), output.clone(), |o| &mut o.out);
        let err = keep(child.stderr.take(), output.clone(), |o| &mut o.err);
        let (tell, exit) = watch::channel(None);
        let (tell_gone, gone) = watch::channel(None);
        std::thread::spawn(move || {
            let status = child.wait().expect("our own child");
            tell_gone.send_replace(Some(code(status)));
            for reader in [out, err] {
                reader.join().expect("a reader does not panic");
            }
            tell.send_replace(Some(code(status)));
        });
        Process {
            pid,
            output,
            exit,
            gone,
            leads,
        }
    }

    /// What it has printed so far.
    pub fn output(&self) -> Output {
        self.output.lock().unwrap().clone()
    }

    /// Its exit code, once it has ended, whoever else still writes where it wrote.
    pub async fn gone(&self, limit: Duration) -> i32 {
        let mut gone = self.gone.clone();
        let code = tokio::time::timeout(limit, gone.wait_for(Option::is_some)).await;
        let code = code.unwrap_or_else(|_| panic!("still runs after {limit:?}"));
        code.expect("the waiting thread").expect("an exit code")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        assert!(self.exit.borrow().is_none(), "it has already ended");
        kill(self.pid, signal).expect("our own child");
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Bytes of memory it holds.
    pub fn memory(&self) -> usize {
        let status = self.proc("status");
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let kb = line.and_then(|l| l.trim().strip_suffix(" kB")?.parse::<usize>().ok());
        kb.expect("a number of kB") * 1_024
    }

    /// Processor time it has used, in user and in system mode together.
    pub fn worked(&self) -> Duration {
        let stat = self.proc("stat");
        let (_, after_name) = stat.rsplit_once(')').expect("PID (NAME) …");
        let ticks = after_name.split_whitespace().skip(11).take(2);
        let ticks = ticks.map(|t| t.parse::<u64>().expect("a number of ticks"));
        Duration::from_millis(ticks.sum::<u64>() * 10) // Linux counts 100 a second for everybody
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.pid())).expect("a running process")
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.exit.borrow().is_none()
    }

    /// Its exit code (128 + n when signal n ended it), once it has ended and its output is complete.
    pub async fn ended(&self, limit: Duration) -> i32 {
        let mut exit = self.exit.clone();
        let code = tokio::time::timeout(limit, exit.wait_for(Option::is_some)).await;
        let code = code.unwrap_or_else(|_| panic!("still runs after {limit:?}"));
        code.expect("the waiting thread").expect("an exit code")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.leads {
            // Nobody may be left of it: that is well, too.
            let _ = killpg(self.pid, Signal::SIGKILL);
        }
        if self.exit.borrow().is_none() {
            // It may end at this very moment: that is what was wanted.
            let _ = kill(self.pid, Signal::SIGKILL);
        }
    }
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    let by_signal = || 128 + status.signal().unwrap_or(0);
    status.code().unwrap_or_else(by_signal)
}

fn keep(
    pipe: Option<impl Read + Send + 'static>,
    output: Arc<Mutex<Output>>,
    which: fn(&mut Output) -> &mut Vec<String>,
) -> std::thread::JoinHandle<()> {
    let pipe = BufReader::new(pipe.expect("piped"));
    std::thread::spawn(move || {
        for line in pipe.split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            which(&mut output.lock().unwrap()).push(line);
        }
    })
}

/// A command's end: exit code and output.
pub struct Done {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Done {
    /// Both outputs, for assertions that do not care.
    pub fn all(&self) -> String {
        format!("{}\n{}", self.out, self.err)
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("not JSON ({e}): {}", self.all()))
    }
}

/// Runs a command to its end.
pub async fn finish(command: &mut Command) -> Done {
    let process = Process::start(command);
    let code = process.ended(Duration::from_secs(15)).await;
    let Output { out, err } = process.output();
    Done {
        code,
        out: out.join("\n"),
        err: err.join("\n"),
    }
}
