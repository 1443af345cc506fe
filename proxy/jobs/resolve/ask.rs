//! One look-up of one name, by whichever way the file asks for.
//!
//! Nothing here remembers anything: every look-up reads the system's files anew, so that a changed /etc/resolv.conf or
//! /etc/hosts is followed like a changed record. Whatever happens, it ends within its time.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{ResolverBuilder, TokioResolver};
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::config::checked::{Dns, Family};

/// How long one look-up may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one server has for an answer, before it or the next one is asked again.
const SERVER_PATIENCE: Duration = Duration::from_millis(1_500);

/// What was found: at least one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Addresses of the families that are wanted.
    pub addresses: Vec<IpAddr>,
    /// How long they hold.
    pub holds: Duration,
    /// A family of which nothing could be learnt, though there are addresses of the other, and why.
    pub missing: Option<(Family, Failure)>,
}

/// Why there is nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The word in the metrics.
    pub result: &'static str,
    /// For people.
    pub why: String,
}

impl Failure {
    fn new(result: &'static str, why: impl Into<String>) -> Self {
        Failure {
            result,
            why: why.into(),
        }
    }
}

/// Looks `host` up.
pub async fn ask(host: &str, dns: &Dns) -> Result<Found, Failure> {
    match dns.ttl || !dns.servers.is_empty() {
        true => servers(host, dns).await,
        false => timeout(PATIENCE, system(host, dns))
            .await
            .unwrap_or_else(|_| Err(timed_out())),
    }
}

fn timed_out() -> Failure {
    Failure::new("timeout", format!("no answer within {PATIENCE:?}"))
}

/// By the system's resolver, which does not tell how long an answer holds.
async fn system(host: &str, dns: &Dns) -> Result<Found, Failure> {
    let found = lookup_host((host, 0)).await;
    let found = found.map_err(|e| Failure::new("error", e.to_string()))?;
    let addresses: Vec<_> = found
        .map(|addr| addr.ip())
        .filter(|ip| dns.family.has(*ip))
        .collect();
    match addresses.is_empty() {
        true => Err(nothing()),
        false => Ok(Found {
            addresses,
            holds: dns.interval,
            missing: None,
        }),
    }
}

fn nothing() -> Failure {
    Failure::new("empty", "it has no address")
}

/// By servers of DNS, the file's or those of /etc/resolv.conf.
async fn servers(host: &str, dns: &Dns) -> Result<Found, Failure> {
    let resolver = resolver(dns).map_err(|e| failure(&e))?;
    let one = |family: Family, kind| {
        let resolver = &resolver;
        async move {
            if dns.family != Family::Any && dns.family != family {
                return None;
            }
            let asked = timeout(PATIENCE, resolver.lookup(host, kind)).await;
            Some((family, asked.unwrap_or(Err(NetError::Timeout))))
        }
    };
    let (v4, v6) = tokio::join!(
        one(Family::Ipv4, RecordType::A),
        one(Family::Ipv6, RecordType::AAAA),
    );
    let answers = v4.into_iter().chain(v6).map(|(family, answer)| {
        let answer = answer.map(|found| read(&found, Instant::now()));
        (family, answer.map_err(|e| failure(&e)))
    });
    put_together(answers.collect(), dns)
}

/// Addresses and how long they hold.
type Part = (Vec<IpAddr>, Duration);

/// The answers for each family become one.
fn put_together(
    answers: Vec<(Family, Result<Part, Failure>)>,
    dns: &Dns,
) -> Result<Found, Failure> {
    let mut addresses = Vec::new();
    let (mut holds, mut missing, mut none) = (Duration::MAX, None, (None, nothing()));
    for (family, answer) in answers {
        match answer {
            Ok((found, time)) if !found.is_empty() => {
                addresses.extend(found);
                holds = holds.min(time);
            }
            Ok(_) => {}
            // A name without addresses of one family is nothing out of the ordinary.
            Err(failure) if failure.result == "empty" => {}
            Err(failure) if failure.result == "nxdomain" => none = (Some(family), failure),
            Err(failure) => missing = Some((family, failure)),
        }
    }
    if addresses.is_empty() {
        return Err(missing.map_or(none.1, |(_, failure)| failure));
    }
    // There is such a name: who says the opposite of one family knows nothing of it.
    let missing = missing.or(none.0.map(|family| (family, none.1)));
    let holds = match dns.ttl {
        true => holds.clamp(dns.min_ttl, dns.max_ttl),
        false => dns.interval,
    };
    Ok(Found {
        addresses,
        holds,
        missing,
    })
}

fn resolver(dns: &Dns) -> Result<TokioResolver, NetError> {
    let mut builder: ResolverBuilder<_> = match dns.servers.is_empty() {
        true => TokioResolver::builder_tokio()?,
        false => {
            let servers = dns.servers.iter().map(|server| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
                let connections = connections.map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                NameServerConfig::new(server.ip(), true, connections.into())
            });
            let config = ResolverConfig::from_name_servers(servers.collect());
            let runtime = TokioRuntimeProvider::default();
            let mut builder = TokioResolver::builder_with_config(config, runtime);
            builder.options_mut().use_hosts_file = ResolveHosts::Never;
            builder
        }
    };
    let options: &mut ResolverOpts = builder.options_mut();
    options.timeout = SERVER_PATIENCE;
    options.attempts = 2;
    builder.build()
}

fn read(found: &Lookup, now: Instant) -> Part {
    let addresses = found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(a) => Some(IpAddr::V6(a.0)),
            _ => None,
        });
    let holds = found.valid_until().saturating_duration_since(now);
    (addresses.collect(), holds)
}

fn failure(e: &NetError) -> Failure {
    let code = match e {
        NetError::Timeout => return timed_out(),
        NetError::Dns(DnsError::ResponseCode(code)) => *code,
        NetError::Dns(DnsError::NoRecordsFound(none)) => none.response_code,
        other => return Failure::new("error", other.to_string()),
    };
    match code {
        ResponseCode::NoError => nothing(),
        ResponseCode::NXDomain => Failure::new("nxdomain", "there is no such name (NXDOMAIN)"),
        ResponseCode::ServFail => Failure::new("servfail", "the server cannot tell (SERVFAIL)"),
        ResponseCode::Refused => Failure::new("refused", "the server refuses to tell (REFUSED)"),
        other => Failure::new("error", format!("the server says {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DNS: Dns = Dns {
        interval: Duration::from_secs(10),
        servers: Vec::new(),
        ttl: true,
        family: Family::Any,
        min_ttl: Duration::from_secs(2),
        max_ttl: Duration::from_secs(60),
    };

    fn some(family: Family, seconds: u64) -> (Family, Result<Part, Failure>) {
        let ip: IpAddr = match family {
            Family::Ipv6 => "::1".parse().unwrap(),
            _ => "10.0.0.1".parse().unwrap(),
        };
        (family, Ok((vec![ip], Duration::from_secs(seconds))))
    }

    #[test]
    fn an_answer_holds_as_long_as_its_shortest_record_within_bounds() {
        for (v4, v6, holds) in [(30, 20, 20), (0, 30, 2), (900, 800, 60)] {
            let answers = vec![some(Family::Ipv4, v4), some(Family::Ipv6, v6)];
            let found = put_together(answers, &DNS).unwrap();
            assert_eq!(found.holds, Duration::from_secs(holds));
            assert_eq!((found.addresses.len(), found.missing), (2, None));
        }
        let by_clock = Dns { ttl: false, ..DNS };
        let found = put_together(vec![some(Family::Ipv4, 3)], &by_clock).unwrap();
        assert_eq!(found.holds, by_clock.interval);
    }

    #[test]
    fn one_family_without_addresses_is_no_failure_and_one_that_fails_is_told() {
        let empty = || (Family::Ipv6, Err(nothing()));
        let found = put_together(vec![some(Family::Ipv4, 9), empty()], &DNS).unwrap();
        assert_eq!(found.missing, None);
        let broken = || (Family::Ipv6, Err(timed_out()));
        let found = put_together(vec![some(Family::Ipv4, 9), broken()], &DNS).unwrap();
        assert_eq!(found.missing, Some((Family::Ipv6, timed_out())));
        let nobody = (Family::Ipv4, Err(nothing()));
        assert_eq!(
            put_together(vec![nobody.clone(), empty()], &DNS),
            Err(nothing())
        );
        assert_eq!(put_together(vec![nobody, broken()], &DNS), Err(timed_out()));
    }
}
