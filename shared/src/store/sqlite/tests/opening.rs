//! Opening, also by many at once.

use std::os::unix::fs::PermissionsExt;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{QueryBuilder, Sqlite, SqlitePool};
use uuid::Uuid;

use super::{File, report};
use crate::schema::{JobId, JobState, LeaseToken, Owner, Priority, Session, Usage, WorkerId};
use crate::store::sqlite::migrate::{OURS, run_theirs};
use crate::store::{OpenError, Removed, Store, open, queue};

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

fn old_id(digit: &str) -> JobId {
    format!("job_{}", digit.repeat(32)).parse().expect("an id")
}

/// A database as version 3 of the tables left it: one job that ended, one that runs and one that waits.
async fn of_version_3(file: &File) -> SqlitePool {
    let path = file.0.path().join("drover.db");
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await.expect("a database");
    run_theirs(&pool).await.expect("their tables");
    OURS.run_to(3, &pool).await.expect("our tables");
    for (digit, state, lease, finished) in [
        ("1", "completed", None, Some(5)),
        ("2", "running", Some("00000000000000000000000000000007"), None),
        ("3", "queued", None, None),
    ] {
        let id = old_id(digit);
        let mut conn = pool.acquire().await.expect("a connection");
        sqlx::query(
            "INSERT INTO job (id, owner, state, model, attempts, max_attempts, worker, lease, task, created_at_ms,
                              deadline_at_ms, finished_at_ms, usage)
             VALUES (?1, 'anonymous', ?2, 'm', ?3 IS NOT NULL, 3, 'w', ?3, ?4, 1, 9000000000000, ?5, ?6)",
        )
        .bind(id.to_string())
        .bind(state)
        .bind(lease)
        .bind(queue::task_id(id))
        .bind(finished)
        .bind(finished.map(|_| serde_json::to_string(&Usage::default()).expect("JSON")))
        .execute(&mut *conn)
        .await
        .expect("a job");
        for (sql, json) in [
            (
                "INSERT INTO spec VALUES (?1, ?2)",
                r#"{"model":"m","turns":[{"role":"user","parts":[{"type":"text","text":"hi"}]}]}"#,
            ),
            ("INSERT INTO chunk VALUES (?1, 1, 1, 1, 0, ?2)", r#"[{"type":"attempt_started","attempt":1}]"#),
        ] {
            sqlx::query(sql).bind(id.to_string()).bind(json).execute(&mut *conn).await.expect("a row");
        }
        queue::push(&mut conn, id, 3, Priority::Normal, 1).await.expect("a task");
    }
    pool
}

#[tokio::test]
async fn a_database_of_the_version_before_keeps_its_jobs() {
    let file = File::new();
    of_version_3(&file).await.close().await;
    let store = file.open().await;
    for (digit, state) in [("1", JobState::Completed), ("2", JobState::Running), ("3", JobState::Queued)] {
        assert_eq!(store.job(old_id(digit)).await.expect("a store").expect("a job").state, state);
        assert_eq!(store.events(old_id(digit), 0, 9).await.expect("a store").len(), 1);
    }
    let worker = WorkerId("new".to_owned());
    store.beat(&report("new"), 10).await.expect("a beat");
    assert_eq!(store.rescue(10, 10).await.expect("a rescue"), 1, "its worker is unknown");
    let mut claimed = Vec::new();
    while let Some(claim) = store.claim(&worker, LeaseToken(Uuid::new_v4()), 10).await.expect("a store") {
        assert_eq!((claim.spec.agent.as_ref(), claim.last_seq), (None, 1));
        claimed.push(claim.lease.job);
    }
    claimed.sort();
    assert_eq!(claimed, [old_id("2"), old_id("3")]);
}

#[tokio::test]
async fn an_agents_session_of_version_5_goes_on() {
    let file = File::new();
    let pool = of_version_3(&file).await;
    OURS.run_to(5, &pool).await.expect("our tables");
    let [project, session] = ["project", "session"].map(|kind| format!("{kind}_{}", "7".repeat(32)));
    for sql in [
        "INSERT INTO project (id, owner, name, network, created_at_ms) VALUES (?1, 'anonymous', 'n', '[]', 4)",
        "INSERT INTO session (id, owner, project, transcript_bytes, created_at_ms, updated_at_ms)
         VALUES (?2, 'anonymous', ?1, 2, 5, 6)",
        "INSERT INTO transcript (session, seq, job, entry) VALUES (?2, 1, ?1, '{}')",
        "UPDATE job SET project = ?1, session = ?2",
    ] {
        sqlx::query(sql).bind(&project).bind(&session).execute(&pool).await.expect(sql);
    }
    pool.close().await;
    let store = file.open().await;
    let (project, session) = (project.parse().expect("an id"), session.parse().expect("an id"));
    let row = store.session(session).await.expect("a store").expect("a session");
    assert_eq!(
        row,
        Session { updated_at_ms: 6, ..Session::new(session, Owner::anonymous(), Some(project), 5) }
    );
    assert_eq!(store.project(project).await.expect("a store").expect("a project").updated_at_ms, 4);
    assert_eq!(store.transcript(session).await.expect("a store"), Some(vec!["{}".to_owned()]));
    store.beat(&report("new"), 10).await.expect("a beat");
    let token = LeaseToken(Uuid::new_v4());
    let claim = store.claim(&WorkerId("new".to_owned()), token, 10).await.expect("a store");
    assert!(claim.is_none(), "its job that ran is not taken up yet");
    assert_eq!(store.delete_session(session).await.expect("a store"), Removed::Busy);
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
    // Owners are walked in the order of their turns, and their jobs in that of theirs, up to the first that is due.
    assert!(plan[0].starts_with("SCAN s USING") && plan[0].ends_with("INDEX share_turn"), "{plan:?}");
    // All that is sorted are the two of one owner that were found.
    let sorted: Vec<_> = plan.iter().filter(|step| step.contains("TEMP B-TREE")).collect();
    assert_eq!(sorted, ["USE TEMP B-TREE FOR LAST 2 TERMS OF ORDER BY"]);
    // All workers are looked at, once, and only for one that cannot run agents.
    let scans = |step: &str| step.contains("SCAN") && step != "SCAN w" && step != plan[0];
    assert!(plan.iter().all(|step| !scans(step)), "{plan:?}");
    for index in [
        "job_turn_chat (owner=?)",
        "job_turn_agent (owner=?)",
        "job_project_running",
        "job_session_running",
        "job_session_queued",
        "sqlite_autoindex_project",
    ] {
        assert!(plan.iter().any(|step| step.contains(index)), "{index}: {plan:?}");
    }
    let seeded: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_stat1 WHERE tbl IN ('Jobs', 'Workers')")
            .fetch_one(&store.readers)
            .await
            .expect("statistics");
    assert_eq!(seeded, 9);
}
