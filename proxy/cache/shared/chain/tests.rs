//! What the chain says of answers that others stored.

use super::*;

/// Any order of purges, fetches, look-ups and faults of Redis.
mod model;

const GENESIS: Position = Position { n: 0, uid: 100 };
const KEEP: Millis = 1_000;

fn at(n: u64) -> Position {
    Position { n, uid: 100 + n }
}

fn link(n: u64, concern: Concern) -> Link {
    Link {
        at: at(n),
        previous: at(n - 1).uid,
        purge: 1_000 + n,
        concern,
    }
}

fn head(n: u64, epochal: u64) -> Head {
    Head {
        last: at(n),
        epochal: at(epochal),
    }
}

/// A chain that is settled on an empty stream.
fn settled() -> Chain {
    let mut chain = Chain::new(4, KEEP);
    chain.restart(GENESIS, 0);
    assert!(!chain.has_missed() && chain.settle(&head(0, 0)));
    chain
}

/// A purge of others takes effect at this sequence of the store and gets its place.
fn learn(chain: &mut Chain, link: &Link, sequence: u64) {
    chain.begin(link.purge, link.concern, sequence, 0);
    assert!(chain.place(link));
}

#[test]
fn a_head_is_read_as_it_is_written() {
    let head = Head {
        last: Position {
            n: 12,
            uid: u64::MAX,
        },
        epochal: at(3),
    };
    assert_eq!(head.to_string(), "12:ffffffffffffffff:3:0000000000000067");
    assert_eq!(Head::parse(head.to_string().as_bytes()), Some(head));
    for foreign in ["", "1:2", "1:2:3:4:5", "x:1:1:1", "1:1:1:g", "-1:1:1:1"] {
        assert_eq!(Head::parse(foreign.as_bytes()), None, "{foreign}");
    }
}

#[test]
fn an_answer_counts_as_begun_before_the_first_purge_that_its_fetch_did_not_know() {
    let mut chain = settled();
    learn(&mut chain, &link(1, Concern::Epochal), 10);
    learn(&mut chain, &link(2, Concern::Epochal), 20);
    let begun = |from| chain.begun(7, at(from), &head(2, 2), 30);
    assert_eq!([begun(0), begun(1), begun(2)], [Ok(10), Ok(20), Ok(30)]);
    assert_eq!(begun(3), Err(Unusable::Past), "nobody knows this place");
}

#[test]
fn a_purge_that_is_ahead_of_us_makes_us_miss_unless_it_is_of_a_url() {
    let mut chain = settled();
    learn(&mut chain, &link(1, Concern::Epochal), 10);
    let begun = |head| chain.begun(7, at(1), &head, 30);
    assert_eq!(begun(head(2, 2)), Err(Unusable::Behind));
    assert_eq!(
        begun(head(2, 1)),
        Ok(30),
        "its mark is where the answer was"
    );
    let other = Head {
        epochal: Position { n: 1, uid: 5 },
        ..head(2, 1)
    };
    assert_eq!(begun(other), Err(Unusable::Behind), "another stream's");
}

#[test]
fn an_answer_from_before_a_purge_of_its_url_is_not_used_and_others_are() {
    let mut chain = settled();
    learn(&mut chain, &link(1, Concern::Url(7)), 10);
    let begun = |url, from| chain.begun(url, at(from), &head(1, 0), 30);
    assert_eq!(begun(7, 0), Err(Unusable::Past));
    assert_eq!(begun(7, 1), Ok(30));
    assert_eq!(begun(8, 0), Ok(30));
}

#[test]
fn what_we_purged_concerns_answers_before_anybody_else_knows() {
    let mut chain = settled();
    chain.begin(1_001, Concern::Epochal, 10, 0);
    chain.begin(1_002, Concern::Url(7), 11, 0);
    let begun = |chain: &Chain, url, n| chain.begun(url, at(n), &head(n, n.min(1)), 30);
    assert_eq!(begun(&chain, 8, 0), Ok(10));
    assert_eq!(begun(&chain, 7, 0), Err(Unusable::Past));
    assert!(chain.place(&link(1, Concern::Epochal)));
    assert!(chain.place(&link(2, Concern::Url(7))));
    assert_eq!(begun(&chain, 8, 2), Ok(30), "its fetch knew of it");
    assert_eq!(begun(&chain, 7, 2), Ok(30));
}

#[test]
fn a_purge_counts_from_when_it_took_effect() {
    let mut chain = settled();
    let first = link(1, Concern::Epochal);
    chain.begin(first.purge, first.concern, 10, 0);
    chain.began_at(first.purge, 12);
    assert_eq!(chain.begun(7, at(0), &head(0, 0), 20), Ok(10));
    assert!(chain.place(&first));
    assert_eq!(chain.begun(7, at(0), &head(1, 1), 20), Ok(12));
}

#[test]
fn places_are_forgotten_from_the_oldest_on() {
    let mut chain = settled();
    for n in 1..=6 {
        learn(&mut chain, &link(n, Concern::Url(n.into())), n);
    }
    let begun = |from| chain.begun(99, at(from), &head(6, 0), 30);
    assert_eq!(begun(1), Err(Unusable::Past));
    assert_eq!(begun(2), Ok(30));
    assert_eq!(chain.begun(3, at(2), &head(6, 0), 30), Err(Unusable::Past));
}

#[test]
fn a_purge_out_of_its_order_is_no_part_of_the_chain() {
    let mut chain = settled();
    let second = link(2, Concern::Epochal);
    chain.begin(second.purge, second.concern, 10, 0);
    assert!(!chain.place(&second));
    assert_eq!(chain.position(), None);
    let begun = chain.begun(7, at(0), &head(0, 0), 30);
    assert_eq!(begun, Err(Unusable::Behind));
}

#[test]
fn one_whose_place_is_on_the_stream_goes_on_from_there() {
    let mut chain = settled();
    learn(&mut chain, &link(1, Concern::Epochal), 10);
    let way = |first, there| chain.way(&head(3, 3), first, there);
    let third = link(3, Concern::Epochal);
    assert_eq!(way(Some(&third), None), Way::Restart(at(2)));
    assert_eq!(way(Some(&third), Some(at(1).uid)), Way::GoOn);
    let second = link(2, Concern::Epochal);
    assert_eq!(way(Some(&second), None), Way::GoOn);
    assert_eq!(way(None, None), Way::Restart(at(3)));
    assert_eq!(chain.way(&head(1, 1), None, None), Way::GoOn);
}

#[test]
fn a_stream_that_begins_with_its_first_purge_or_goes_on_from_ours_missed_nothing() {
    let mut chain = settled();
    learn(&mut chain, &link(1, Concern::Epochal), 10);
    let fresh = Position { n: 0, uid: 7 };
    chain.restart(fresh, 0);
    assert!(!chain.has_missed());

    let mut chain = settled();
    for n in 1..=3 {
        learn(&mut chain, &link(n, Concern::Epochal), 10);
    }
    chain.restart(at(1), 0);
    assert!(!chain.has_missed());
    chain.restart(Position { n: 9, uid: 9 }, 0);
    assert!(chain.has_missed(), "nobody knows what was before it");
    // Tried again on the same stream, it is not taken for one that we knew.
    chain.restart(Position { n: 9, uid: 9 }, 0);
    assert!(chain.has_missed());
}

#[test]
fn what_redis_forgot_concerns_answers_until_it_is_told_again_or_can_concern_none() {
    let mut chain = settled();
    learn(&mut chain, &link(1, Concern::Epochal), 10);
    let fresh = Position { n: 0, uid: 7 };
    let empty = Head {
        last: fresh,
        epochal: fresh,
    };
    chain.restart(fresh, 1);
    assert!(chain.settle(&empty));
    assert!(!chain.is_placed(1_001) && chain.is_new());
    assert_eq!(chain.begun(7, fresh, &empty, 30), Ok(10));
    chain.forget(KEEP - 1);
    assert_eq!(chain.begun(7, fresh, &empty, 30), Ok(10));
    chain.forget(KEEP);
    assert_eq!(chain.begun(7, fresh, &empty, 30), Ok(30));
}

#[test]
fn a_purge_that_is_lost_twice_before_it_has_a_place_again_is_loose_once() {
    let mut chain = settled();
    let lost = link(1, Concern::Epochal);
    chain.begin(lost.purge, lost.concern, 10, 0);
    chain.began_at(lost.purge, 12);
    chain.restart(GENESIS, 0);
    assert!(chain.place(&lost) && chain.settle(&head(1, 1)));
    assert_eq!(chain.begun(7, at(1), &head(1, 1), 30), Ok(30));
    chain.forget(KEEP);
    assert_eq!(chain.begun(7, at(0), &head(1, 1), 30), Ok(12));
}

#[test]
fn one_that_another_one_says_concerns_nothing_by_itself() {
    let mut chain = settled();
    chain.begin(1_001, Concern::Url(7), 10, 0);
    chain.begin(1_002, Concern::Url(7), 11, 0);
    chain.withdraw(1_002);
    let begun = |chain: &Chain, n| chain.begun(7, at(n), &head(n, 0), 30);
    assert_eq!(begun(&chain, 0), Err(Unusable::Past));
    assert!(chain.place(&link(1, Concern::Url(7))));
    assert_eq!(begun(&chain, 1), Ok(30));
}

#[test]
fn a_head_that_tells_of_more_than_the_stream_has_settles_nothing() {
    let mut chain = Chain::new(4, KEEP);
    chain.restart(GENESIS, 0);
    assert!(!chain.settle(&head(1, 1)));
    assert_eq!(chain.position(), None);
}
