//! The terminal while a picture lives on it; afterwards it is as it was, whatever ended the program.

use std::io::{self, Write, stdout};
use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, poll, read};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{cursor, execute, queue, style};
use tokio::signal::unix::{SignalKind, signal};

/// A terminal that shows pictures; dropped, it is as it was.
pub struct Screen(());

impl Screen {
    /// Makes the terminal ours.
    ///
    /// # Errors
    /// When it is none that can be drawn on.
    pub fn open() -> io::Result<Self> {
        restore_on_signals()?;
        enable_raw_mode()?;
        let screen = Screen(());
        execute!(stdout(), EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }

    /// Its width and height.
    pub fn size(&self) -> (usize, usize) {
        let (width, height) = size()
            .ok()
            .filter(|(w, h)| *w > 0 && *h > 0)
            .unwrap_or((80, 24));
        (usize::from(width), usize::from(height))
    }

    /// Its height.
    pub fn height(&self) -> usize {
        self.size().1
    }

    /// Keys that were pressed meanwhile; Ctrl-C is `q`. A terminal of another size is a key that means nothing.
    ///
    /// # Errors
    /// When there is no terminal any more.
    pub fn keys(&self) -> io::Result<Vec<KeyCode>> {
        let mut keys = Vec::new();
        while poll(Duration::ZERO)? {
            match read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press => {
                    let is_end = key.code == KeyCode::Char('c')
                        && key.modifiers.contains(KeyModifiers::CONTROL);
                    keys.push(if is_end { KeyCode::Char('q') } else { key.code });
                }
                Event::Resize(..) => keys.push(KeyCode::Null),
                _ => {}
            }
        }
        Ok(keys)
    }

    /// Shows these lines, from the top.
    pub fn show(&self, lines: &[String]) {
        // A terminal that takes nothing is noticed when its keys are read.
        let _ = draw(lines);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn draw(lines: &[String]) -> io::Result<()> {
    let mut out = stdout().lock();
    queue!(out, BeginSynchronizedUpdate)?;
    for (at, line) in (0..).zip(lines) {
        queue!(
            out,
            cursor::MoveTo(0, at),
            style::Print(line),
            Clear(ClearType::UntilNewLine)
        )?;
    }
    queue!(out, Clear(ClearType::FromCursorDown), EndSynchronizedUpdate)?;
    out.flush()
}

fn restore() {
    let _ = execute!(stdout(), LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}

/// A signal would end the program where it stands, with the terminal as it is.
#[expect(
    clippy::disallowed_methods,
    reason = "a command has nothing but the terminal to put in order, and its own thread may wait for the proxy"
)]
fn restore_on_signals() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let (mut interrupt, mut terminate, mut hangup) = {
        let _in_runtime = runtime.enter();
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        )
    };
    std::thread::spawn(move || {
        let number = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => 2,
                _ = terminate.recv() => 15,
                _ = hangup.recv() => 1,
            }
        });
        restore();
        // What a shell says of a program that a signal ended.
        std::process::exit(128 + number);
    });
    Ok(())
}
