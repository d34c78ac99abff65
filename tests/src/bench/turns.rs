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

/// How many jobs wait before the one that the worker may have.
const HELD_BACK: u32 = 10_000;
/// Jobs that wait for one project: as many as may.
const OF_A_PROJECT: u32 = 16;

/// The search as it was when it walked over all that wait of an owner, whoever may take it up and when.
const OVER_ALL: &str = "SELECT t.id, t.job FROM share AS s INDEXED BY share_turn
       CROSS JOIN job AS j INDEXED BY walk ON j.owner = s.owner
       CROSS JOIN Jobs AS t ON t.id = j.task
     WHERE s.queued > 0 AND s.running < s.concurrent AND j.state = 'queued' AND j.not_before_ms <= ?1
       AND t.status = 'Pending' AND t.lock_by IS NULL AND NOT (j.session IS NOT NULL AND (
         EXISTS (SELECT 1 FROM job AS r WHERE r.session = j.session AND r.state = 'running')
         OR EXISTS (SELECT 1 FROM job AS q WHERE q.session = j.session AND q.state = 'queued' AND q.id < j.id
             AND coalesce(q.run_at_ms, 0) <= ?1)
         OR (j.project IS NOT NULL AND ((
           EXISTS (SELECT 1 FROM worker AS w WHERE w.id = ?2 AND w.report ->> 'agents' = 0)
             AND EXISTS (SELECT 1 FROM worker AS w WHERE w.gone = 0
                 AND coalesce(w.report ->> 'agents', 1) = 1 AND w.report ->> 'draining' = 0))
           OR EXISTS (SELECT 1 FROM job AS r WHERE r.project = j.project AND r.state = 'running')
           OR EXISTS (SELECT 1 FROM project AS p WHERE p.id = j.project AND p.holder <> ?2)))))
     ORDER BY s.priority DESC, s.running, s.turn, s.owner, j.priority DESC, j.id LIMIT 1";

pub(super) async fn measure() -> Vec<Section> {
    vec![turns().await, held_back().await]
}

async fn turns() -> Section {
    let mut figures = Vec::new();
    for (owners, each) in SHAPES {
        let mut queue = Queue::open(true).await;
        queue.fill(owners * each, owners, Kind::Chat).await;
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

async fn held_back() -> Section {
    let mut figures = Vec::new();
    for (what, kind) in [("agents' jobs, for others", Kind::Agent), ("jobs for tomorrow", Kind::Tomorrow)] {
        let mut queue = Queue::open(false).await;
        queue.walk_over_all().await;
        queue.fill(HELD_BACK, 1, kind).await;
        queue.fill(1, 1, Kind::Chat).await;
        let (mut by_index, mut over_all) = (Vec::new(), Vec::new());
        for _ in 0..SEARCHES {
            by_index.push(queue.search_us(SqliteStore::SEARCH).await);
            over_all.push(queue.search_us(OVER_ALL).await);
        }
        figures.push(
            Figure::new(format!("{HELD_BACK} {what}: search"), median(&by_index), "µs")
                .beside("over all", median(&over_all)),
        );
    }
    Section { title: "Held back: what waits before the one job that the worker may have".to_owned(), figures }
}

/// What kind of job waits.
#[derive(Clone, Copy)]
enum Kind {
    Chat,
    Agent,
    Tomorrow,
}

/// A database of its own in which jobs wait.
struct Queue {
    store: SqliteStore,
    conn: SqliteConnection,
    worker: WorkerId,
    _dir: TempDir,
}

impl Queue {
    /// Whether the worker that searches can run agents; another one can.
    async fn open(agents: bool) -> Self {
        let dir = tempfile::Builder::new().prefix("drover-").tempdir().expect("a directory");
        let path = dir.path().join("queue.db");
        let store = SqliteStore::open(&path).await.expect("a store");
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .busy_timeout(drover_shared::schema::limits::STORE_BUSY);
        let conn = SqliteConnection::connect_with(&options).await.expect("a connection");
        let worker = WorkerId("bench".to_owned());
        let report = WorkerReport { agents, ..WorkerReport::begun(worker.clone(), now_ms()) };
        store.beat(&report, now_ms()).await.expect("a beat");
        let other = WorkerReport::begun(WorkerId("other".to_owned()), now_ms());
        store.beat(&other, now_ms()).await.expect("a beat");
        Self { store, conn, worker, _dir: dir }
    }

    /// Makes the index that [`OVER_ALL`] walks.
    async fn walk_over_all(&mut self) {
        let sql = "CREATE INDEX walk ON job (owner, priority DESC, id, not_before_ms) WHERE state = 'queued'";
        sqlx::query(sql).execute(&mut self.conn).await.expect("an index");
    }

    /// Adds waiting jobs.
    async fn fill(&mut self, jobs: u32, owners: u32, kind: Kind) {
        let mut tx = self.conn.begin().await.expect("a transaction");
        let mut project = String::new();
        for number in 0..jobs {
            let now = now_ms();
            let id = format!("job_{}", Uuid::now_v7().simple());
            let owner = format!("owner-{}", number % owners);
            if matches!(kind, Kind::Agent) && number % OF_A_PROJECT == 0 {
                project = add_project(&mut tx, &owner).await;
            }
            let session = (!project.is_empty()).then(|| project.replace("project_", "session_"));
            sqlx::query(
                "INSERT INTO job (id, owner, state, model, max_attempts, task, created_at_ms, deadline_at_ms, not_before_ms,
                                  postponed, project, session)
                 VALUES (?1, ?2, 'queued', 'm', 3, ?1, ?3, ?3 + 172800000, ?3 + 86400000 * ?4, ?4, nullif(?5, ''), ?6)",
            )
            .bind(&id)
            .bind(owner)
            .bind(now)
            .bind(matches!(kind, Kind::Tomorrow))
            .bind(&project)
            .bind(session)
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

/// A project with a session in it.
async fn add_project(conn: &mut SqliteConnection, owner: &str) -> String {
    let id = format!("project_{}", Uuid::now_v7().simple());
    for sql in [
        "INSERT INTO project (id, owner, name, network, created_at_ms) VALUES (?1, ?2, 'n', '[]', 0)",
        "INSERT INTO session (id, owner, project, created_at_ms, updated_at_ms)
         VALUES (replace(?1, 'project_', 'session_'), ?2, ?1, 0, 0)",
    ] {
        sqlx::query(sql).bind(&id).bind(owner).execute(&mut *conn).await.expect("a row");
    }
    id
}
