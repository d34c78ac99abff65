//! What the store knows of the fleet.

use super::bench::{Bench, Hand, NOW, enqueue};
use crate::schema::Offer;

pub(in crate::store) async fn the_living_are_told_from_the_dead(bench: &dyn Bench) {
    let (dead, alive) = (Hand::hire(bench, "dead").await, Hand::hire(bench, "alive").await);
    let (_first, _second) = (enqueue(&dead.store).await, enqueue(&dead.store).await);
    alive.beat(NOW + 100).await;
    alive.take(NOW + 100).await;
    let fleet = dead.store.fleet(NOW + 1, NOW + 150).await.expect("a store");
    assert_eq!((fleet.queued, fleet.running, fleet.oldest_queued_ms), (1, 1, Some(150)));
    assert_eq!(fleet.alive, [alive.report()]);
    assert_eq!(fleet.offers, [alive.offer()]);
    let other = Offer { default_model: Some("other".to_owned()), ..Offer::default() };
    alive.store.offer(&alive.id, &other).await.expect("an offer");
    alive.beat(NOW + 100).await;
    let fleet = dead.store.fleet(NOW + 1, NOW + 150).await.expect("a store");
    assert_eq!(fleet.offers, [other], "the latest holds, and a beat leaves it");
}

pub(in crate::store) async fn the_last_models_are_remembered(bench: &dyn Bench) {
    let store = bench.handle().await;
    assert_eq!(store.fleet(NOW, NOW).await.expect("a store"), crate::schema::Fleet::default());
    let (early, late) = (Hand::hire(bench, "early").await, Hand::hire(bench, "late").await);
    late.beat(NOW + 3_600_000).await;
    early.store.retire(&early.id).await.expect("a store");
    late.store.retire(&late.id).await.expect("a store");
    store.prune(i64::MAX, 100).await.expect("a store");
    let fleet = store.fleet(NOW, NOW + 3_600_000).await.expect("a store");
    assert!(fleet.alive.is_empty(), "both have retired");
    assert_eq!(fleet.offers, [late.offer()]);
}
