//! Rows that somebody has spoilt.

use uuid::Uuid;

use super::{File, any_id, report};
use crate::schema::{FailureKind, JobId, JobSpec, JobState, LeaseToken, NewJob, Owner, WorkerId};
use crate::store::conformance::{Desk, Hand, NOW, chat_job, enqueue_this, new_job};
use crate::store::sqlite::SqliteStore;
use crate::store::{Enqueued, Store, StoreError};

async fn enqueue(store: &SqliteStore) -> JobId {
    let spec = JobSpec { model: "m".to_owned(), ..JobSpec::default() };
    let plain = NewJob::plain(any_id(), Owner::anonymous(), spec, 0, i64::MAX);
    let job = NewJob { max_attempts: 1, ..plain };
    assert_eq!(store.enqueue(&job, 10).await.expect("a store"), Enqueued::Added);
    job.id
}

async fn spoil(store: &SqliteStore, sql: &'static str, id: JobId) {
    sqlx::query(sql).bind(id.to_string()).execute(&store.writer).await.expect("spoilt");
}

#[tokio::test]
async fn a_job_whose_spec_is_unreadable_ends_with_an_error() {
    let file = File::new();
    let store = file.open().await;
    let worker = WorkerId("w".to_owned());
    store.beat(&report("w"), 0).await.expect("a beat");
    let (bad, good) = (enqueue(&store).await, enqueue(&store).await);
    spoil(&store, "UPDATE spec SET body = '{' WHERE job = ?1", bad).await;
    let claim = store.claim(&worker, LeaseToken(Uuid::new_v4()), 1).await.expect("a store");
    assert_eq!(claim.expect("a job").lease.job, good);
    let job = store.job(bad).await.expect("a store").expect("a job");
    assert_eq!((job.state, job.failure.expect("why").kind), (JobState::Failed, FailureKind::BadPayload));
}

#[tokio::test]
async fn an_unreadable_history_costs_its_owner_a_turn() {
    let file = File::new();
    let store: std::sync::Arc<dyn Store> = std::sync::Arc::new(file.open().await);
    let hand = Hand::hire(&file, "w").await;
    let desk = Desk::open(&store).await;
    let mut broken = Vec::new();
    for _ in 0..3 {
        let session = desk.chat(&store).await;
        let spoil = "INSERT INTO turn (session, seq, job, role, parts, created_at_ms) VALUES (?1, 1, ?2, 'user', '{', 0)";
        sqlx::query(spoil)
            .bind(session.to_string())
            .bind(any_id().to_string())
            .execute(&file.open().await.writer)
            .await
            .expect("spoilt");
        broken.push(enqueue_this(&store, chat_job(session, &["and then?"])).await);
    }
    let other = NewJob { owner: Owner("other".to_owned()), ..new_job() };
    let other = enqueue_this(&store, other).await;
    assert_eq!(hand.take(NOW).await.lease.job, other);
    let mut states = Vec::new();
    for id in broken {
        states.push(store.job(id).await.expect("a store").expect("a job").state);
    }
    assert_eq!(states, [JobState::Failed, JobState::Queued, JobState::Queued], "one of them before it");
}

#[tokio::test]
async fn an_unreadable_row_is_named() {
    let file = File::new();
    let store = file.open().await;
    let id = enqueue(&store).await;
    for events in [
        "INSERT INTO chunk VALUES (?1, 7, 7, 1, 0, 'nonsense')",
        "UPDATE chunk SET events = '[]' WHERE job = ?1",
    ] {
        spoil(&store, events, id).await;
        let read = store.events(id, 0, 10).await;
        assert!(
            matches!(&read, Err(StoreError::Corrupt(why)) if why.contains(&format!("{id}/7"))),
            "{read:?}"
        );
    }
    spoil(&store, "INSERT INTO worker (id, beat_ms, report) VALUES (?1, 5, '{}')", id).await;
    let fleet = store.fleet(0, 5).await;
    assert!(matches!(&fleet, Err(StoreError::Corrupt(why)) if why.contains(&id.to_string())), "{fleet:?}");
}

#[tokio::test]
async fn an_unknown_state_cannot_be_stored() {
    let file = File::new();
    let store = file.open().await;
    let id = enqueue(&store).await;
    let refused = sqlx::query("UPDATE job SET state = 'lost' WHERE id = ?1")
        .bind(id.to_string())
        .execute(&store.writer)
        .await;
    assert!(matches!(refused.map_err(StoreError::from), Err(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn two_running_jobs_of_a_project_cannot_be_stored() {
    let file = File::new();
    let store = file.open().await;
    let (first, second) = (enqueue(&store).await, enqueue(&store).await);
    let run = async |id: JobId| {
        sqlx::query("UPDATE job SET state = 'running', lease = 'l', project = ?2, session = ?3 WHERE id = ?1")
            .bind(id.to_string())
            .bind(format!("project_{}", "1".repeat(32)))
            .bind(format!("session_{}", "1".repeat(32)))
            .execute(&store.writer)
            .await
            .map_err(StoreError::from)
    };
    let unknown = run(first).await;
    assert!(matches!(unknown, Err(StoreError::Corrupt(_))), "there is no such project: {unknown:?}");
    for sql in [
        "INSERT INTO project (id, owner, name, network, created_at_ms) VALUES ('project_' || ?1, 'o', 'n', '[]', 0)",
        "INSERT INTO session (id, owner, project, created_at_ms, updated_at_ms)
         VALUES ('session_' || ?1, 'o', 'project_' || ?1, 0, 0)",
    ] {
        sqlx::query(sql).bind("1".repeat(32)).execute(&store.writer).await.expect("a row");
    }
    run(first).await.expect("one runs");
    assert!(matches!(run(second).await, Err(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn tasks_that_wake_nobody_are_put_away_by_the_sweep() {
    let file = File::new();
    let store = file.open().await;
    let waiting = enqueue(&store).await;
    super::add_task(&store, b"nonsense").await;
    super::add_task(&store, &serde_json::to_vec(&waiting).expect("an id")).await;
    assert_eq!(store.rescue(0, 1_000).await.expect("a sweep"), 0);
    let pending: Vec<String> =
        sqlx::query_scalar("SELECT idempotency_key FROM Jobs WHERE status = 'Pending'")
            .fetch_all(&store.readers)
            .await
            .expect("tasks");
    assert_eq!(pending, [waiting.to_string()]);
}

#[tokio::test]
async fn shares_are_those_of_the_jobs() {
    let file = File::new();
    let store = file.open().await;
    let worker = WorkerId("w".to_owned());
    store.beat(&report("w"), 0).await.expect("a beat");
    for _ in 0..4 {
        enqueue(&store).await;
    }
    let figures = async || -> (i64, i64) {
        let query = sqlx::query_as("SELECT queued, running FROM share WHERE owner = 'anonymous'");
        query.fetch_one(&store.readers).await.expect("a share")
    };
    assert_eq!(figures().await, (4, 0));
    let claim = store.claim(&worker, LeaseToken(Uuid::new_v4()), 1).await.expect("a store").expect("a job");
    assert_eq!(figures().await, (3, 1));
    for sql in ["DELETE FROM job WHERE id = ?1", "DELETE FROM spec WHERE job = ?1"] {
        spoil(&store, sql, claim.lease.job).await;
    }
    assert_eq!(figures().await, (3, 0));
    sqlx::query("DELETE FROM job").execute(&store.writer).await.expect("deleted");
    assert_eq!(figures().await, (0, 0));
}
