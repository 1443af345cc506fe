//! Every way to get to Redis: with a password, by TLS, by a cluster; and a file that changes its mind.

use std::net::SocketAddr;

use super::{RECOVERY, shared_at, told};
use crate::support::origin::Origin;
use crate::support::proxy::{Tidegate, complete};
use crate::support::redis::Redis;
use crate::support::tls::{Authority, TlsDoor};
use crate::support::{check, eventually};

/// A proxy with these keys of `redis` beside its address, started in a folder with these files.
async fn proxy(url: &str, keys: &str, app: &Origin, files: &[(&str, &str)]) -> Tidegate {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).expect("a writable folder");
    }
    let yaml = complete(&shared_at(url, keys, &[app.addr().to_string()]));
    std::fs::write(dir.path().join("tidegate.yaml"), yaml).expect("a writable folder");
    Tidegate::run_in(dir).await
}

/// The first line about Redis says this.
async fn says(tide: &Tidegate, word: &str) {
    eventually(word, RECOVERY, async || {
        let told = told(tide).join("\n");
        check(told.contains(word), told)
    })
    .await;
}

/// Connections of proxies that a server has.
async fn connections(redis: &Redis) -> usize {
    let clients = redis.ask(&["CLIENT", "LIST"]).await;
    // The one that asks is no proxy.
    let ours = clients
        .iter()
        .filter(|line| !line.is_empty() && !line.contains("cmd=client"));
    ours.count()
}

#[tokio::test]
async fn a_password_comes_from_its_file_and_a_new_one_by_a_reload() {
    let redis = Redis::run_with(&["--requirepass", "correct horse"]).await;
    let app = Origin::start("app-1").await;
    let keys = ", password_file: redis.password";
    let files = [("redis.password", "wrong\n")];
    let tide = proxy(&redis.url(), keys, &app, &files).await;
    says(&tide, "is not used").await;
    says(&tide, "password_file").await;
    tide.write_file("redis.password", "correct horse\n");
    says(&tide, "is used").await;
    let all = tide.process().output();
    assert!(!all.err.iter().any(|line| line.contains("correct horse")));
}

#[tokio::test]
async fn a_user_of_its_own_needs_no_more_than_its_prefix() {
    let redis = Redis::run().await;
    let rights = [
        "ACL",
        "SETUSER",
        "tide",
        "on",
        ">tide-pass",
        "~tg:*",
        "resetchannels",
        "-@all",
        "+@read",
        "+@write",
        "+@connection",
        "+@scripting",
        "+@stream",
        "+time",
    ];
    redis.ask(&rights).await;
    let app = Origin::start("app-1").await;
    let url = format!("redis://tide@{}/0", redis.addr());
    let files = [("redis.password", "tide-pass")];
    let tide = proxy(&url, ", password_file: redis.password", &app, &files).await;
    says(&tide, "is used").await;
}

#[tokio::test]
async fn tls_is_spoken_with_who_is_trusted_and_with_nobody_else() {
    let redis = Redis::run().await;
    let app = Origin::start("app-1").await;
    let authority = Authority::new();
    let door = TlsDoor::open(redis.addr(), &authority, "127.0.0.1").await;
    let url = format!("rediss://127.0.0.1:{}/0", door.port());
    let tide = proxy(&url, "", &app, &[]).await;
    says(&tide, "is not used").await;
    says(&tide, "certificate").await;
    assert_eq!(connections(&redis).await, 0);
    authority.write(&tide.dir().join("ca.pem"));
    let nodes = [app.addr().to_string()];
    tide.apply(&shared_at(&url, ", ca: ca.pem", &nodes)).await;
    says(&tide, "is used").await;
    assert!(connections(&redis).await > 0);
}

#[tokio::test]
async fn what_a_reload_no_longer_names_is_let_go_and_what_it_names_is_used() {
    let (one, other) = (Redis::run().await, Redis::run().await);
    let app = Origin::start("app-1").await;
    let tide = proxy(&one.url(), "", &app, &[]).await;
    let has = async |redis: &Redis, some: bool| {
        eventually("connections", RECOVERY, async || {
            let n = connections(redis).await;
            check((n > 0) == some, n)
        })
        .await;
    };
    has(&one, true).await;
    let file = |at: SocketAddr, keys: &str| {
        shared_at(&format!("redis://{at}/0"), keys, &[app.addr().to_string()])
    };
    let before = told(&tide).len();
    // A number is no reason to connect anew.
    tide.apply(&file(one.addr(), ", timeout: 30ms")).await;
    tide.apply(&file(other.addr(), "")).await;
    has(&other, true).await;
    has(&one, false).await;
    assert_eq!(told(&tide).len(), before + 1, "{:?}", told(&tide));
    let alone = shared_at("", "", &[app.addr().to_string()]);
    let alone = alone.replace(", redis: { url: \"\" }", "");
    tide.apply(&alone).await;
    has(&other, false).await;
    tide.apply(&file(one.addr(), "")).await;
    has(&one, true).await;
}
