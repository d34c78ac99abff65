//! What the store makes of adding jobs and handing them out, beside bare SQL.

use super::database::Raw;
use super::report::{Figure, Section};
use super::statistics::{as_f64, median};
use drover_shared::clock::now_ms;
use drover_shared::schema::{
    JobId, JobSpec, LeaseToken, NewJob, Owner, Part, Role, Turn, WorkerId, WorkerReport,
};
use drover_shared::store::{Enqueued, SqliteStore, Store as _};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

const ROUNDS: usize = 5;
/// How long each rate of adding is taken over; what was added is handed out again.
const SPELL: Duration = Duration::from_millis(500);

pub(super) async fn measure() -> Section {
    let (mut raw, mut bare, queue) = (Raw::open().await, Raw::without_turns().await, Queue::open().await);
    let [mut added, mut claimed] = [const { [const { Vec::new() }; 3] }; 2];
    // By turns, so that all see the same machine.
    for _ in 0..ROUNDS {
        added[0].push(queue.enqueues_per_s().await);
        added[1].push(raw.enqueues_per_s(SPELL).await);
        added[2].push(bare.enqueues_per_s(SPELL).await);
        claimed[0].push(queue.claims_per_s().await);
        claimed[1].push(raw.claims_per_s().await);
        claimed[2].push(bare.claims_per_s().await);
    }
    let mut figures = Vec::new();
    for (what, [store, raw, bare]) in [("jobs added", added), ("jobs claimed", claimed)] {
        let (store, raw, bare) = (median(&store), median(&raw), median(&bare));
        figures.push(Figure::new(format!("{what}, store"), store, "/s").beside("bare SQL", raw));
        figures.push(
            Figure::new(format!("{what}, bare SQL"), raw, "/s")
                .beside("without triggers and indexes of turns", bare),
        );
    }
    Section { title: "Store: one job after the other, a transaction each".to_owned(), figures }
}

/// A store of its own.
struct Queue {
    store: SqliteStore,
    worker: WorkerId,
    _dir: TempDir,
}

impl Queue {
    async fn open() -> Self {
        let dir = tempfile::Builder::new().prefix("drover-").tempdir().expect("a directory");
        let store = SqliteStore::open(&dir.path().join("queue.db")).await.expect("a store");
        let worker = WorkerId("bench".to_owned());
        store.beat(&WorkerReport::begun(worker.clone(), now_ms()), now_ms()).await.expect("a beat");
        Self { store, worker, _dir: dir }
    }

    async fn enqueues_per_s(&self) -> f64 {
        let (started, mut count) = (Instant::now(), 0);
        while started.elapsed() < SPELL {
            let added = self.store.enqueue(&new_job(), u64::from(u32::MAX)).await.expect("a store");
            assert_eq!(added, Enqueued::Added);
            count += 1;
        }
        as_f64(count) / started.elapsed().as_secs_f64()
    }

    /// Claims all that waits.
    async fn claims_per_s(&self) -> f64 {
        let (started, mut count) = (Instant::now(), 0);
        let claim = async || self.store.claim(&self.worker, LeaseToken(Uuid::new_v4()), now_ms()).await;
        while claim().await.expect("a store").is_some() {
            count += 1;
        }
        as_f64(count) / started.elapsed().as_secs_f64()
    }
}

fn new_job() -> NewJob {
    let now = now_ms();
    let text = "say 1 words".to_owned();
    let spec = JobSpec {
        model: "m".to_owned(),
        turns: vec![Turn { role: Role::User, parts: vec![Part::Text { text }] }],
        ..JobSpec::default()
    };
    NewJob::plain(JobId::from_uuid(Uuid::now_v7()), Owner::anonymous(), spec, now, now + 3_600_000)
}
