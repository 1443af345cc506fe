//! What a client of HTTP/2 floods a connection with, by name.
//!
//! One word for the metric and the log. Says nothing of when it is one: that is decided where frames are counted.

/// What a flood is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flood {
    /// Requests, or heads of them.
    #[default]
    Headers,
    /// Pieces of heads.
    Continuation,
    /// Pieces of bodies, empty or tiny.
    Data,
    /// Resets of streams.
    Reset,
    /// Settings.
    Settings,
    /// Pings.
    Ping,
    /// Priorities.
    Priority,
    /// Windows.
    WindowUpdate,
    /// Whatever else there is, known or not.
    Other,
}

impl Flood {
    /// Every value, for metrics that exist from the start.
    pub const ALL: [Flood; 9] = [
        Flood::Headers,
        Flood::Continuation,
        Flood::Data,
        Flood::Reset,
        Flood::Settings,
        Flood::Ping,
        Flood::Priority,
        Flood::WindowUpdate,
        Flood::Other,
    ];

    /// The word of the metric and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Flood::Headers => "headers",
            Flood::Continuation => "continuation",
            Flood::Data => "data",
            Flood::Reset => "rst_stream",
            Flood::Settings => "settings",
            Flood::Ping => "ping",
            Flood::Priority => "priority",
            Flood::WindowUpdate => "window_update",
            Flood::Other => "other",
        }
    }
}
