//! A real browser without a window, for stories about the page: Chromium, driven as WebDriver says.
//!
//! WebDriver is JSON over HTTP, so the stories' own client speaks it. The browser has a profile of its own, talks to
//! nobody but the port under test, and ends with its story, whatever becomes of that: it hears its driver through a
//! pipe, and ends when that is closed.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{Client, Request};
use super::process::Process;
use super::{check, eventually};

/// How long the page may take for anything that has no promise of its own. The machine may be busy.
pub const PATIENTLY: Duration = Duration::from_secs(20);

const FLAGS: [&str; 14] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--hide-scrollbars",
    "--mute-audio",
    "--window-size=1280,900",
];

/// Keys that have no letter, as WebDriver names them.
pub mod key {
    /// Tab.
    pub const TAB: &str = "\u{e004}";
    /// Enter.
    pub const ENTER: &str = "\u{e007}";
    /// Escape.
    pub const ESCAPE: &str = "\u{e00c}";
    /// Arrow to the right.
    pub const RIGHT: &str = "\u{e014}";
    /// Arrow down.
    pub const DOWN: &str = "\u{e015}";
}

/// A browser with one tab.
pub struct Browser {
    driver: SocketAddr,
    session: String,
    // In this order: the driver ends before the profile is removed.
    _process: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts one and opens the page of a stats port.
    pub async fn open(stats: SocketAddr) -> Self {
        let profile = TempDir::new().expect("a temporary folder");
        let process = Process::start(Command::new("chromedriver").arg("--port=0"));
        let driver = eventually("the driver of the browser listens", PATIENTLY, async || {
            let said = process.output();
            let port = said.out.iter().find_map(|line| {
                let (_, port) = line.split_once("successfully on port ")?;
                port.trim_end_matches('.').parse::<u16>().ok()
            });
            port.ok_or_else(|| [said.out.join("\n"), said.err.join("\n")].concat())
        });
        let driver = SocketAddr::from(([127, 0, 0, 1], driver.await));
        let data = format!("--user-data-dir={}", profile.path().display());
        let flags: Vec<&str> = FLAGS.into_iter().chain([data.as_str()]).collect();
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        }}});
        let session = ask(driver, "POST", "/session", &wanted).await;
        let browser = Browser {
            driver,
            session: session["sessionId"].as_str().expect("a session").into(),
            _process: process,
            _profile: profile,
        };
        browser.goes_to(&format!("http://{stats}/")).await;
        browser
    }

    /// Opens an address.
    pub async fn goes_to(&self, url: &str) {
        self.command("POST", "/url", &json!({ "url": url })).await;
    }

    /// Opens a view of the page and waits until it is there.
    pub async fn view(&self, name: &str) {
        self.run(&format!("location.hash = '#{name}'")).await;
        self.shows(&format!("#view-{name}")).await;
    }

    /// What a script returns; a promise is waited for.
    pub async fn run(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.command("POST", "/execute/sync", &body).await
    }

    /// Waits until a script returns true.
    pub async fn until(&self, what: &str, script: &str) {
        eventually(what, PATIENTLY, async || {
            let seen = self.run(script).await;
            check(
                seen == true,
                format!("{seen}; the page:\n{}", self.text("body").await),
            )
        })
        .await;
    }

    /// Waits until an element is to be seen.
    pub async fn shows(&self, selector: &str) {
        let script = format!("return !!document.querySelector(`{selector}`)?.checkVisibility()");
        self.until(&format!("{selector} is shown"), &script).await;
    }

    /// Waits until an element says this, and maybe more.
    pub async fn says(&self, selector: &str, words: &str) {
        eventually(
            &format!("{selector} says {words:?}"),
            PATIENTLY,
            async || {
                let text = self.text(selector).await;
                check(text.contains(words), format!("{text:?}"))
            },
        )
        .await;
    }

    /// What an element says; nothing when there is none.
    pub async fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector(`{selector}`)?.innerText ?? ''");
        let text = self.run(&script).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Clicks where an element is, as a hand does: what covers it is clicked instead, and that is an error.
    pub async fn click(&self, selector: &str) {
        self.shows(selector).await;
        let element = self.element(selector).await;
        let path = format!("/element/{element}/click");
        self.command("POST", &path, &json!({})).await;
    }

    /// Types into an element.
    pub async fn types(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        let path = format!("/element/{element}/value");
        self.command("POST", &path, &json!({ "text": text })).await;
    }

    /// Presses keys one after the other, wherever the focus is.
    pub async fn press(&self, keys: &[&str]) {
        let strokes = keys
            .iter()
            .flat_map(|key| ["keyDown", "keyUp"].map(|what| json!({ "type": what, "value": key })));
        let strokes: Vec<Value> = strokes.collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes });
        let body = json!({ "actions": [keyboard] });
        self.command("POST", "/actions", &body).await;
    }

    /// Makes the window this wide and high.
    pub async fn resize(&self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
    }

    /// Says that its owner likes it `light` or `dark`.
    pub async fn likes(&self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        let body = json!({ "features": [feature] });
        self.devtools("Emulation.setEmulatedMedia", body).await;
    }

    /// Takes a picture of what is seen, writes it to `target/page/NAME.png`, and returns it as base64.
    pub async fn picture(&self, name: &str) -> String {
        let png = self.command("GET", "/screenshot", &Value::Null).await;
        let png = png.as_str().expect("a picture").to_owned();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("page");
        std::fs::create_dir_all(&folder).expect("a writable folder");
        let file = folder.join(format!("{name}.png"));
        let bytes = base64::engine::general_purpose::STANDARD.decode(&png);
        std::fs::write(&file, bytes.expect("base64")).expect("a writable folder");
        println!("picture: {}", file.display());
        png
    }

    /// Errors in the console since the last time it was asked.
    pub async fn errors(&self) -> Vec<String> {
        let log = self.log("browser").await;
        let severe = log.into_iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].to_string()).collect()
    }

    /// Whom it asked for anything, as `scheme://host:port`, since the last time.
    pub async fn asked(&self) -> BTreeSet<String> {
        let log = self.log("performance").await;
        let told = log.iter().filter_map(|entry| {
            let told = serde_json::from_str::<Value>(entry["message"].as_str()?).ok()?;
            let url = told["message"]["params"]["request"]["url"].as_str()?;
            Some(url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/"))
        });
        told.collect()
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        let log = self
            .command("POST", "/se/log", &json!({ "type": kind }))
            .await;
        log.as_array().cloned().unwrap_or_default()
    }

    async fn devtools(&self, command: &str, params: Value) -> Value {
        let body = json!({ "cmd": command, "params": params });
        self.command("POST", "/goog/cdp/execute", &body).await
    }

    async fn element(&self, selector: &str) -> String {
        let asked = json!({ "using": "css selector", "value": selector });
        let found = self.command("POST", "/element", &asked).await;
        let element = found.as_object().and_then(|found| found.values().next());
        element.and_then(Value::as_str).expect("an element").into()
    }

    async fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        let path = format!("/session/{}{path}", self.session);
        ask(self.driver, method, &path, body).await
    }
}

/// What WebDriver answers to a command.
async fn ask(driver: SocketAddr, method: &str, path: &str, body: &Value) -> Value {
    let request = match body {
        Value::Null => Request::new(method, path),
        body => Request::post(path, body.to_string()).field("Content-Type", "application/json"),
    };
    let request = request.host(&driver.to_string());
    let answer = async { Client::connect(driver).await?.ask(&request).await }.await;
    let answer = answer.unwrap_or_else(|e| panic!("the browser's driver, {method} {path}: {e}"));
    let mut told = answer.json();
    assert_eq!(answer.status, 200, "{method} {path} {body}: {told}");
    told["value"].take()
}
