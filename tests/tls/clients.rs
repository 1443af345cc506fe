//! Certificates of clients are asked for at every handshake, and what the file says of them reaches who is in already.

use super::certificates::named;
use super::{ONE, run, run_one, site};
use crate::support::client::{Client, Request};
use crate::support::h2::{self, H2};
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{SOON, Tidegate, complete, tidegate};
use crate::support::redis::free_port;
use crate::support::tls::{Authority, Bridge};
use crate::support::wire::Broken;

/// A whole request by openssl with these arguments, so that tickets that come behind the handshake are read.
async fn openssl(tide: &Tidegate, to: std::net::SocketAddr, args: &str) -> String {
    let script = format!(
        "(printf 'GET /who HTTP/1.1\\r\\nHost: site.test\\r\\nConnection: close\\r\\n\\r\\n'; sleep 0.5) | \
         openssl s_client -connect {to} -servername site.test {args} -ign_eof"
    );
    let mut sh = std::process::Command::new("sh");
    sh.current_dir(tide.dir()).args(["-c", &script]);
    crate::support::process::finish(&mut sh).await.all()
}

#[tokio::test]
async fn who_came_with_a_certificate_has_to_show_it_again() {
    for auth in ["required", "optional"] {
        let (app, authority) = (Origin::start("app-1").await, Authority::new());
        let keys = format!("{ONE}, client_ca: ca.pem, client_auth: {auth}");
        let tide = run(&site(&keys, &nodes([&app]), ""), |dir| {
            authority.issue(&["site.test"]).write(dir, "site");
            authority.write(&dir.join("ca.pem"));
            named(&authority, "alice").write(dir, "alice");
        })
        .await;
        for version in ["-tls1_2", "-tls1_3"] {
            let shows = format!("{version} -cert alice.pem -key alice.key");
            let first = openssl(&tide, tide.addr(), &format!("{shows} -sess_out session")).await;
            assert!(first.contains("HTTP/1.1 200"), "{version}: {first}");
            if tide.dir().join("session").exists() {
                // What was let in once, without what let it in.
                let second =
                    openssl(&tide, tide.addr(), &format!("{version} -sess_in session")).await;
                assert!(!second.contains("Reused, TLSv1"), "{version}: {second}");
            }
        }
        let of = [("resumed", "yes")];
        let resumed = tide.metric("tidegate_tls_handshakes_total", &of).await;
        assert_eq!(resumed.unwrap_or_default(), 0.0, "{auth}");
    }
}

#[tokio::test]
async fn nobody_can_pretend_to_have_a_certificate_after_its_port_has_left_the_file() {
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    let (guarded, plain) = (free_port(), free_port());
    let rest = format!(
        "  - {{ addr: \"127.0.0.1:{plain}\" }}
upstreams: {{ web: {{ nodes: {} }} }}
routes: [{{ upstream: web }}]
",
        nodes([&app])
    );
    let both = format!(
        "listen:
  - {{ addr: \"127.0.0.1:{guarded}\", tls: {{ {ONE}, client_ca: ca.pem, client_header: X-Client-Subject }} }}
{rest}"
    );
    let tide = run(&both, |dir| {
        authority.issue(&["site.test"]).write(dir, "site");
        authority.write(&dir.join("ca.pem"));
        named(&authority, "alice").write(dir, "alice");
    })
    .await;
    tide.apply(&format!("listen:\n{rest}")).await;
    let plain = std::net::SocketAddr::from(([127, 0, 0, 1], plain));
    let mut client = Client::connect(plain).await.unwrap();
    let forged = Request::get("/").field("X-Client-Subject", "CN=root");
    assert_eq!(client.ask(&forged).await.unwrap().status, 200);
    // The port is open until a restart, and what it says is believed.
    let guarded = std::net::SocketAddr::from(([127, 0, 0, 1], guarded));
    let shows = "-cert alice.pem -key alice.key";
    let said = openssl(&tide, guarded, shows).await;
    assert!(said.contains("HTTP/1.1 200"), "{said}");
    let told: Vec<_> = app
        .seen()
        .iter()
        .map(|seen| seen.head.get("x-client-subject").map(str::to_owned))
        .collect();
    assert_eq!(told, [None, Some("CN=alice,O=Tide\\, Inc".to_owned())]);
}

/// The file of a site whose clients need no certificate, with this key more; and the one in which they need one.
fn before_and_after(app: &Origin) -> [String; 3] {
    ["", ", handshake_timeout: 9s", ", client_ca: ca.pem"]
        .map(|more| site(&format!("{ONE}{more}"), &nodes([app]), ""))
}

#[tokio::test]
async fn who_is_in_has_to_shake_hands_again_when_certificates_are_asked_for() {
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    let [before, other, after] = before_and_after(&app);
    let tide = run_one(&authority, &before).await;
    let bridge = Bridge::open(tide.addr(), "site.test", authority.client(&[])).await;
    let mut client = Client::connect(bridge.addr()).await.unwrap();
    assert_eq!(client.ask(&Request::get("/1")).await.unwrap().status, 200);
    tide.apply(&other).await;
    assert_eq!(client.ask(&Request::get("/2")).await.unwrap().status, 200);
    tide.apply(&after).await;
    let refused = client.ask(&Request::get("/3")).await;
    assert!(matches!(refused, Err(Broken::Closed)), "{refused:?}");
    assert_eq!(app.requests(), 2);
}

#[tokio::test]
async fn who_speaks_http2_is_told_to_shake_hands_again_when_certificates_are_asked_for() {
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    let [before, other, after] = before_and_after(&app);
    let tide = run_one(&authority, &before).await;
    let bridge = Bridge::open(tide.addr(), "site.test", authority.client(&["h2"])).await;
    let mut client = H2::connect(bridge.addr()).await;
    assert_eq!(
        client.status(h2::request("GET", "/1"), b"").await,
        Some(200)
    );
    tide.apply(&other).await;
    assert_eq!(
        client.status(h2::request("GET", "/2"), b"").await,
        Some(200)
    );
    tide.apply(&after).await;
    // Whether it has read that by now or not.
    let refused = client.status(h2::request("GET", "/3"), b"").await;
    assert_eq!(refused, None);
    client.closed(SOON).await.unwrap();
    assert_eq!(app.requests(), 2);
}

#[tokio::test]
async fn who_came_in_the_clear_is_sent_away_when_the_port_asks_for_certificates() {
    let (app, authority) = (Origin::start("app-1").await, Authority::new());
    let [_, _, after] = before_and_after(&app);
    let clear = after.replace(&format!(", tls: {{ {ONE}, client_ca: ca.pem }}"), "");
    assert!(!clear.contains("tls"), "{clear}");
    let tide = run_one(&authority, &clear).await;
    let mut client = Client::connect(tide.addr()).await.unwrap();
    assert_eq!(client.ask(&Request::get("/1")).await.unwrap().status, 200);
    tide.apply(&after).await;
    let refused = client.ask(&Request::get("/2")).await;
    assert!(matches!(refused, Err(Broken::Closed)), "{refused:?}");
    assert_eq!(app.requests(), 1);
}

#[tokio::test]
async fn check_tells_of_a_second_door_to_what_certificates_guard() {
    let authority = Authority::new();
    let dir = tempfile::TempDir::new().unwrap();
    authority.issue(&["site.test"]).write(dir.path(), "site");
    authority.write(&dir.path().join("ca.pem"));
    let redirect =
        "{ match: { scheme: http }, redirect: { to: \"https://{host}{uri}\", status: 308 } }";
    for (auth, port, routes, warns) in [
        ("required", "", "{ upstream: web }".to_owned(), true),
        (
            "required",
            ", tls: { certs: [{ cert: site.pem, key: site.key }] }",
            "{ upstream: web }".to_owned(),
            true,
        ),
        // Who has no certificate comes in by the first port, too.
        ("optional", "", "{ upstream: web }".to_owned(), false),
        (
            "required",
            ", allow: [127.0.0.1]",
            "{ upstream: web }".to_owned(),
            false,
        ),
        (
            "required",
            "",
            format!("{redirect}, {{ match: {{ scheme: https }}, upstream: web }}"),
            false,
        ),
    ] {
        let yaml = format!(
            "listen:
  - {{ addr: \"127.0.0.1:8443\", tls: {{ {ONE}, client_ca: ca.pem, client_auth: {auth} }} }}
  - {{ addr: \"127.0.0.1:8080\"{port} }}
upstreams: {{ web: {{ nodes: [127.0.0.1:3000] }} }}
routes: [{routes}]
"
        );
        let path = dir.path().join("tidegate.yaml");
        std::fs::write(&path, complete(&yaml)).unwrap();
        let done = tidegate(&["check", "-c", path.to_str().unwrap()]).await;
        assert_eq!(done.code, 0, "{}", done.all());
        let said = done.all().contains("`client_ca` guards a port");
        assert_eq!(said, warns, "{yaml}{}", done.all());
    }
}
