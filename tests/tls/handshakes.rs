//! Handshakes: versions, resumption, protocols, slow ones, floods, and what is no handshake at all.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{ONE, run_one, s_client, site};
use crate::support::client::Request;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{SOON, Tidegate};
use crate::support::tls::Authority;
use crate::support::{check, eventually};

const ERRORS: &str = "tidegate_tls_handshake_errors_total";

async fn stage(keys: &str) -> (Origin, Tidegate) {
    let app = Origin::start("app-1").await;
    let tide = run_one(&Authority::new(), &site(keys, &nodes([&app]), "")).await;
    (app, tide)
}

#[tokio::test]
async fn nothing_older_than_tls_1_2_is_spoken() {
    let (_app, tide) = stage(ONE).await;
    for (version, spoken) in [
        ("-tls1", false),
        ("-tls1_1", false),
        ("-tls1_2", true),
        ("-tls1_3", true),
    ] {
        let done = s_client(tide.addr(), &[version, "-cipher", "ALL:@SECLEVEL=0"]).await;
        assert_eq!(done.code == 0, spoken, "{version}: {}", done.all());
    }
    for (version, n) in [("1.2", 1.0), ("1.3", 1.0)] {
        let of = [("version", version), ("resumed", "no")];
        tide.metric_is("tidegate_tls_handshakes_total", &of, n)
            .await;
    }
    tide.metric_is(ERRORS, &[("reason", "incompatible")], 2.0)
        .await;
}

#[tokio::test]
async fn min_version_1_3_refuses_1_2() {
    let (_app, tide) = stage(&format!("{ONE}, min_version: \"1.3\"")).await;
    assert_ne!(s_client(tide.addr(), &["-tls1_2"]).await.code, 0);
    assert_eq!(s_client(tide.addr(), &["-tls1_3"]).await.code, 0);
}

#[tokio::test]
async fn only_suites_with_forward_secrecy_and_authenticated_encryption_are_spoken() {
    let (_app, tide) = stage(ONE).await;
    for suite in [
        "AES128-SHA",
        "AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES128-SHA",
        "NULL-SHA",
        "aNULL",
    ] {
        let suite = format!("{suite}:@SECLEVEL=0");
        let done = s_client(tide.addr(), &["-tls1_2", "-cipher", &suite]).await;
        assert_ne!(done.code, 0, "{suite}: {}", done.all());
    }
    let good = ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"];
    assert_eq!(s_client(tide.addr(), &good).await.code, 0);
}

#[tokio::test]
async fn sessions_go_on_after_a_reload_and_not_where_tickets_are_off() {
    for (version, keys, resumes) in [
        ("-tls1_2", ONE.to_owned(), true),
        ("-tls1_3", ONE.to_owned(), true),
        ("-tls1_3", format!("{ONE}, tickets: false"), false),
    ] {
        let (app, tide) = stage(&keys).await;
        let session = tide.dir().join("session");
        let session = session.to_str().unwrap();
        // A whole request, so that tickets that come behind the handshake are read.
        let ask = |how: &'static str| {
            let to = tide.addr();
            let script = format!(
                "(printf 'GET / HTTP/1.1\\r\\nHost: site.test\\r\\nConnection: close\\r\\n\\r\\n'; sleep 0.5) | \
                 openssl s_client -connect {to} -servername site.test {version} {how} {session} -ign_eof"
            );
            async move {
                let mut sh = std::process::Command::new("sh");
                crate::support::process::finish(sh.args(["-c", &script])).await
            }
        };
        let first = ask("-sess_out").await;
        assert!(
            first.out.contains("New, TLSv1"),
            "{version}: {}",
            first.all()
        );
        let again = site(
            &format!("{keys}, handshake_timeout: 9s"),
            &nodes([&app]),
            "",
        );
        tide.apply(&again).await;
        if resumes || std::path::Path::new(session).exists() {
            let second = ask("-sess_in").await;
            let resumed = second.out.contains("Reused, TLSv1");
            assert_eq!(resumed, resumes, "{version}: {}", second.all());
        }
        let of = [("resumed", "yes")];
        let counted = tide.metric("tidegate_tls_handshakes_total", &of).await;
        assert_eq!(counted.unwrap_or_default() > 0.0, resumes);
    }
}

#[tokio::test]
async fn the_protocol_is_agreed_on_and_none_in_common_is_refused() {
    let (_app, tide) = stage(ONE).await;
    for (offer, agreed) in [("h2,http/1.1", "h2"), ("http/1.1", "http/1.1")] {
        let done = s_client(tide.addr(), &["-alpn", offer]).await;
        let line = format!("ALPN protocol: {agreed}");
        assert!(done.out.contains(&line), "{offer}: {}", done.all());
    }
    assert_ne!(s_client(tide.addr(), &["-alpn", "spdy/1"]).await.code, 0);
    tide.metric_is(ERRORS, &[("reason", "alpn")], 1.0).await;
    let (_app, tide) = stage(&format!("{ONE}, alpn: http/1.1")).await;
    let done = s_client(tide.addr(), &["-alpn", "h2,http/1.1"]).await;
    assert!(
        done.out.contains("ALPN protocol: http/1.1"),
        "{}",
        done.all()
    );
}

#[tokio::test]
async fn a_slow_handshake_ends_at_its_deadline_and_holds_nobody_up() {
    let (_app, tide) = stage(&format!("{ONE}, handshake_timeout: 1s")).await;
    let begun = Instant::now();
    let mut slow = Vec::new();
    for some in [&b""[..], &b"\x16"[..], &b"\x16\x03\x01\x02\x00\x01"[..]] {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(tide.addr()).await.unwrap();
            stream.write_all(some).await.unwrap();
            slow.push(stream);
        }
    }
    assert_eq!(
        s_client(tide.addr(), &[]).await.code,
        0,
        "others are served meanwhile"
    );
    for mut stream in slow {
        let mut end = Vec::new();
        let closed = tokio::time::timeout(SOON, stream.read_to_end(&mut end)).await;
        assert!(closed.is_ok(), "it is still open");
    }
    assert!(begun.elapsed() >= Duration::from_secs(1));
    tide.metric_is(ERRORS, &[("reason", "timeout")], 60.0).await;
}

#[tokio::test]
async fn of_a_flood_of_handshakes_only_so_many_begin() {
    let (_app, tide) = stage(&format!("{ONE}, handshakes: 3")).await;
    let flood = (0..12).map(|_| {
        let to = tide.addr();
        tokio::spawn(async move { s_client(to, &[]).await.code })
    });
    let flood: Vec<_> = flood.collect();
    let mut good = 0;
    for one in flood {
        good += usize::from(one.await.unwrap() == 0);
    }
    assert!((3..12).contains(&good), "{good} went well");
    let refused = tide.metric(ERRORS, &[("reason", "too_many")]).await;
    assert_eq!(refused, Some((12 - good) as f64));
    eventually("it goes on", SOON, async || {
        check(s_client(tide.addr(), &[]).await.code == 0, "refused")
    })
    .await;
}

#[tokio::test]
async fn http_in_the_clear_is_told_so_in_words() {
    let (app, tide) = stage(ONE).await;
    let answer = tide.ask(&Request::get("/")).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("https://"), "{}", answer.text());
    tide.refused("plain_http", 1).await;
    assert_eq!(app.requests(), 0);
}

#[tokio::test]
async fn whatever_bytes_come_the_port_goes_on() {
    let (_app, tide) = stage(ONE).await;
    let mut rng = fastrand::Rng::with_seed(7);
    for at in 0..300 {
        let mut stream = TcpStream::connect(tide.addr()).await.unwrap();
        let mut garbage: Vec<u8> = (0..rng.usize(1..600)).map(|_| rng.u8(..)).collect();
        if at % 2 == 0 {
            // The frame of a handshake, with nonsense in it.
            let length = (garbage.len() as u16).to_be_bytes();
            garbage.splice(..0, [22, 3, 1, length[0], length[1]]);
        }
        let _ = stream.write_all(&garbage).await;
        drop(stream);
    }
    assert_eq!(s_client(tide.addr(), &[]).await.code, 0, "{}", tide.log());
    assert!(!tide.log().contains("panicked"), "{}", tide.log());
}

#[tokio::test]
async fn early_data_for_another_server_is_skipped_and_asked_for_again() {
    let (app, tide) = stage(ONE).await;
    let (dir, before) = (tide.dir(), crate::support::redis::free_port());
    // The server that the client knew before: its session allows early data, and means nothing to us.
    let mut server = std::process::Command::new("openssl");
    server.current_dir(dir).stdin(std::process::Stdio::null());
    server
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let accept = before.to_string();
    server.args([
        "s_server", "-accept", &accept, "-cert", "site.pem", "-key", "site.key",
    ]);
    let server = server.args(["-tls1_3", "-max_early_data", "16384", "-www"]);
    let mut server = tokio::process::Command::from(std::mem::replace(
        server,
        std::process::Command::new("true"),
    ));
    let _server = server.kill_on_drop(true).spawn().unwrap();
    let ask = async |to: String, how: &str| {
        let script = format!(
            "(printf 'GET /again HTTP/1.0\\r\\nHost: site.test\\r\\n\\r\\n'; sleep 0.5) | \
             openssl s_client -connect {to} -servername site.test -tls1_3 {how} -ign_eof"
        );
        let mut sh = std::process::Command::new("sh");
        sh.current_dir(dir).args(["-c", &script]);
        crate::support::process::finish(&mut sh).await.all()
    };
    eventually("there is a session", SOON, async || {
        let said = ask(format!("127.0.0.1:{before}"), "-sess_out session").await;
        check(dir.join("session").exists(), said)
    })
    .await;
    // More than rustls reads at once.
    tide.write_file(
        "early",
        &format!("GET /early?{} HTTP/1.1\r\n\r\n", "a".repeat(5_000)),
    );
    let said = ask(
        tide.addr().to_string(),
        "-sess_in session -early_data early",
    )
    .await;
    assert!(said.contains("Early data was rejected"), "{said}");
    assert!(said.contains("Scripted"), "{said}");
    assert_eq!(app.only().target(), "/again");
}

#[tokio::test]
async fn the_end_is_told_when_the_process_stops() {
    let (_app, tide) = stage(ONE).await;
    let to = tide.addr();
    let client = tokio::spawn(async move {
        let script = format!("sleep 30 | openssl s_client -connect {to} -msg");
        let mut sh = std::process::Command::new("timeout");
        crate::support::process::finish(sh.args(["8", "sh", "-c", &script])).await
    });
    tide.stands_at(1).await;
    let of = [("resumed", "no")];
    eventually("its handshake is over", SOON, async || {
        let n = tide.metric("tidegate_tls_handshakes_total", &of).await;
        check(n == Some(1.0), format!("{n:?}"))
    })
    .await;
    tide.signal(nix::sys::signal::Signal::SIGTERM);
    let said = client.await.unwrap();
    assert!(said.out.contains("warning close_notify"), "{}", said.all());
}
