//! `tidegate top`: once for a file or a program, living on a terminal, which it leaves as it was.

use std::fs;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::process::Process;
use crate::support::proxy::{BINARY, SOON, Tidegate, web};
use crate::support::{check, eventually, ms};

async fn busy() -> (Vec<Origin>, Tidegate) {
    let apps = Origin::several(2).await;
    let tide = Tidegate::run(web("", nodes(&apps))).await;
    (apps, tide)
}

#[tokio::test]
async fn one_picture_shows_the_load() {
    let (_apps, tide) = busy().await;
    let load = Load::at(200).start(tide.addr());
    eventually("the load is seen", SOON, async || {
        let json = tide.command(&["top", "-o", "json"]).await;
        assert_eq!(json.code, 0, "{}", json.all());
        let tick = json.json();
        let requests = tick["second"]["requests"].as_u64().unwrap_or_default();
        let of_node = &tick["upstreams"][0]["nodes"][1]["second"]["requests"];
        check(requests > 50 && of_node.as_u64() > Some(10), tick)
    })
    .await;
    let text = tide.command(&["top"]).await;
    assert_eq!(text.code, 0, "{}", text.all());
    for told in [
        "ready, up",
        "req/s",
        "web",
        "2 of 2",
        "app-1",
        "app-2",
        "default",
        "█",
    ] {
        assert!(
            text.out.contains(told),
            "{told} is missing in:\n{}",
            text.out
        );
    }
    assert!(
        !text.out.contains('\u{1b}'),
        "a file is no terminal:\n{}",
        text.out
    );
    let twice = tide.command(&["top", "-n", "2", "-o", "json"]).await;
    let ticks: Vec<serde_json::Value> = (twice.out.lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        ticks.len() == 2 && ticks[0]["at"] != ticks[1]["at"],
        "{}",
        twice.all()
    );
    load.stop().await.nothing_failed_of(1);
}

#[tokio::test]
async fn a_picture_of_nobody_says_where_it_looked() {
    let nobody = Origin::refusing("nobody").addr().to_string();
    let done = crate::support::proxy::tidegate(&["top", "--admin", &nobody]).await;
    assert_eq!(done.code, 1);
    assert!(done.err.contains(&nobody), "{}", done.err);
}

/// A `top` on a terminal of its own, what it has drawn, and its process.
struct Drawn {
    dir: TempDir,
    script: Process,
}

impl Drawn {
    fn start(tide: &Tidegate) -> Self {
        let dir = TempDir::new().unwrap();
        let top = format!(
            "stty cols 100 rows 30; echo $$ > pid; exec {BINARY} top --admin {}",
            tide.admin()
        );
        let mut command = Command::new("script");
        command
            .args(["-q", "-e", "-f", "-c", &top, "drawn"])
            .current_dir(&dir);
        let script = Process::start(command.env("TERM", "xterm"));
        Drawn { dir, script }
    }

    fn so_far(&self) -> String {
        let bytes = fs::read(self.dir.path().join("drawn")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    async fn shows(&self, what: &str, times: usize) {
        eventually(&format!("{what} is shown"), SOON, async || {
            let all = self.so_far();
            check(all.matches(what).count() >= times, all)
        })
        .await;
    }

    fn signal(&self, signal: Signal) {
        let pid = fs::read_to_string(self.dir.path().join("pid")).unwrap();
        kill(Pid::from_raw(pid.trim().parse().unwrap()), signal).unwrap();
    }
}

const ENTERED: &str = "\u{1b}[?1049h";
const LEFT: &str = "\u{1b}[?1049l";
const CURSOR: &str = "\u{1b}[?25h";

#[tokio::test]
async fn a_living_picture_outlives_the_proxy_and_leaves_the_terminal_as_it_was() {
    let (_apps, tide) = busy().await;
    let drawn = Drawn::start(&tide);
    drawn.shows("last 60 s", 3).await;
    let all = drawn.so_far();
    assert!(all.contains(ENTERED) && !all.contains(LEFT), "{all}");
    tide.signal(Signal::SIGTERM);
    assert_eq!(tide.ended(ms(5_000)).await, 0, "a viewer holds nobody up");
    drawn.shows("IS GONE", 1).await;
    drawn.signal(Signal::SIGINT);
    assert_eq!(drawn.script.ended(ms(5_000)).await, 130);
    let all = drawn.so_far();
    let (_, after) = all.rsplit_once(LEFT).unwrap_or_else(|| panic!("{all}"));
    assert!(after.contains(CURSOR), "{after}");
}
