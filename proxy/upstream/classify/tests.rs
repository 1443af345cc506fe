//! Each kind of failure has its name, and says what it says of its node.

use super::*;
use crate::config::defaults;

fn upstream(kind: ErrorType) -> End {
    ending(&Error::new_up(kind))
}

#[test]
fn each_kind_of_node_failure_has_its_name() {
    assert_eq!(upstream(ErrorType::ConnectRefused), End::UpstreamConnect);
    assert_eq!(upstream(ErrorType::ConnectTimedout), End::UpstreamTimeout);
    assert_eq!(upstream(ErrorType::ReadTimedout), End::UpstreamTimeout);
    assert_eq!(upstream(ErrorType::ConnectionClosed), End::UpstreamReset);
    assert_eq!(upstream(ErrorType::InvalidHTTPHeader), End::UpstreamInvalid);
    let read = |kind: io::ErrorKind| {
        let cause = Error::because(ErrorType::ReadError, "reading", io::Error::from(kind));
        ending(&Error::because(ErrorType::ReadError, "head", cause).into_up())
    };
    assert_eq!(read(io::ErrorKind::InvalidData), End::UpstreamInvalid);
    assert_eq!(read(io::ErrorKind::ConnectionReset), End::UpstreamReset);
    assert_eq!(read(io::ErrorKind::UnexpectedEof), End::UpstreamReset);
}

#[test]
fn what_could_not_be_begun_was_seen_by_nobody() {
    let of = |context: &'static str| {
        let cause = h2::Error::from(h2::Reason::PROTOCOL_ERROR);
        Error::because(ErrorType::H2Error, context, cause).into_up()
    };
    assert!(is_untouched(&of(SENDING)));
    assert!(!is_untouched(&of("while reading h2 header")));
    assert_eq!(upstream(ErrorType::InvalidH2), End::UpstreamInvalid);
    let pings = Error::new_up(PING_TIMEDOUT);
    assert_eq!(ending(&pings), End::UpstreamTimeout);
}

#[test]
fn a_body_that_nobody_wanted_any_more_is_no_nonsense_and_nobody_knows_what_was_done() {
    let error = Error::explain(ErrorType::H2Error, NO_CAPACITY).into_up();
    assert_eq!(ending(&error), End::UpstreamReset);
    assert!(is_cut_short(&error) && !is_untouched(&error));
}

#[test]
fn a_client_that_leaves_is_not_a_client_that_is_slow() {
    assert_eq!(
        ending(&Error::new_down(ErrorType::ConnectionClosed)),
        End::ClientAbort
    );
    assert_eq!(
        ending(&Error::new_down(ErrorType::H2Error)),
        End::ClientAbort
    );
    assert_eq!(
        ending(&Error::new_down(ErrorType::ReadTimedout)),
        End::ClientTimeout
    );
}

fn sent(method: &Method, has_key: bool, body_is_kept: bool) -> Sent<'_> {
    Sent {
        method,
        has_key,
        body_is_kept,
    }
}

#[test]
fn only_idempotent_requests_with_their_body_at_hand_are_sent_again() {
    let mut rules = defaults::retry();
    assert!(sent(&Method::GET, false, true).is_repeatable(&rules));
    assert!(sent(&Method::PUT, false, true).is_repeatable(&rules));
    assert!(!sent(&Method::PUT, false, false).is_repeatable(&rules));
    assert!(!sent(&Method::POST, false, true).is_repeatable(&rules));
    let keyed = sent(&Method::POST, true, true);
    assert!(!keyed.is_repeatable(&rules), "nobody said so");
    rules.idempotency_key = true;
    assert!(keyed.is_repeatable(&rules));
    assert!(!sent(&Method::POST, false, true).is_repeatable(&rules));
}

#[test]
fn the_file_says_after_which_failures() {
    let mut rules = defaults::retry();
    assert!(asks_for_another(End::UpstreamReset, false, &rules));
    assert!(!asks_for_another(End::UpstreamTimeout, false, &rules));
    assert!(asks_for_another(End::UpstreamTimeout, true, &rules));
    assert!(!asks_for_another(End::UpstreamInvalid, false, &rules));
    rules.on.reset = false;
    rules.on.timeout = true;
    assert!(!asks_for_another(End::UpstreamReset, false, &rules));
    assert!(asks_for_another(End::UpstreamTimeout, false, &rules));
}

#[test]
fn an_old_connection_that_was_closed_is_nobodys_fault() {
    assert!(speaks_against_the_node(End::UpstreamReset, false));
    assert!(!speaks_against_the_node(End::UpstreamReset, true));
    assert!(speaks_against_the_node(End::UpstreamTimeout, true));
    assert!(!speaks_against_the_node(End::ClientAbort, false));
}

#[test]
fn only_a_503_that_names_seconds_asks_for_a_pause() {
    let pause = |status: u16, value: &'static str| {
        let status = StatusCode::from_u16(status).unwrap();
        asked_pause(status, Some(&HeaderValue::from_static(value)))
    };
    assert_eq!(pause(503, " 7 "), Some(Duration::from_secs(7)));
    let hour = Some(Duration::from_secs(3_600));
    assert_eq!(
        [pause(503, "999999999999999999999"), pause(503, "86400")],
        [hour, hour]
    );
    assert_eq!(pause(429, "7"), None);
    for odd in ["0", "-1", "1.5", "soon", "Sun, 06 Nov 1994 08:49:37 GMT"] {
        assert_eq!(pause(503, odd), None, "{odd}");
    }
}

#[test]
fn failures_are_what_the_file_calls_so() {
    let failures = defaults::FAILURE_STATUSES;
    let failed: Vec<u16> = (100..600).filter(|s| is_failure(*s, failures)).collect();
    assert_eq!(failed, [500, 502, 503, 504]);
}

/// How the answer of a node fails that sends these frames behind its head, where small pieces may cost little.
async fn failing(frames: &'static [&[u8]]) -> Box<Error> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (ours, mut theirs) = tokio::io::duplex(1 << 16);
    let (send, connection) = h2::client::Builder::new()
        .data_frame_budget(300)
        .handshake::<_, bytes::Bytes>(ours)
        .await
        .unwrap();
    tokio::spawn(connection);
    let asked = http::Request::get("http://a.test/").body(()).unwrap();
    let mut send = send.ready().await.unwrap();
    let (answer, _) = send.send_request(asked, true).unwrap();
    // Nobody answers what has not come: preface first, then frames up to the head.
    let mut preface = [0; 24];
    theirs.read_exact(&mut preface).await.unwrap();
    loop {
        let mut frame = [0; 9];
        theirs.read_exact(&mut frame).await.unwrap();
        let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]);
        let mut payload = vec![0; length as usize];
        theirs.read_exact(&mut payload).await.unwrap();
        if frame[3] == 1 {
            break;
        }
    }
    let settings = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    let head = &[0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88];
    for frame in [&settings[..], &head[..]].iter().chain(frames) {
        theirs.write_all(frame).await.unwrap();
    }
    let failed = match answer.await {
        Ok(answer) => {
            let mut body = answer.into_body();
            tokio::task::yield_now().await;
            loop {
                match body.data().await {
                    Some(Err(e)) => break e,
                    Some(Ok(_)) => {}
                    None => panic!("it ended well"),
                }
            }
        }
        Err(e) => e,
    };
    Error::because(ErrorType::H2Error, "reading", failed).into_up()
}

/// RST_STREAM of the first stream.
const INTERNAL: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2];
const REFUSED: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7];
/// Two pieces of one byte.
const SMALL: &[u8] = &[0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0];

#[tokio::test]
async fn what_ends_a_stream_and_what_a_connection_are_told_apart() {
    let internal = failing(&[INTERNAL]).await;
    assert!(is_refusal_of_stream(&internal) && !is_of_connection(&internal));
    let refused = failing(&[REFUSED]).await;
    assert!(is_untouched(&refused) && !is_refusal_of_stream(&refused));
    assert!(!is_our_flood(&internal) && !is_our_flood(&refused));
}

#[tokio::test]
async fn that_we_call_small_pieces_a_flood_is_not_the_nodes_fault() {
    let flood = failing(&[SMALL]).await;
    assert!(is_our_flood(&flood), "{flood}");
    assert_eq!(ending(&flood), End::UpstreamReset);
}
