//! A proxy whose stats port has tokens, and callers who bring them or not.

use std::net::IpAddr;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::client::{Answer, Client, Request};
use crate::support::eventually;
use crate::support::origin::{Origin, nodes};
use crate::support::process::Done;
use crate::support::proxy::{BINARY, SOON, Tidegate, complete, web};

/// Good for looking.
pub const READ: &str = "reading-0123456789";
/// Good for changing what runs.
pub const OPS: &str = "operating-0123456789";
/// Good for everything.
pub const ADMIN: &str = "administering-0123456789";
/// Good for PURGE on the data port, where a story names its file.
pub const PURGE: &str = "purging-0123456789";
/// Good for nothing.
pub const WRONG: &str = "guessing-0123456789";

/// `admin:` with those three.
pub const SECTION: &str = "admin:
  addr: 127.0.0.1:0
  hosts: [stats.example.com]
  tokens:
    - { name: grafana, role: read, token_file: read.token }
    - { name: deploy, role: ops, token_file: ops.token }
    - { name: boss, role: admin, token_file: admin.token }
";

/// The proxy, its node, and what they know of each other.
pub struct Guarded {
    pub app: Origin,
    pub tide: Tidegate,
}

/// An operation of the OpenAPI document, its path filled in.
#[derive(Debug)]
pub struct Operation {
    pub method: String,
    pub path: String,
    pub told: Value,
}

impl Operation {
    /// It may change something.
    pub fn changes(&self) -> bool {
        self.method != "GET"
    }

    /// Its answer has no end.
    pub fn streams(&self) -> bool {
        self.told["responses"]["200"]["content"]
            .as_object()
            .is_some_and(|kinds| kinds.contains_key("text/event-stream"))
    }
}

impl Guarded {
    /// One node, and the three tokens.
    pub async fn run() -> Self {
        Guarded::run_with("").await
    }

    /// The same, with further sections of the file.
    pub async fn run_with(top: &str) -> Self {
        let app = Origin::start("app-1").await;
        let dir = TempDir::new().expect("a temporary folder");
        for (file, token) in [
            ("read", READ),
            ("ops", OPS),
            ("admin", ADMIN),
            ("purge", PURGE),
        ] {
            let path = dir.path().join(format!("{file}.token"));
            std::fs::write(path, format!("{token}\n")).expect("a writable folder");
        }
        let yaml = format!("{SECTION}{top}{}", web("", nodes([&app])));
        std::fs::write(dir.path().join("tidegate.yaml"), complete(&yaml))
            .expect("a writable folder");
        let tide = Tidegate::run_in(dir).await;
        Guarded { app, tide }
    }

    /// A request as a command sends it, with this token.
    pub fn request(&self, token: Option<&str>, method: &str, target: &str, body: &str) -> Request {
        let mut request = Request::post(target, body)
            .method(method)
            .host(&self.tide.admin().to_string());
        if !body.is_empty() {
            request = request.field("Content-Type", "application/json");
        }
        match token {
            Some(token) => request.field("Authorization", &format!("Bearer {token}")),
            None => request,
        }
    }

    /// Sends it from one of the addresses of this machine.
    pub async fn send_from(&self, from: &str, request: &Request) -> Answer {
        let from: IpAddr = from.parse().expect("an address");
        let asked = async {
            let mut client = Client::connect_from(from, self.tide.admin()).await?;
            client.ask(request).await
        };
        asked
            .await
            .unwrap_or_else(|e| panic!("the stats port: {e}"))
    }

    /// Sends it.
    pub async fn send(&self, request: &Request) -> Answer {
        self.send_from("127.0.0.1", request).await
    }

    /// Asks with a token.
    pub async fn ask(&self, token: &str, method: &str, target: &str, body: &str) -> Answer {
        let request = self.request(Some(token), method, target, body);
        self.send(&request).await
    }

    /// What is at `target`, read with a token and from an address that did nothing wrong.
    pub async fn json(&self, target: &str) -> Value {
        let request = self.request(Some(READ), "GET", target, "");
        let answer = self.send_from("127.0.0.9", &request).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        answer.json()
    }

    /// The generation in use.
    pub async fn generation(&self) -> u64 {
        let status = self.json("/api/v1/status").await;
        status["generation"].as_u64().expect("a number")
    }

    /// The state of the node.
    pub async fn state(&self) -> String {
        let node = self.json("/api/v1/upstreams/web/nodes/app-1").await;
        node["state"].as_str().expect("a word").into()
    }

    /// Every operation of the document.
    pub async fn operations(&self) -> Vec<Operation> {
        let document = self.json("/api/openapi.json").await;
        let paths = document["paths"].as_object().expect("paths").clone();
        let mut all = Vec::new();
        for (path, item) in paths {
            let target = path
                .replace("{upstream}", "web")
                .replace("{node}", "app-1")
                .replace("{verb}", "drain");
            for (method, told) in item.as_object().expect("operations") {
                all.push(Operation {
                    method: method.to_uppercase(),
                    path: target.clone(),
                    told: told.clone(),
                });
            }
        }
        assert!(all.len() > 10, "{all:?}");
        all
    }

    /// A command with these variables beside the address.
    pub async fn command(&self, args: &[&str], variables: &[(&str, &str)]) -> Done {
        let mut command = std::process::Command::new(BINARY);
        command
            .args(args)
            .env("TIDEGATE_ADMIN", self.tide.admin().to_string())
            .envs(variables.iter().copied());
        crate::support::process::finish(&mut command).await
    }

    /// Waits until a token is let in, or not.
    pub async fn lets_in(&self, token: &str, let_in: bool) {
        let request = self.request(Some(token), "GET", "/api/v1/status", "");
        eventually("the token is known, or not", SOON, async || {
            let answer = self.send_from("127.0.0.8", &request).await;
            crate::support::check((answer.status == 200) == let_in, answer.status)
        })
        .await;
    }
}
