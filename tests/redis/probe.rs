//! `check --probe`: what is wrong with the Redis and the nodes of a file is told before anything depends on them.

use std::net::SocketAddr;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::support::process::Done;
use crate::support::proxy::{complete, tidegate};
use crate::support::redis::{Redis, free_port};

/// What a Redis is told that is to be recommended.
const GOOD: [&str; 4] = ["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"];

/// A file in a folder of its own.
struct File {
    dir: TempDir,
    path: String,
}

impl File {
    /// One with this Redis and these keys more, and nodes at these addresses.
    fn of(url: &str, keys: &str, nodes: &[SocketAddr]) -> File {
        let nodes: Vec<String> = nodes.iter().map(|addr| format!("\"{addr}\"")).collect();
        let nodes = nodes.join(", ");
        let yaml = format!(
            "cache:\n  redis:\n    url: \"{url}\"\n{keys}\
             upstreams: {{ web: {{ health: off, nodes: [{nodes}] }} }}\n\
             routes: [{{ upstream: web, cache: {{ ttl: 1h }} }}]\n"
        );
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("tidegate.yaml");
        std::fs::write(&path, complete(&yaml)).unwrap();
        let path = path.to_str().unwrap().to_owned();
        File { dir, path }
    }

    fn has(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    async fn probed(&self) -> Done {
        tidegate(&["check", "--probe", "-c", &self.path]).await
    }

    /// It cannot be used, for this reason, which is told at the line that begins so.
    async fn is_refused(&self, why: &str, line: &str) {
        let done = self.probed().await;
        let said = done.all();
        assert_eq!(done.code, 1, "{said}");
        for told in [why, line, "help: ", "tidegate.yaml:", "1 error"] {
            assert!(said.contains(told), "{told:?} is missing in:\n{said}");
        }
        let json = tidegate(&["check", "--probe", "-o", "json", "-c", &self.path]).await;
        assert_eq!(json.code, 1);
        let json = json.json();
        assert_eq!(json["ok"], false, "{json}");
        let problems = json["problems"].as_array().unwrap();
        let told = |p: &&serde_json::Value| p["message"].as_str().unwrap().contains(why);
        let problem = problems.iter().find(told).unwrap();
        assert_eq!(problem["severity"], "error", "{json}");
        assert!(problem["line"].as_u64() > Some(0), "{json}");
    }
}

fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// Somebody who listens, and does this with each connection.
async fn listener<F: Future<Output = ()> + Send + 'static>(
    deed: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((conn, _)) = listener.accept().await {
            tokio::spawn(deed(conn));
        }
    });
    addr
}

#[tokio::test]
async fn a_redis_that_can_be_used_is_fine_and_nothing_is_left_there() {
    let redis = Redis::run_with(&GOOD).await;
    let node = listener(async |_| ()).await;
    let file = File::of(&redis.url(), "", &[node]);
    let done = file.probed().await;
    assert_eq!(done.code, 0, "{}", done.all());
    assert!(!done.all().contains("redis"), "{}", done.all());
    assert_eq!(redis.keys("").await, Vec::<String>::new());
}

#[tokio::test]
async fn without_the_word_nobody_is_connected_to() {
    let file = File::of(&format!("redis://{}/0", nowhere()), "", &[nowhere()]);
    let done = tidegate(&["check", "-c", &file.path]).await;
    assert_eq!(done.code, 0, "{}", done.all());
}

#[tokio::test]
async fn a_port_where_nobody_listens() {
    let file = File::of(&format!("redis://{}/0", nowhere()), "", &[nowhere()]);
    file.is_refused("nobody takes connections there", "    url: ")
        .await;
}

#[tokio::test]
async fn a_password_that_is_wrong_and_one_that_is_missing() {
    let redis = Redis::run_with(&["--requirepass", "open-sesame"]).await;
    let file = File::of(&redis.url(), "", &[nowhere()]);
    file.is_refused("Redis asks for a password", "    url: ")
        .await;
    let file = File::of(&redis.url(), "    password_file: pass\n", &[nowhere()]);
    file.has("pass", "open-window\n");
    file.is_refused("Redis does not accept the password", "    password_file: ")
        .await;
    assert!(!file.probed().await.all().contains("open-window"));
    file.has("pass", "open-sesame\n");
    assert_eq!(file.probed().await.code, 0);
}

#[tokio::test]
async fn a_user_who_may_not_write_under_the_prefix() {
    let redis = Redis::run().await;
    redis
        .ask(&[
            "ACL", "SETUSER", "tide", "on", "nopass", "~other:*", "+@all",
        ])
        .await;
    let url = redis.url().replace("redis://", "redis://tide@");
    let file = File::of(&url, "    password_file: pass\n", &[nowhere()]);
    file.has("pass", "any\n");
    file.is_refused("the user may not do what is needed: NOPERM", "    url: ")
        .await;
}

#[tokio::test]
async fn a_server_that_hangs_is_told_within_seconds() {
    let redis = Redis::run().await;
    redis.stop();
    let file = File::of(&redis.url(), "", &[nowhere()]);
    let begun = std::time::Instant::now();
    let done = file.probed().await;
    let took = begun.elapsed();
    redis.go_on();
    assert_eq!(done.code, 1, "{}", done.all());
    assert!(
        done.all().contains("does not answer within 1s"),
        "{}",
        done.all()
    );
    assert!(took < Duration::from_secs(6), "{took:?}");
}

#[tokio::test]
async fn a_server_that_is_slower_than_the_timeout() {
    let redis = Redis::run_with(&GOOD).await;
    let behind = redis.addr();
    let relay = listener(move |mut conn| async move {
        let Ok(mut server) = TcpStream::connect(behind).await else {
            return;
        };
        let mut asked = [0; 4_096];
        while let Ok(n @ 1..) = conn.read(&mut asked).await {
            // The delay is what is looked at here.
            sleep(Duration::from_millis(40)).await;
            let mut answer = [0; 4_096];
            let _ = server.write_all(&asked[..n]).await;
            let Ok(n) = server.read(&mut answer).await else {
                return;
            };
            let _ = conn.write_all(&answer[..n]).await;
        }
        let _ = copy_bidirectional(&mut conn, &mut server).await;
    })
    .await;
    let file = File::of(
        &format!("redis://{relay}/0"),
        "    timeout: 10ms\n",
        &[nowhere()],
    );
    file.is_refused("and 10ms is allowed", "    timeout: ")
        .await;
}

#[tokio::test]
async fn what_answers_there_is_no_redis() {
    let web = listener(|mut conn| async move {
        let mut asked = [0; 1_024];
        let _ = conn.read(&mut asked).await;
        let answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        let _ = conn.write_all(answer.as_bytes()).await;
    })
    .await;
    let file = File::of(&format!("redis://{web}/0"), "", &[nowhere()]);
    file.is_refused("what answers there is no Redis", "    url: ")
        .await;
}

#[tokio::test]
async fn a_redis_that_never_makes_room_is_worth_a_warning() {
    let redis = Redis::run_with(&["--maxmemory", "64mb", "--maxmemory-policy", "noeviction"]).await;
    let node = listener(async |_| ()).await;
    let file = File::of(&redis.url(), "", &[node]);
    let done = file.probed().await;
    assert_eq!(done.code, 0, "{}", done.all());
    for told in ["warning: ", "policy noeviction", "allkeys-lru"] {
        assert!(done.all().contains(told), "{told:?}: {}", done.all());
    }
    let strict = tidegate(&["check", "--probe", "--strict", "-c", &file.path]).await;
    assert_eq!(strict.code, 2, "{}", strict.all());
}

#[tokio::test]
async fn nodes_that_take_no_connection_are_a_note_each() {
    let there = listener(async |_| ()).await;
    let (one, other) = (nowhere(), nowhere());
    let redis = Redis::run_with(&GOOD).await;
    let file = File::of(&redis.url(), "", &[one, there, other]);
    let done = file.probed().await;
    assert_eq!(done.code, 0, "{}", done.all());
    for addr in [one, other] {
        let told = format!("note: node {addr} takes no connection");
        assert!(done.all().contains(&told), "{told:?}: {}", done.all());
    }
    assert!(
        !done.all().contains(&format!("node {there}")),
        "{}",
        done.all()
    );
}
