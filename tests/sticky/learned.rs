//! Sessions that the app itself begins are followed, by cookie or by field.

use super::counted;
use crate::support::client::Request;
use crate::support::cookies::{get_with, set_field};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{SOON, Tidegate, web};
use crate::support::reply::Reply;
use crate::support::{check, eventually};

/// Apps that begin a session of this name for a request to `/login?NAME` and know it afterwards.
fn begin_sessions(apps: &[Origin]) {
    for app in apps {
        app.answers(|seen| match seen.target().strip_prefix("/login?") {
            Some(id) => Reply::usual(seen)
                .field("set-cookie", &format!("JSESSIONID={id}; Path=/; HttpOnly"))
                .field("x-session-id", id),
            None => Reply::usual(seen),
        });
    }
}

const BY_COOKIE: &str = "sticky: { learn: { cookie: JSESSIONID } }";

/// The node of each of these sessions.
async fn login(tide: &Tidegate, ids: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    for id in ids {
        let answer = tide.get(&format!("/login?{id}")).await;
        assert_eq!(
            set_field(&answer, "JSESSIONID"),
            Some(&*format!("JSESSIONID={id}; Path=/; HttpOnly"))
        );
        all.push(answer.node().to_owned());
    }
    all
}

/// The node that a session's next request goes to.
async fn node(tide: &Tidegate, id: &str) -> String {
    let answer = tide.ask(&get_with(&format!("a=1; JSESSIONID={id}"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer.head.all("set-cookie").is_empty(),
        "it adds no cookie"
    );
    answer.node().to_owned()
}

#[tokio::test]
async fn the_apps_own_cookie_is_followed_and_left_to_the_app() {
    let apps = Origin::several(3).await;
    begin_sessions(&apps);
    let tide = Tidegate::run(web(BY_COOKIE, nodes(&apps))).await;
    let ids = ["one", "two", "three"];
    let begun = login(&tide, &ids).await;
    assert_eq!(begun, ["app-1", "app-2", "app-3"]);
    for _ in 0..4 {
        for (id, on) in ids.iter().zip(&begun) {
            assert_eq!(&node(&tide, id).await, on);
        }
    }
    counted(&tide, "new", 3.0).await;
    counted(&tide, "kept", 12.0).await;
    let seen = apps[0].seen().pop().unwrap();
    assert_eq!(
        seen.head.all("cookie"),
        ["a=1; JSESSIONID=one"],
        "the app needs it"
    );
    let nowhere = [tide.log(), tide.api("GET", "/metrics", "").await.text()].concat();
    assert!(!nowhere.contains("three"), "{nowhere}");
}

#[tokio::test]
async fn what_was_learned_survives_a_reload_of_something_else() {
    let apps = Origin::several(3).await;
    begin_sessions(&apps);
    let tide = Tidegate::run(web(BY_COOKIE, nodes(&apps))).await;
    let ids = ["one", "two", "three"];
    let begun = login(&tide, &ids).await;
    let list = format!("[{}, {}, {}]", apps[2], apps[1].with("weight: 7"), apps[0]);
    tide.apply(&web(&format!("balance: random\n{BY_COOKIE}"), list))
        .await;
    for _ in 0..4 {
        for (id, on) in ids.iter().zip(&begun) {
            assert_eq!(&node(&tide, id).await, on);
        }
    }
    let other = "sticky: { learn: { cookie: JSESSIONID, max: 500 } }";
    tide.apply(&web(other, nodes(&apps))).await;
    assert!(
        tide.log().contains("its learned sessions are forgotten"),
        "{}",
        tide.log()
    );
    node(&tide, "one").await;
    counted(&tide, "new", 4.0).await;
}

#[tokio::test]
async fn a_field_is_followed_too_and_a_session_moves_when_its_node_dies() {
    let apps = Origin::several(3).await;
    begin_sessions(&apps);
    let keys = "sticky: { learn: { header: X-Session-Id } }";
    let tide = Tidegate::run(web(keys, nodes(&apps))).await;
    let request = || Request::get("/").field("X-Session-Id", "one");
    assert_eq!(login(&tide, &["one"]).await, ["app-1"]);
    for _ in 0..6 {
        assert_eq!(tide.ask(&request()).await.node(), "app-1");
    }
    apps[0].kill().await;
    let moved = tide.ask(&request()).await;
    assert_eq!(moved.status, 200, "{}", moved.text());
    assert_ne!(moved.node(), "app-1");
    counted(&tide, "lost", 1.0).await;
    apps[0].revive().await;
    tide.node_has("web/app-1", "health", "healthy").await;
    for _ in 0..6 {
        assert_eq!(tide.ask(&request()).await.node(), moved.node(), "it stays");
    }
}

#[tokio::test]
async fn a_session_that_was_idle_for_too_long_is_forgotten() {
    let apps = Origin::several(2).await;
    begin_sessions(&apps);
    let keys = "sticky: { learn: { cookie: JSESSIONID, ttl: 1s } }";
    let tide = Tidegate::run(web(keys, nodes(&apps))).await;
    login(&tide, &["one"]).await;
    node(&tide, "one").await;
    counted(&tide, "kept", 1.0).await;
    let mut pause = crate::support::ms(300);
    eventually("it is new again", SOON, async || {
        // Every request of it begins the second anew: ask ever less often.
        tokio::time::sleep(pause).await;
        pause *= 2;
        node(&tide, "one").await;
        let new = [("upstream", "web"), ("result", "new")];
        let new = tide.metric("tidegate_sticky_requests_total", &new).await;
        check(new == Some(2.0), format!("{new:?}"))
    })
    .await;
}
