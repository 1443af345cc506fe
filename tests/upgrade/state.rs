//! What goes along with an upgrade: sessions, and what was changed at run time.

use super::Reign;
use crate::support::client::Request;
use crate::support::cookies::{get_with, set};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{BINARY, SOON, web};
use crate::support::{check, eventually};

#[tokio::test]
async fn sessions_stay_on_their_nodes() {
    let apps = Origin::several(3).await;
    let reign = Reign::begin(&web("sticky: { cookie: tg_node }", nodes(&apps))).await;
    let mut sessions = Vec::new();
    for _ in 0..12 {
        let answer = reign.get("/").await;
        let cookie = set(&answer, "tg_node").expect("a new client gets a cookie");
        sessions.push((answer.node().to_string(), cookie));
    }
    for _ in 0..2 {
        reign.upgrade().await;
        for (node, cookie) in &sessions {
            let answer = reign.ask(&get_with(&format!("tg_node={cookie}"))).await;
            assert_eq!(answer.node(), node);
            assert_eq!(set(&answer, "tg_node"), None, "the one it has is good");
        }
    }
}

#[tokio::test]
async fn what_was_changed_at_run_time_stays_changed() {
    let apps = Origin::several(3).await;
    let reign = Reign::begin(&web("", nodes(&apps[..2]))).await;
    reign.verb("web/app-1", "drain").await;
    let weight = reign
        .api(
            "POST",
            "/api/v1/upstreams/web/nodes/app-2/weight",
            r#"{"weight":7}"#,
        )
        .await;
    assert_eq!(weight.status, 200, "{}", weight.text());
    let new = format!(r#"{{"addr":"{}","id":"app-3"}}"#, apps[2].addr());
    let added = reign.api("POST", "/api/v1/upstreams/web/nodes", &new).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let before = reign.json("/api/v1/drift").await["entries"].clone();
    assert_eq!(before.as_array().map(Vec::len), Some(3), "{before}");
    for _ in 0..2 {
        reign.upgrade().await;
        assert_eq!(reign.json("/api/v1/drift").await["entries"], before);
    }
    let asked = apps[0].requests();
    for _ in 0..30 {
        assert_eq!(reign.ask(&Request::get("/")).await.status, 200);
    }
    assert_eq!(apps[0].requests(), asked, "it is drained");
    assert!(apps[2].requests() > 0, "it was added");
}

#[tokio::test]
async fn what_is_changed_while_the_next_process_starts_goes_along_too() {
    let apps = Origin::several(2).await;
    let reign = Reign::begin(&web("", nodes(&apps))).await;
    reign.verb("web/app-2", "drain").await;
    let (started, go) = (reign.dir().join("started"), reign.dir().join("go"));
    let (at, until) = (started.display(), go.display());
    reign.replace_by(&format!(
        "touch {at}\nwhile [ ! -e {until} ]; do sleep 0.02; done\nexec {BINARY} \"$@\""
    ));
    let meanwhile = async {
        let is_started = async || check(started.exists(), "no");
        eventually("the next process is started", SOON, is_started).await;
        // Both answered with success by the process that is replaced.
        reign.verb("web/app-1", "drain").await;
        reign.verb("web/app-2", "undrain").await;
        let told = reign.json("/api/v1/drift").await["entries"].clone();
        std::fs::write(&go, "").unwrap();
        told
    };
    let (_, told) = tokio::join!(reign.upgrade(), meanwhile);
    assert_eq!(told.as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!(reign.json("/api/v1/drift").await["entries"], told);
    let asked = apps[0].requests();
    for _ in 0..10 {
        assert_eq!(reign.ask(&Request::get("/")).await.node(), "app-2");
    }
    assert_eq!(apps[0].requests(), asked, "it is drained");
}
