//! The table `worker`, and the fleet as it tells it.

use sqlx::{SqliteConnection, SqlitePool};

use super::error::corrupt;
use crate::schema::{Fleet, Offer, WorkerId, WorkerReport, limits};
use crate::store::{Millis, StoreError, millis};

/// Registers the worker or renews its heartbeat; one that was given up for dead is back with it.
pub(super) async fn beat(
    conn: &mut SqliteConnection,
    report: &WorkerReport,
    now: Millis,
) -> Result<(), StoreError> {
    let json = serde_json::to_string(report).map_err(|error| corrupt(&report.id, error))?;
    sqlx::query(
        "INSERT INTO worker (id, beat_ms, gone, report) VALUES (?1, ?2, 0, ?3)
         ON CONFLICT (id) DO UPDATE SET beat_ms = excluded.beat_ms, gone = 0, report = excluded.report",
    )
    .bind(&report.id.0)
    .bind(now)
    .bind(json)
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes what the worker offers.
pub(super) async fn offer(writer: &SqlitePool, worker: &WorkerId, offer: &Offer) -> Result<(), StoreError> {
    let json = serde_json::to_string(offer).map_err(|error| corrupt(worker, error))?;
    sqlx::query("UPDATE worker SET offer = ?2 WHERE id = ?1")
        .bind(&worker.0)
        .bind(json)
        .execute(writer)
        .await?;
    Ok(())
}

/// Takes the worker out of the fleet.
pub(super) async fn retire(conn: &mut SqliteConnection, worker: &WorkerId) -> Result<(), StoreError> {
    sqlx::query("UPDATE worker SET gone = 1 WHERE id = ?1").bind(&worker.0).execute(conn).await?;
    Ok(())
}

/// Refuses a worker that has never beaten or was given up for dead: what it claimed would be rescued at
/// once. Its next beat makes it good.
pub(super) async fn require_present(
    conn: &mut SqliteConnection,
    worker: &WorkerId,
) -> Result<(), StoreError> {
    let present: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM worker WHERE id = ?1 AND gone = 0)")
        .bind(&worker.0)
        .fetch_one(conn)
        .await?;
    if present { Ok(()) } else { Err(StoreError::Unavailable(format!("worker {worker} has to beat first"))) }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    beat_ms: Millis,
    gone: bool,
    report: String,
    offer: Option<String>,
}

impl Row {
    fn report(&self) -> Result<WorkerReport, StoreError> {
        serde_json::from_str(&self.report).map_err(|error| corrupt(format!("worker {}", self.id), error))
    }

    fn is_alive(&self, since: Millis) -> bool {
        !self.gone && self.beat_ms >= since
    }

    fn offer(&self) -> Option<Result<Offer, StoreError>> {
        let offer = self.offer.as_ref()?;
        Some(serde_json::from_str(offer).map_err(|error| corrupt(format!("offer of {}", self.id), error)))
    }
}

/// Queue depth and workers.
pub(super) async fn fleet(
    readers: &SqlitePool,
    alive_since: Millis,
    now: Millis,
) -> Result<Fleet, StoreError> {
    let (queued, scheduled, oldest, running): (i64, i64, Option<Millis>, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE coalesce(run_at_ms, 0) <= ?1), count(*) FILTER (WHERE run_at_ms > ?1),
                min(max(created_at_ms, coalesce(run_at_ms, 0))) FILTER (WHERE coalesce(run_at_ms, 0) <= ?1),
                (SELECT count(*) FROM job WHERE state = 'running')
         FROM job WHERE state = 'queued'",
    )
    .bind(now)
    .fetch_one(readers)
    .await?;
    let rows: Vec<Row> = sqlx::query_as("SELECT id, beat_ms, gone, report, offer FROM worker ORDER BY id")
        .fetch_all(readers)
        .await?;
    let alive: Vec<&Row> = rows.iter().filter(|row| row.is_alive(alive_since)).collect();
    let offering = if alive.is_empty() { last_of(&rows) } else { alive.clone() };
    Ok(Fleet {
        queued: queued.unsigned_abs(),
        scheduled: scheduled.unsigned_abs(),
        running: running.unsigned_abs(),
        oldest_queued_ms: oldest.map(|created| u64::try_from(now - created).unwrap_or(0)),
        alive: alive.into_iter().map(Row::report).collect::<Result<_, _>>()?,
        offers: offering.into_iter().filter_map(Row::offer).collect::<Result<_, _>>()?,
    })
}

/// The workers that were last to live: those that fell silent about together.
fn last_of(rows: &[Row]) -> Vec<&Row> {
    let last = rows.iter().map(|row| row.beat_ms).max().unwrap_or(0);
    let since = last.saturating_sub(millis(limits::DEAD_AFTER));
    rows.iter().filter(|row| row.beat_ms >= since).collect()
}
