//! An HTTP probe against a node that says what the test says.

use tokio::io::duplex;

use super::*;

fn probe(body: Option<BodyMatch>) -> HttpProbe {
    HttpProbe {
        method: http::Method::GET,
        path: "/healthz".into(),
        expect: vec![(200, 299)],
        body,
    }
}

fn text(text: &str) -> Option<BodyMatch> {
    Some(BodyMatch::Text(text.into()))
}

fn question(body: Option<BodyMatch>) -> Question {
    Question::new(&probe(body), &HeaderValue::from_static("app"), &[])
}

/// What comes of a node that answers so, in pieces of this size, and closes.
async fn answered(question: &Question, answer: &[u8], piece: usize) -> Outcome {
    let (ours, mut theirs) = duplex(1 << 20);
    let node = async {
        let mut request = vec![0; question.request.len()];
        theirs.read_exact(&mut request).await.unwrap();
        for piece in answer.chunks(piece) {
            // A probe that has seen enough closes.
            let _ = theirs.write_all(piece).await;
        }
        drop(theirs);
    };
    tokio::join!(question.ask(Box::new(ours)), node).0
}

async fn verdict(question: &Question, answer: &str) -> Result<(), String> {
    let answer = answer.replace('\n', "\r\n");
    let whole = answered(question, answer.as_bytes(), usize::MAX).await;
    let pieces = answered(question, answer.as_bytes(), 1).await;
    assert_eq!(whole.verdict, pieces.verdict);
    whole.verdict
}

#[test]
fn expected_statuses_read_like_the_file() {
    assert_eq!(codes(&[(200, 200), (300, 399)]), ["200", "300-399"]);
}

#[test]
fn what_is_sent_is_one_request_with_the_fields_of_the_file() {
    let host = HeaderValue::from_static("app.internal");
    let given = [
        (header::USER_AGENT, HeaderValue::from_static("me")),
        (
            HeaderName::from_static("x-probe"),
            HeaderValue::from_static("1"),
        ),
    ];
    let question = Question::new(&probe(None), &host, &given);
    assert_eq!(
        String::from_utf8(question.request).unwrap(),
        "GET /healthz HTTP/1.1\r\nHost: app.internal\r\nAccept: */*\r\nuser-agent: me\r\n\
         x-probe: 1\r\nConnection: close\r\n\r\n"
    );
}

#[tokio::test]
async fn only_a_clean_answer_with_an_expected_status_passes() {
    let asks = question(None);
    for (answer, verdict_is) in [
        ("HTTP/1.1 200 OK\nContent-Length: 5\n\n", Ok(())),
        ("HTTP/1.0 204 No\n\n", Ok(())),
        ("HTTP/1.1 103 Hints\n\nHTTP/1.1 200 OK\n\n", Ok(())),
        ("HTTP/1.1 503 No\n\n", Err("status 503, expected 200-299")),
        (
            "HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 6\n\n",
            Err("the answer is not HTTP: a Content-Length that is not one number"),
        ),
        (
            "SSH-2.0-OpenSSH_9.6\n",
            Err("the answer is not HTTP: a head that is not HTTP/1"),
        ),
        ("", Err("connection closed before an answer")),
        ("HTTP/1.1 200", Err("connection closed before an answer")),
    ] {
        let got = verdict(&asks, answer).await;
        assert_eq!(got, verdict_is.map_err(str::to_owned), "{answer:?}");
    }
}

#[tokio::test]
async fn the_body_is_looked_into_however_it_is_framed() {
    let asks = question(text("all good"));
    for good in [
        "HTTP/1.1 200 OK\nContent-Length: 12\n\n: all good :",
        "HTTP/1.1 200 OK\n\nit is all good",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nall g\n3\nood\n0\n\n",
    ] {
        assert_eq!(verdict(&asks, good).await, Ok(()), "{good:?}");
    }
    let lacks = Err("status 200, but the body lacks \"all good\"".to_owned());
    for bad in [
        "HTTP/1.1 200 OK\nContent-Length: 3\n\nall good",
        "HTTP/1.1 200 OK\n\nall bad",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\nX-Body: all good\n\n",
    ] {
        assert_eq!(verdict(&asks, bad).await, lacks, "{bad:?}");
    }
    for cut in [
        "HTTP/1.1 200 OK\nContent-Length: 20\n\nall good",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n8\nall good\n",
    ] {
        let why = verdict(&asks, cut).await.unwrap_err();
        assert_eq!(why, "connection closed before the end of the answer");
    }
}

#[tokio::test]
async fn no_more_than_64_kib_of_a_body_are_looked_at() {
    let asks = question(text("end"));
    for (length, passes) in [(BODY_AT_MOST - 3, true), (BODY_AT_MOST - 2, false)] {
        let answer = format!("HTTP/1.1 200 OK\n\n{}end and more", "x".repeat(length));
        let answer = answer.replace('\n', "\r\n");
        let got = answered(&asks, answer.as_bytes(), 10_000).await.verdict;
        assert_eq!(got.is_ok(), passes, "{got:?}");
    }
}

#[tokio::test]
async fn an_expression_is_looked_for_in_bytes_that_are_no_text_too() {
    let asks = question(Some(BodyMatch::Regex(regex::Regex::new("^.ok$").unwrap())));
    let answer = b"HTTP/1.1 200 OK\r\n\r\n\xffok";
    assert_eq!(answered(&asks, answer, 7).await.verdict, Ok(()));
    let why = verdict(&asks, "HTTP/1.1 200 OK\n\nno").await.unwrap_err();
    assert_eq!(why, "status 200, but the body lacks what /^.ok$/ finds");
}

#[tokio::test]
async fn what_the_node_says_of_itself_is_read_also_from_a_bad_answer() {
    let asks = question(None);
    let answer = b"HTTP/1.1 503 No\r\nX-TideGate-State: up\r\nx-tidegate-state:weight=5\r\n\r\n";
    let outcome = answered(&asks, answer, 9).await;
    assert!(outcome.verdict.is_err());
    assert_eq!(outcome.said.unwrap().share(), 5);
    let silent = answered(&asks, b"HTTP/1.1 200 OK\r\n\r\n", 9).await;
    assert_eq!(silent.said, Some(Said::default()));
    assert_eq!(answered(&asks, b"", 9).await.said, None);
}
