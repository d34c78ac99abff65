//! Databases that cannot be written to, and workers that die.

use std::time::Duration;

use sqlx::{Connection, SqliteConnection};

use super::{File, any_id, report};
use crate::schema::WorkerId;
use crate::store::conformance::{Desk, Hand, NOW, enqueue_this};
use crate::store::sqlite::rescue;
use crate::store::{Store, StoreError, WorkerLock};

fn assert_unavailable<T: std::fmt::Debug>(result: &Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
}

/// Another program that has the write lock.
async fn lock(file: &File) -> SqliteConnection {
    let url = format!("sqlite://{}", file.0.path().join("drover.db").display());
    let mut conn = SqliteConnection::connect(&url).await.expect("a connection");
    sqlx::query("BEGIN IMMEDIATE").execute(&mut conn).await.expect("the lock");
    conn
}

#[tokio::test]
async fn a_locked_database_is_unavailable_until_it_is_free() {
    let file = File::new();
    let store = file.open_with(Duration::from_millis(50)).await;
    let mut other = lock(&file).await;
    assert_unavailable(&store.ready().await);
    assert_unavailable(&store.prune(0, 1).await);
    assert!(store.job(any_id()).await.expect("readers go on").is_none());
    sqlx::query("ROLLBACK").execute(&mut other).await.expect("unlocked");
    store.ready().await.expect("writable again");
}

#[tokio::test]
async fn a_short_lock_is_waited_for() {
    let file = File::new();
    let store = file.open().await;
    let mut other = lock(&file).await;
    let write = tokio::spawn(async move { store.ready().await });
    sqlx::query("ROLLBACK").execute(&mut other).await.expect("unlocked");
    write.await.expect("no panic").expect("written");
}

#[tokio::test]
async fn a_read_only_database_is_unavailable() {
    let file = File::new();
    let store = file.open().await;
    sqlx::query("PRAGMA query_only = ON").execute(&store.writer).await.expect("set");
    assert_unavailable(&store.ready().await);
    assert_unavailable(&store.retire(&WorkerId("w".to_owned())).await);
}

#[tokio::test]
async fn a_full_disk_is_unavailable_until_there_is_room() {
    let file = File::new();
    let store = file.open().await;
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&store.writer).await.expect("pages");
    let limit = |pages: i64| {
        let sql = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
        sqlx::query(sql).execute(&store.writer)
    };
    limit(pages).await.expect("set");
    let mut report = report("w");
    report.version = "v".repeat(100_000);
    assert_unavailable(&store.beat(&report, 0).await);
    limit(pages + 1_000).await.expect("set");
    store.beat(&report, 0).await.expect("room again");
}

#[tokio::test]
async fn a_lock_file_that_nobody_holds_tells_a_death_at_once() {
    let file = File::new();
    let (store, other) = (file.open().await, file.open().await);
    let lock = WorkerLock::acquire(file.0.path(), &WorkerId("w".to_owned())).expect("the lock");
    store.beat(&report("w"), 0).await.expect("a beat");
    other.rescue(0, 0).await.expect("a sweep");
    assert_eq!(other.fleet(0, 0).await.expect("a fleet").alive.len(), 1, "the lock is held");
    // A process that is killed leaves its file behind, unlocked.
    let path = file.0.path().join("run/workers/w.lock");
    drop(lock);
    std::fs::write(&path, "").expect("a file");
    store.rescue(0, 0).await.expect("a sweep");
    assert!(path.exists(), "nobody buries themselves");
    other.rescue(0, 0).await.expect("a sweep");
    assert!(other.fleet(0, 0).await.expect("a fleet").alive.is_empty());
    assert!(!path.exists());
}

/// Marks the worker as dead, as a rescuer does that crashes right afterwards.
async fn mark_gone(file: &File, worker: &WorkerId) {
    let marked = sqlx::query("UPDATE worker SET gone = 1 WHERE id = ?1").bind(&worker.0);
    marked.execute(&file.open().await.writer).await.expect("marked");
}

#[tokio::test]
async fn a_dead_workers_project_goes_with_its_job_in_one_commit() {
    let file = File::new();
    let (victim, other) = (Hand::hire(&file, "victim").await, Hand::hire(&file, "other").await);
    let desk = Desk::open(&victim.store).await;
    enqueue_this(&victim.store, desk.job()).await;
    let lease = victim.take(NOW).await.lease;
    mark_gone(&file, &victim.id).await;
    let token = lease.token.to_string();
    assert!(rescue::take_up(&file.open().await, lease.job, &token, NOW).await.expect("a store"));
    assert_eq!(other.take(NOW).await.lease.job, lease.job);
}

#[tokio::test]
async fn nobody_takes_a_project_from_themselves() {
    let file = File::new();
    let (holder, other) = (Hand::hire(&file, "holder").await, Hand::hire(&file, "other").await);
    let desk = Desk::open(&holder.store).await;
    desk.hold(&holder).await;
    mark_gone(&file, &holder.id).await;
    holder.rescue(NOW).await;
    holder.beat(NOW).await;
    enqueue_this(&holder.store, desk.job()).await;
    assert!(other.claim(NOW).await.is_none());
    assert!(holder.take(NOW).await.unbroken);
}
