//! Laws of the rate limit, told with times of their own: nothing here waits.

use proptest::prelude::*;

use http::HeaderMap;

use super::*;
use crate::config::checked::Scope;

fn limit(requests: u32, per: Duration, burst: u32) -> RateLimit {
    RateLimit {
        key: RateKey::Ip,
        requests,
        per,
        burst,
        scope: Scope::Local,
        dry_run: false,
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A limit and its beginning.
fn begun(config: &RateLimit) -> (Rate, Instant) {
    let t0 = Instant::now();
    (Rate::new(config, 7, t0), t0)
}

fn ask(rate: &Rate, client: &str, at: Instant) -> Result<(), TooOften> {
    rate.ask(client.parse().unwrap(), &HeaderMap::new(), at)
}

fn by_field(values: &[&str]) -> HeaderMap {
    values
        .iter()
        .map(|v| ("x-api-key".parse().unwrap(), v.parse().unwrap()))
        .collect::<Vec<(http::HeaderName, http::HeaderValue)>>()
        .into_iter()
        .fold(HeaderMap::new(), |mut all, (name, value)| {
            all.append(name, value);
            all
        })
}

#[test]
fn a_burst_may_come_at_once_and_then_one_for_each_share_of_the_time() {
    let (rate, t0) = begun(&limit(10, ms(1000), 3));
    for _ in 0..3 {
        assert_eq!(ask(&rate, "10.0.0.1", t0), Ok(()));
    }
    assert_eq!(ask(&rate, "10.0.0.1", t0), Err(TooOften(ms(100))));
    assert_eq!(ask(&rate, "10.0.0.1", t0 + ms(60)), Err(TooOften(ms(40))));
    assert_eq!(ask(&rate, "10.0.0.1", t0 + ms(100)), Ok(()));
    assert!(ask(&rate, "10.0.0.1", t0 + ms(100)).is_err());
    // After the time of a whole burst all of it is back.
    for _ in 0..3 {
        assert_eq!(ask(&rate, "10.0.0.1", t0 + ms(500)), Ok(()));
    }
    assert!(ask(&rate, "10.0.0.1", t0 + ms(500)).is_err());
}

#[test]
fn clients_do_not_know_each_other_but_a_64_of_ipv6_is_one() {
    let (rate, t0) = begun(&limit(1, ms(1000), 1));
    for fresh in [
        "10.0.0.1",
        "10.0.0.2",
        "2001:db8::1",
        "2001:db8:0:1::1",
        "::1",
    ] {
        assert_eq!(ask(&rate, fresh, t0), Ok(()), "{fresh}");
    }
    for known in [
        "10.0.0.1",
        "::ffff:10.0.0.2",
        "2001:db8::ffff:1",
        "2001:db8:0:1:2::",
    ] {
        assert!(ask(&rate, known, t0).is_err(), "{known}");
    }
}

#[test]
fn a_field_tells_clients_apart_and_without_it_or_with_several_the_address_does() {
    let key = RateKey::Header("x-api-key".parse().unwrap());
    let config = RateLimit {
        key,
        ..limit(1, ms(1000), 1)
    };
    let (rate, t0) = begun(&config);
    let ask = |client: &str, values: &[&str]| {
        rate.ask(client.parse().unwrap(), &by_field(values), t0)
            .is_ok()
    };
    assert!(ask("10.0.0.1", &["a"]));
    assert!(!ask("10.0.0.2", &["a"]), "the same field from elsewhere");
    assert!(ask("10.0.0.1", &["b"]));
    assert!(ask("10.0.0.1", &[]));
    assert!(!ask("10.0.0.1", &[]));
    assert!(!ask("10.0.0.1", &[""]), "an empty one is none");
    assert!(!ask("10.0.0.1", &["c", "d"]), "several are none");
    assert!(ask("10.0.0.2", &["c", "d"]));
}

#[test]
fn a_time_that_was_told_late_never_gives_requests_back() {
    let (rate, t0) = begun(&limit(1, ms(1000), 1));
    assert_eq!(ask(&rate, "10.0.0.1", t0 + ms(5000)), Ok(()));
    assert_eq!(ask(&rate, "10.0.0.1", t0), Err(TooOften(ms(1000))));
    assert_eq!(ask(&rate, "10.0.0.1", t0 + ms(6000)), Ok(()));
}

#[test]
fn no_more_clients_are_remembered_than_there_is_room_for_and_a_busy_one_stays() {
    let (rate, t0) = begun(&limit(1, Duration::from_secs(3600), 2));
    let mut passed = 0;
    for n in 0..(2 * MAX_CLIENTS as u32) {
        let client = std::net::Ipv4Addr::from(0x0a00_0000 + n);
        assert_eq!(rate.ask(client.into(), &HeaderMap::new(), t0), Ok(()));
        if n % 100 == 0 {
            passed += u32::from(ask(&rate, "192.0.2.1", t0).is_ok());
        }
    }
    assert_eq!(passed, 2, "a flood of others does not give it a new burst");
    let Rate { limiter, .. } = rate;
    let left = limiter.into_state_store().0;
    assert!(left.len() <= MAX_CLIENTS, "{}", left.len());
    let memory = left.memory_used().total() + left.len() * 40;
    assert!(memory < 10 << 20, "{memory} bytes");
}

#[test]
fn a_limit_is_kept_when_only_dry_run_or_who_counts_changes() {
    let config = limit(5, ms(1000), 5);
    let (rate, _) = begun(&config);
    assert!(rate.fits(&config));
    assert!(rate.fits(&RateLimit {
        dry_run: true,
        ..config.clone()
    }));
    assert!(rate.fits(&RateLimit {
        scope: Scope::Cluster,
        ..config.clone()
    }));
    assert!(!rate.fits(&RateLimit {
        burst: 6,
        ..config.clone()
    }));
    assert!(!rate.fits(&RateLimit {
        per: ms(999),
        ..config
    }));
}

#[test]
fn the_fields_say_the_quota_the_time_it_takes_to_come_back_and_when_to_try_again() {
    let (rate, _) = begun(&limit(100, ms(1000), 250));
    let fields = rate.fields(TooOften(ms(1001)));
    for (name, value) in [
        ("Retry-After", "2"),
        ("RateLimit-Policy", "\"default\";q=250;w=3"),
        ("RateLimit", "\"default\";r=0;t=2"),
        ("RateLimit-Limit", "250"),
        ("RateLimit-Remaining", "0"),
        ("RateLimit-Reset", "2"),
    ] {
        let found = fields.iter().find(|f| f.0 == name).map(|f| &*f.1);
        assert_eq!(found, Some(value), "{name}");
    }
    assert_eq!(rate.fields(TooOften(ms(1)))[0].1, "1");
}

#[test]
fn many_at_once_get_exactly_the_burst() {
    let (rate, t0) = begun(&limit(1, Duration::from_secs(3600), 500));
    let passed: usize = std::thread::scope(|scope| {
        let one = || {
            (0..400)
                .filter(|_| ask(&rate, "10.0.0.1", t0).is_ok())
                .count()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(passed, 500);
}

proptest! {
    #[test]
    fn never_more_than_the_burst_and_the_rate_in_any_window(
        requests in 1..200_u32,
        per in 1..5_000_u64,
        burst in 1..50_u32,
        steps in proptest::collection::vec(0..400_000_u64, 1..300),
    ) {
        let config = limit(requests, ms(per), burst);
        let (rate, t0) = begun(&config);
        let mut now = Duration::ZERO;
        let mut passed = Vec::new();
        for micros in steps {
            now += Duration::from_micros(micros);
            match ask(&rate, "10.0.0.1", t0 + now) {
                Ok(()) => passed.push(now),
                // Who waits as long as it was told to gets in, and nobody before.
                Err(TooOften(wait)) => {
                    prop_assert!(wait > Duration::ZERO);
                    prop_assert!(wait <= share(&config));
                    now += wait;
                    prop_assert_eq!(ask(&rate, "10.0.0.1", t0 + now), Ok(()));
                    passed.push(now);
                }
            }
        }
        for (i, from) in passed.iter().enumerate() {
            for (j, to) in passed.iter().enumerate().skip(i) {
                let most = u128::from(burst)
                    + (*to - *from).as_nanos() * u128::from(requests) / ms(per).as_nanos();
                prop_assert!((j - i + 1) as u128 <= most, "{} in {:?}", j - i + 1, *to - *from);
            }
        }
    }
}
