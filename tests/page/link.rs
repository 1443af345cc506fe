//! The line between page and stats port: it says how it is, and does what it can without it.

use super::relay::{Lets, Relay};
use super::{button, row, two_nodes};
use crate::support::browser::Browser;
use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, complete, web};

#[tokio::test]
async fn without_a_stream_it_asks_again_and_again_and_says_when_nobody_answers() {
    let (_apps, tide) = two_nodes().await;
    let relay = Relay::before(tide.admin(), Lets::NoStream).await;
    let browser = Browser::open(relay.addr()).await;
    browser.says("#link-text", "every 2 s").await;
    let load = Load::at(60).start(tide.addr());
    browser.view("upstreams").await;
    let rate = format!(
        "return Number(document.querySelector(`{} .rate`)?.textContent) > 5",
        row("web/app-1")
    );
    browser.until("its figures move", &rate).await;
    tide.verb("web/app-2", "down").await;
    browser.says(&row("web/app-2"), "down").await;

    relay.lets(Lets::Nothing);
    browser.says("#link-text", "not connected since").await;
    browser.says("#banners", "Not connected since").await;
    relay.lets(Lets::All);
    browser.says("#link-text", "live").await;
    browser
        .until(
            "the banner is gone",
            "return !document.body.innerText.includes('Not connected')",
        )
        .await;
    load.stop().await.nothing_failed_of(60);
}

#[tokio::test]
async fn a_token_is_asked_for_and_used_and_its_role_is_what_may_be_done() {
    let apps = Origin::several(2).await;
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::write(
        dir.path().join("reader.token"),
        "a-reader-0123456789abcdef0123456789\n",
    )
    .unwrap();
    std::fs::write(
        dir.path().join("operator.token"),
        "an-operator-0123456789abcdef012345\n",
    )
    .unwrap();
    let admin = "admin: { addr: \"127.0.0.1:0\", tokens: [{ name: reader, role: read, token_file: reader.token }, \
                 { name: operator, role: ops, token_file: operator.token }] }\n";
    let yaml = format!("{admin}{}", web("", nodes(&apps)));
    std::fs::write(dir.path().join("tidegate.yaml"), complete(&yaml)).unwrap();
    let tide = Tidegate::run_in(dir).await;
    let browser = Browser::open(tide.admin()).await;
    browser.says("#token", "A token, please").await;
    assert_eq!(
        browser.text("#nodes tbody").await,
        "",
        "nothing is told before"
    );
    browser
        .types("#token-value", "a-wrong-one-0123456789abcdef012345")
        .await;
    browser.click("#token-yes").await;
    browser.shows("#token-problem").await;
    browser
        .types("#token-value", "a-reader-0123456789abcdef0123456789")
        .await;
    browser.click("#token-yes").await;
    browser.says("#link-text", "live").await;
    browser.view("upstreams").await;
    browser.click(&button("web/app-1", "drain")).await;
    browser.click("#ask-yes").await;
    browser.says("#ask-problem", "ops").await;

    browser
        .run("sessionStorage.clear(); location.reload()")
        .await;
    browser.says("#token", "A token, please").await;
    browser
        .types("#token-value", "an-operator-0123456789abcdef012345")
        .await;
    browser.click("#token-yes").await;
    browser.says("#link-text", "live").await;
    browser.click(&button("web/app-1", "drain")).await;
    browser.click("#ask-yes").await;
    browser.says(&row("web/app-1"), "drain").await;
    browser.run("location.reload()").await;
    browser.says("#link-text", "live").await;
    browser.says(&row("web/app-1"), "drain").await;
}
