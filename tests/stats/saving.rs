//! What was changed at run time goes into the file: by lines, proven before it is written, and never over the work of
//! somebody else.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::client::Answer;
use crate::support::load::Load;
use crate::support::origin::Origin;
use crate::support::proxy::{Tidegate, complete, web};

/// Who saves needs a token with the role admin.
const ADMIN: &str = "admin: { addr: \"127.0.0.1:0\", tokens: [{ name: boss, role: admin, token_file: own.token }] }\n";

/// A folder with this file and the token.
fn folder(text: &str) -> TempDir {
    let dir = TempDir::new().expect("a temporary folder");
    fs::write(dir.path().join("tidegate.yaml"), text).expect("a writable folder");
    fs::write(dir.path().join("own.token"), "administering-0123456789").expect("a writable folder");
    dir
}

/// A proxy with this configuration, whose stats port is asked by somebody who may save.
async fn run(yaml: &str) -> Tidegate {
    Tidegate::run_in(folder(&complete(&format!("{ADMIN}{yaml}")))).await
}

/// Asks to save.
async fn save(tide: &Tidegate, how: &str) -> Answer {
    tide.api("POST", &format!("/api/v1/save{how}"), "").await
}

/// A file as people write it.
fn file(apps: &[Origin]) -> String {
    complete(&format!(
        "{ADMIN}# The shop. Ask Ada before you touch this.\nupstreams:\n  web:   # app servers\n    drain: {{ timeout: 5s }}\n    nodes:\n      # rack 1\n      - {}   # new\n      - addr: \"{}\"   # old\n        id: app-2\n\n      # rack 2\n      - {{ addr: '{}', id: app-3 , weight: 2 }}\nroutes:\n  - upstream: web  # all of it\n",
        apps[0].addr(),
        apps[1].addr(),
        apps[2].addr(),
    ))
}

async fn shop() -> (Vec<Origin>, Tidegate, String) {
    let apps = Origin::several(4).await;
    let text = file(&apps);
    let tide = Tidegate::run_in(folder(&text)).await;
    (apps, tide, text)
}

/// Drains the first, weighs the second, removes the third and adds the fourth.
async fn change_all(tide: &Tidegate, apps: &[Origin]) {
    let asked = json!([
        { "node": format!("web/{}", apps[0].addr()), "do": "drain" },
        { "node": "web/app-2", "do": "weight", "weight": 5 },
        { "node": "web/app-3", "do": "remove" },
        { "node": "web/app-4", "do": "add", "addr": apps[3].addr().to_string() },
    ]);
    let answer = tide.api("POST", "/api/v1/nodes", &asked.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(tide.status().await["drift"], 4, "{}", answer.text());
}

/// The same file by hand.
fn by_hand(text: &str, apps: &[Origin]) -> String {
    let addr = |n: usize| apps[n].addr().to_string();
    text.replace(
        &format!("- {}   # new", addr(0)),
        &format!("- {{ addr: {}, state: drain }}   # new", addr(0)),
    )
    .replace(
        "        id: app-2\n",
        "        id: app-2\n        weight: 5\n",
    )
    .replace(
        &format!("      - {{ addr: '{}', id: app-3 , weight: 2 }}\n", addr(2)),
        &format!("      - {{ addr: {}, id: app-4 }}\n", addr(3)),
    )
}

#[tokio::test]
async fn what_is_saved_is_what_a_careful_hand_would_write_and_nothing_is_reset() {
    let (apps, tide, text) = shop().await;
    let load = Load::at(300).count(600).start(tide.addr());
    change_all(&tide, &apps).await;
    let wanted = by_hand(&text, &apps);

    let dry = save(&tide, "?dry_run=true").await.json();
    assert_eq!(dry["saved"], false, "{dry}");
    assert!(
        dry["patch"]
            .as_str()
            .is_some_and(|p| p.contains("\n+        weight: 5\n")),
        "{dry}"
    );
    assert_eq!(fs::read_to_string(tide.path()).unwrap(), text, "only shown");

    fs::set_permissions(tide.path(), fs::Permissions::from_mode(0o640)).unwrap();
    let before = tide.json("/api/v1/upstreams/web").await;
    let saved = save(&tide, "").await.json();
    assert_eq!(
        (&saved["saved"], &saved["patch"]),
        (&json!(true), &dry["patch"]),
        "{saved}"
    );
    assert_eq!(fs::read_to_string(tide.path()).unwrap(), wanted);
    let mode = fs::metadata(tide.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(
        fs::read_dir(tide.dir()).unwrap().count(),
        2,
        "nothing is left beside it"
    );

    // It runs as before, and there is nothing to reload.
    assert_eq!(tide.status().await["drift"], 0);
    assert_eq!(tide.json("/api/v1/drift").await["entries"], json!([]));
    let after = tide.json("/api/v1/upstreams/web").await;
    for (was, is) in
        [(0, 0), (1, 1), (2, 2)].map(|(a, b)| (&before["nodes"][a], &after["nodes"][b]))
    {
        assert_eq!(
            (&was["id"], &was["state"], &was["weight"]),
            (&is["id"], &is["state"], &is["weight"])
        );
        assert!(is["requests_total"].as_u64() >= was["requests_total"].as_u64());
        assert!(
            is["since_seconds"].as_f64() >= was["since_seconds"].as_f64(),
            "{was} {is}"
        );
        assert_eq!(
            (&is["drift"], &is["added"]),
            (&json!(false), &json!(false)),
            "{is}"
        );
    }
    let reload = tide.api("POST", "/api/v1/reload", "").await.json();
    assert_eq!(reload["result"], "unchanged", "{reload}");
    assert_eq!(
        reload["generation"], saved["generation"],
        "the watcher saw nothing new"
    );
    load.done().await.nothing_failed_of(600);
    let again = save(&tide, "").await.json();
    assert_eq!(again["patch"], "", "{again}");

    // And so it starts.
    let fresh = folder(&fs::read_to_string(tide.path()).unwrap());
    let next = Tidegate::run_in(fresh).await;
    let ids = |web: &Value| -> Vec<(String, String, String)> {
        let nodes = web["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|n| n["removed"] == false);
        nodes
            .map(|n| {
                (
                    n["id"].to_string(),
                    n["state"].to_string(),
                    n["weight"].to_string(),
                )
            })
            .collect()
    };
    assert_eq!(ids(&next.json("/api/v1/upstreams/web").await), ids(&after));
}

#[tokio::test]
async fn a_file_that_somebody_changed_meanwhile_is_not_overwritten() {
    let (apps, tide, text) = shop().await;
    change_all(&tide, &apps).await;
    let broken = text.replace("upstreams:", "upstream:");
    tide.write_file("tidegate.yaml", &broken);
    let refused = save(&tide, "").await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert_eq!(fs::read_to_string(tide.path()).unwrap(), broken);
    assert_eq!(tide.status().await["drift"], 4, "nothing was forgotten");
    tide.write_file("tidegate.yaml", &text);
    assert_eq!(save(&tide, "").await.status, 200);
    assert_eq!(
        fs::read_to_string(tide.path()).unwrap(),
        by_hand(&text, &apps)
    );
}

#[tokio::test]
async fn what_no_line_edit_can_say_is_refused_with_a_patch() {
    let apps = Origin::several(2).await;
    let yaml = format!(
        "upstreams:\n  web: &web\n    nodes: [{}, {}]\n  api: *web\nroutes:\n  - upstream: web\n  - match: {{ path: /api }}\n    upstream: api\n",
        apps[0], apps[1]
    );
    let tide = run(&yaml).await;
    let text = fs::read_to_string(tide.path()).unwrap();
    tide.verb("web/app-1", "drain").await;
    let refused = save(&tide, "").await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    let told = refused.json();
    let patch = told["patch"].as_str().expect("a patch");
    assert!(
        patch.contains("@@ upstream web, node app-1\n-- { addr: "),
        "{patch}"
    );
    assert!(patch.contains(", state: drain }\n"), "{patch}");
    assert_eq!(fs::read_to_string(tide.path()).unwrap(), text);
    assert_eq!(tide.status().await["drift"], 1);
    // Said of both, it is what the one entry says.
    tide.verb("api/app-1", "drain").await;
    let saved = save(&tide, "").await;
    assert_eq!(saved.status, 200, "{}", saved.text());
    let now = fs::read_to_string(tide.path()).unwrap();
    assert_eq!(
        now,
        text.replace("id: app-1 }", "id: app-1, state: drain }")
    );
}

#[tokio::test]
async fn a_saved_link_stays_a_link_and_an_entry_goes_into_the_file_it_stands_in() {
    let apps = Origin::several(2).await;
    let own = TempDir::new().unwrap();
    let list = own.path().join("list.yaml");
    let text = format!("\u{feff}# by deploy\r\n- {}   # one\r\n", apps[0]);
    fs::write(&list, text).unwrap();
    let dir = folder(&complete(&format!(
        "{ADMIN}upstreams: {{ web: {{ nodes_file: nodes.yaml }} }}\nroutes: [{{ upstream: web }}]\n"
    )));
    symlink(&list, dir.path().join("nodes.yaml")).unwrap();
    let tide = Tidegate::run_in(dir).await;
    tide.verb("web/app-1", "drain").await;
    let add = json!({ "addr": apps[1].addr().to_string(), "id": "app-2" }).to_string();
    assert_eq!(
        tide.api("POST", "/api/v1/upstreams/web/nodes", &add)
            .await
            .status,
        201
    );
    let saved = save(&tide, "").await;
    assert_eq!(saved.status, 200, "{}", saved.text());
    let link = fs::symlink_metadata(tide.dir().join("nodes.yaml")).unwrap();
    assert!(link.file_type().is_symlink());
    assert_eq!(
        fs::read_to_string(&list).unwrap(),
        format!(
            "\u{feff}# by deploy\r\n- {{ addr: \"{}\", id: app-1, state: drain }}   # one\r\n- {{ addr: {}, id: app-2 }}\r\n",
            apps[0].addr(),
            apps[1].addr()
        )
    );
    let reload = tide.api("POST", "/api/v1/reload", "").await.json();
    assert_eq!(reload["result"], "unchanged", "{reload}");
}

#[tokio::test]
async fn an_upstream_without_a_node_cannot_be_saved() {
    let apps = Origin::several(1).await;
    let tide = run(&web("", format!("[{}]", apps[0]))).await;
    let text = fs::read_to_string(tide.path()).unwrap();
    let gone = tide
        .api("DELETE", "/api/v1/upstreams/web/nodes/app-1", "")
        .await;
    assert_eq!(gone.status, 200, "{}", gone.text());
    let refused = save(&tide, "").await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(
        refused.text().contains("upstream web has no node left"),
        "{}",
        refused.text()
    );
    assert_eq!(fs::read_to_string(tide.path()).unwrap(), text);
}

#[tokio::test]
async fn who_saves_is_in_the_audit_and_who_may_not_writes_nothing() {
    let (apps, tide, text) = shop().await;
    change_all(&tide, &apps).await;
    let done = tide.command(&["save", "--dry-run"]).await;
    assert_eq!(done.code, 0, "{}", done.all());
    assert!(done.all().contains("+        weight: 5"), "{}", done.all());
    let done = tide.command(&["save"]).await;
    assert_eq!(done.code, 0, "{}", done.all());
    assert!(done.all().contains("saved: generation "), "{}", done.all());
    let audit = tide.json("/api/v1/audit?limit=1").await;
    let last = &audit["audit"][0];
    assert_eq!(
        (&last["who"], &last["action"], &last["outcome"]),
        (&json!("boss"), &json!("save"), &json!("ok")),
        "{last}"
    );
    assert_eq!(
        fs::read_to_string(tide.path()).unwrap(),
        by_hand(&text, &apps)
    );
    // Without tokens nobody is admin.
    let tide = Tidegate::run(web("", format!("[{}]", apps[0]))).await;
    tide.verb("web/app-1", "drain").await;
    assert_eq!(save(&tide, "").await.status, 403);
    assert_eq!(tide.status().await["drift"], 1);
}
