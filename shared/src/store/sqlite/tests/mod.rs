//! The SQLite store against the suite that every store passes, and what only it can suffer.

mod faults;
mod opening;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use ulid::Ulid;
use uuid::Uuid;

use super::SqliteStore;
use crate::schema::{JobId, WorkerId, WorkerReport};
use crate::store::conformance::{Bench, Tamper, conformance};
use crate::store::{Store, queue};

/// A database file in a directory of its own.
struct File(TempDir);

impl File {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    async fn open(&self) -> SqliteStore {
        self.open_with(Duration::from_secs(20)).await
    }

    /// Opens it with a limit on waiting for the lock.
    async fn open_with(&self, busy: Duration) -> SqliteStore {
        SqliteStore::open_with(&self.0.path().join("drover.db"), busy).await.expect("a store")
    }
}

#[async_trait]
impl Bench for File {
    async fn handle(&self) -> Arc<dyn Store> {
        Arc::new(self.open().await)
    }

    async fn tamper(&self, how: Tamper) {
        let store = self.open().await;
        match how {
            Tamper::AddUnreadableTask => add_task(&store, b"\xff not json").await,
            Tamper::AddTask(job) => add_task(&store, &serde_json::to_vec(&job).expect("an id")).await,
            Tamper::LoseTasks(job) => {
                let mut conn = store.writer.acquire().await.expect("a connection");
                queue::forget(&mut conn, job, "").await.expect("deleted");
            }
        }
    }
}

/// A task as any client of the queue library might push it.
async fn add_task(store: &SqliteStore, payload: &[u8]) {
    sqlx::query("INSERT INTO Jobs (job, id, job_type, run_at) VALUES (?1, ?2, 'chat', 0)")
        .bind(payload)
        .bind(Ulid::from_bytes(*Uuid::new_v4().as_bytes()).to_string())
        .execute(&store.writer)
        .await
        .expect("a task");
}

fn any_id() -> JobId {
    JobId::from_uuid(Uuid::now_v7())
}

fn report(id: &str) -> WorkerReport {
    WorkerReport::begun(WorkerId(id.to_owned()), 0)
}

async fn bench() -> File {
    File::new()
}

conformance!(bench);
