//! What is to be seen: every view, in every width and both colours, without an error and without asking anybody else.

use serde_json::Value;

use super::two_nodes;
use crate::support::browser::Browser;
use crate::support::client::Request;
use crate::support::ms;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, web};
use crate::support::reply::Reply;

const VIEWS: [&str; 6] = ["overview", "upstreams", "cache", "routes", "slow", "config"];

/// A picture given as base64: how many colours it has, and how light it is, 0 to 1.
const LOOK: &str = "
    const bytes = Uint8Array.from(atob(`PICTURE`), (c) => c.charCodeAt(0));
    const map = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
    const context = new OffscreenCanvas(map.width, map.height).getContext('2d');
    context.drawImage(map, 0, 0);
    const { data } = context.getImageData(0, 0, map.width, map.height);
    const colours = new Set();
    let sum = 0;
    for (let at = 0; at < data.length; at += 4) {
        colours.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
        sum += data[at] + data[at + 1] + data[at + 2];
    }
    return [colours.size, sum / (data.length / 4) / 765];";

/// Pairs of colours, as they are named in the sheet, that text and its ground have; what has a contrast below 4.5
/// (WCAG 2.2, 1.4.3) is returned.
const CONTRAST: &str = "
    const pairs = 'text/ground text/card text/sunk text/hover text/warn-ground text/bad-ground soft/ground soft/card soft/sunk '
        + 'soft/hover soft/warn-ground soft/bad-ground accent/card accent/ground on-accent/accent good/card good/hover warn/card '
        + 'warn/sunk bad/card bad/hover good/warn-ground good/bad-ground warn/warn-ground bad/bad-ground warn/bad-ground bad/warn-ground';
    const probe = document.body.appendChild(document.createElement('i'));
    const light = (name) => {
        probe.style.color = `var(--${name})`;
        const [r, g, b] = getComputedStyle(probe).color.match(/[\\d.]+/g).map((n) => n / 255)
            .map((n) => (n <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const low = pairs.split(' ').map((pair) => {
        const [a, b] = pair.split('/').map(light);
        return [pair, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
    });
    probe.remove();
    return low.filter(([, contrast]) => !(contrast >= 4.5));";

/// What somebody who does not see the page would miss.
const UNNAMED: &str = "
    const missing = [];
    for (const el of document.querySelectorAll('button, input, select, textarea, a, [role=region], dialog')) {
        const by = el.getAttribute('aria-labelledby');
        const name = el.getAttribute('aria-label') || (by && document.getElementById(by)?.id) || el.textContent.trim()
            || [...(el.labels ?? [])].map((label) => label.textContent.trim()).join('');
        const chosen = el.tagName === 'INPUT' || el.tagName === 'SELECT' || el.tagName === 'TEXTAREA';
        if (!name || (chosen && !el.labels.length && !el.getAttribute('aria-label'))) missing.push(el.outerHTML.slice(0, 160));
    }
    for (const table of document.querySelectorAll('table')) {
        if (!table.querySelector('thead th[scope=col]')) missing.push('a table without headers: ' + (table.id || table.outerHTML.slice(0, 160)));
    }
    const ids = [...document.querySelectorAll('[id]')].map((el) => el.id);
    for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) missing.push('twice: #' + id);
    if (document.documentElement.lang !== 'en' || !document.title) missing.push('language or title');
    return missing;";

/// A proxy that has something to show in every view.
async fn busy() -> (Vec<Origin>, Tidegate) {
    let apps = Origin::several(3).await;
    for app in &apps {
        app.answers(|seen| match seen.target() {
            "/slow" => Reply::usual(seen).after(ms(60)),
            "/fails" => Reply::sized(500, "no"),
            _ => Reply::usual(seen).field("cache-control", "max-age=60"),
        });
    }
    let mut yaml = web(
        "health: { interval: 1s }\nretry: { tries: 1 }",
        nodes(&apps),
    );
    yaml.push_str("    name: pages\n    cache: true\n    slow: 50ms\n");
    let tide = Tidegate::run(yaml).await;
    for target in ["/a", "/a", "/b", "/slow", "/fails"] {
        tide.ask(&Request::get(target)).await;
    }
    tide.verb("web/app-3", "drain").await;
    (apps, tide)
}

#[tokio::test]
async fn every_view_loads_without_an_error_and_asks_nobody_but_the_stats_port() {
    let (_apps, tide) = busy().await;
    let browser = Browser::open(tide.admin()).await;
    browser.says("#link-text", "live").await;
    for view in VIEWS {
        browser.view(view).await;
        let done = "return document.querySelectorAll('section:not([hidden])').length === 1";
        browser.until("one view is open", done).await;
    }
    browser.says("#yaml", "upstreams:").await;
    browser.view("routes").await;
    browser.says("#routes tbody", "pages").await;
    browser.view("slow").await;
    browser.says("#slow tbody", "/slow").await;
    browser.view("cache").await;
    browser.says("#tops", "/a").await;
    browser.view("overview").await;
    browser.says("#events", "app-3").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    let mut asked = browser.asked().await;
    asked.retain(|whom| whom.starts_with("http") || whom.starts_with("ws"));
    let only = format!("http://{}", tide.admin());
    assert_eq!(asked.into_iter().collect::<Vec<_>>(), [only]);
}

#[tokio::test]
async fn it_looks_right_in_both_colours_and_never_scrolls_sideways() {
    let (_apps, tide) = busy().await;
    tide.write("upstreams: { web: { balance: <quickest>, nodes: [] } }\n");
    let browser = Browser::open(tide.admin()).await;
    browser.says("#banners", "was refused").await;
    for scheme in ["light", "dark"] {
        browser.likes(scheme).await;
        for width in [1280, 900, 375] {
            browser.resize(width, 900).await;
            for view in VIEWS {
                browser.view(view).await;
                // Two frames: what is wanted is laid out then.
                let wide = "await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
                    return [document.documentElement.scrollWidth, innerWidth]";
                let wide = browser.run(wide).await;
                assert!(
                    wide[0].as_u64() <= wide[1].as_u64(),
                    "{view} at {width}: {wide}"
                );
                let picture = browser.picture(&format!("{view}-{width}-{scheme}")).await;
                let look = browser.run(&LOOK.replace("PICTURE", &picture)).await;
                let (colours, light) = (look[0].as_u64(), look[1].as_f64());
                assert!(colours > Some(50), "{view} at {width}: {colours:?} colours");
                let right = match scheme {
                    "light" => light > Some(0.75),
                    _ => light < Some(0.25),
                };
                assert!(right, "{view} at {width} in {scheme}: {light:?}");
            }
        }
    }
}

#[tokio::test]
async fn everything_has_a_name_and_text_can_be_told_from_its_ground() {
    let (_apps, tide) = busy().await;
    let browser = Browser::open(tide.admin()).await;
    browser.says("#link-text", "live").await;
    for view in VIEWS {
        browser.view(view).await;
    }
    browser.view("upstreams").await;
    browser.shows(&super::row("web/app-1")).await;
    assert_eq!(browser.run(UNNAMED).await, Value::Array(Vec::new()));
    for scheme in ["light", "dark"] {
        browser.likes(scheme).await;
        assert_eq!(
            browser.run(CONTRAST).await,
            Value::Array(Vec::new()),
            "{scheme}"
        );
    }
}

#[tokio::test]
async fn a_theme_that_was_chosen_stays_chosen() {
    let (_apps, tide) = two_nodes().await;
    let browser = Browser::open(tide.admin()).await;
    browser.likes("light").await;
    let dark = "return getComputedStyle(document.documentElement).colorScheme === 'dark'";
    assert_eq!(browser.run(dark).await, false);
    browser.press(&["t", "t"]).await;
    browser.says("#theme", "dark").await;
    browser
        .goes_to(&format!("http://{}/#cache", tide.admin()))
        .await;
    browser.until("it is dark", dark).await;
    browser.shows("#view-cache").await;
}

#[tokio::test]
async fn what_looks_like_markup_is_shown_as_text() {
    let (apps, tide) = two_nodes().await;
    let browser = Browser::open(tide.admin()).await;
    browser.says("#link-text", "live").await;
    tide.write(&web("balance: <img src=x onerror=alert(1)>", nodes(&apps)));
    browser
        .says("#banners", "<img src=x onerror=alert(1)>")
        .await;
    let made = "return document.querySelectorAll('#banners img').length";
    assert_eq!(browser.run(made).await, 0);
}
