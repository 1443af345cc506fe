//! What outlives the process: found again, closed to others, and judged before it is used.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::proxy::Tidegate;

use super::*;

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path)
        .expect("it is there")
        .permissions()
        .mode()
        & 0o777
}

#[tokio::test]
async fn a_restart_uses_what_is_kept_and_orders_nothing_even_without_the_ca() {
    let mut stage = Stage::set(How::default()).await;
    let tide = Tidegate::run(stage.config("")).await;
    let first = stands(&tide, "valid").await;
    killed(tide).await;
    assert_eq!(stage.pebble.issued(), 1);
    stage.pebble.stop().await;
    let tide = Tidegate::run(stage.config("")).await;
    let again = stands(&tide, "valid").await;
    assert_eq!(again["expires_at"], first["expires_at"]);
    assert_eq!(again["failures"], 0, "{again}");
}

#[tokio::test]
async fn nobody_else_can_read_keys_and_account() {
    let stage = Stage::set(How::default()).await;
    let tide = Tidegate::run(stage.config("")).await;
    stands(&tide, "valid").await;
    assert_eq!(mode(&stage.state()), 0o700);
    let files = stage.files();
    let [file] = &files[..] else {
        panic!("one certificate: {files:?}");
    };
    let folder = file.parent().expect("a folder");
    assert_eq!(mode(folder), 0o700);
    let mut seen = Vec::new();
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        seen.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    seen.sort();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen.contains(&"account.json".to_owned()), "{seen:?}");
    let pem = fs::read_to_string(file).expect("a readable file");
    assert!(
        pem.starts_with("-----BEGIN PRIVATE KEY"),
        "key and chain in one file"
    );
    for target in ["/api/v1/status", "/api/v1/config", "/api/v1/events"] {
        let told = tide.api("GET", target, "").await.text();
        assert!(!told.contains("PRIVATE"), "{target}");
    }
    assert!(!tide.log().contains("PRIVATE"));
}

#[tokio::test]
async fn a_file_that_is_damaged_is_told_of_and_ordered_anew() {
    let stage = Stage::set(How::default()).await;
    let tide = Tidegate::run(stage.config("")).await;
    stands(&tide, "valid").await;
    killed(tide).await;
    let file = stage.files().remove(0);
    let pem = fs::read_to_string(&file).expect("a readable file");
    fs::write(&file, &pem[..pem.len() - 100]).expect("a writable file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("our own file");
    let tide = Tidegate::run(stage.config("")).await;
    stands(&tide, "valid").await;
    let log = tide.log();
    assert!(
        log.contains("cannot be used") && log.contains("ordered anew"),
        "{log}"
    );
    assert!(log.contains("could be read by others"), "{log}");
    assert_eq!(stage.pebble.issued(), 2);
    assert_eq!(mode(&file), 0o600);
}

#[tokio::test]
async fn another_kind_of_key_is_ordered_while_the_old_one_stays_in_use() {
    let stage = Stage::set(How::default()).await;
    let tide = Tidegate::run(stage.config("")).await;
    let first = stands(&tide, "valid").await;
    tide.apply(&stage.config(", key: ecdsa-p384")).await;
    orders(&tide, "issued", 2.0).await;
    let second = stands(&tide, "valid").await;
    assert_eq!(first["names"], second["names"]);
    let pem = fs::read_to_string(stage.files().remove(0)).expect("a readable file");
    // A key over P-384 is longer than one over P-256.
    let key = pem.split("-----END").next().unwrap_or_default();
    assert!(key.len() > 250, "{} characters of a key", key.len());
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_to_is_told_with_its_name_and_nothing_is_ordered() {
    let stage = Stage::set(How::default()).await;
    fs::write(stage.state(), "a file where a folder should be").expect("a writable folder");
    let tide = Tidegate::run(stage.config("")).await;
    let told = fails(&tide, "cannot write to").await;
    assert_eq!(told["state"], "missing");
    assert!(
        told["failure"].as_str().unwrap().contains("acme.state"),
        "{told}"
    );
    assert_eq!(stage.pebble.issued(), 0);
    assert_eq!(tide.get("/").await.status, 200);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_kept_is_used_and_kept_when_it_can_be_without_another_order() {
    let stage = Stage::set(How::default()).await;
    let tide = Tidegate::run(stage.config("")).await;
    stands(&tide, "valid").await;
    killed(tide).await;
    let file = stage.files().remove(0);
    fs::remove_file(&file).expect("our own file");
    // What is no file cannot be replaced by one.
    fs::create_dir_all(file.join("in the way")).expect("a writable folder");
    let tide = Tidegate::run(stage.config("")).await;
    let told = fails(&tide, "cannot write to").await;
    assert_eq!(told["state"], "valid", "{told}");
    assert_eq!(told["failures"], 0, "nothing is ordered again: {told}");
    let log = tide.log();
    assert!(log.contains("is used, and a restart loses it"), "{log}");
    fs::remove_dir_all(&file).expect("a writable folder");
    eventually("it is kept", SOON, async || {
        check(file.is_file(), tide.log())
    })
    .await;
    eventually("and told", SOON, async || {
        let told = self::told(&tide).await;
        check(told["failure"].is_null(), told)
    })
    .await;
    assert_eq!(stage.pebble.issued(), 2);
}
