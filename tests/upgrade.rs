//! Another process takes over, and nobody who asks for a page can tell.

mod activation;
mod failing;
mod leaving;
mod notify;
mod over_tls;
mod ports;
mod state;
mod under_load;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::client::Answer;
use crate::support::proxy::{BINARY, SOON, Tidegate, complete};
use crate::support::{check, eventually};

/// Who upgrades needs a token with the role admin.
const ADMIN: &str = "admin: { addr: \"127.0.0.1:0\", tokens: [{ name: boss, role: admin, token_file: own.token }] }\n";

/// A proxy whose binary is a link in the folder of its file, so that a story can put another one there.
struct Reign(Tidegate);

impl std::ops::Deref for Reign {
    type Target = Tidegate;

    fn deref(&self) -> &Tidegate {
        &self.0
    }
}

impl Reign {
    /// Starts it on this configuration.
    async fn begin(yaml: &str) -> Self {
        Reign::begin_with(yaml, &[]).await
    }

    /// The same, with these variables in its environment.
    async fn begin_with(yaml: &str, env: &[(&str, &str)]) -> Self {
        Reign::begin_in(folder(yaml), env).await
    }

    /// Starts it in a folder that has all it needs.
    async fn begin_in(dir: TempDir, env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(dir.path().join("tidegate"));
        command
            .args(["run", "-c"])
            .arg(dir.path().join("tidegate.yaml"));
        command.envs(env.iter().copied());
        let tide = Tidegate::run_leading(&mut command, dir).await;
        let reign = Reign(tide);
        eventually("it is ready", SOON, async || {
            let answer = reign.api("GET", "/readyz", "").await;
            check(answer.status == 200, answer.text())
        })
        .await;
        reign
    }

    /// The process that serves.
    async fn pid(&self) -> i32 {
        let pid = self.status().await["pid"].as_i64();
        pid.and_then(|pid| pid.try_into().ok())
            .expect("a process id")
    }

    /// Asks for an upgrade.
    async fn asks(&self, body: &str) -> Answer {
        self.api("POST", "/api/v1/upgrade", body).await
    }

    /// Another process takes over; its id.
    async fn upgrade(&self) -> i32 {
        let before = self.pid().await;
        let answer = self.asks("").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told = answer.json();
        assert_eq!(told["was"], before);
        let pid = told["pid"].as_i64().unwrap().try_into().unwrap();
        assert_ne!(pid, before);
        assert_eq!(self.pid().await, pid, "the stats port is the new one's");
        pid
    }

    /// Puts this script where its binary is.
    fn replace_by(&self, script: &str) {
        let file = self.dir().join("tidegate");
        let fresh = self.dir().join("tidegate.new");
        std::fs::write(&fresh, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&fresh, PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::rename(fresh, file).unwrap();
    }

    /// Puts the right binary back.
    fn put_back(&self) {
        let fresh = self.dir().join("tidegate.new");
        symlink(BINARY, &fresh).unwrap();
        std::fs::rename(fresh, self.dir().join("tidegate")).unwrap();
    }

    /// Waits until the log says this.
    async fn says(&self, what: &str) {
        eventually(&format!("the log says {what:?}"), SOON, async || {
            let log = self.log();
            check(log.contains(what), log)
        })
        .await;
    }

    /// Events that say this, of the process that serves.
    async fn events(&self, what: &str) -> Vec<Value> {
        let events = self.json("/api/v1/events?limit=50").await;
        let all = events["events"].as_array().expect("a list").clone();
        let says = |event: &Value| {
            event["text"]
                .as_str()
                .is_some_and(|text| text.contains(what))
        };
        all.into_iter().filter(says).collect()
    }
}

/// A folder with this file, the token and the binary.
fn folder(yaml: &str) -> TempDir {
    let dir = TempDir::new().expect("a temporary folder");
    let text = complete(&format!("{ADMIN}{yaml}"));
    std::fs::write(dir.path().join("tidegate.yaml"), text).expect("a writable folder");
    std::fs::write(dir.path().join("own.token"), "administering-0123456789")
        .expect("a writable folder");
    symlink(BINARY, dir.path().join("tidegate")).expect("a writable folder");
    dir
}

/// Whether there is such a process, and it is more than its own remains.
fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.trim_start().chars().next());
    matches!(state, Some(Some(state)) if state != 'Z')
}

/// Waits until there is no such process.
async fn is_gone(pid: i32) {
    eventually(&format!("process {pid} is gone"), SOON, async || {
        check(!runs(pid), "it runs")
    })
    .await;
}

fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("a process that this story started");
}
