//! Opening, also by many at once.

use std::os::unix::fs::PermissionsExt;

use sqlx::{QueryBuilder, Sqlite};

use super::File;
use crate::store::{OpenError, Store, open, queue};

#[test]
fn any_number_may_open_a_new_database_at_once() {
    let file = File::new();
    let barrier = std::sync::Barrier::new(12);
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.expect("a runtime");
                barrier.wait();
                runtime.block_on(async { file.open().await.ready().await.expect("a usable store") });
            });
        }
    });
}

#[tokio::test]
async fn only_its_owner_may_read_it() {
    let file = File::new();
    let dir = file.0.path().join("deep/er");
    let url = format!("sqlite://{}/x.db", dir.display());
    let store = open(&url).await.expect("a store");
    store.ready().await.expect("a write");
    for name in ["x.db", "x.db-wal", "x.db-shm"] {
        let mode = std::fs::metadata(dir.join(name)).expect(name).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let mode = std::fs::metadata(&dir).expect("the directory").permissions().mode();
    assert_eq!(mode & 0o777, 0o711);
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    let file = File::new();
    let path = file.0.path().join("drover.db");
    std::fs::write(&path, "not a database, but long enough to be taken for one ".repeat(100))
        .expect("a file");
    let error = open(&path.display().to_string()).await.err().expect("refused");
    assert!(matches!(error, OpenError::Database(_) | OpenError::Migrate(_)), "{error}");
    let error = open("postgres://db/drover").await.err().expect("refused");
    assert!(matches!(error, OpenError::Scheme(_)), "{error}");
}

#[tokio::test]
async fn every_connection_is_set_up() {
    let file = File::new();
    let store = file.open().await;
    for pool in [&store.writer, &store.readers] {
        let (mode, sync, keys): (String, i64, i64) = sqlx::query_as(
            "SELECT journal_mode, synchronous, foreign_keys
             FROM pragma_journal_mode, pragma_synchronous, pragma_foreign_keys",
        )
        .fetch_one(pool)
        .await
        .expect("the pragmas");
        assert_eq!((mode.as_str(), sync, keys), ("wal", 1, 1));
    }
    sqlx::query("DELETE FROM job").execute(&store.readers).await.expect_err("readers do not write");
}

#[tokio::test]
async fn the_queue_is_polled_by_its_index_alone() {
    let file = File::new();
    let store = file.open().await;
    let mut explain: QueryBuilder<Sqlite> = QueryBuilder::new("EXPLAIN QUERY PLAN ");
    let plan: Vec<(i64, i64, i64, String)> =
        explain.push(queue::DUE).build_query_as().fetch_all(&store.readers).await.expect("a plan");
    let plan: Vec<_> = plan.into_iter().map(|(_, _, _, step)| step).collect();
    assert!(plan[0].contains("idx_jobs_pending"), "{plan:?}");
    assert!(plan.iter().all(|step| !step.contains("TEMP B-TREE") && !step.contains("SCAN")), "{plan:?}");
    let seeded: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_stat1 WHERE tbl IN ('Jobs', 'Workers')")
            .fetch_one(&store.readers)
            .await
            .expect("statistics");
    assert_eq!(seeded, 9);
}
