//! How many may come in, how often one may ask, and what becomes of who is one too many.
//!
//! Whoever is inside never suffers from who is turned away, and a count that went up always comes down again.

use std::time::Instant;

use crate::support::client::{Client, Request};
use crate::support::origin::Origin;
use crate::support::proxy::{SOON, Tidegate, one_node_under};
use crate::support::reply::Reply;
use crate::support::{Gate, check, eventually, ms};

/// A connection from this address of ours.
async fn from(tide: &Tidegate, address: &str) -> Client {
    let address = address.parse().unwrap();
    Client::connect_from(address, tide.addr()).await.unwrap()
}

/// A connection that has been answered once and is kept.
async fn kept(tide: &Tidegate, address: &str) -> Client {
    let mut client = from(tide, address).await;
    let answer = client.ask(&Request::get("/in")).await.unwrap();
    assert_eq!((answer.status, answer.stays_open), (200, true));
    client
}

/// It is turned away so, at once and without having asked for anything.
async fn turned_away(mut client: Client, status: u16) {
    let began = Instant::now();
    let answer = client.answer("GET").await.unwrap();
    assert_eq!((answer.status, answer.stays_open), (status, false));
    assert!(
        answer.head.names("connection", "close"),
        "{:?}",
        answer.head
    );
    if status == 503 {
        assert_eq!(answer.head.get("retry-after"), Some("1"));
    }
    assert_eq!(client.until_closed(ms(2_000)).await, Ok(vec![]));
    assert!(began.elapsed() < ms(1_000), "{:?}", began.elapsed());
}

#[tokio::test]
async fn who_is_one_too_many_is_told_to_come_again_while_the_others_are_served() {
    let (app, tide) = one_node_under("limits: { connections: 5 }\n").await;
    let gate = Gate::closed();
    let held = gate.clone();
    app.answers(move |seen| Reply::usual(seen).when(&held));
    let mut busy = Vec::new();
    for _ in 0..5 {
        let mut client = tide.connect().await;
        client.send(&Request::get("/busy")).await.unwrap();
        busy.push(client);
    }
    app.holds(5).await;
    for _ in 0..3 {
        turned_away(tide.connect().await, 503).await;
    }
    tide.refused("connections", 3).await;
    assert_eq!(tide.status().await["generation"], 1, "the stats port");
    gate.open();
    for client in &mut busy {
        assert_eq!(client.answer("GET").await.unwrap().status, 200);
        let again = client.ask(&Request::get("/again")).await.unwrap();
        assert_eq!((again.status, again.stays_open), (200, true));
    }
    assert_eq!(app.requests(), 10, "no node saw those turned away");
    drop(busy);
    tide.is_empty().await;
    kept(&tide, "127.0.0.1").await;
}

#[tokio::test]
async fn whoever_has_been_idle_longest_makes_room_for_a_newcomer() {
    let (_app, tide) = one_node_under("limits: { connections: 4 }\n").await;
    let mut inside = Vec::new();
    for _ in 0..4 {
        inside.push(kept(&tide, "127.0.0.1").await);
    }
    let last_asked = Instant::now();
    tokio::time::sleep(ms(250)).await; // 1 is to be the oldest, by more than a busy machine mixes up
    for at in [2, 0, 3] {
        let again = inside[at].ask(&Request::get("/again")).await;
        assert_eq!(again.unwrap().status, 200);
    }
    let mut newcomer = eventually("room is made", SOON, async || {
        let mut client = tide.connect().await;
        match client.ask(&Request::get("/new")).await {
            Ok(answer) if answer.status == 200 => Ok(client),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let waited = last_asked.elapsed();
    assert!(waited > ms(900), "who just asked is spared: {waited:?}");
    assert_eq!(inside[1].until_closed(ms(2_000)).await, Ok(vec![]));
    for at in [0, 2, 3] {
        let again = inside[at].ask(&Request::get("/after")).await;
        assert_eq!(again.unwrap().status, 200, "{at} stays");
    }
    let again = newcomer.ask(&Request::get("/after")).await;
    assert_eq!(again.unwrap().status, 200);
    tide.stands_at(4).await;
}

#[tokio::test]
async fn one_client_has_so_many_connections_and_another_one_its_own() {
    let top = "limits: { connections_per_ip: 3 }\ntrusted_proxies: [127.0.2.0/24]\n";
    let (_app, tide) = one_node_under(top).await;
    let mut inside = Vec::new();
    for _ in 0..3 {
        inside.push(kept(&tide, "127.0.1.1").await);
    }
    for _ in 0..2 {
        turned_away(from(&tide, "127.0.1.1").await, 429).await;
    }
    tide.refused("connections_per_ip", 2).await;
    let mut other = kept(&tide, "127.0.1.2").await;
    // A proxy in front brings many clients by one address.
    let mut brought = Vec::new();
    for _ in 0..6 {
        brought.push(kept(&tide, "127.0.2.1").await);
    }
    let again = Request::get("/again");
    for client in inside.iter_mut().chain(&mut brought).chain([&mut other]) {
        assert_eq!(client.ask(&again).await.unwrap().status, 200);
    }
    inside.pop();
    eventually("a place that is given back", SOON, async || {
        let mut client = from(&tide, "127.0.1.1").await;
        let status = client.ask(&again).await.map(|a| a.status);
        check(status == Ok(200), format!("{status:?}"))
    })
    .await;
    drop((inside, brought, other));
    tide.is_empty().await;
}

#[tokio::test]
async fn behind_a_prelude_the_client_it_tells_of_counts() {
    let top = "limits: { connections_per_ip: 2 }
listen: [{ addr: \"127.0.0.1:0\", proxy_protocol: { from: 127.0.3.0/24 } }]\n";
    let (_app, tide) = one_node_under(top).await;
    let announced = async |client: &str| {
        let family = if client.contains(':') { 6 } else { 4 };
        let mut connection = from(&tide, "127.0.3.1").await;
        let prelude = format!("PROXY TCP{family} {client} {client} 4711 80\r\n");
        connection.send_bytes(prelude.as_bytes()).await.unwrap();
        connection
    };
    let mut inside = Vec::new();
    for client in [
        "198.51.100.7",
        "198.51.100.7",
        "198.51.100.8",
        "2001:db8::1",
        "2001:db8::2",
        "2001:db8:0:1::1",
    ] {
        let mut connection = announced(client).await;
        let answer = connection.ask(&Request::get("/in")).await.unwrap();
        assert_eq!(answer.status, 200, "{client}");
        inside.push(connection);
    }
    turned_away(announced("198.51.100.7").await, 429).await;
    turned_away(announced("2001:db8::3").await, 429).await; // the same subscriber
    tide.refused("connections_per_ip", 2).await;
}

/// Sends all of it at once and reads answers until the connection ends: ids, and whether the last said so.
async fn at_once(tide: &Tidegate, n: usize) -> (Vec<String>, Vec<String>, bool) {
    let mut client = tide.connect().await;
    let requests: Vec<_> = (0..n).map(|n| Request::get(&format!("/{n}"))).collect();
    let piece: Vec<u8> = requests.iter().flat_map(Request::head_bytes).collect();
    client.send_bytes(&piece).await.unwrap();
    let mut answered = Vec::new();
    let mut closes = false;
    for _ in 0..n {
        let Ok(answer) = client.answer("GET").await else {
            break;
        };
        assert_eq!(answer.status, 200);
        assert!(!closes, "an answer after the last");
        closes = !answer.stays_open;
        answered.push(answer.head.get("x-id").unwrap().to_owned());
    }
    if closes {
        assert_eq!(client.until_closed(ms(2_000)).await, Ok(vec![]));
    }
    let sent = requests.iter().map(|r| r.its_id().to_owned()).collect();
    (sent, answered, closes)
}

/// As many as were answered reached the node, and in their order.
fn nothing_lost(app: &Origin, sent: &[String], answered: &[String]) {
    let seen: Vec<_> = app.seen().iter().map(|s| s.id().to_owned()).collect();
    assert_eq!(answered, &sent[..answered.len()]);
    assert_eq!(seen, answered, "taken in and not answered");
}

#[tokio::test]
async fn a_connection_ends_after_its_last_request_and_says_so() {
    let (app, tide) = one_node_under("limits: { requests_per_connection: 3 }\n").await;
    let (sent, answered, closes) = at_once(&tide, 5).await;
    assert_eq!((answered.len(), closes), (3, true));
    nothing_lost(&app, &sent, &answered);
    let mut client = tide.connect().await;
    for (n, stays_open) in [true, true, false].into_iter().enumerate() {
        let request = Request::post("/", vec![b'x'; 40_000]).chunked(7_000);
        let answer = client.ask(&request).await.unwrap();
        assert_eq!((answer.status, answer.stays_open), (200, stays_open), "{n}");
    }
    assert_eq!(client.until_closed(ms(2_000)).await, Ok(vec![]));
    tide.is_empty().await;
}

#[tokio::test]
async fn who_sends_too_many_at_once_gets_some_answers_and_has_to_come_again() {
    let (app, tide) = one_node_under("limits: { pipeline: 16 }\n").await;
    let (sent, answered, closes) = at_once(&tide, 40).await;
    assert!(
        closes && (16..=17).contains(&answered.len()),
        "{answered:?}"
    );
    nothing_lost(&app, &sent, &answered);
    // At a depth that is allowed a connection goes on for as long as its client likes.
    let mut client = tide.connect().await;
    for round in 0..12 {
        let piece = Request::get("/").head_bytes().repeat(10);
        client.send_bytes(&piece).await.unwrap();
        for n in 0..10 {
            let answer = client.answer("GET").await.unwrap();
            assert_eq!(
                (answer.status, answer.stays_open),
                (200, true),
                "{round} {n}"
            );
        }
    }
}

#[tokio::test]
async fn without_a_limit_everything_sent_at_once_is_answered() {
    let (app, tide) = one_node_under("limits: { pipeline: 0 }\n").await;
    let (sent, answered, closes) = at_once(&tide, 40).await;
    assert_eq!((answered.len(), closes), (40, false));
    nothing_lost(&app, &sent, &answered);
    tide.is_empty().await;
}
