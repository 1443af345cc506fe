//! What a person does with it: every button asks before it acts, and what it did is to be seen on the page and true
//! behind it.

use super::{button, row, two_nodes};
use crate::support::browser::{Browser, PATIENTLY, key};
use crate::support::load::Load;
use crate::support::origin::nodes;
use crate::support::proxy::web;
use crate::support::reply::Reply;
use crate::support::shop::{get, shop_behind};
use crate::support::{Gate, check, eventually};

#[tokio::test]
async fn figures_move_under_load() {
    let (_apps, tide) = two_nodes().await;
    let browser = Browser::open(tide.admin()).await;
    let load = Load::at(60).start(tide.addr());
    let rate = "const [number] = document.querySelectorAll('#tiles dd span');
        return Number(number?.textContent) > 20";
    browser.until("requests a second are told", rate).await;
    let drawn =
        "return document.querySelector('.chart .curve')?.getAttribute('d').split('L').length > 2";
    browser.until("a curve is drawn", drawn).await;
    browser.view("upstreams").await;
    for node in ["web/app-1", "web/app-2"] {
        let rate = format!(
            "return Number(document.querySelector(`{} .rate`)?.textContent) > 10",
            row(node)
        );
        browser.until("each node has its share", &rate).await;
    }
    load.stop().await.nothing_failed_of(60);
}

#[tokio::test]
async fn draining_a_node_by_its_button_empties_it_while_the_table_counts_down() {
    let (apps, tide) = two_nodes().await;
    let gate = Gate::closed();
    for app in &apps {
        let held = gate.clone();
        app.answers(move |seen| Reply::usual(seen).when(&held));
    }
    let held = Load::at(500).count(8).start(tide.addr());
    apps[0].holds(4).await;
    let browser = Browser::open(tide.admin()).await;
    browser.view("upstreams").await;
    browser.click(&button("web/app-1", "drain")).await;
    browser.says("#ask", "Drain web/app-1?").await;
    assert_eq!(tide.node("web/app-1").await["state"], "up", "asked first");
    browser.click("#ask-yes").await;
    browser
        .says("#toasts", "web/app-1 drains: 4 requests left")
        .await;
    browser.says(&row("web/app-1"), "4 left, cut in").await;
    assert_eq!(tide.node("web/app-1").await["state"], "drain");
    let left = async || {
        let text = browser.text(&row("web/app-1")).await;
        let (_, after) = text.split_once("cut in ").unwrap_or_default();
        after
            .split(' ')
            .next()
            .unwrap_or_default()
            .parse::<u32>()
            .ok()
    };
    let first = left().await.expect("seconds are told");
    eventually("it counts down", PATIENTLY, async || {
        let now = left().await;
        check(
            now.is_some_and(|now| now < first),
            format!("{now:?} after {first}"),
        )
    })
    .await;
    browser.says("#banners", "1 change at run time").await;
    gate.open();
    browser.says(&row("web/app-1"), "empty").await;
    held.done().await.nothing_failed_of(8);
    let before = apps[0].requests();
    Load::at(500)
        .count(20)
        .run(tide.addr())
        .await
        .nothing_failed_of(20);
    assert_eq!(apps[0].requests(), before, "it gets nothing new");

    browser.click(&button("web/app-1", "undrain")).await;
    browser.click("#ask-yes").await;
    tide.node_has("web/app-1", "state", "up").await;
}

#[tokio::test]
async fn a_weight_is_changed_where_it_stands_and_a_wrong_one_is_refused_in_the_dialog() {
    let (_apps, tide) = two_nodes().await;
    let browser = Browser::open(tide.admin()).await;
    browser.view("upstreams").await;
    browser.click(&button("web/app-2", "weight")).await;
    browser.run("document.querySelector('#ask input').max = ''; document.querySelector('#ask input').value = ''").await;
    browser.types("#ask input", "70000").await;
    browser.click("#ask-yes").await;
    browser.says("#ask-problem", "from 0 to 65535").await;
    browser
        .run("document.querySelector('#ask input').value = ''")
        .await;
    browser.types("#ask input", "7").await;
    browser.click("#ask-yes").await;
    browser.says("#toasts", "web/app-2 has weight 7").await;
    assert_eq!(tide.node("web/app-2").await["weight"], 7);
    browser.says(&row("web/app-2"), "changed").await;
}

#[tokio::test]
async fn a_broken_reload_shows_a_banner_with_the_line_until_it_is_mended() {
    let (apps, tide) = two_nodes().await;
    let browser = Browser::open(tide.admin()).await;
    browser.says("#link-text", "live").await;
    tide.write(&web("balance: <quickest>", nodes(&apps)));
    browser.says("#banners", "was refused").await;
    browser.says("#banners", "tidegate.yaml:").await;
    browser.says("#banners", "<quickest>").await;
    browser.says("#banners", "Generation 1 keeps serving").await;
    browser.view("config").await;
    browser.says("#diff", "It would be refused").await;
    browser.click("#reload").await;
    browser.click("#ask-yes").await;
    browser.says("#ask-problem", "<quickest>").await;
    browser.press(&[key::ESCAPE]).await;
    tide.write(&web("balance: random", nodes(&apps)));
    let gone = "return !document.querySelector('.banner.bad')";
    browser.until("the banner is gone", gone).await;
    browser.says("#yaml", "random").await;
}

#[tokio::test]
async fn a_purge_by_tag_reports_how_many_it_concerned() {
    let (_app, tide) = shop_behind("true").await;
    for target in ["/1", "/2", "/3"] {
        get(&tide, "tide.test", target).await;
    }
    let browser = Browser::open(tide.admin()).await;
    browser.view("cache").await;
    browser.run("const what = document.forms.purge.what; what.value = 'tag'; what.dispatchEvent(new Event('change'))").await;
    browser.types("#purge input[name=value]", "shop").await;
    browser.click("#purge button").await;
    browser.says("#ask", "Purge tag shop?").await;
    browser.click("#ask-yes").await;
    browser
        .says("#purge-result", "3 answers purged (soft)")
        .await;
    browser
        .types("#explain input[name=url]", "http://tide.test/1")
        .await;
    browser.click("#explain button").await;
    browser.says("#explain-result", "http://tide.test/1").await;
    browser.says("#explain-short", "purged").await;
}

#[tokio::test]
async fn everything_can_be_done_by_keyboard() {
    let (_apps, tide) = two_nodes().await;
    let browser = Browser::open(tide.admin()).await;
    browser.says("#link-text", "live").await;
    browser.press(&["?"]).await;
    browser.says("#keys", "drain").await;
    browser.press(&[key::ESCAPE]).await;
    let closed = "return !document.querySelector('dialog[open]')";
    browser.until("it is closed", closed).await;
    browser.press(&["2"]).await;
    browser.shows(&row("web/app-1")).await;
    browser.press(&["/"]).await;
    let focus = |what: &str| format!("return document.activeElement.matches(`{what}`)");
    browser
        .until("the filter has the focus", &focus("#node-filter"))
        .await;
    // To the first fold, its upstream's button, the first node; then down to the second and right to its first button.
    browser.press(&[key::TAB, key::TAB, key::TAB]).await;
    browser
        .until("the first node has it", &focus(&row("web/app-1")))
        .await;
    browser.press(&[key::DOWN]).await;
    browser
        .until("the second node has it", &focus(&row("web/app-2")))
        .await;
    browser.press(&[key::RIGHT]).await;
    browser
        .until("its button has it", &focus(&button("web/app-2", "drain")))
        .await;
    browser.press(&[key::ENTER]).await;
    browser.says("#ask", "Drain web/app-2?").await;
    browser.press(&[key::ESCAPE]).await;
    browser
        .until("and has it again", &focus(&button("web/app-2", "drain")))
        .await;
    assert_eq!(tide.node("web/app-2").await["state"], "up", "it only asked");
    browser.press(&[key::ENTER]).await;
    browser.until("the dialog has it", &focus("#ask-yes")).await;
    browser.press(&[key::ENTER]).await;
    tide.node_has("web/app-2", "state", "drain").await;
    // What was pressed is not there any more: its row has the focus, and goes on by letters.
    let in_row = format!(
        "return !!document.activeElement.closest(`{}`)",
        row("web/app-2")
    );
    browser.until("its row has it", &in_row).await;
    browser.says(&row("web/app-2"), "Undrain").await;
    browser.press(&["u"]).await;
    browser.says("#ask", "Put back web/app-2?").await;
    browser.press(&[key::ENTER]).await;
    tide.node_has("web/app-2", "state", "up").await;
}
