//! What holds when the file says nothing.
//!
//! A default is a decision: each says why it is what it is. Every value here must be finite where a client or a node
//! could otherwise hold a resource for ever. Nothing else in the program may carry a default of the configuration.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use http::HeaderName;

use super::checked::{
    AccessLog, AcmeKey, Alpn, Balance, Breaker, Cache, Challenge, ClientTimeouts, Family, H2Limits,
    Limits, LogFormat, LogPath, NodeTimeouts, Outlier, Queue, Recompress, RequestId, Requests,
    Retry, RetryOn, SameSite, Sample, Secure, ServerTiming, Shutdown, TlsVersion, TraceContext,
    Tracing, Underscores,
};
use crate::base::coding::{Coding, PerCoding};
use crate::base::units::Rate;

mod health;

pub use health::*;

/// The stats port: loopback only, because without tokens nobody else is let in.
pub const ADMIN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9900));

/// The CA that gives certificates to everybody, free of charge.
pub const ACME_DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Its place for trying, whose certificates nobody trusts and whose limits are wide.
pub const ACME_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";
/// Where services keep what they need to come back (FHS §5.8).
pub const ACME_STATE: &str = "/var/lib/tidegate/acme";
/// Works behind whatever ends TLS in front, and needs no further port but the one that redirects are served on.
pub const ACME_CHALLENGE: Challenge = Challenge::Http01;
/// What every client of the last ten years verifies, at a tenth of what RSA costs us.
pub const ACME_KEY: AcmeKey = AcmeKey::EcdsaP256;
/// Keys stay on the machine they were made on, unless the operator says otherwise.
pub const ACME_SHARE: bool = false;

/// The oldest version of TLS: older ones are broken (RFC 8996), and some clients of machines still speak no newer one.
pub const TLS_MIN_VERSION: TlsVersion = TlsVersion::V12;
/// What is offered: HTTP/2 first, as browsers want it.
pub const TLS_ALPN: [Alpn; 2] = [Alpn::H2, Alpn::H1];
/// Sessions are resumed: a handshake without signature, and a round trip less with 1.2.
pub const TLS_TICKETS: bool = true;
/// A handshake is two or three packets each way: as long as a head.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How much a client may take.
pub const LIMITS: Limits = Limits {
    // What browsers with many cookies send is below 16 KiB; nginx takes 32 KiB.
    header_bytes: 32 * 1024,
    // A browser sends about 20.
    headers: 100,
    // Longer ones are attacks or belong into a body; nginx takes 8 KiB.
    uri_bytes: 8 * 1024,
    // Most uploads; an app that takes more knows it.
    body: Some(100 * 1024 * 1024),
    // With a few KB each and some tens of KB while busy, far from filling a small machine.
    connections: Some(10_000),
    // Offices and mobile networks come from one address.
    connections_per_ip: None,
    // Hardly any client pipelines; tools that do keep to this depth.
    pipeline: Some(16),
    // Spreads long-lived clients over a group of proxies in the course of time.
    requests_per_connection: Some(10_000),
    // Slower than any modem: only who means harm sends so slowly.
    body_rate: Some(512),
    // The same for who reads; pauses are what `timeouts.write` is for.
    send_rate: Some(2 * 1024),
    h2: H2Limits {
        // What RFC 9113 §6.5.2 asks for at least; browsers open no more.
        streams: 100,
        // A client that gives all of its requests up now and then stays below; nghttp2 takes as many.
        resets: Some(Rate {
            count: 1_000,
            per: Duration::from_secs(30),
        }),
        // A ping a second and a handful of windows are a thousandth of it; what goes with answers is not counted.
        frames: Some(Rate {
            count: 2_000,
            per: Duration::from_secs(10),
        }),
    },
};

/// What is done to requests before anybody looks at them.
pub fn requests() -> Requests {
    Requests {
        // Most file servers and frameworks take them for one, so that rules must too.
        merge_slashes: true,
        // An app that reads its fields from the environment (CGI, WSGI) cannot tell `_` from `-`.
        underscores: Underscores::Drop,
        // Some frameworks let these replace the path or method that our rules were decided on.
        drop: [
            "x-original-url",
            "x-rewrite-url",
            "x-http-method-override",
            "x-http-method",
            "x-method-override",
            // Becomes `HTTP_PROXY` in the environment of a script (httpoxy, CVE-2016-5385).
            "proxy",
        ]
        .map(HeaderName::from_static)
        .into(),
        // Scripts do it (`printf … | nc`), and RFC 9112 §9.6 lets them. A client that closed looks the same from here:
        // after a few seconds it more likely left, and its node can stop working for it.
        half_close: Duration::from_secs(5),
    }
}

/// Limits towards clients.
pub const CLIENT_TIMEOUTS: ClientTimeouts = ClientTimeouts {
    // A head is one packet or two: ten seconds forgive a bad line and stop a slowloris.
    header: Some(Duration::from_secs(10)),
    // What browsers and other proxies keep; longer costs memory per idle client.
    idle: Some(Duration::from_secs(60)),
    // Between two reads, not in total: a phone in a tunnel recovers within it.
    body: Some(Duration::from_secs(30)),
    // One write that nobody takes for so long goes to a client that is gone.
    write: Some(Duration::from_secs(30)),
    // Downloads, event streams and long polls are legitimate; each of their steps has a limit above.
    request: None,
};

/// How the process ends.
pub const SHUTDOWN: Shutdown = Shutdown {
    // Without another balancer in front there is nobody to wait for.
    pre_stop: Duration::ZERO,
    // What Kubernetes gives a pod before it is killed.
    grace: Duration::from_secs(30),
    // Long enough for most downloads; another process serves meanwhile, so it costs memory only.
    handover: Duration::from_secs(300),
};

/// Where requests are told: every one, on standard output, as containers and systemd expect.
pub const ACCESS_LOG: AccessLog = AccessLog {
    path: LogPath::Stdout,
    format: LogFormat::Json,
    sample: 1.0,
};

/// Traces: none of our business unless somebody asks, so that they cost nothing.
pub fn tracing() -> Tracing {
    Tracing {
        context: TraceContext::Off,
        // Of a busy site still several a second, and of nobody's disk too much.
        sample: Sample::Share(0.01),
        service: "tidegate".into(),
        // Who asks a stranger's site need not know how it is built.
        server_timing: ServerTiming::Off,
        request_id: RequestId {
            header: HeaderName::from_static("x-request-id"),
            shown: "X-Request-Id".into(),
            returned: false,
        },
        otlp: None,
    }
}

/// How long a batch of spans may take: a collector beside it needs milliseconds, one across the world a second.
pub const OTLP_TIMEOUT: Duration = Duration::from_secs(5);

/// Spans that wait: what OpenTelemetry's own exporters keep.
pub const OTLP_QUEUE: u32 = 2_048;

/// From one look-up of a name to the next: ten seconds follow a moved record soon enough and cost a resolver nothing.
pub const DNS_INTERVAL: Duration = Duration::from_secs(10);

/// The shortest time that an answer holds: some servers say 0, and mean "ask each time" of clients that ask seldom.
pub const DNS_MIN_TTL: Duration = Duration::from_secs(1);

/// The longest time that an answer holds: a record with a day to go that was moved in haste is followed in minutes.
pub const DNS_MAX_TTL: Duration = Duration::from_secs(300);

/// Which addresses are wanted: what a name has; whoever publishes an address wants it used.
pub const DNS_FAMILY: Family = Family::Any;

/// The cache as a whole; nothing is stored until a route asks.
pub const CACHE: Cache = Cache {
    // The pages and small pictures of a busy site, on a machine of 1 GiB still beside everything else.
    memory: 256 * 1024 * 1024,
    // Pictures and scripts; what is larger pushes out thousands of them, and is seldom asked for twice.
    max_object: 16 * 1024 * 1024,
    // Languages by encodings; a site with more varies by something that every client has of its own.
    variants: 32,
    // Whoever may purge can overload the nodes: nobody, unless told.
    purge_token: None,
    // What is compressed at all is worth the best there is when many ask for it.
    recompress: Some(RECOMPRESS),
    // It takes another server.
    redis: None,
};

/// What all keys in Redis begin with.
pub const REDIS_PREFIX: &str = "tg";

/// How long Redis may take: a network around the corner needs one, and a request hardly notices twenty.
pub const REDIS_TIMEOUT: Duration = Duration::from_millis(20);

/// The longest that an answer is kept in Redis: what nobody asked for in an hour is asked of a node.
pub const REDIS_TTL_MAX: Duration = Duration::from_secs(3_600);

/// The largest body that is kept in Redis: more takes longer than the time a request waits for it.
pub const REDIS_MAX_OBJECT: u64 = 1024 * 1024;

/// With which use an answer goes to Redis: at once, or the other proxies would each fetch it.
pub const REDIS_MIN_USES: u32 = 1;

/// Bytes of answers that wait to go to Redis: a second or two of a busy site.
pub const REDIS_QUEUE: u64 = 32 * 1024 * 1024;

/// How many purges Redis keeps for who was away: about 10 MiB there, and hours of a busy site.
pub const REDIS_PURGE_HISTORY: u32 = 65_536;

/// What is offered: the quickest to read first.
pub const ENCODINGS: [Coding; 4] = [Coding::Zstd, Coding::Brotli, Coding::Gzip, Coding::Deflate];

/// Media types that compress well: text in all its forms. Pictures, films, archives and the newer fonts are compressed
/// already.
pub const COMPRESSED_TYPES: [&str; 17] = [
    "text/*",
    "*/*+json",
    "*/*+xml",
    "*/*+text",
    "application/json",
    "application/javascript",
    "application/xml",
    "application/x-javascript",
    "application/x-ndjson",
    "application/wasm",
    "application/graphql",
    "application/vnd.ms-fontobject",
    "application/x-font-ttf",
    "font/ttf",
    "font/otf",
    "image/bmp",
    "image/x-icon",
];

/// Bytes of the smallest body that is compressed: less fits into one packet as it is.
pub const COMPRESS_MIN_SIZE: u64 = 1024;

/// Levels while a client waits: where each gives most for its time.
pub const LEVEL: PerCoding<u32> = PerCoding {
    zstd: 3,
    br: 4,
    gzip: 5,
    deflate: 5,
};

/// Levels behind the answers: the best that every client can read.
pub const STORED_LEVEL: PerCoding<u32> = PerCoding {
    zstd: 19,
    br: 11,
    gzip: 9,
    deflate: 9,
};

/// How busy a worker may be, in hundredths, before answers are compressed less: bytes are cheaper than waiting.
pub const COMPRESS_MAX_CPU: u32 = 80;

/// Bytes that a body may have once it is decoded.
pub const DECODE_MAX_SIZE: u64 = 256 * 1024 * 1024;

/// Times its encoded size, in bytes: honest bodies stay far below, bombs are ten times above.
pub const DECODE_MAX_RATIO: u64 = 100;

/// What is asked for again and again is compressed better.
pub const RECOMPRESS: Recompress = Recompress {
    // It competes with the requests, if only for what they leave.
    threads: 1,
    queue: 256,
    // Asked for once more after it was made, and then again.
    after: 3,
    max_size: 2 * 1024 * 1024,
    cpu: 50,
    time: Duration::from_secs(20),
};

/// How long a request waits for another one's fetch of the same thing: most pages are there by then, and of a node that
/// takes longer each may as well ask for itself.
pub const CACHE_WAIT: Duration = Duration::from_secs(10);

/// How a node is chosen: what every other balancer does unless told otherwise, and the easiest to reason about.
pub const BALANCE: Balance = Balance::RoundRobin;

/// Limits towards nodes.
pub const NODE_TIMEOUTS: NodeTimeouts = NodeTimeouts {
    // One lost SYN is sent again after a second; the next node is a better bet than waiting for it.
    connect: Some(Duration::from_secs(1)),
    // Slow pages exist; a node silent for half a minute is stuck.
    read: Some(Duration::from_secs(30)),
    // As towards clients.
    write: Some(Duration::from_secs(30)),
    // Below what app servers commonly keep (75 s), so that we close first and never write to a closed connection.
    idle: Duration::from_secs(60),
    // Chats and tickers say something every minute or so; who was silent for an hour is mostly a phone that is gone.
    tunnel: Some(Duration::from_secs(60 * 60)),
};

/// Below this share of healthy nodes, in hundredths, health is ignored: never, because a health check that knows of a
/// node is worth more than a guess unless the operator says otherwise.
pub const FAIL_OPEN_BELOW: u32 = 0;

/// What counts as a failure of a node: it cannot serve, or what is behind it cannot. (501 and 505 are answers to odd
/// requests.)
pub const FAILURE_STATUSES: &[(u16, u16)] = &[(500, 500), (502, 504)];

/// When a node that fails rests. The numbers are Envoy's, except that a share counts sooner than after 100 requests.
pub const OUTLIER: Outlier = Outlier {
    // Chance brings five failures of a node that fails one request in ten once in 100,000.
    consecutive: Some(5),
    failure_rate: Some(50),
    min_requests: 20,
    window: Duration::from_secs(10),
    // Long enough for a restart, short enough to find out in time.
    eject: Duration::from_secs(10),
    max_eject: Duration::from_secs(300),
    // Half of the nodes must carry the others' load already; more would fall too.
    max_ejected: 50,
};

/// When a node that fails is asked nothing at all, for who wants that: it also stops the last node.
pub const BREAKER: Breaker = Breaker {
    failure_rate: 50,
    min_requests: 20,
    window: Duration::from_secs(10),
    open: Duration::from_secs(5),
    trials: 3,
};

/// When a request is sent again.
pub fn retry() -> Retry {
    Retry {
        // A second node is a good bet, a third one rarely: what fails twice mostly fails everywhere.
        tries: 2,
        on: RetryOn {
            connect: true,
            reset: true,
            // As slow again, and twice as loaded; `try_timeout` is for who wants it.
            timeout: false,
            statuses: vec![502, 503, 504],
            // Whether a call may run twice is known to who wrote the service.
            grpc_unavailable: false,
        },
        // A fault of all nodes costs a fifth more, not twice as much.
        budget: 20,
        try_timeout: None,
        // Most of a hiccup is over by then, and nobody notices.
        backoff: Duration::from_millis(25),
        // What the key means is between client and app.
        idempotency_key: false,
        hedge: None,
    }
}

/// Requests that one HTTP/2 connection to a node carries at a time: what servers commonly allow, and few enough that
/// they do not wait for one socket.
pub const H2_STREAMS: u32 = 100;

/// Where requests wait while every node is full: a moment of it is better than an error, a long line is not.
pub const QUEUE: Queue = Queue {
    size: 100,
    timeout: Duration::from_secs(1),
};

/// The share a node begins with when it starts slowly: enough to warm it, too little to fail it.
pub const SLOW_START_FLOOR: u32 = 10;

/// The curve of a slow start, in hundredths: a straight line.
pub const SLOW_START_CURVE: u32 = 100;

/// How long requests in flight on a draining node may take: a minute is longer than any request with a default
/// read limit needs.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// How long sessions go on on a draining node: not at all, because a drain should be over soon unless the operator says
/// that sessions matter more.
pub const SESSION_GRACE: Duration = Duration::ZERO;

/// How long a sticky cookie holds: longer than people pause, and renewed while they do not.
pub const STICKY_TTL: Duration = Duration::from_secs(3_600);

/// `Path` of a sticky cookie: an app's session is rarely one of a part of it.
pub const STICKY_PATH: &str = "/";

/// `SameSite` of a sticky cookie: what browsers take when nothing is said, said.
pub const STICKY_SAME_SITE: SameSite = SameSite::Lax;

/// `Secure` of a sticky cookie: as the client came, so that it works with and without TLS.
pub const STICKY_SECURE: Secure = Secure::Auto;

/// `HttpOnly` of a sticky cookie: no script has any use for it.
pub const STICKY_HTTP_ONLY: bool = true;

/// How long a learned session may be idle: as a sticky cookie.
pub const LEARN_TTL: Duration = Duration::from_secs(3_600);

/// How many sessions are learned: those of a busy site in an hour, in about 10 MB.
pub const LEARN_MAX: u32 = 100_000;

/// How long a client reads from where it wrote: longer than replicas commonly lag, and what a user who has just saved
/// expects. `0s` for apps that look after it themselves.
pub const PIN_AFTER_WRITE: Duration = Duration::from_secs(2);

/// The cookie that says until when.
pub const PIN_COOKIE: &str = "tg_pin";

/// Share of the traffic: all nodes alike.
pub const WEIGHT: u32 = 1;

/// Whether the certificate of a node must be good: else whoever stands between reads and changes everything.
pub const NODE_TLS_VERIFY: bool = true;

/// Status of a redirect: 302 is forgotten at once, a wrong 301 or 308 stays in browsers for months.
pub const REDIRECT_STATUS: http::StatusCode = http::StatusCode::FOUND;

/// Requests that take longer are kept at hand: people begin to wait.
pub const SLOW: Duration = Duration::from_secs(1);

/// Worker threads: every core; 1 where the system does not tell.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}
