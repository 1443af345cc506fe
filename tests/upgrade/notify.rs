//! What a service manager hears: real datagrams, at a socket that the story holds in its place.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::Reign;
use crate::support::ms;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{SOON, web};

/// A service manager that only listens.
struct Manager {
    socket: UnixDatagram,
    name: String,
}

impl Manager {
    /// At a name in the abstract space, as systemd has it in a container.
    fn new(of: &str) -> Self {
        let name = format!("tidegate-story-{of}-{}", std::process::id());
        let addr = SocketAddr::from_abstract_name(&name).unwrap();
        Manager {
            socket: UnixDatagram::bind_addr(&addr).unwrap(),
            name: format!("@{name}"),
        }
    }

    /// What is said next, within this time.
    fn hears(&self, limit: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(limit)).unwrap();
        let mut room = [0; 4_096];
        let n = self.socket.recv(&mut room).ok()?;
        Some(String::from_utf8(room[..n].to_vec()).unwrap())
    }

    /// What is said, up to something with this in it.
    fn hears_until(&self, what: &str) -> Vec<String> {
        let begun = Instant::now();
        let mut heard = Vec::new();
        while begun.elapsed() < SOON {
            heard.extend(self.hears(SOON));
            if heard.last().is_some_and(|said| said.contains(what)) {
                return heard;
            }
        }
        panic!("never said {what:?}, only {heard:?}");
    }
}

async fn told(of: &str, more: &[(&str, &str)]) -> (Origin, Manager, Reign) {
    let app = Origin::start("app-1").await;
    let manager = Manager::new(of);
    let mut env = vec![("NOTIFY_SOCKET", manager.name.as_str())];
    env.extend(more);
    let reign = Reign::begin_with(&web("", nodes([&app])), &env).await;
    (app, manager, reign)
}

#[tokio::test]
async fn ready_reload_and_stop_are_told_in_their_words() {
    let (_app, manager, reign) = told("life", &[]).await;
    let pid = reign.process().pid();
    let first = manager.hears(SOON).expect("a word");
    assert!(
        first.starts_with(&format!("READY=1\nMAINPID={pid}\n")),
        "{first}"
    );
    assert!(first.contains("STATUS=generation 1, "), "{first}");
    let whole = std::fs::read_to_string(reign.path()).unwrap();
    // Whoever asks for it, and whether anything comes of it or not.
    let asks: [(&str, &dyn Fn()); 2] = [
        ("a signal", &|| reign.signal(Signal::SIGHUP)),
        ("a file", &|| {
            reign.write_file("tidegate.yaml", &format!("{whole}# changed\n"));
        }),
    ];
    for (by, ask) in asks {
        ask();
        is_reloading(&manager, by);
    }
    assert_eq!(reign.api("POST", "/api/v1/reload", "").await.status, 200);
    is_reloading(&manager, "the stats port");
    reign.write_file("tidegate.yaml", &format!("{whole}nonsense: 1\n"));
    manager.hears_until("RELOADING=1");
    let refused = manager.hears_until("READY=1").pop().unwrap();
    assert!(refused.contains("the last reload was refused"), "{refused}");
    reign.signal(Signal::SIGTERM);
    let stops = manager.hears_until("STOPPING=1").pop().unwrap();
    assert!(stops.contains("EXTEND_TIMEOUT_USEC=35000000"), "{stops}");
}

/// The manager hears of a reload and that it is over, with no more than a line between them.
#[track_caller]
fn is_reloading(manager: &Manager, by: &str) {
    let reloads = manager.hears_until("RELOADING=1").pop().unwrap();
    assert!(reloads.contains("MONOTONIC_USEC="), "{by}: {reloads}");
    assert!(manager.hears_until("READY=1").len() <= 2, "{by}");
}

#[tokio::test]
async fn the_manager_knows_who_serves_before_that_one_says_a_word_and_the_other_says_no_more() {
    let (_app, manager, reign) = told("heir", &[("WATCHDOG_USEC", "400000")]).await;
    let _stays = reign.connect().await; // the old one has something to wait for
    let next = reign.upgrade().await;
    let handed = format!("MAINPID={next}\n");
    let heard = manager.hears_until(&handed);
    assert_eq!(heard.last(), Some(&handed), "the last word of who leaves");
    let first = manager.hears_until("READY=1");
    assert!(first[0].contains(&format!("MAINPID={next}")), "{first:?}");
    reign.signal(Signal::SIGTERM);
    assert_eq!(reign.process().gone(ms(5_000)).await, 0);
    while let Some(said) = manager.hears(ms(250)) {
        assert!(!said.contains("STOPPING"), "{said}");
        if said.contains("WATCHDOG=1") {
            return; // of the one that serves
        }
    }
    panic!("the one that serves gives no sign of life");
}

#[tokio::test]
async fn signs_of_life_come_twice_as_often_as_they_have_to() {
    let (_app, manager, reign) = told("life-signs", &[("WATCHDOG_USEC", "400000")]).await;
    manager.hears_until("WATCHDOG=1");
    let begun = Instant::now();
    for _ in 0..5 {
        manager.hears_until("WATCHDOG=1");
    }
    let took = begun.elapsed();
    assert!(took > ms(700) && took < ms(1_900), "five in {took:?}");
    drop(reign);
}
