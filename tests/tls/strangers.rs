//! Clients that nobody here wrote, over TLS: they verify our certificate, agree on a protocol, and get every byte.
//!
//! They belong to a development machine (`scripts/setup.sh` installs them).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::{ONE, run_one, s_client};
use crate::support::origin::{Origin, nodes};
use crate::support::pattern;
use crate::support::process::{Done, finish};
use crate::support::proxy::Tidegate;
use crate::support::reply::Reply;
use crate::support::tls::Authority;

/// Bytes of the body that is sent and comes back.
const SIZE: usize = 300_000;

/// An app that sends back what it gets, behind a port with TLS (the first) and one that speaks HTTP/2 in the clear.
struct Stage {
    app: Origin,
    tide: Tidegate,
}

impl Stage {
    async fn set() -> Stage {
        let (app, authority) = (Origin::start("app-1").await, Authority::new());
        app.answers(|seen| match seen.head.line.starts_with("GET") {
            true => Reply::text("hello"),
            false => Reply::mirror(),
        });
        let yaml = format!(
            "listen: [{{ addr: \"127.0.0.1:0\", tls: {{ {ONE} }} }}, {{ addr: \"127.0.0.1:0\", h2c: true }}]
upstreams: {{ web: {{ nodes: {} }} }}
routes: [{{ upstream: web }}]\n",
            nodes([&app])
        );
        let tide = run_one(&authority, &yaml).await;
        std::fs::write(tide.dir().join("sent.bin"), pattern(SIZE)).expect("a writable folder");
        Stage { app, tide }
    }

    fn addr(&self) -> SocketAddr {
        self.tide.addrs()[0]
    }

    fn port(&self) -> String {
        self.addr().port().to_string()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.tide.dir().join(name)
    }

    /// Runs a program in the folder with `ca.pem` and `sent.bin`; it must end well.
    async fn does(&self, program: &str, args: &[&str]) -> Done {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.tide.dir());
        let done = finish(&mut command).await;
        assert_eq!(done.code, 0, "{program} {args:?}: {}", done.all());
        done
    }

    /// The same with a text to run.
    async fn runs(&self, program: &str, name: &str, text: &str) -> Done {
        std::fs::write(self.file(name), text).expect("a writable folder");
        self.does(program, &[name, &self.port()]).await
    }

    fn has_served(&self, requests: usize) {
        assert_eq!(self.app.requests(), requests, "{:?}", self.app.seen());
        for seen in self.app.seen() {
            assert_eq!(seen.head.all("x-forwarded-proto"), ["https"]);
        }
    }
}

#[tokio::test]
async fn curl_is_served_in_http_1_and_2_and_without_tls() {
    let stage = Stage::set().await;
    let [secure, plain] = [0, 1].map(|at| stage.tide.addrs()[at].port());
    let site = format!("https://site.test:{secure}/a");
    let resolve = format!("site.test:{secure}:127.0.0.1");
    let usual = [
        "-sS",
        "--cacert",
        "ca.pem",
        "--resolve",
        &resolve,
        "-w",
        "%{http_version} %{http_code}",
        "-o",
        "got.bin",
    ];
    for (how, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let mut args = usual.to_vec();
        args.extend([how, "--data-binary", "@sent.bin", "-H", "Expect:", &site]);
        let done = stage.does("curl", &args).await;
        assert_eq!(done.out, format!("{version} 200"), "{}", done.all());
        assert!(
            std::fs::read(stage.file("got.bin")).unwrap() == pattern(SIZE),
            "{how}"
        );
    }
    stage.has_served(2);
    let clear = format!("http://127.0.0.1:{plain}/a");
    for how in ["--http2-prior-knowledge", "--http1.1"] {
        let done = stage
            .does("curl", &["-sS", how, "-w", " %{http_version}", &clear])
            .await;
        let version = if how == "--http1.1" { "1.1" } else { "2" };
        assert_eq!(done.out, format!("hello {version}"));
    }
    // Who does not know the authority does not believe us.
    let mut command = Command::new("curl");
    command.args(["-sS", "--resolve", &resolve, &site]);
    assert_eq!(finish(&mut command).await.code, 60);
}

#[tokio::test]
async fn h2load_gets_an_answer_to_each_of_two_thousand_requests() {
    let stage = Stage::set().await;
    let to = format!("https://{}/a", stage.addr());
    for how in [&["-c", "10", "-m", "10"][..], &["-c", "10", "--h1"]] {
        let args = [how, &["-n", "2000", "-t", "1", &to]].concat();
        let done = stage.does("h2load", &args).await;
        let told =
            "2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout";
        assert!(done.out.contains(told), "{how:?}: {}", done.all());
        assert!(
            done.out.contains("status codes: 2000 2xx"),
            "{}",
            done.all()
        );
    }
    stage.has_served(4_000);
}

#[tokio::test]
async fn node_is_served_by_its_https_and_its_http2() {
    let stage = Stage::set().await;
    let done = stage.runs("node", "ask.js", NODE).await;
    assert_eq!(
        done.out,
        "https http/1.1 TLSv1.3 200 300000 same reused\nhttp2 h2 200 300000 same 50 hello"
    );
    stage.has_served(53);
}

/// Two requests on a kept connection, then HTTP/2 with a body and fifty streams at a time.
const NODE: &str = r#"
const [fs, https, http2] = ["fs", "https", "http2"].map(require);
const [ca, sent, port] = [fs.readFileSync("ca.pem"), fs.readFileSync("sent.bin"), process.argv[2]];
const host = { ca, port, host: "127.0.0.1", servername: "site.test" };
const whole = async (stream) => { const all = []; for await (const part of stream) all.push(part); return Buffer.concat(all); };
const same = (body) => `${body.length} ${body.equals(sent) ? "same" : "other"}`;
(async () => {
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  const ask = (method, body) => new Promise((yes, no) => {
    const request = https.request({ ...host, agent, method, path: "/a", headers: { host: "site.test" } }, async (answer) =>
      yes([request, answer, await whole(answer)]));
    request.on("error", no).end(body);
  });
  const [first, answer, body] = await ask("POST", sent);
  const { socket } = first;
  const [second] = await ask("GET");
  console.log("https", socket.alpnProtocol || "http/1.1", socket.getProtocol(), answer.statusCode, same(body), second.reusedSocket ? "reused" : "new");
  agent.destroy();
  const session = http2.connect(`https://127.0.0.1:${port}`, { ca, servername: "site.test" });
  const get = (fields, sent) => new Promise((yes, no) => {
    const stream = session.request({ ":authority": "site.test", ...fields });
    let status;
    stream.on("response", (head) => { status = head[":status"]; }).on("error", no).end(sent);
    whole(stream).then((body) => yes([status, body]), no);
  });
  const [status, back] = await get({ ":method": "POST", ":path": "/a" }, sent);
  const many = await Promise.all(Array.from({ length: 50 }, (_, n) => get({ ":path": `/${n}` })));
  const words = new Set(many.map(([, body]) => body.toString()));
  console.log("http2", session.socket.alpnProtocol, status, same(back), many.length, [...words].join());
  session.close();
})().catch((error) => { console.error(error); process.exit(1); });
"#;

#[tokio::test]
async fn python_is_served_by_its_ssl_and_by_h2() {
    let stage = Stage::set().await;
    let done = stage.runs("/usr/bin/python3", "ask.py", PYTHON).await;
    assert_eq!(
        done.out,
        "TLSv1.2 200 same 200 hello\nTLSv1.3 200 same 200 hello\nh2 5 hello"
    );
    stage.has_served(9);
}

/// `http.client` with both versions of TLS, then five streams of the package `h2`.
const PYTHON: &str = r#"
import http.client, socket, ssl, sys
import h2.config, h2.connection, h2.events

port, sent = int(sys.argv[1]), open("sent.bin", "rb").read()

def opened(context):
    plain = socket.create_connection(("127.0.0.1", port), timeout=20)
    return context.wrap_socket(plain, server_hostname="site.test")

for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
    context = ssl.create_default_context(cafile="ca.pem")
    context.minimum_version = context.maximum_version = version
    client = http.client.HTTPSConnection("site.test", port)
    client.sock = opened(context)
    client.request("POST", "/a", body=sent)
    answer = client.getresponse()
    body = answer.read()
    spoken = client.sock.version()
    client.request("GET", "/a")
    second = client.getresponse()
    print(spoken, answer.status, "same" if body == sent else "other", second.status, second.read().decode())

context = ssl.create_default_context(cafile="ca.pem")
context.set_alpn_protocols(["h2"])
stream = opened(context)
client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
client.initiate_connection()
bodies, ended = {}, 0
for n in range(5):
    head = [(":method", "GET"), (":path", f"/{n}"), (":scheme", "https"), (":authority", "site.test")]
    client.send_headers(client.get_next_available_stream_id(), head, end_stream=True)
stream.sendall(client.data_to_send())
while ended < 5:
    data = stream.recv(65536)
    if not data:
        sys.exit("the connection ended")
    for event in client.receive_data(data):
        if isinstance(event, h2.events.DataReceived):
            bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
            client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            ended += 1
        elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
            sys.exit(repr(event))
    stream.sendall(client.data_to_send())
print(stream.selected_alpn_protocol(), len(bodies), ",".join(sorted({body.decode() for body in bodies.values()})))
"#;

#[tokio::test]
async fn openssl_verifies_us_and_agrees_on_what_both_speak() {
    let stage = Stage::set().await;
    let ca = stage.file("ca.pem").display().to_string();
    let usual = [
        "-CAfile",
        &ca,
        "-servername",
        "site.test",
        "-verify_hostname",
        "site.test",
        "-verify_return_error",
    ];
    for (version, told) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        for (offered, agreed) in [
            ("h2,http/1.1", "h2"),
            ("http/1.1", "http/1.1"),
            ("http/1.0,http/1.1", "http/1.1"),
        ] {
            let args = [&usual[..], &[version, "-alpn", offered]].concat();
            let done = s_client(stage.addr(), &args).await;
            assert_eq!(done.code, 0, "{}", done.all());
            for said in [
                "Verify return code: 0 (ok)",
                &format!("New, {told}"),
                &format!("ALPN protocol: {agreed}"),
            ] {
                assert!(done.out.contains(said), "{said} is missing: {}", done.all());
            }
        }
    }
}
