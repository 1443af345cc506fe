//! Purging: what is named is no longer used, at once, and nothing else is touched.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::Gate;
use crate::support::client::Request;
use crate::support::origin::Origin;
use crate::support::proxy::{Tidegate, complete};
use crate::support::shop::{cached, did, get, is_hit, shop, shop_behind};

/// What is stored in these stories: host and target.
const STORED: [(&str, &str); 5] = [
    ("tide.test", "/a/1"),
    ("tide.test", "/a/2"),
    ("tide.test", "/b/1"),
    ("other.test", "/a/1"),
    ("other.test:8080", "/a/1"),
];

async fn fill(tide: &Tidegate) {
    for (host, target) in STORED {
        get(tide, host, target).await;
        assert!(is_hit(&get(tide, host, target).await), "{host}{target}");
    }
}

/// Which of what was stored is no longer used as it is, by position; afterwards all is fresh again.
async fn touched(tide: &Tidegate) -> Vec<usize> {
    let mut all = Vec::new();
    for (at, (host, target)) in STORED.into_iter().enumerate() {
        let answer = get(tide, host, target).await;
        assert_eq!(answer.status, 200);
        if !is_hit(&answer) {
            all.push(at);
        }
    }
    all
}

async fn purge(tide: &Tidegate, what: &Value) -> Value {
    let answer = tide.api("POST", "/api/v1/purge", &what.to_string()).await;
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    answer.json()
}

#[tokio::test]
async fn each_way_to_name_it_purges_what_it_names_and_nothing_else() {
    let (_app, tide) = shop_behind("{ key: { drop_query: [\"utm_*\"] } }").await;
    fill(&tide).await;
    for (what, concerns) in [
        (json!({ "url": "http://Tide.Test:80/a/1?utm_x=1" }), vec![0]),
        (
            json!({ "url": "http://other.test:8080/x/../a/%31" }),
            vec![4],
        ),
        (json!({ "url": "https://tide.test/a/1" }), vec![]),
        (json!({ "tag": "p/a/2" }), vec![1]),
        (json!({ "tag": "shop" }), vec![0, 1, 2, 3, 4]),
        (json!({ "tag": "sho" }), vec![]),
        (json!({ "prefix": "/a/" }), vec![0, 1, 3, 4]),
        (json!({ "prefix": "/a/", "host": "TIDE.test" }), vec![0, 1]),
        (json!({ "prefix": "http://other.test:8080/a*" }), vec![4]),
        (json!({ "host": "other.test" }), vec![3]),
        (json!({ "all": true }), vec![0, 1, 2, 3, 4]),
    ] {
        for hard in [false, true] {
            let mut what = what.clone();
            what["hard"] = json!(hard);
            let said = purge(&tide, &what).await;
            let mode = if hard { "hard" } else { "soft" };
            assert_eq!(
                said,
                json!({ "purged": concerns.len(), "mode": mode }),
                "{what}"
            );
            assert_eq!(touched(&tide).await, concerns, "{what}");
        }
    }
    let labels = [("kind", "prefix"), ("mode", "soft")];
    tide.metric_is("tidegate_cache_purges_total", &labels, 3.0)
        .await;
    assert!(
        tide.log()
            .contains("purged the tag \"p/a/2\" (soft): 1 answers"),
        "{}",
        tide.log()
    );
}

#[tokio::test]
async fn what_is_purged_softly_is_validated_and_what_is_purged_hard_is_fetched() {
    let (app, tide) = shop_behind("true").await;
    let first = get(&tide, "tide.test", "/page").await;
    tide.tells(1).await;
    purge(&tide, &json!({ "url": "http://tide.test/page" })).await;
    let validated = get(&tide, "tide.test", "/page").await;
    assert_eq!(
        validated.body, first.body,
        "a node said that it is still right"
    );
    assert_eq!(app.seen()[1].head.get("if-none-match"), Some("\"v1\""));
    let line = &tide.tells(2).await[1];
    assert_eq!(
        (&line["cache"], &line["cache_reason"]),
        (&json!("revalidated"), &json!("purged"))
    );
    assert!(
        is_hit(&get(&tide, "tide.test", "/page").await),
        "and it is fresh again"
    );

    purge(
        &tide,
        &json!({ "url": "http://tide.test/page", "hard": true }),
    )
    .await;
    let fetched = get(&tide, "tide.test", "/page").await;
    assert_ne!(fetched.body, first.body);
    assert_eq!(app.seen()[2].head.get("if-none-match"), None);
    assert!(
        did(&fetched).contains("detail=nothing_stored"),
        "{}",
        did(&fetched)
    );
}

#[tokio::test]
async fn all_variants_of_a_url_are_purged_with_it() {
    let (_app, tide) = shop_behind("true").await;
    for lang in ["de", "fr"] {
        tide.ask(&Request::get("/vary").field("X-Lang", lang)).await;
    }
    let said = purge(
        &tide,
        &json!({ "url": "http://tide.test/vary", "hard": true }),
    )
    .await;
    assert_eq!(said["purged"], 2);
}

#[tokio::test]
async fn what_is_purged_softly_is_still_there_when_no_node_is() {
    let (app, tide) = shop_behind("true").await;
    let first = get(&tide, "tide.test", "/page").await;
    purge(&tide, &json!({ "all": true })).await;
    app.kill().await;
    let answer = get(&tide, "tide.test", "/page").await;
    assert_eq!(
        (answer.status, &answer.body),
        (200, &first.body),
        "{}",
        did(&answer)
    );
    assert!(
        did(&answer).contains("detail=stale_if_error"),
        "{}",
        did(&answer)
    );
    purge(&tide, &json!({ "all": true, "hard": true })).await;
    assert_eq!(get(&tide, "tide.test", "/page").await.status, 503);
}

#[tokio::test]
async fn a_wrong_one_in_a_list_stops_none_of_the_others() {
    let (_app, tide) = shop_behind("true").await;
    fill(&tide).await;
    let list = json!([
        { "url": "http://tide.test/a/1" },
        { "url": "tide.test/a/2" },
        { "tag": "p/b/1", "hard": true },
        { "tag": "x", "host": "y" },
        "everything",
    ]);
    let said = purge(&tide, &list).await;
    assert_eq!(said[0], json!({ "purged": 1, "mode": "soft" }));
    assert_eq!(said[2], json!({ "purged": 1, "mode": "hard" }));
    for (at, remedy) in [(1, "http://HOST"), (3, "send one of"), (4, "send one of")] {
        assert_eq!(said[at]["status"], 422, "{said}");
        let detail = said[at]["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("nothing was purged") && detail.contains(remedy),
            "{detail}"
        );
    }
    assert_eq!(touched(&tide).await, [0, 2]);
    for (body, status) in [
        ("no json".to_string(), 400),
        (json!({}).to_string(), 422),
        (json!({ "tag": "t".repeat(300) }).to_string(), 422),
        (json!(vec![json!({ "tag": "t" }); 1_001]).to_string(), 400),
    ] {
        let answer = tide.api("POST", "/api/v1/purge", &body).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        let kind = answer.head.get("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/problem+json"), "{kind}");
    }
    let touched = touched(&tide).await;
    assert!(touched.is_empty(), "purged by mistake: {touched:?}");
}

#[tokio::test]
async fn the_command_purges_and_says_how_many() {
    let (_app, tide) = shop_behind("true").await;
    fill(&tide).await;
    let args = [
        "purge",
        "--url",
        "http://tide.test/a/1",
        "--url",
        "http://tide.test/a/2",
        "--tag",
        "p/b/1",
    ];
    let done = tide.command(&args).await;
    assert_eq!(done.code, 0, "{}", done.all());
    let lines: Vec<&str> = done.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", done.all());
    assert_eq!(
        lines[2],
        "tag p/b/1: 1 answers purged (soft: stale from now on)"
    );
    assert_eq!(touched(&tide).await, [0, 1, 2]);

    let done = tide
        .command(&[
            "purge",
            "--prefix",
            "/a",
            "--host",
            "other.test",
            "--hard",
            "-o",
            "json",
        ])
        .await;
    assert_eq!(done.code, 0, "{}", done.all());
    assert_eq!(
        done.json()[0]["result"],
        json!({ "purged": 1, "mode": "hard" })
    );
    assert_eq!(touched(&tide).await, [3]);

    assert_eq!(tide.command(&["purge", "--all"]).await.code, 0);
    assert_eq!(touched(&tide).await.len(), STORED.len());

    let wrong = tide
        .command(&["purge", "--url", "tide.test/a/1", "--tag", "p/b/1"])
        .await;
    assert_eq!(wrong.code, 1, "{}", wrong.all());
    assert!(
        wrong.err.contains("write it as http://HOST"),
        "{}",
        wrong.err
    );
    assert_eq!(touched(&tide).await, [2], "the right one was carried out");
    assert_eq!(
        tide.command(&["purge", "--hard"]).await.code,
        2,
        "nothing is named"
    );
}

const TOKEN: &str = "correct-horse-battery-staple";

/// A shop whose data port takes PURGE.
async fn with_token() -> (Origin, Tidegate) {
    let app = Origin::start("app-1").await;
    app.answers(shop);
    let dir = TempDir::new().unwrap();
    let yaml = format!(
        "cache: {{ purge_token_file: token }}\n{}",
        cached("true", &app)
    );
    std::fs::write(dir.path().join("tidegate.yaml"), complete(&yaml)).unwrap();
    std::fs::write(dir.path().join("token"), format!("{TOKEN}\n")).unwrap();
    (app, Tidegate::run_in(dir).await)
}

#[tokio::test]
async fn who_has_the_token_purges_on_the_data_port() {
    let (app, tide) = with_token().await;
    fill(&tide).await;
    let before = app.requests();
    let bearer = format!("Bearer {TOKEN}");
    let ask = Request::new("PURGE", "/a/1").field("Authorization", &bearer);
    let answer = tide.ask(&ask).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json(), json!({ "purged": 1, "mode": "soft" }));
    let hard = tide
        .ask(&ask.clone().host("other.test").field("Purge-Mode", "hard"))
        .await;
    assert_eq!(hard.json(), json!({ "purged": 1, "mode": "hard" }));
    let odd = tide.ask(&ask.field("Purge-Mode", "gently")).await;
    assert_eq!(odd.status, 400);
    assert_eq!(app.requests(), before, "no node is asked");
    assert_eq!(touched(&tide).await, [0, 3]);
}

#[tokio::test]
async fn without_the_token_nothing_is_purged_and_no_node_hears_of_it() {
    let (app, tide) = with_token().await;
    fill(&tide).await;
    let before = app.requests();
    let ask = Request::new("PURGE", "/a/1");
    let wrong = format!("Bearer {TOKEN}r");
    for refused in [
        ask.clone(),
        ask.clone().field("Authorization", &wrong),
        ask.field("Authorization", "Bearer"),
    ] {
        let answer = tide.ask(&refused).await;
        assert_eq!(answer.status, 403, "{}", answer.text());
    }
    assert_eq!(app.requests(), before);
    let touched = touched(&tide).await;
    assert!(touched.is_empty(), "purged all the same: {touched:?}");
    tide.refused("purge_token", 3).await;
}

#[tokio::test]
async fn without_a_token_in_the_file_purge_is_a_method_as_any_other() {
    let (app, tide) = shop_behind("true").await;
    let bearer = format!("Bearer {TOKEN}");
    let answer = tide
        .ask(&Request::new("PURGE", "/a").field("Authorization", &bearer))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(app.only().method(), "PURGE");
}

#[tokio::test]
async fn a_fetch_that_began_before_a_purge_is_not_used_after_it() {
    for what in [
        json!({ "url": "http://tide.test/page" }),
        json!({ "tag": "shop" }),
        json!({ "all": true, "hard": true }),
    ] {
        let (app, tide) = shop_behind("true").await;
        let gate = Gate::closed();
        let shut = gate.clone();
        app.answers(move |seen| match seen.serial {
            0 => shop(seen).when(&shut),
            _ => shop(seen),
        });
        let (answer, ()) = tokio::join!(get(&tide, "tide.test", "/page"), async {
            app.holds(1).await;
            purge(&tide, &what).await;
            gate.open();
        });
        assert_eq!(answer.status, 200, "who asked is answered all the same");
        let next = get(&tide, "tide.test", "/page").await;
        assert!(!is_hit(&next), "{what}: {}", did(&next));
        assert_eq!(app.requests(), 2, "{what}");
    }
}
