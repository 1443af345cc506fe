//! Clients and servers that nobody here wrote: Python's `websockets` at both ends, and Node's client.
//!
//! Both belong to a development machine (`scripts/setup.sh` installs them); without them a story fails and says so.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::process::{Done, Process, finish};
use crate::support::proxy::{Tidegate, web};
use crate::support::strangers::free_port;
use crate::support::{check, eventually, ms};

/// Debian's packages are for Debian's own Python.
const PYTHON: &str = "/usr/bin/python3";

/// Echoes what it gets, compressed where the client offers it; says how each connection ended.
const SERVER: &str = r#"
import asyncio, sys, websockets

async def serve(socket):
    print("opened", socket.subprotocol, socket.extensions, flush=True)
    try:
        async for message in socket:
            await socket.send(message)
    finally:
        await socket.wait_closed()
        print("closed", socket.close_code, flush=True)

async def main(port):
    async with websockets.serve(serve, "127.0.0.1", port, subprotocols=["chat.v1"], max_size=None):
        print("serving", flush=True)
        await asyncio.Future()

asyncio.run(main(int(sys.argv[1])))
"#;

/// Sends messages of many sizes and kinds, whole and in pieces, and waits for the end.
const CLIENT: &str = r#"
import asyncio, os, sys, websockets

async def main(url):
    async with websockets.connect(url, subprotocols=["chat.v2", "chat.v1"], max_size=None) as socket:
        print("agreed", socket.subprotocol, [e.name for e in socket.extensions], flush=True)
        for size in [0, 1, 125, 126, 65535, 65536, 1_500_000]:
            for message in [os.urandom(size), "x" * size]:
                await socket.send(message)
                assert await socket.recv() == message, size
        await socket.send(["in ", "three ", "pieces"])
        assert await socket.recv() == "in three pieces"
        pong = await socket.ping()
        await asyncio.wait_for(pong, 5)
        print("done", flush=True)
        if sys.argv[2] == "stays":
            try:
                await socket.recv()
            except websockets.ConnectionClosed:
                pass
    print("code", socket.close_code, flush=True)

asyncio.run(main(sys.argv[1]))
"#;

/// The client of a browser, as Node has it.
const BROWSER: &str = r#"
const socket = new WebSocket(process.argv[1], ["chat.v1"]);
socket.binaryType = "arraybuffer";
let got = 0;
socket.onopen = () => {
  console.log("agreed", socket.protocol, socket.extensions);
  socket.send("text");
  socket.send(new Uint8Array(100_000));
};
socket.onmessage = ({ data }) => {
  got += 1;
  console.log("got", data.length ?? data.byteLength);
};
socket.onclose = ({ code, wasClean }) => console.log("code", code, wasClean);
socket.onerror = ({ message }) => console.log("error", message);
"#;

fn python(program: &str) -> Command {
    let mut command = Command::new(PYTHON);
    let has = Command::new(PYTHON)
        .args(["-c", "import websockets"])
        .status();
    assert!(
        has.is_ok_and(|status| status.success()),
        "{PYTHON} with websockets is missing: scripts/setup.sh installs what the stories need"
    );
    command.args(["-c", program]);
    command
}

/// Says a line, sooner or later.
async fn says(process: &Process, line: &str) {
    eventually(line, ms(10_000), async || {
        let output = process.output();
        let said = output.out.iter().any(|own| own.starts_with(line));
        check(said, format!("{:?} {:?}", output.out, output.err))
    })
    .await;
}

/// The server, and the proxy in front of it.
async fn stage(top: &str, keys: &str) -> (Process, Tidegate) {
    let addr = free_port().await;
    let server = Process::start(python(SERVER).arg(addr.port().to_string()));
    says(&server, "serving").await;
    let node = format!("[{{ addr: \"{addr}\", id: app-1 }}]");
    let tide = Tidegate::run(format!("{top}\n{}", web(keys, node))).await;
    (server, tide)
}

fn url(tide: &Tidegate) -> String {
    format!("ws://{}/chat", tide.addr())
}

#[tokio::test]
async fn pythons_websockets_talk_compressed_through_the_proxy() {
    let (server, tide) = stage("", "").await;
    let Done { code, out, err } = finish(python(CLIENT).args([&url(&tide), "leaves"])).await;
    assert_eq!(code, 0, "{err}");
    let wanted = "agreed chat.v1 ['permessage-deflate']\ndone\ncode 1000";
    assert_eq!(out, wanted, "{err}");
    says(&server, "closed 1000").await;
    let line = tide.told("/chat").await;
    assert_eq!((&line["status"], &line["end"]), (&101.into(), &"ok".into()));
    assert!(line["bytes_in"].as_u64() > Some(1_500_000), "{line}");
    assert!(line["bytes_out"].as_u64() > Some(1_500_000), "{line}");
}

#[tokio::test]
async fn both_of_python_understand_that_the_proxy_goes_away() {
    let (server, tide) = stage("shutdown: { grace: 1s }", "").await;
    let client = Process::start(python(CLIENT).args([&url(&tide), "stays"]));
    says(&client, "done").await;
    tide.signal(Signal::SIGTERM);
    assert_eq!(tide.ended(ms(5_000)).await, 0);
    says(&client, "code 1001").await;
    says(&server, "closed 1001").await;
    assert_eq!(
        client.ended(ms(5_000)).await,
        0,
        "{:?}",
        client.output().err
    );
}

#[tokio::test]
async fn a_browsers_client_understands_a_drain() {
    let (server, tide) = stage("", "drain: { timeout: 1s }").await;
    let mut node = Command::new("node");
    node.args(["--experimental-websocket", "-e", BROWSER, &url(&tide)]);
    let client = Process::start(&mut node);
    says(&client, "agreed chat.v1").await;
    says(&client, "got 4").await;
    says(&client, "got 100000").await;
    tide.verb("web/app-1", "drain").await;
    says(&client, "code 1001 true").await;
    says(&server, "closed 1001").await;
    assert_eq!(client.ended(ms(5_000)).await, 0);
}
