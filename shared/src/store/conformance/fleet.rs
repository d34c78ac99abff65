//! What the store knows of the fleet.

use super::bench::{Bench, Hand, NOW, enqueue};

pub(in crate::store) async fn the_living_are_told_from_the_dead(bench: &dyn Bench) {
    let (dead, alive) = (Hand::hire(bench, "dead").await, Hand::hire(bench, "alive").await);
    let (_first, _second) = (enqueue(&dead.store).await, enqueue(&dead.store).await);
    alive.beat(NOW + 100).await;
    alive.take(NOW + 100).await;
    let fleet = dead.store.fleet(NOW + 1, NOW + 150).await.expect("a store");
    assert_eq!((fleet.queued, fleet.running, fleet.oldest_queued_ms), (1, 1, Some(150)));
    assert_eq!(fleet.alive, [alive.report()]);
    assert_eq!(fleet.models, ["alive-model", "shared-model"]);
    assert_eq!(fleet.default_model.as_deref(), Some("alive-model"));
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
    assert_eq!(fleet.models, ["late-model", "shared-model"]);
    assert_eq!(fleet.default_model.as_deref(), Some("late-model"));
}
