//! What the two processes say to each other, with a story in the place of the one that is replaced.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use command_fds::{CommandFdExt, FdMapping};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::folder;
use crate::support::client::{Client, Request};
use crate::support::ms;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, web};

/// A next process that is about to be started.
struct Next {
    command: Command,
    dir: TempDir,
    port: SocketAddr,
    way: BufReader<UnixStream>,
    _app: Origin,
}

impl Next {
    async fn prepared() -> Next {
        let app = Origin::start("app-1").await;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap();
        let listen = format!("listen: [{{ addr: \"{port}\" }}]\n");
        let dir = folder(&(listen + &web("", nodes([&app]))));
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut command = Command::new(dir.path().join("tidegate"));
        let name = port.to_string().replace(':', "_");
        command
            .args(["run", "-c"])
            .arg(dir.path().join("tidegate.yaml"))
            .env("LISTEN_FDS", "2")
            .env(
                "LISTEN_FDNAMES",
                format!("tidegate-data-{name}:tidegate-handover"),
            );
        let mapped = |parent_fd, child_fd| FdMapping {
            parent_fd,
            child_fd,
        };
        let all = vec![mapped(listener.into(), 3), mapped(theirs.into(), 4)];
        command.fd_mappings(all).unwrap();
        let way = BufReader::new(UnixStream::from_std(ours).unwrap());
        Next {
            command,
            dir,
            port,
            way,
            _app: app,
        }
    }
}

async fn hears(way: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    way.read_line(&mut line).await.unwrap();
    line
}

async fn says(way: &mut BufReader<UnixStream>, line: &str) {
    way.write_all(format!("{line}\n").as_bytes()).await.unwrap();
}

/// Somebody who has connected and asked, and is not answered.
async fn waits(port: SocketAddr) -> Client {
    let mut client = Client::connect(port).await.unwrap();
    client.send(&Request::get("/")).await.unwrap();
    assert!(client.some(ms(300)).await.is_err(), "nobody answers yet");
    client
}

#[tokio::test]
async fn who_takes_over_accepts_nobody_before_the_word() {
    let Next {
        mut command,
        dir,
        port,
        mut way,
        _app,
    } = Next::prepared().await;
    let before = async {
        says(&mut way, r#"{"pid":1,"version":"0"}"#).await;
        assert_eq!(hears(&mut way).await, "{\"ready\":true}\n");
        let mut client = waits(port).await;
        says(&mut way, r#"{"go":null}"#).await;
        assert_eq!(client.answer("GET").await.unwrap().status, 200);
        let told = hears(&mut way).await;
        assert!(told.contains(&format!("\"serves\":[\"{port}\"]")), "{told}");
        says(&mut way, "yours").await;
    };
    let (_tide, ()) = tokio::join!(Tidegate::run_leading(&mut command, dir), before);
}

#[tokio::test]
async fn where_the_one_before_dies_before_the_word_nobody_else_serves_and_the_next_one_does() {
    let Next {
        mut command,
        dir,
        port,
        mut way,
        _app,
    } = Next::prepared().await;
    let before = async move {
        says(&mut way, r#"{"pid":1,"version":"0"}"#).await;
        assert_eq!(hears(&mut way).await, "{\"ready\":true}\n");
        let mut client = waits(port).await;
        drop(way);
        assert_eq!(client.answer("GET").await.unwrap().status, 200);
    };
    let (_tide, ()) = tokio::join!(Tidegate::run_leading(&mut command, dir), before);
}
