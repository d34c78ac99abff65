//! What the database gives without Drover: one connection, the same tables and settings.

use drover_shared::schema::limits;
use drover_shared::store::SqliteStore;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection as _, SqliteConnection};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

/// How long each rate is taken over.
const SPELL: Duration = Duration::from_secs(1);
/// About what a short request and one word take.
const SPEC: &str = r#"{"class":"chat","model":"claude-sonnet-4-5","system":"","turns":[{"role":"user","parts":[{"type":"text","text":"say 1 words"}]}],"sampling":{}}"#;
const EVENTS: &str = r#"[{"type":"text_delta","index":0,"text":" word1234"}]"#;

/// What keeps the figures and the order of turns in step with the jobs.
const TURNS: [&str; 6] = [
    "DROP TRIGGER share_added",
    "DROP TRIGGER share_moved",
    "DROP TRIGGER share_gone",
    "DROP INDEX job_turn_chat",
    "DROP INDEX job_turn_agent",
    "DROP INDEX job_postponed",
];

/// A database of its own, with Drover's tables.
pub(super) struct Raw {
    conn: SqliteConnection,
    /// Jobs that were added and not claimed.
    waiting: VecDeque<String>,
    _dir: TempDir,
}

impl Raw {
    pub(super) async fn open() -> Self {
        let dir = tempfile::Builder::new().prefix("drover-").tempdir().expect("a directory");
        let path = dir.path().join("raw.db");
        // Makes the tables.
        drop(SqliteStore::open(&path).await.expect("a store"));
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(limits::STORE_BUSY)
            .foreign_keys(true)
            .pragma("journal_size_limit", limits::WAL_BYTES.to_string());
        let conn = SqliteConnection::connect_with(&options).await.expect("a connection");
        Self { conn, waiting: VecDeque::new(), _dir: dir }
    }

    /// The same, but nothing is done for whose turn it is.
    pub(super) async fn without_turns() -> Self {
        let mut raw = Self::open().await;
        for sql in TURNS {
            sqlx::query(sql).execute(&mut raw.conn).await.expect("it was there");
        }
        raw
    }

    /// Transactions per second that do what taking a request does: job, request, task.
    pub(super) async fn enqueues_per_s(&mut self, spell: Duration) -> f64 {
        let (started, mut count) = (Instant::now(), 0);
        while started.elapsed() < spell {
            let id = self.enqueue().await.expect("a job is added");
            self.waiting.push_back(id);
            count += 1;
        }
        f64::from(count) / started.elapsed().as_secs_f64()
    }

    /// Transactions per second that move all that was added from waiting to running: what a claim writes, without its
    /// search.
    pub(super) async fn claims_per_s(&mut self) -> f64 {
        let (started, mut count) = (Instant::now(), 0);
        while let Some(id) = self.waiting.pop_front() {
            self.claim(&id).await.expect("a job is claimed");
            count += 1;
        }
        f64::from(count) / started.elapsed().as_secs_f64()
    }

    /// Commits per second of one chunk each.
    pub(super) async fn chunks_per_s(&mut self) -> f64 {
        let job = self.enqueue().await.expect("a job is added");
        let (started, mut count) = (Instant::now(), 0_i32);
        while started.elapsed() < SPELL {
            count += 1;
            self.add_chunk(&job, count).await.expect("a chunk is added");
        }
        f64::from(count) / started.elapsed().as_secs_f64()
    }

    async fn enqueue(&mut self) -> sqlx::Result<String> {
        let id = Uuid::now_v7().to_string();
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("INSERT INTO job (id, owner, state, model, max_attempts, task, created_at_ms, deadline_at_ms) VALUES (?1, 'raw', 'queued', 'm', 3, ?1, 1, 2)")
            .bind(&id)
            .execute(&mut *tx)
            .await?;
        sqlx::query("INSERT INTO spec (job, body) VALUES (?1, ?2)")
            .bind(&id)
            .bind(SPEC)
            .execute(&mut *tx)
            .await?;
        sqlx::query("INSERT INTO Jobs (job, id, job_type, status, attempts, max_attempts, run_at, idempotency_key) VALUES (?1, ?2, 'chat', 'Pending', 0, 3, 1, ?2)")
            .bind(id.as_bytes())
            .bind(&id)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(id)
    }

    async fn claim(&mut self, id: &str) -> sqlx::Result<()> {
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("UPDATE job SET state = 'running', attempts = 1, worker = 'raw', lease = ?1, task = ?1, started_at_ms = 2 WHERE id = ?1")
            .bind(id)
            .execute(&mut *tx)
            .await?;
        sqlx::query("UPDATE Jobs SET status = 'Running', lock_at = 2, attempts = 1 WHERE id = ?1")
            .bind(id)
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    async fn add_chunk(&mut self, job: &str, seq: i32) -> sqlx::Result<()> {
        sqlx::query(
            "INSERT INTO chunk (job, seq, first_seq, attempt, speaks, events) VALUES (?1, ?2, ?2, 1, 1, ?3)",
        )
        .bind(job)
        .bind(seq)
        .bind(EVENTS)
        .execute(&mut self.conn)
        .await?;
        Ok(())
    }
}
