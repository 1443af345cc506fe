//! Sockets that come with the process: from a parent that passes them on as systemd does.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use command_fds::{CommandFdExt, FdMapping};

use super::folder;
use crate::support::client::{Client, Request};
use crate::support::eventually;
use crate::support::origin::{Origin, nodes};
use crate::support::process::{Done, finish};
use crate::support::proxy::{SOON, Tidegate, web};

/// A command that gets these sockets, with the words about them that systemd would say; `pid`: to whom.
fn activated(dir: &std::path::Path, sockets: &[&TcpListener], pid: &str) -> Command {
    let script = format!(
        "LISTEN_PID={pid} LISTEN_FDS={} exec \"$0\" run -c \"$1\"",
        sockets.len()
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]);
    command
        .arg(dir.join("tidegate"))
        .arg(dir.join("tidegate.yaml"));
    let mappings = sockets.iter().zip(3..).map(|(socket, child_fd)| FdMapping {
        parent_fd: socket.try_clone().unwrap().into(),
        child_fd,
    });
    command.fd_mappings(mappings.collect()).unwrap();
    command
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// A file with these data ports.
async fn file(ports: &[SocketAddr]) -> (Origin, String) {
    let app = Origin::start("app-1").await;
    let ports: Vec<_> = ports
        .iter()
        .map(|p| format!("{{ addr: \"{p}\" }}"))
        .collect();
    let yaml = format!("listen: [{}]\n{}", ports.join(", "), web("", nodes([&app])));
    (app, yaml)
}

async fn answers(port: SocketAddr) -> u16 {
    let mut client = Client::connect(port).await.unwrap();
    client.ask(&Request::get("/")).await.unwrap().status
}

#[tokio::test]
async fn a_socket_that_came_is_used_a_missing_one_opened_and_an_upgrade_passes_both_on() {
    let ((came, first), second) = (listener(), listener().1);
    let (_app, yaml) = file(&[second, first]).await;
    let dir = folder(&yaml);
    // Somebody has connected before there was a proxy: nobody is refused while it starts.
    let mut early = Client::connect(first).await.unwrap();
    let mut command = activated(dir.path(), &[&came], "$$");
    let tide = Tidegate::run_leading(&mut command, dir).await;
    drop((came, command));
    assert_eq!(early.ask(&Request::get("/")).await.unwrap().status, 200);
    for port in [first, second] {
        assert_eq!(answers(port).await, 200, "{port}");
    }
    let upgraded = tide.api("POST", "/api/v1/upgrade", "").await;
    assert_eq!(upgraded.status, 200, "{}", upgraded.text());
    for port in [first, second] {
        assert_eq!(answers(port).await, 200, "{port}");
    }
}

#[tokio::test]
async fn who_came_before_there_was_a_proxy_is_answered_as_systemd_starts_it() {
    let port = listener().1;
    let (_app, yaml) = file(&[port]).await;
    let dir = folder(&yaml);
    let mut command = Command::new("systemd-socket-activate");
    command.arg(format!("--listen={port}"));
    command.arg(dir.path().join("tidegate")).args(["run", "-c"]);
    command.arg(dir.path().join("tidegate.yaml"));
    // It starts the proxy when somebody comes.
    let early = async {
        let connected = async || Client::connect(port).await.map_err(|e| e.to_string());
        let mut client = eventually("the port is open", SOON, connected).await;
        client.ask(&Request::get("/")).await.unwrap().status
    };
    let (tide, early) = tokio::join!(Tidegate::run_leading(&mut command, dir), early);
    assert_eq!(early, 200);
    assert_eq!(tide.addrs(), [port]);
    assert_eq!(answers(port).await, 200);
}

async fn refuses(command: &mut Command) -> Done {
    let done = finish(command).await;
    assert_eq!(done.code, 1, "{}", done.all());
    done
}

#[tokio::test]
async fn a_socket_that_the_file_does_not_name_is_refused_with_what_to_write() {
    let ((came, first), (other, stranger)) = (listener(), listener());
    let (_app, yaml) = file(&[first]).await;
    let dir = folder(&yaml);
    let done = refuses(&mut activated(dir.path(), &[&came, &other], "$$")).await;
    assert!(
        done.err.contains(&format!("a socket for {stranger}")),
        "{}",
        done.err
    );
    assert!(done.err.contains("ListenStream="), "{}", done.err);
}

#[tokio::test]
async fn sockets_for_another_process_and_nonsense_are_not_touched() {
    let ((came, taken), free) = (listener(), listener().1);
    let (_app, yaml) = file(&[free]).await;
    let dir = folder(&yaml);
    let tide = Tidegate::run_leading(&mut activated(dir.path(), &[&came], "1"), dir).await;
    assert_eq!(answers(free).await, 200);
    let inherits = Client::connect(taken).await;
    assert!(inherits.is_ok(), "it is the story's");
    drop(tide);

    let dir = folder(&yaml);
    let mut command = Command::new(dir.path().join("tidegate"));
    command
        .args(["run", "-c"])
        .arg(dir.path().join("tidegate.yaml"));
    let done = refuses(command.env("LISTEN_FDS", "99999999999")).await;
    assert!(done.err.contains("LISTEN_FDS"), "{}", done.err);
    let done = refuses(command.env("LISTEN_FDS", "1")).await;
    assert!(
        done.err.contains("socket 1 that was passed on"),
        "{}",
        done.err
    );
}

#[tokio::test]
async fn the_units_that_come_along_are_ones_that_systemd_can_read() {
    let dir = tempfile::TempDir::new().unwrap();
    let units = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/systemd");
    for unit in ["tidegate.service", "tidegate.socket"] {
        let text = std::fs::read_to_string(units.join(unit)).unwrap();
        // The binary has to be there, or this is all that it says.
        let text = text.replace("/usr/local/bin/tidegate", crate::support::proxy::BINARY);
        std::fs::write(dir.path().join(unit), text).unwrap();
    }
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--man=no", "--recursive-errors=no"]);
    command.args(["tidegate.service", "tidegate.socket"].map(|unit| dir.path().join(unit)));
    let done = finish(&mut command).await;
    assert_eq!((done.code, done.all().trim()), (0, ""), "{}", done.all());
}
