//! What it costs to find whose turn it is, and to claim.

use super::report::{Figure, Section};
use super::statistics::median;
use drover_shared::clock::now_ms;
use drover_shared::schema::{LeaseToken, WorkerId, WorkerReport};
use drover_shared::store::{SqliteStore, Store as _};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};
use std::time::Instant;
use tempfile::TempDir;
use uuid::Uuid;

/// Owners, and waiting jobs of each.
const SHAPES: [(u32, u32); 3] = [(1, 10_000), (100, 100), (1_000, 1)];
const SEARCHES: usize = 300;
const CLAIMS: usize = 200;
const SPEC: &str =
    r#"{"model":"m","turns":[{"role":"user","parts":[{"type":"text","text":"say 1 words"}]}],"sampling":{}}"#;

/// How the next job was found before owners had turns: the oldest task of all, whoever's it was.
const BY_AGE: &str = "SELECT t.id, t.job FROM Jobs AS t LEFT JOIN job AS j ON j.id = t.idempotency_key
     WHERE t.job_type = 'chat' AND t.status = 'Pending' AND t.lock_by IS NULL AND t.run_at <= ?1 / 1000
       AND coalesce(j.not_before_ms, 0) <= ?1 AND NOT (j.session IS NOT NULL AND (
         EXISTS (SELECT 1 FROM job AS r WHERE r.session = j.session AND r.state = 'running')
         OR EXISTS (SELECT 1 FROM job AS q WHERE q.session = j.session AND q.state = 'queued' AND q.id < j.id)
         OR (j.project IS NOT NULL AND (
           EXISTS (SELECT 1 FROM job AS r WHERE r.project = j.project AND r.state = 'running')
           OR EXISTS (SELECT 1 FROM project AS p WHERE p.id = j.project AND p.holder <> ?2)))))
     ORDER BY t.priority DESC, t.run_at, t.id LIMIT 1";

pub(super) async fn measure() -> Section {
    let mut figures = Vec::new();
    for (owners, each) in SHAPES {
        let mut queue = Queue::with(owners, each).await;
        let (mut by_turn, mut by_age) = (Vec::new(), Vec::new());
        // By turns, so that both see the same machine.
        for _ in 0..SEARCHES {
            by_turn.push(queue.search_us(SqliteStore::SEARCH).await);
            by_age.push(queue.search_us(BY_AGE).await);
        }
        let shape = format!("{owners} x {each}");
        figures.push(
            Figure::new(format!("{shape}: search"), median(&by_turn), "µs")
                .beside("by age alone", median(&by_age)),
        );
        figures.push(Figure::new(format!("{shape}: whole claim"), queue.claim_us().await, "µs"));
    }
    Section { title: "Turns: owners x waiting jobs of each".to_owned(), figures }
}

/// A database of its own in which jobs wait.
struct Queue {
    store: SqliteStore,
    conn: SqliteConnection,
    worker: WorkerId,
    _dir: TempDir,
}

impl Queue {
    async fn with(owners: u32, each: u32) -> Self {
        let dir = tempfile::Builder::new().prefix("drover-").tempdir().expect("a directory");
        let path = dir.path().join("queue.db");
        let store = SqliteStore::open(&path).await.expect("a store");
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .busy_timeout(drover_shared::schema::limits::STORE_BUSY);
        let mut conn = SqliteConnection::connect_with(&options).await.expect("a connection");
        let mut tx = conn.begin().await.expect("a transaction");
        for number in 0..owners * each {
            let id = format!("job_{}", Uuid::now_v7().simple());
            let now = now_ms();
            sqlx::query(
                "INSERT INTO job (id, owner, state, model, max_attempts, task, created_at_ms, deadline_at_ms)
                 VALUES (?1, ?2, 'queued', 'm', 3, ?1, ?3, ?3 + 86400000)",
            )
            .bind(&id)
            .bind(format!("owner-{}", number % owners))
            .bind(now)
            .execute(&mut *tx)
            .await
            .expect("a job");
            sqlx::query("INSERT INTO spec (job, body) VALUES (?1, ?2)")
                .bind(&id)
                .bind(SPEC)
                .execute(&mut *tx)
                .await
                .expect("a spec");
            sqlx::query(
                "INSERT INTO Jobs (job, id, job_type, status, attempts, max_attempts, run_at, idempotency_key)
                 VALUES (?1, ?2, 'chat', 'Pending', 0, 3, ?3 / 1000, ?2)",
            )
            .bind(format!("\"{id}\"").into_bytes())
            .bind(&id)
            .bind(now)
            .execute(&mut *tx)
            .await
            .expect("a task");
        }
        tx.commit().await.expect("a commit");
        let worker = WorkerId("bench".to_owned());
        store.beat(&WorkerReport::begun(worker.clone(), now_ms()), now_ms()).await.expect("a beat");
        Self { store, conn, worker, _dir: dir }
    }

    /// Microseconds of one search.
    async fn search_us(&mut self, sql: &'static str) -> f64 {
        let started = Instant::now();
        let found: Option<(String, Vec<u8>)> = sqlx::query_as(sql)
            .bind(now_ms())
            .bind(&self.worker.0)
            .fetch_optional(&mut self.conn)
            .await
            .expect("a search");
        assert!(found.is_some(), "a job waits");
        started.elapsed().as_secs_f64() * 1e6
    }

    /// Microseconds of a claim, from the store's call to its commit.
    async fn claim_us(&mut self) -> f64 {
        let mut took = Vec::new();
        for _ in 0..CLAIMS {
            let started = Instant::now();
            let claim = self.store.claim(&self.worker, LeaseToken(Uuid::new_v4()), now_ms()).await;
            assert!(claim.expect("a store").is_some(), "a job waits");
            took.push(started.elapsed().as_secs_f64() * 1e6);
        }
        median(&took)
    }
}
