//! Attacks that ask for more than they cost: little on the wire, much in memory.
//!
//! Part of the index by name in `tests/known_attacks.rs`. Frames are written by hand, because no library would send
//! them.

use crate::support::client::Request;
use crate::support::origin::{Origin, nodes};
use crate::support::proxy::{Tidegate, web};
use crate::support::{check, eventually, ms, process::Process};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Largest frame that everybody takes (RFC 9113 §4.2).
const FRAME: usize = 16_384;
const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A block of fields in as many frames as it takes.
fn headers(stream: u32, block: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let last = block.len().div_ceil(FRAME) - 1;
    for (at, part) in block.chunks(FRAME).enumerate() {
        let kind = if at == 0 { HEADERS } else { CONTINUATION };
        let begins = if at == 0 { END_STREAM } else { 0 };
        let ends = if at == last { END_HEADERS } else { 0 };
        bytes.extend(frame(kind, begins | ends, stream, part));
    }
    bytes
}

/// `GET /` of `http://tide.test`, by indexes of the static table (RFC 7541, appendix A).
fn request() -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x84, 0x01, 9];
    block.extend(b"tide.test");
    block
}

/// A field of 4,000 bytes put into the dynamic table (RFC 7541 §6.2.1), then named again and again with one byte.
fn bomb(times: usize) -> Vec<u8> {
    let mut block = request();
    block.extend([0x40, 3]);
    block.extend(b"x-a");
    // 4,000 as a prefix of seven bits and the rest in two bytes: 127 + 0x21 + (0x1e << 7).
    block.extend([0x7f, 0xa1, 0x1e]);
    block.extend([b'b'; 4_000]);
    block.extend(vec![0xbe; times]);
    block
}

/// Kilobytes of memory a process uses.
fn memory(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid()));
    let status = status.expect("it runs");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let number = line.and_then(|l| l.split_whitespace().next());
    number.and_then(|n| n.parse().ok()).expect("VmRSS: N kB")
}

async fn speaking_http_2() -> (Origin, Tidegate) {
    let app = Origin::start("app-1").await;
    let listen = "listen: [{ addr: \"127.0.0.1:0\", h2c: true }]\n".to_owned();
    let tide = Tidegate::run(listen + &web("", nodes([&app]))).await;
    (app, tide)
}

/// Half a megabyte on the wire that unpacks to four gigabytes of fields.
#[tokio::test]
async fn cve_2026_105297_a_bomb_of_fields() {
    let (app, tide) = speaking_http_2().await;
    tide.get("/warm").await;
    let before = memory(tide.process());
    let mut client = tide.connect().await;
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat();
    client.send_bytes(&hello).await.unwrap();
    let mut most = before;
    for stream in (1..200).step_by(2) {
        // It may close at any moment: that is one right answer.
        if client
            .send_bytes(&headers(stream, &bomb(10_000)))
            .await
            .is_err()
        {
            break;
        }
        most = most.max(memory(tide.process()));
    }
    assert_eq!(
        tide.get("/meanwhile").await.status,
        200,
        "others are served"
    );
    most = most.max(memory(tide.process()));
    let grown = (most - before) / 1_024;
    assert!(grown < 32, "{grown} MiB more");
    let targets: Vec<_> = app.seen().iter().map(|s| s.target().to_owned()).collect();
    assert_eq!(targets, ["/warm", "/meanwhile"], "no node saw a bomb");
}

/// Requests reset as soon as they are sent cost the node nothing for long, and others nothing at all.
#[tokio::test]
async fn cve_2023_44487_rapid_reset() {
    let (app, tide) = speaking_http_2().await;
    tide.get("/warm").await;
    let before = memory(tide.process());
    let mut client = tide.connect().await;
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat();
    client.send_bytes(&hello).await.unwrap();
    let mut sent = 0;
    for round in 0..100_u32 {
        let mut piece = Vec::new();
        for at in 0..200 {
            let stream = (round * 200 + at) * 2 + 1;
            piece.extend(headers(stream, &request()));
            piece.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        if client.send_bytes(&piece).await.is_err() {
            break;
        }
        sent += 200;
    }
    assert_eq!(
        tide.get("/meanwhile").await.status,
        200,
        "others are served"
    );
    let grown = memory(tide.process()).saturating_sub(before) / 1_024;
    assert!(grown < 32, "{grown} MiB more");
    eventually("nothing of it is in flight", ms(8_000), async || {
        check(app.in_flight() == 0, app.in_flight())
    })
    .await;
    assert!(
        app.requests() < 5_000,
        "{} of {sent} reached the node",
        app.requests()
    );
}

/// A port that does not speak HTTP/2 does not begin to.
#[tokio::test]
async fn http_2_where_nobody_agreed_on_it() {
    let app = Origin::start("app-1").await;
    let tide = Tidegate::run(web("", nodes([&app]))).await;
    let hello = [
        PREFACE,
        &frame(SETTINGS, 0, 0, b""),
        &headers(1, &request()),
    ]
    .concat();
    let said = super::said_to(&tide, &hello).await;
    let refused = said.starts_with("HTTP/1.1 400 ") || said.starts_with("HTTP/1.1 505 ");
    assert!(refused && said.matches("HTTP/1.1 ").count() == 1, "{said}");
    let upgrade = Request::get("/")
        .field("Connection", "Upgrade, HTTP2-Settings")
        .field("Upgrade", "h2c")
        .field("HTTP2-Settings", "AAMAAABkAAQAAP__");
    let answer = tide.ask(&upgrade).await;
    assert_eq!(answer.status, 200, "answered as HTTP/1.1");
    assert!(app.only().head.all("http2-settings").is_empty());
}
