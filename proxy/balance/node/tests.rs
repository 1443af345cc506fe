//! A node's life, told by its transitions.

use super::*;

fn node(health: Health) -> (Node, Instant) {
    let now = Instant::now();
    (
        Node::new("web".into(), "a".into(), Intent::Up, health, now),
        now,
    )
}

fn refused() -> Input {
    Input::ConnectFailed {
        why: "connection refused".into(),
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
    assert_eq!(out.to, (Intent::Up, Health::Unhealthy));
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

#[test]
fn a_refusal_ejects_for_a_second_then_two_and_a_connection_forgets_it() {
    let (n, t0) = node(Health::Healthy);
    assert!(n.apply(refused(), t0).is_some());
    assert_eq!(
        n.fitness(t0 + Duration::from_millis(999)),
        Fitness::LastResort
    );
    let t1 = t0 + Duration::from_secs(1);
    assert_eq!(n.fitness(t1), Fitness::Good);
    n.apply(refused(), t1);
    assert_eq!(
        n.fitness(t1 + Duration::from_millis(1_999)),
        Fitness::LastResort
    );
    let t2 = t1 + Duration::from_secs(2);
    assert_eq!(n.fitness(t2), Fitness::Good);
    n.connected(t2);
    n.apply(refused(), t2);
    assert_eq!(n.fitness(t2 + Duration::from_secs(1)), Fitness::Good);
}

#[test]
fn a_passed_probe_ends_an_ejection() {
    let (n, now) = node(Health::Healthy);
    n.apply(refused(), now);
    assert!(n.apply(Input::ProbePassed { rise: 5 }, now).is_some());
    assert_eq!(n.fitness(now), Fitness::Good);
}

#[test]
fn ejections_never_grow_beyond_their_cap() {
    assert_eq!(rest_after(0), FIRST_EJECTION);
    assert_eq!(rest_after(40), LONGEST_EJECTION);
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
        (Intent::Drain, Health::Unhealthy)
    );
    n.apply(Input::Intend(Intent::Up), now);
    assert_eq!(
        n.fitness(now),
        Fitness::Unfit,
        "up again, but still unhealthy"
    );
    let back = n.apply(Input::ProbePassed { rise: 1 }, now).unwrap();
    assert_eq!(back.to, (Intent::Up, Health::Healthy));
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
