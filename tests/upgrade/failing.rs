//! A next process that does not come to serve: the one that runs is none the worse, and says why.

use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;

use super::{Reign, is_gone};
use crate::support::load::Load;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{SOON, complete, web};
use crate::support::{check, eventually, ms};

async fn with_an_app() -> (Origin, Reign) {
    let app = Origin::start("app-1").await;
    let reign = Reign::begin(&web("", nodes([&app]))).await;
    (app, reign)
}

/// It serves as before, and its answer, log and events say `why`.
async fn is_refused(reign: &Reign, body: &str, why: &str) {
    let before = reign.pid().await;
    let load = Load::at(200).count(40).start(reign.addr());
    let answer = reign.asks(body).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    let detail = answer.json()["detail"]
        .as_str()
        .unwrap_or_default()
        .to_string();
    assert!(detail.contains(why), "{detail}");
    reign
        .says("the upgrade failed, this process serves on")
        .await;
    assert!(!reign.events(why).await.is_empty(), "an event says {why:?}");
    load.done().await.nothing_failed_of(40);
    assert_eq!(reign.pid().await, before);
    reign.put_back();
}

#[tokio::test]
async fn a_file_with_a_mistake_is_told_with_its_place_and_the_command_fails() {
    let (_app, reign) = with_an_app().await;
    let whole = std::fs::read_to_string(reign.path()).unwrap();
    reign.write_file("tidegate.yaml", &format!("{whole}nonsense: 1\n"));
    is_refused(&reign, "", "unknown key `nonsense`").await;
    let done = reign.command(&["upgrade", "--wait", "20s"]).await;
    assert_eq!(done.code, 1, "{}", done.all());
    assert!(done.err.contains("unknown key `nonsense`"), "{}", done.err);
    reign.write_file("tidegate.yaml", &whole);
    let done = reign.command(&["upgrade"]).await;
    assert_eq!(done.code, 0, "{}", done.all());
    assert!(done.out.contains("serves; process"), "{}", done.out);
}

#[tokio::test]
async fn a_port_that_cannot_be_opened_is_told() {
    let (_app, reign) = with_an_app().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().map(|addr| (taken, addr)).unwrap();
    let whole = std::fs::read_to_string(reign.path()).unwrap();
    let more = format!("[{{ addr: \"127.0.0.1:0\" }}, {{ addr: \"{}\" }}]", taken.1);
    let changed = whole.replace("[{ addr: \"127.0.0.1:0\" }]", &more);
    assert_ne!(changed, whole);
    reign.write_file("tidegate.yaml", &changed);
    is_refused(&reign, "", "another program").await;
}

#[tokio::test]
async fn a_binary_that_crashes_is_told_with_how_it_ended() {
    let (_app, reign) = with_an_app().await;
    reign.replace_by("exit 7");
    is_refused(&reign, "", "exit status: 7").await;
    reign.replace_by("kill -SEGV $$");
    is_refused(&reign, "", "signal: 11").await;
}

#[tokio::test]
async fn a_binary_that_hangs_is_ended_at_its_time() {
    let (_app, reign) = with_an_app().await;
    for script in ["exec sleep 600", "trap '' TERM\nwhile :; do sleep 1; done"] {
        let pid = reign.dir().join("its.pid");
        reign.replace_by(&format!("echo $$ > {}\n{script}", pid.display()));
        is_refused(&reign, r#"{"wait":"500ms"}"#, "did not serve within 500ms").await;
        let pid = std::fs::read_to_string(pid).unwrap();
        is_gone(pid.trim().parse().unwrap()).await;
    }
}

#[tokio::test]
async fn no_binary_and_one_that_cannot_run_are_told() {
    let (_app, reign) = with_an_app().await;
    std::fs::remove_file(reign.dir().join("tidegate")).unwrap();
    is_refused(&reign, "", "there is no program").await;
    reign.replace_by("exit 0");
    let file = reign.dir().join("tidegate");
    std::fs::write(&file, "#!/nowhere/at/all\n").unwrap();
    is_refused(&reign, "", "cannot start").await;
    reign.replace_by("exit 0");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    is_refused(&reign, "", "there is no program").await;
}

#[tokio::test]
async fn after_any_of_them_the_next_try_is_free_and_only_one_is_tried_at_a_time() {
    let (_app, reign) = with_an_app().await;
    let pid = reign.dir().join("its.pid");
    reign.replace_by(&format!("echo $$ > {}\nexec sleep 600", pid.display()));
    reign.signal(Signal::SIGUSR2);
    eventually("it is started", SOON, async || check(pid.exists(), "no")).await;
    let second = reign.asks("").await;
    assert_eq!(second.status, 409, "{}", second.text());
    reign.signal(Signal::SIGUSR2);
    reign.says("one at a time").await;
    assert_eq!(reign.asks(r#"{"wait":"11m"}"#).await.status, 422);
    assert_eq!(reign.asks(r#"{"when":"now"}"#).await.status, 422);

    // The reload of a process that waits for another one works as ever.
    reign.write(&format!("{}# the same\n", complete(&file_of(&reign))));
    reign.signal(Signal::SIGHUP);
    assert_eq!(reign.asks("").await.status, 409);

    let hangs: i32 = std::fs::read_to_string(&pid)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    super::send(hangs, Signal::SIGKILL);
    reign.says("signal: 9").await;
    reign.put_back();
    reign.upgrade().await;
}

fn file_of(reign: &Reign) -> String {
    std::fs::read_to_string(reign.path()).unwrap()
}

#[tokio::test]
async fn who_is_told_to_stop_meanwhile_takes_the_next_one_along() {
    let (_app, reign) = with_an_app().await;
    let pid = reign.dir().join("its.pid");
    reign.replace_by(&format!("echo $$ > {}\nexec sleep 600", pid.display()));
    reign.signal(Signal::SIGUSR2);
    eventually("it is started", SOON, async || check(pid.exists(), "no")).await;
    reign.signal(Signal::SIGTERM);
    assert_eq!(reign.process().gone(ms(5_000)).await, 0);
    is_gone(
        std::fs::read_to_string(pid)
            .unwrap()
            .trim()
            .parse()
            .unwrap(),
    )
    .await;
}
