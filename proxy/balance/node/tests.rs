//! A node's life, told by its transitions.

use super::*;

fn node(health: Health) -> (Node, Instant) {
    let now = Instant::now();
    (
        Node::new("web".into(), "a".into(), Intent::Up, health, now),
        now,
    )
}

fn standing(intent: Intent, health: Health) -> Standing {
    Standing {
        intent,
        health,
        circuit: Circuit::Closed,
    }
}

fn refused() -> Input {
    Input::Eject {
        kind: Why::Connect,
        why: "connection refused".into(),
        rest: Rest::AFTER_A_REFUSAL,
    }
}

#[test]
fn fall_failed_probes_take_it_out_and_rise_passed_ones_bring_it_back() {
    let (n, now) = node(Health::Healthy);
    let fail = || Input::ProbeFailed {
        fall: 3,
        why: "timeout".into(),
    };
    assert_eq!(n.apply(fail(), now), None);
    assert_eq!(n.apply(fail(), now), None);
    let out = n.apply(fail(), now).unwrap();
    assert_eq!(out.to, standing(Intent::Up, Health::Unhealthy));
    assert_eq!(out.reason, "3 probes failed in a row: timeout");
    assert_eq!(n.fitness(now), Fitness::Unfit);
    assert_eq!(n.apply(Input::ProbePassed { rise: 2 }, now), None);
    assert!(n.apply(Input::ProbePassed { rise: 2 }, now).is_some());
    assert_eq!(n.fitness(now), Fitness::Good);
}

#[test]
fn one_failed_probe_between_passes_starts_the_count_again() {
    let (n, now) = node(Health::Unhealthy);
    n.apply(Input::ProbePassed { rise: 2 }, now);
    n.apply(
        Input::ProbeFailed {
            fall: 3,
            why: "x".into(),
        },
        now,
    );
    assert_eq!(n.apply(Input::ProbePassed { rise: 2 }, now), None);
    assert!(n.apply(Input::ProbePassed { rise: 2 }, now).is_some());
}

const SECOND: Duration = Duration::from_secs(1);

/// Refuses at `at`; how long it rests then.
fn rest_of(n: &Node, at: Instant) -> Duration {
    assert!(n.apply(refused(), at).is_some());
    let until = n.view(at).rests_until.unwrap();
    assert_eq!(
        n.fitness(until - Duration::from_millis(1)),
        Fitness::LastResort
    );
    assert_eq!(n.fitness(until), Fitness::Good);
    until.duration_since(at)
}

#[test]
fn a_refusal_ejects_for_a_second_then_two_and_good_times_forgive() {
    let (n, t0) = node(Health::Healthy);
    assert_eq!(rest_of(&n, t0), SECOND);
    let t1 = t0 + SECOND;
    assert!(n.apply(Input::Settle, t1).is_some());
    assert_eq!(rest_of(&n, t1), 2 * SECOND);
    let t2 = t1 + 2 * SECOND;
    assert!(n.apply(Input::Settle, t2).unwrap().returned);
    assert_eq!(
        rest_of(&n, t2 + SECOND),
        2 * SECOND,
        "a second well forgives one"
    );
    let t3 = t2 + 3 * SECOND;
    n.apply(Input::Settle, t3);
    assert_eq!(rest_of(&n, t3 + 60 * SECOND), SECOND);
}

#[test]
fn a_node_that_comes_and_goes_rests_longer_and_longer() {
    let (n, mut now) = node(Health::Healthy);
    let mut rests = Vec::new();
    for _ in 0..6 {
        rests.push(rest_of(&n, now).as_secs());
        // It accepts a connection now and then, and refuses the next.
        now += Duration::from_millis(200);
        assert!(n.connected(now).is_some());
        now += Duration::from_millis(200);
    }
    assert_eq!(rests, [1, 2, 4, 8, 10, 10]);
}

#[test]
fn neither_a_connection_nor_a_probe_ends_the_rest_of_a_node_that_fails_requests() {
    let (n, now) = node(Health::Healthy);
    let rest = Rest {
        first: 10 * SECOND,
        longest: 300 * SECOND,
        doubles: false,
    };
    let eject = Input::Eject {
        kind: Why::Consecutive,
        why: "5 requests failed in a row".into(),
        rest,
    };
    let out = n.apply(eject, now).unwrap();
    assert_eq!(out.reason, "5 requests failed in a row; rests 10s");
    assert_eq!(out.ejected, Some(Why::Consecutive));
    assert_eq!(n.connected(now), None);
    assert_eq!(n.apply(Input::ProbePassed { rise: 1 }, now), None);
    assert_eq!(n.fitness(now + 9 * SECOND), Fitness::LastResort);
    assert_eq!(
        [1, 2, 3, 40].map(|n| rest.of(n).as_secs()),
        [10, 20, 30, 300]
    );
}

#[test]
fn an_open_breaker_stops_a_healthy_node_and_time_lets_some_try_it() {
    let (n, now) = node(Health::Healthy);
    let why = || "half of its requests failed".into();
    let open = Input::Open {
        rest: 5 * SECOND,
        why: why(),
    };
    let opened = n.apply(open, now).unwrap();
    assert_eq!(opened.to.circuit, Circuit::Open);
    assert_eq!(n.fitness(now + 4 * SECOND), Fitness::Unfit);
    assert_eq!(n.fitness(now + 5 * SECOND), Fitness::Good);
    let half = n.apply(Input::Settle, now + 5 * SECOND).unwrap();
    assert_eq!(half.to.circuit, Circuit::HalfOpen);
    assert!(half.returned && n.is_hindered());
    let closed = n.apply(Input::Close { why: why() }, now).unwrap();
    assert!(!closed.returned && !n.is_hindered());
}

#[test]
fn a_new_node_that_has_to_be_probed_starts_slowly_when_it_may_serve() {
    let (n, now) = node(Health::Checking);
    n.apply(Input::Warm, now);
    let passed = n
        .apply(Input::ProbePassed { rise: 1 }, now + 3 * SECOND)
        .unwrap();
    assert!(!passed.returned, "it is new");
    assert_eq!(n.warming_for(now + 4 * SECOND), Some(SECOND));
    n.apply(Input::IsWarm, now + 5 * SECOND);
    assert_eq!(n.warming_for(now + 5 * SECOND), None);
}

#[test]
fn a_passed_probe_ends_an_ejection() {
    let (n, now) = node(Health::Healthy);
    n.apply(refused(), now);
    assert!(n.apply(Input::ProbePassed { rise: 5 }, now).is_some());
    assert_eq!(n.fitness(now), Fitness::Good);
}

#[test]
fn intent_and_health_do_not_overwrite_each_other() {
    let (n, now) = node(Health::Healthy);
    n.apply(Input::Intend(Intent::Drain), now);
    let fail = Input::ProbeFailed {
        fall: 1,
        why: "x".into(),
    };
    assert_eq!(
        n.apply(fail, now).unwrap().to,
        standing(Intent::Drain, Health::Unhealthy)
    );
    n.apply(Input::Intend(Intent::Up), now);
    assert_eq!(
        n.fitness(now),
        Fitness::Unfit,
        "up again, but still unhealthy"
    );
    let back = n.apply(Input::ProbePassed { rise: 1 }, now).unwrap();
    assert_eq!(back.to, standing(Intent::Up, Health::Healthy));
}

#[test]
fn a_drain_remembers_when_it_began_until_the_node_is_up_again() {
    let (n, now) = node(Health::Healthy);
    n.apply(Input::Intend(Intent::Drain), now);
    n.apply(Input::Intend(Intent::Down), now + Duration::from_secs(5));
    assert_eq!(n.view(now).draining_since, Some(now));
    let limit = Duration::from_secs(9);
    n.apply(Input::DrainIsOver { limit }, now + Duration::from_secs(8));
    assert!(!n.is_cut(), "not yet");
    n.apply(Input::DrainIsOver { limit }, now + limit);
    assert!(n.is_cut());
    n.apply(Input::Intend(Intent::Up), now);
    assert_eq!(n.view(now).draining_since, None);
    assert!(!n.is_cut());
}

#[test]
fn the_first_probe_decides_for_a_node_under_check() {
    let (n, now) = node(Health::Checking);
    assert_eq!(n.fitness(now), Fitness::Untried);
    n.apply(
        Input::ProbeFailed {
            fall: 3,
            why: "x".into(),
        },
        now,
    );
    assert_eq!(n.fitness(now), Fitness::Unfit);
}

#[test]
fn requests_are_counted_out_when_they_panic() {
    let node = Arc::new(node(Health::Healthy).0);
    let inner = node.clone();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _guard = inner.begin();
        panic!("a request that ends badly");
    }));
    assert!(caught.is_err());
    assert_eq!(node.in_flight(), 0);
}

#[test]
fn what_a_node_asks_for_is_noted_once_and_its_state_stays() {
    let (n, now) = node(Health::Healthy);
    assert_eq!(n.agent_share(), 100);
    let says = |share| n.apply(Input::Agent { share }, now);
    assert_eq!(says(100), None);
    let half = says(50).unwrap();
    assert_eq!(half.from, half.to);
    assert_eq!(
        (half.to.intent, half.to.health),
        (Intent::Up, Health::Healthy)
    );
    assert_eq!(half.reason, "it asks for 50% of its weight");
    assert_eq!((n.agent_share(), says(50)), (50, None));
    assert_eq!(says(0).unwrap().reason, "it asks for no new requests");
    assert_eq!(
        n.fitness(now),
        Fitness::Good,
        "it can be used, it does not want to"
    );
    let back = says(900).unwrap();
    assert_eq!(back.reason, "it takes requests as the file says again");
    assert_eq!((n.agent_share(), n.view(now).agent_share), (100, 100));
}

#[test]
fn a_node_whose_entry_changed_has_said_nothing_yet() {
    let (n, now) = node(Health::Healthy);
    n.apply(Input::Agent { share: 0 }, now);
    n.apply(Input::Restart(Health::Checking), now);
    assert_eq!(n.agent_share(), 100);
}

#[test]
fn a_node_that_takes_its_time_to_come_still_starts_slowly() {
    let (n, now) = node(Health::Checking);
    n.apply(Input::Warm, now);
    n.apply(Input::IsWarm, now + 30 * SECOND);
    n.apply(Input::ProbePassed { rise: 1 }, now + 40 * SECOND);
    assert_eq!(n.warming_for(now + 41 * SECOND), Some(SECOND));
}

#[test]
fn a_node_that_was_down_from_the_start_returns_when_it_comes() {
    let fail = || Input::ProbeFailed {
        fall: 1,
        why: "x".into(),
    };
    let returned = |n: &Node, now| {
        let passed = n.apply(Input::ProbePassed { rise: 1 }, now);
        passed.unwrap().returned
    };
    let (n, now) = node(Health::Checking);
    assert!(!returned(&n, now), "its first probe");
    let (n, now) = node(Health::Checking);
    n.apply(fail(), now);
    assert!(returned(&n, now));
    let (n, now) = node(Health::Unhealthy);
    assert!(!returned(&n, now), "only supposed to be down");
    let n = Node::new(
        "web".into(),
        "a".into(),
        Intent::Drain,
        Health::Healthy,
        now,
    );
    let up = n.apply(Input::Intend(Intent::Up), now).unwrap();
    assert!(up.returned, "drained by the file");
}

#[test]
fn rests_that_probes_cut_short_grow_too() {
    let (n, mut now) = node(Health::Healthy);
    let mut rests = Vec::new();
    for _ in 0..3 {
        n.apply(refused(), now);
        rests.push(
            n.view(now)
                .rests_until
                .unwrap()
                .duration_since(now)
                .as_secs(),
        );
        let why = "refused".into();
        n.apply(Input::ProbeFailed { fall: 1, why }, now);
        assert_eq!(n.connected(now), None);
        n.apply(Input::ProbePassed { rise: 1 }, now);
        now += Duration::from_millis(100);
    }
    assert_eq!(rests, [1, 2, 4]);
}

#[test]
fn a_refusal_does_not_forgive_what_has_long_rests() {
    let (n, now) = node(Health::Healthy);
    let eject = || Input::Eject {
        kind: Why::Rate,
        why: "x".into(),
        rest: Rest {
            first: 10 * SECOND,
            longest: 300 * SECOND,
            doubles: false,
        },
    };
    n.apply(eject(), now);
    n.apply(Input::Settle, now + 10 * SECOND);
    n.apply(refused(), now + 13 * SECOND);
    n.apply(Input::Connected, now + 13 * SECOND);
    n.apply(eject(), now + 16 * SECOND);
    let until = n.view(now).rests_until.unwrap();
    assert_eq!(until, now + 46 * SECOND, "the third in a row");
}
