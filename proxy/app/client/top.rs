//! `tidegate top`: what the proxy does second by second, as the proxy itself counts it.
//!
//! Everything shown comes out of its stream, a tick a second; the minute before the first one out of its history. A
//! proxy that is gone is said to be and waited for, with the last picture left standing. However it ends, the terminal
//! is as it was.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crossterm::event::KeyCode;
use serde_json::Value;

use super::follow::{Cut, Feed, Next};
use super::table::width;
use super::{Failed, PATIENCE, Proxy, ended, escaped};
use crate::app::cli::{Output, TopArgs};
use crate::app::say;

/// What is shown of the figures.
mod draw;
/// The terminal.
mod screen;
/// The figures.
mod view;

use screen::Screen;
use view::View;

/// From one try to reach a proxy that is gone to the next.
const AGAIN: Duration = Duration::from_millis(500);
/// How long a key may wait for its effect.
const KEYS: Duration = Duration::from_millis(50);
/// Nodes whose past is asked for at the start; that of more comes with time.
const NODES_WITH_PAST: usize = 64;

/// `tidegate top`
pub fn top(args: &TopArgs) -> ExitCode {
    let attended = std::io::stdout().is_terminal() && args.admin.output == Output::Text;
    ended(match attended && !args.once {
        true => live(args),
        false => in_turn(args),
    })
}

/// Prints one picture after the other, once unless more are asked for.
fn in_turn(args: &TopArgs) -> Result<ExitCode, Failed> {
    let proxy = Proxy::at(&args.admin);
    let mut feed = proxy.follow(STREAM).map_err(why)?;
    let mut view = View::default();
    let (mut left, mut skip) = (args.times.unwrap_or(1), 0);
    while left > 0 {
        let tick = match feed.next(PATIENCE) {
            Next::Event(event) => view::tick(&event),
            Next::Nothing => continue,
            Next::End => return Err(format!("the proxy at {} is gone", args.admin.admin)),
        };
        let Some(tick) = tick else { continue };
        if args.admin.output == Output::Text {
            take(&mut view, &proxy, tick.clone());
        }
        if skip > 0 {
            skip -= 1;
            continue;
        }
        skip = args.interval.as_secs() - 1;
        left -= 1;
        let shown = match (args.admin.output, args.times) {
            (Output::Json, None) => format!("{tick:#}\n"),
            (Output::Json, Some(_)) => format!("{tick}\n"),
            (Output::Text, _) => {
                draw::page(&view, width()).join("\n") + if left > 0 { "\n\n" } else { "\n" }
            }
        };
        if !say::heard(shown) {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

const STREAM: &str = "/api/v1/stream";

fn why(cut: Cut) -> Failed {
    match cut {
        Cut::Gone(why) | Cut::Refused(why) => why,
    }
}

/// Takes a tick in; with the first one, the minute before it.
fn take(view: &mut View, proxy: &Proxy<'_>, tick: Value) {
    let is_first = view.is_empty();
    view.take(tick);
    if !is_first {
        return;
    }
    for series in view.series(NODES_WITH_PAST) {
        let path = format!(
            "/api/v1/history?of={}&step=1s&points={}",
            escaped(&series),
            view::KEPT
        );
        // A picture without its past is a picture still.
        if let Ok(past) = proxy.get(&path) {
            view.remember(&series, &past);
        }
    }
}

/// Draws until the user has seen enough.
fn live(args: &TopArgs) -> Result<ExitCode, Failed> {
    let proxy = Proxy::at(&args.admin);
    let mut live = Live {
        feed: Some(proxy.follow(STREAM).map_err(why)?),
        view: View::default(),
        gone_at: None,
        tried_at: None,
        skip: 0,
        left: args.times,
        args,
    };
    let screen = Screen::open().map_err(|e| {
        format!("cannot draw on this terminal: {e}\n  = help: `tidegate top -1` prints one picture")
    })?;
    while live.left != Some(0) {
        let mut changed = live.listen(&proxy)?;
        for key in screen
            .keys()
            .map_err(|e| format!("the terminal is gone: {e}"))?
        {
            match key {
                KeyCode::Char('q') | KeyCode::Esc => return Ok(ExitCode::SUCCESS),
                key => live.view.press(key, screen.height()),
            }
            changed = true;
        }
        if changed {
            let banner = live.banner();
            screen.show(&draw::screen(&live.view, banner.as_deref(), screen.size()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A picture that lives.
struct Live<'a> {
    args: &'a TopArgs,
    view: View,
    /// `None`: the proxy is gone.
    feed: Option<Feed>,
    gone_at: Option<Instant>,
    tried_at: Option<Instant>,
    /// Ticks that are not drawn before the next one that is.
    skip: u64,
    /// Pictures that are left to draw.
    left: Option<u64>,
}

impl Live<'_> {
    /// Takes in what comes within a moment; whether there is something new to draw.
    fn listen(&mut self, proxy: &Proxy<'_>) -> Result<bool, Failed> {
        let Some(feed) = &mut self.feed else {
            return self.try_again(proxy);
        };
        let tick = match feed.next(KEYS) {
            Next::Event(event) => view::tick(&event),
            Next::Nothing => None,
            Next::End => {
                self.feed = None;
                self.gone_at = Some(Instant::now());
                return Ok(true);
            }
        };
        let Some(tick) = tick else { return Ok(false) };
        take(&mut self.view, proxy, tick);
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(false);
        }
        self.skip = self.args.interval.as_secs() - 1;
        self.left = self.left.map(|left| left - 1);
        Ok(true)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a command has one thread and nothing else to do"
    )]
    fn try_again(&mut self, proxy: &Proxy<'_>) -> Result<bool, Failed> {
        if self.tried_at.is_some_and(|at| at.elapsed() < AGAIN) {
            std::thread::sleep(KEYS);
            return Ok(false);
        }
        match proxy.follow(STREAM) {
            Ok(feed) => {
                (self.feed, self.gone_at, self.skip) = (Some(feed), None, 0);
                self.view.forget();
            }
            Err(Cut::Gone(_)) => {}
            Err(Cut::Refused(why)) => return Err(why),
        }
        self.tried_at = Some(Instant::now());
        Ok(true)
    }

    fn banner(&self) -> Option<String> {
        let gone = self.gone_at?.elapsed().as_secs();
        Some(format!(
            "THE PROXY AT {} IS GONE for {gone} s; waiting for it. What is shown is its last word.",
            self.args.admin.admin
        ))
    }
}
