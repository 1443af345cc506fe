//! How long certificates still hold: seen by whoever looks, and told in time to who does not.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{ONE, run, run_one, site};
use crate::support::browser::Browser;
use crate::support::eventually;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{SOON, Tidegate};
use crate::support::tls::{Authority, Pair};

/// A port with a certificate that lasts, one that ends in a week, and one that has ended.
const THREE: &str = "certs: [{ cert: site.pem, key: site.key }, { cert: soon.pem, key: soon.key }, \
    { cert: over.pem, key: over.key }]";

/// One that ends so many days and half a day from now.
fn ends_in(authority: &Authority, names: &[&str], days: u64) -> Pair {
    authority.issue_as(names, |params| {
        let left = Duration::from_secs(days * 86_400 + 43_200);
        params.not_after = (SystemTime::now() + left).into();
    })
}

fn three(authority: &Authority, dir: &Path) {
    authority.issue(&["site.test"]).write(dir, "site");
    ends_in(authority, &["soon.test", "www.soon.test"], 6).write(dir, "soon");
    authority.issue_expired(&["over.test"]).write(dir, "over");
}

/// What was told of certificates, the latest first.
async fn told(tide: &Tidegate) -> Vec<(String, String)> {
    let events = tide.json("/api/v1/events?kind=certificate").await;
    let all = events["events"].as_array().expect("events").iter();
    let word = |event: &Value, key: &str| event[key].as_str().expect("a text").to_owned();
    all.map(|event| (word(event, "level"), word(event, "text")))
        .collect()
}

/// Waits until so much was told.
async fn tells(tide: &Tidegate, n: usize) -> Vec<(String, String)> {
    eventually("certificates are told of", SOON, async || {
        let told = told(tide).await;
        match told.len() == n {
            true => Ok(told),
            false => Err(format!("{told:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn each_certificate_is_listed_with_its_days_and_nothing_of_its_key() {
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    let yaml = site(THREE, &nodes([&app]), "");
    let tide = run(&yaml, |dir| three(&authority, dir)).await;
    let list = tide.json("/api/v1/certificates").await;
    let all = list["certificates"].as_array().expect("certificates");
    let said: Vec<_> = all.iter().map(|is| (&is["state"], &is["source"])).collect();
    assert_eq!(said.len(), 3, "{list}");
    for (is, state, name) in [
        (&all[0], "ok", "site.test"),
        (&all[1], "soon", "soon.test"),
        (&all[2], "expired", "over.test"),
    ] {
        assert_eq!(
            (&is["state"], &is["names"][0]),
            (&state.into(), &name.into())
        );
        assert_eq!(
            (&is["source"], &is["ports"][0]),
            (&"file".into(), &"127.0.0.1:0".into())
        );
        assert!(
            is["issuer"]
                .as_str()
                .is_some_and(|by| by.starts_with("CN=authority ")),
            "{is}"
        );
        assert!(
            is["file"]
                .as_str()
                .is_some_and(|file| file.ends_with(".pem")),
            "{is}"
        );
    }
    let days: Vec<_> = all[1..].iter().map(|is| is["days_left"].as_i64()).collect();
    assert_eq!(days, [Some(6), Some(-2)]);
    assert!(!list.to_string().contains("PRIVATE"), "{list}");

    let done = tide.command(&["status"]).await;
    for line in [
        "certificate soon.test, www.soon.test (",
        "soon.pem): expires in 6 days, ",
        "over.pem): EXPIRED since ",
    ] {
        assert!(
            done.out.contains(line),
            "{line:?} is missing in:\n{}",
            done.out
        );
    }
    assert!(!done.out.contains("site.pem"), "{}", done.out);
}

#[tokio::test]
async fn a_certificate_that_comes_to_its_end_is_told_once_however_often_the_file_is_read() {
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    let yaml = site(THREE, &nodes([&app]), "");
    let tide = run(&yaml, |dir| three(&authority, dir)).await;
    let events = tells(&tide, 2).await;
    for (event, level, words) in [
        (
            &events[1],
            "warning",
            "www.soon.test (soon.pem) expires in 6 days",
        ),
        (
            &events[0],
            "error",
            "over.test (over.pem) has expired and is served all the same",
        ),
    ] {
        let text = event.1.replace(&format!("{}/", tide.dir().display()), "");
        assert!(
            event.0 == level && text.contains(words),
            "{words:?}: {event:?}"
        );
    }
    assert_eq!(
        tide.log()
            .matches("has expired and is served all the same")
            .count(),
        1
    );
    // Another one in its place is looked at when it is in use, not a minute later; the other two are not told again.
    let generation = tide.generation().await;
    let pair = ends_in(&authority, &["soon.test"], 3);
    tide.write_file("soon.key", &pair.key);
    tide.write_file("soon.pem", &pair.cert);
    tide.reaches_generation(generation + 1).await;
    let events = tells(&tide, 3).await;
    assert!(events[0].1.contains("expires in 3 days"), "{events:?}");
    tide.command(&["reload"]).await;
    assert_eq!(told(&tide).await.len(), 3);
}

#[tokio::test]
async fn the_page_shows_them_and_says_in_every_view_that_one_expires() {
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    let yaml = site(THREE, &nodes([&app]), "");
    let tide = run(&yaml, |dir| three(&authority, dir)).await;
    let browser = Browser::open(tide.admin()).await;
    browser
        .says(
            "#banners",
            "1 certificate has expired. 1 certificate expires soon.",
        )
        .await;
    browser
        .says("#banners", "soon.pem) expires in 6 days")
        .await;
    browser.view("config").await;
    for said in [
        "site.test",
        "ok",
        "soon.pem",
        "expired",
        "CN=authority",
        "−2",
    ] {
        browser.says("#certificates tbody", said).await;
    }
    for scheme in ["light", "dark"] {
        browser.likes(scheme).await;
        browser.picture(&format!("certificates-{scheme}")).await;
    }
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_page_has_no_word_of_certificates_where_all_is_well_or_none_is() {
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    let tide = run_one(&authority, &site(ONE, &nodes([&app]), "")).await;
    let browser = Browser::open(tide.admin()).await;
    browser.view("config").await;
    browser.says("#certificates tbody", "site.test").await;
    let banners = browser.text("#banners").await;
    assert!(!banners.contains("certificate"), "{banners}");
    let plain = format!(
        "listen: [{{ addr: \"127.0.0.1:0\" }}]\nupstreams: {{ web: {{ nodes: {} }} }}\nroutes: [{{ upstream: web }}]\n",
        nodes([&app])
    );
    let tide = Tidegate::run(plain).await;
    browser
        .goes_to(&format!("http://{}/#config", tide.admin()))
        .await;
    browser.says("#yaml", "upstreams:").await;
    let seen = "return document.getElementById('certificates-card').offsetHeight";
    assert_eq!(browser.run(seen).await, 0);
}
