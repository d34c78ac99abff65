//! Tickets: good once, for a moment, and so many of a key's at a time.

use tokio::task::JoinSet;

use super::bench::{Bench, NOW};
use crate::schema::{KeyDigest, Owner};
use crate::store::Ticket;

const OVER: i64 = NOW + 30_000;

fn ticket(number: u8, keys: &[KeyDigest]) -> Ticket {
    Ticket {
        digest: [number; 32],
        owner: Owner("key_1".to_owned()),
        keys: keys.to_vec(),
        expires_at_ms: OVER,
    }
}

pub(in crate::store) async fn a_ticket_is_good_once_and_for_a_moment(bench: &dyn Bench) {
    let (one, other) = (bench.handle().await, bench.handle().await);
    let keys = [[7; 32], [8; 32]];
    for (number, keys) in [(1, &keys[..]), (2, &keys[..1]), (3, &[]), (4, &[])] {
        assert!(one.tickets().add(&ticket(number, keys), 10, NOW).await.expect("a store"));
    }
    let tickets = other.tickets();
    assert_eq!(tickets.redeem(&[9; 32], NOW).await.expect("a store"), None);
    assert_eq!(tickets.redeem(&[1; 32], NOW).await.expect("a store"), Some(keys.to_vec()));
    assert_eq!(one.tickets().redeem(&[1; 32], NOW).await.expect("a store"), None);
    assert_eq!(tickets.redeem(&[2; 32], OVER).await.expect("a store"), None, "it is over");
    assert_eq!(tickets.redeem(&[3; 32], OVER - 1).await.expect("a store"), Some(Vec::new()));
    assert_eq!(tickets.expire(OVER - 1, 10).await.expect("a store"), 0);
    assert_eq!(tickets.expire(OVER, 10).await.expect("a store"), 1);
    assert_eq!(tickets.redeem(&[4; 32], NOW).await.expect("a store"), None);
}

pub(in crate::store) async fn of_many_who_come_with_one_ticket_one_is_let_in(bench: &dyn Bench) {
    let stores = [bench.handle().await, bench.handle().await];
    assert!(stores[0].tickets().add(&ticket(1, &[]), 1, NOW).await.expect("a store"));
    let mut many = JoinSet::new();
    for at in 0..16 {
        let store = stores[at % 2].clone();
        many.spawn(async move { store.tickets().redeem(&[1; 32], NOW).await });
    }
    let let_in = many.join_all().await.into_iter().filter(|taken| taken.as_ref().expect("a store").is_some());
    assert_eq!(let_in.count(), 1);
}

pub(in crate::store) async fn only_so_many_tickets_of_a_key_are_good(bench: &dyn Bench) {
    let store = bench.handle().await;
    let add = async |number, now| {
        let ticket = Ticket { expires_at_ms: now + 1_000, ..ticket(number, &[]) };
        store.tickets().add(&ticket, 2, now).await.expect("a store")
    };
    assert!(add(1, NOW).await && add(2, NOW).await);
    assert!(!add(3, NOW).await);
    let others = Ticket { owner: Owner("key_2".to_owned()), ..ticket(4, &[]) };
    assert!(store.tickets().add(&others, 2, NOW).await.expect("a store"));
    assert!(add(5, NOW + 1_000).await, "what is over does not count");
}
