//! The line as serde_json writes it: what a line is, in one shape.

use std::net::IpAddr;

use serde::Serializer;

use super::super::*;

/// The line of a request, its end included.
pub fn written(finished: &Finished<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut line, Shown);
    Line::from(finished).serialize(&mut serializer).unwrap();
    line.push(b'\n');
    line
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(serialize_with = "rfc3339")]
    ts: SystemTime,
    id: &'a str,
    client: IpAddr,
    listener: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    route: &'a str,
    method: &'a str,
    host: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
    proto: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sni: Option<&'a str>,
    status: u16,
    bytes_in: u64,
    bytes_out: u64,
    t: Times,
    #[serde(skip_serializing_if = "str::is_empty")]
    upstream: &'a str,
    nodes: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc_status: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span: Option<String>,
    end: &'static str,
}

/// Seconds, to the microsecond.
#[derive(Serialize)]
struct Times {
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "some_seconds"
    )]
    queue: Option<Duration>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "some_seconds"
    )]
    connect: Option<Duration>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "some_seconds"
    )]
    ttfb: Option<Duration>,
    #[serde(serialize_with = "seconds")]
    total: Duration,
}

impl<'a> From<&'a Finished<'a>> for Line<'a> {
    fn from(f: &'a Finished<'a>) -> Self {
        Line {
            ts: f.at,
            id: f.id,
            client: f.client,
            listener: f.listener,
            route: f.route,
            method: f.method.as_str(),
            host: f.host,
            path: f.path,
            query: f.query,
            proto: match f.version {
                Version::HTTP_10 => "HTTP/1.0",
                Version::HTTP_2 => "HTTP/2",
                _ => "HTTP/1.1",
            },
            tls: f.tls,
            sni: f.sni,
            status: f.status,
            bytes_in: f.bytes_in,
            bytes_out: f.bytes_out,
            t: Times {
                queue: f.queue,
                connect: f.connect,
                ttfb: f.ttfb,
                total: f.total,
            },
            upstream: f.upstream,
            nodes: f.nodes,
            cache: f.cache.map(Outcome::as_str),
            cache_reason: f.cache_reason.map(Why::as_str),
            encoding: (f.encoding.filter(|c| *c != Coding::Identity)).map(Coding::as_str),
            grpc_status: f.grpc_status,
            dry_run: f.dry_run.map(Refusal::as_str),
            trace: f
                .trace
                .map(|trace| String::from_utf8(trace.shown().0.into()).unwrap()),
            span: f
                .trace
                .map(|trace| String::from_utf8(trace.shown().1.into()).unwrap()),
            end: f.end.as_str(),
        }
    }
}

fn rfc3339<S: Serializer>(at: &SystemTime, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(&humantime::format_rfc3339_millis(*at))
}

fn seconds<S: Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_f64(d.as_micros() as f64 / 1e6)
}

fn some_seconds<S: Serializer>(d: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
    match d {
        Some(d) => seconds(d, s),
        None => s.serialize_none(),
    }
}
