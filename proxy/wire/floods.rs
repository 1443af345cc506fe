//! Frames that ask for nothing: how many a client of HTTP/2 may send (RFC 9113 §10.5).
//!
//! Each costs the sender nothing and us some work, and none of them is wrong by itself. They are charged to the
//! connection; what is sent to the client pays for those that go with it. Bytes and times in, a verdict out: never
//! touches a byte, reads no clock.

use std::time::Duration;

use super::frames::{
    ACK, CONTINUATION, DATA, END_STREAM, Frame, Frames, GOAWAY, HEADERS, PING, PRIORITY,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, goaway,
};
use crate::base::flood::Flood;
use crate::base::units::Rate;

/// `ENHANCE_YOUR_CALM` (RFC 9113 §7): the peer makes work for its own sake.
const CALM: u32 = 11;
/// What a client provokes by breaking the rules of a stream: PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED,
/// FRAME_SIZE_ERROR. We end the stream, but the client chose to (CVE-2025-8671).
const PROVOKED: [u32; 4] = [1, 3, 5, 6];
/// Frames that go with one that we send: windows of stream and connection, a ping to measure, a priority.
const PAID: u32 = 4;
/// `SETTINGS` change every stream, and are sent once or twice: this part of the rate.
const SETTINGS_PART: u32 = 10;

/// How many frames that ask for nothing a client may send; `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Frames that carry nothing: settings, pings, priorities, windows, empty pieces, unknown ones.
    pub frames: Option<Rate>,
    /// Streams that it resets, or makes us reset.
    pub resets: Option<Rate>,
}

/// What a flood of such frames is.
fn flood_of(frame: &Frame) -> Flood {
    match frame.kind {
        HEADERS => Flood::Headers,
        CONTINUATION => Flood::Continuation,
        DATA => Flood::Data,
        RST_STREAM => Flood::Reset,
        SETTINGS => Flood::Settings,
        PING => Flood::Ping,
        PRIORITY => Flood::Priority,
        WINDOW_UPDATE => Flood::WindowUpdate,
        _ => Flood::Other,
    }
}

/// What is charged, and since when it is given back. Looks at the time only once it is full: then it holds as much again
/// at most.
#[derive(Debug, Default)]
struct Bucket {
    level: u32,
    /// Given back up to here; since the connection began.
    until: Duration,
}

impl Bucket {
    /// Whether it may hold what is in it.
    fn holds(&mut self, rate: Option<Rate>, now: impl Fn() -> Duration) -> bool {
        let Some(Rate { count, per }) = rate else {
            self.level = 0;
            return true;
        };
        if self.level <= count {
            return true;
        }
        let share = per.as_nanos() / u128::from(count.max(1));
        let gone = now().saturating_sub(self.until);
        let back = gone.as_nanos() / share.max(1);
        match u32::try_from(back).ok().filter(|back| *back <= self.level) {
            // What is less than one share stays to be given back.
            Some(back) => {
                self.level -= back;
                self.until += Duration::from_nanos((share as u64).saturating_mul(back.into()));
            }
            None => {
                self.level = 0;
                self.until += gone;
            }
        }
        self.level <= count
    }
}

/// Watches the frames of one connection.
#[derive(Debug)]
pub struct Meter {
    allowed: Allowance,
    comes: Frames,
    goes: Frames,
    idle: Bucket,
    settings: Bucket,
    resets: Bucket,
    /// The client's newest stream.
    newest: u32,
    /// Its latest frame.
    latest: Flood,
}

impl Meter {
    /// A connection that has sent nothing, its preface included.
    pub fn new(allowed: Allowance) -> Meter {
        Meter {
            allowed,
            comes: Frames::of_client(),
            goes: Frames::default(),
            idle: Bucket::default(),
            settings: Bucket::default(),
            resets: Bucket::default(),
            newest: 0,
            latest: Flood::default(),
        }
    }

    /// Notes what came from the client. `now` is the time since the connection began.
    ///
    /// # Errors
    /// When it sends too much of something.
    pub fn comes(&mut self, bytes: &[u8], now: impl Fn() -> Duration) -> Result<(), Flood> {
        let (mut bytes, mut verdict) = (bytes, Ok(()));
        while let Some(frame) = self.comes.next(&mut bytes) {
            if verdict.is_ok() {
                self.latest = flood_of(&frame);
                verdict = self.charge(&frame, &now);
            }
        }
        verdict
    }

    fn charge(&mut self, frame: &Frame, now: impl Fn() -> Duration) -> Result<(), Flood> {
        let Allowance { frames, resets } = self.allowed;
        let is_held = match frame.kind {
            HEADERS => {
                self.newest = self.newest.max(frame.stream);
                // Those that it made us reset are in it.
                self.resets.holds(resets, now)
            }
            DATA if frame.body() > 0 || frame.flags & END_STREAM != 0 => true,
            RST_STREAM => {
                self.resets.level += 1;
                self.resets.holds(resets, now)
            }
            SETTINGS if frame.flags & ACK == 0 => {
                self.settings.level += 1;
                let part = |rate: Rate| Rate {
                    count: rate.count.div_ceil(SETTINGS_PART),
                    ..rate
                };
                self.settings.holds(frames.map(part), now)
            }
            _ => {
                self.idle.level += 1;
                self.idle.holds(frames, now)
            }
        };
        match is_held {
            true => Ok(()),
            false => Err(self.latest),
        }
    }

    /// Notes what went to the client. What is told is that whoever wrote it has ended the connection for a flood.
    pub fn goes(&mut self, bytes: &[u8]) -> Option<Flood> {
        let mut bytes = bytes;
        let mut ended = None;
        while let Some(frame) = self.goes.next(&mut bytes) {
            match frame.kind {
                HEADERS | DATA => self.idle.level = self.idle.level.saturating_sub(PAID),
                RST_STREAM if PROVOKED.contains(&frame.code()) => self.resets.level += 1,
                GOAWAY if frame.code() == CALM => ended = Some(self.latest),
                _ => {}
            }
        }
        ended
    }

    /// What the client is told when it is a flood; `None`: a frame is under way to it, and nothing can be.
    pub fn goodbye(&self) -> Option<[u8; 17]> {
        let between = self.goes.is_between();
        between.then(|| goaway(self.newest, CALM))
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::{PADDED, PREFACE};
    use super::*;

    const RATE: Rate = Rate {
        count: 100,
        per: Duration::from_secs(10),
    };

    fn meter() -> Meter {
        let mut meter = Meter::new(Allowance {
            frames: Some(RATE),
            resets: Some(RATE),
        });
        meter.comes(PREFACE, || Duration::ZERO).unwrap();
        meter
    }

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let stream = stream.to_be_bytes();
        [&length[1..], &[kind, flags], &stream, payload].concat()
    }

    /// How many of these are taken at one time, of 10,000, and what they are a flood of.
    fn taken(meter: &mut Meter, frame: &[u8], at: u64) -> (usize, Option<Flood>) {
        let now = || Duration::from_secs(at);
        for n in 0..10_000 {
            if let Err(flood) = meter.comes(frame, now) {
                return (n, Some(flood));
            }
        }
        (10_000, None)
    }

    #[test]
    fn what_asks_for_nothing_is_taken_so_often() {
        for (kind, flags, payload, flood, most) in [
            (SETTINGS, 0, &b""[..], Flood::Settings, 10),
            (SETTINGS, ACK, b"", Flood::Settings, 100),
            (PING, 0, b"12345678", Flood::Ping, 100),
            (PING, ACK, b"12345678", Flood::Ping, 100),
            (PRIORITY, 0, b"12345", Flood::Priority, 100),
            (WINDOW_UPDATE, 0, &[0, 0, 0, 1], Flood::WindowUpdate, 100),
            (RST_STREAM, 0, &[0, 0, 0, 8], Flood::Reset, 100),
            (DATA, 0, b"", Flood::Data, 100),
            (DATA, PADDED, &[3, 0, 0, 0], Flood::Data, 100),
            (CONTINUATION, 0, b"", Flood::Continuation, 100),
            (GOAWAY, 0, &[0; 8], Flood::Other, 100),
            (0xaa, 0xff, b"whatever", Flood::Other, 100),
        ] {
            let frame = frame(kind, flags, 1, payload);
            let got = taken(&mut meter(), &frame, 0);
            assert_eq!(got, (most, Some(flood)), "{kind}");
        }
    }

    #[test]
    fn what_carries_something_is_not_counted() {
        for frame in [
            frame(DATA, 0, 1, b"x"),
            frame(DATA, PADDED, 1, &[1, b'x', 0]),
            frame(DATA, END_STREAM, 1, b""),
            frame(HEADERS, 5, 1, b"x"),
        ] {
            assert_eq!(taken(&mut meter(), &frame, 0), (10_000, None));
        }
    }

    #[test]
    fn time_gives_back_and_never_more_than_there_was() {
        let ping = frame(PING, 0, 0, b"12345678");
        let mut meter = meter();
        assert_eq!(taken(&mut meter, &ping, 0).0, 100);
        // One was over; a second gives ten back.
        assert_eq!(taken(&mut meter, &ping, 1).0, 9);
        assert_eq!(taken(&mut meter, &ping, 1).0, 0);
        // And with it the one that asked.
        assert_eq!(taken(&mut meter, &ping, 100_000).0, 101);
    }

    #[test]
    fn fractions_of_a_share_are_not_lost() {
        let ping = frame(PING, 0, 0, b"12345678");
        let mut meter = meter();
        taken(&mut meter, &ping, 0);
        let mut taken = 0;
        for milli in 0..2_000 {
            let now = || Duration::from_millis(milli);
            taken += usize::from(meter.comes(&ping, now).is_ok());
            meter.idle.level = meter.idle.level.min(RATE.count);
        }
        assert!((15..=21).contains(&taken), "{taken}");
    }

    #[test]
    fn what_is_sent_pays_for_what_goes_with_it() {
        let (ping, data) = (frame(PING, 0, 0, b"12345678"), frame(DATA, 0, 1, b"x"));
        let mut meter = meter();
        for _ in 0..10_000 {
            for _ in 0..PAID {
                meter.comes(&ping, || Duration::ZERO).unwrap();
            }
            assert_eq!(meter.goes(&data), None);
        }
        // But not for settings, nor in advance.
        assert_eq!(taken(&mut meter, &frame(SETTINGS, 0, 0, b""), 0).0, 10);
        assert_eq!(taken(&mut meter, &ping, 0).0, 100);
    }

    #[test]
    fn resets_that_a_client_provokes_are_its_own() {
        let (head, window) = (frame(HEADERS, 5, 9, b"x"), |code: u32| {
            frame(RST_STREAM, 0, 9, &code.to_be_bytes())
        });
        for (code, most) in [(1, 101), (3, 101), (5, 101), (0, 10_000), (8, 10_000)] {
            let mut meter = meter();
            let mut streams = 0;
            while streams < 10_000 && meter.comes(&head, || Duration::ZERO).is_ok() {
                meter.goes(&window(code));
                streams += 1;
            }
            assert_eq!(streams, most, "{code}");
        }
    }

    #[test]
    fn an_end_that_others_make_is_told_by_what_came_last() {
        let mut meter = meter();
        let bytes = frame(CONTINUATION, 0, 1, b"");
        meter.comes(&bytes, || Duration::ZERO).unwrap();
        assert_eq!(meter.goes(&goaway(1, 1)), None, "not for a flood");
        assert_eq!(meter.goes(&goaway(1, CALM)), Some(Flood::Continuation));
    }

    #[test]
    fn goodbye_is_said_between_frames_alone() {
        let mut meter = meter();
        meter
            .comes(&frame(HEADERS, 5, 7, b"x"), || Duration::ZERO)
            .unwrap();
        assert_eq!(meter.goodbye(), Some(goaway(7, CALM)));
        meter.goes(&frame(DATA, 0, 7, b"xyz")[..10]);
        assert_eq!(meter.goodbye(), None);
    }

    #[test]
    fn without_a_limit_everything_is_taken() {
        let mut meter = Meter::new(Allowance {
            frames: None,
            resets: None,
        });
        meter.comes(PREFACE, || Duration::ZERO).unwrap();
        for kind in [SETTINGS, PING, RST_STREAM] {
            let got = taken(&mut meter, &frame(kind, 0, 0, b""), 0);
            assert_eq!(got, (10_000, None), "{kind}");
        }
    }
}
