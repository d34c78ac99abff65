//! Hints between processes.

use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use super::bench::{Bench, Hand, NOW, completed, enqueue, say, text};
use crate::schema::CancelReason;
use crate::store::{Ring, RingRole};

/// Longer than any machine takes to pass a ring on.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for the next ring.
pub(super) async fn next(rings: &mut Receiver<Ring>) -> Ring {
    timeout(PATIENCE, rings.recv()).await.expect("a ring in time").expect("an open bell")
}

/// Waits for the next ring, which must be this one.
pub(super) async fn expect(rings: &mut Receiver<Ring>, expected: Ring) {
    assert_eq!(next(rings).await, expected);
}

pub(in crate::store) async fn what_is_committed_is_rung(bench: &dyn Bench) {
    let api = bench.handle().await;
    let hand = Hand::hire(bench, "w").await;
    let mut to_api = api.listen(RingRole::Api, "a").await.expect("a listener");
    let mut to_worker = hand.store.listen(RingRole::Worker, "w").await.expect("a listener");

    let id = enqueue(&api).await;
    expect(&mut to_worker, Ring::Task).await;
    let claim = hand.take(NOW).await;
    hand.append(say(&claim, 1, &[text("a")])).await;
    expect(&mut to_api, Ring::Events(id)).await;
    api.cancel(id, CancelReason::Requested, NOW).await.expect("a store");
    expect(&mut to_worker, Ring::CalledOff(id)).await;
    hand.append(say(&claim, 2, &[completed()])).await;
    expect(&mut to_api, Ring::Events(id)).await;

    let waiting = enqueue(&api).await;
    api.cancel(waiting, CancelReason::Requested, NOW).await.expect("a store");
    expect(&mut to_api, Ring::Events(waiting)).await;
}
