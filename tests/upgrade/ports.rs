//! Ports that stay, come and go with an upgrade.

use std::net::{SocketAddr, TcpListener};

use super::Reign;
use crate::support::client::{Client, Request};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{SOON, web};
use crate::support::{check, eventually};

/// A port that was free a moment ago.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

async fn answers(port: SocketAddr) -> Result<u16, String> {
    let asked = async { Client::connect(port).await?.ask(&Request::get("/")).await };
    asked.await.map(|a| a.status).map_err(|e| e.to_string())
}

#[tokio::test]
async fn a_port_stays_another_comes_and_one_that_the_file_drops_is_closed() {
    let app = Origin::start("app-1").await;
    let [first, second, third] = [free(), free(), free()];
    let listen = |a, b| format!("listen: [{{ addr: \"{a}\" }}, {{ addr: \"{b}\" }}]\n");
    let rest = web("", nodes([&app]));
    let reign = Reign::begin(&format!("{}{rest}", listen(first, second))).await;
    for port in [first, second] {
        assert_eq!(answers(port).await, Ok(200), "{port}");
    }
    let whole = std::fs::read_to_string(reign.path()).unwrap();
    let changed = whole.replace(&second.to_string(), &third.to_string());
    reign.write_file("tidegate.yaml", &changed);
    reign.upgrade().await;
    for port in [first, third] {
        assert_eq!(answers(port).await, Ok(200), "{port}");
    }
    eventually("the dropped port is closed", SOON, async || {
        check(Client::connect(second).await.is_err(), "it is open")
    })
    .await;
    reign.says(&format!("{second} is open no more")).await;
    assert_eq!(
        reign.status().await["waits_for_restart"],
        serde_json::json!([])
    );
    // And back, from a process that had its ports from another one.
    reign.write_file("tidegate.yaml", &whole);
    reign.upgrade().await;
    for port in [first, second] {
        assert_eq!(answers(port).await, Ok(200), "{port}");
    }
}

#[tokio::test]
async fn nothing_of_a_hand_over_is_left_in_the_environment_of_the_next_but_one() {
    let app = Origin::start("app-1").await;
    let reign = Reign::begin_with(&web("", nodes([&app])), &[("LISTEN_PID", "1")]).await;
    let mut last = 0;
    for _ in 0..3 {
        last = reign.upgrade().await;
    }
    let environ = std::fs::read_to_string(format!("/proc/{last}/environ")).unwrap();
    let of = |name: &str| {
        environ
            .split('\0')
            .filter(|var| var.starts_with(name))
            .count()
    };
    assert_eq!(
        (of("LISTEN_FDS="), of("LISTEN_FDNAMES="), of("LISTEN_PID=")),
        (1, 1, 0),
        "{environ}"
    );
    assert!(
        environ.contains("LISTEN_FDS=3"),
        "two ports and the way to the parent: {environ}"
    );
    let input = std::fs::read_link(format!("/proc/{last}/fd/0")).unwrap();
    assert_eq!(input.to_str(), Some("/dev/null"));
}
