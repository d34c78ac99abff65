//! Storing what workers say: the hot path.

use std::collections::HashSet;

use sqlx::SqliteConnection;

use super::chunk::{self, ChunkKey, NewChunk};
use super::history::{self, Addition};
use super::{SqliteStore, abandon, allowance, job, ledger};
use crate::schema::{Event, JobId, limits};
use crate::store::{Append, Appended, GiveBack, Lease, Millis, StoreError};

/// Stores a batch in one commit. One without endings is a single statement.
pub(super) async fn append(
    store: &SqliteStore,
    batch: &[Append],
    now: Millis,
) -> Result<Vec<Appended>, StoreError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let live = before_their_end(batch);
    let chunks = batch
        .iter()
        .zip(&live)
        .filter(|(append, live)| **live && !append.events.is_empty())
        .map(|(append, _)| NewChunk::of(append))
        .collect::<Result<Vec<_>, _>>()?;
    let is_plain = !batch.iter().any(|append| gives_up_job(append) || !append.calls.is_empty());
    if is_plain && chunks.len() <= limits::CHUNKS_PER_INSERT {
        let stored = chunk::insert_fenced(&mut *store.writer.acquire().await?, &chunks).await?;
        let outcomes: Vec<_> =
            batch.iter().map(|append| outcome(stored.contains(&chunk::key(append)))).collect();
        ring(store, batch, &outcomes, false);
        return Ok(outcomes);
    }
    let mut additions = Vec::with_capacity(batch.len());
    for (append, live) in batch.iter().zip(&live) {
        let completes = *live && matches!(ending(append), Some(Event::Completed { .. }));
        additions.push(if completes { history::addition(store, batch, append).await? } else { None });
    }
    let mut tx = store.begin().await?;
    // Whoever holds the leases: the calls were made.
    ledger::insert(&mut tx, batch.iter().flat_map(|append| &append.calls)).await?;
    let stored = chunk::insert_fenced(&mut tx, &chunks).await?;
    let mut outcomes = Vec::with_capacity(batch.len());
    let mut claimable = false;
    for ((append, live), addition) in batch.iter().zip(&live).zip(&additions) {
        let end = End { append, addition: addition.as_ref(), now };
        let done = *live && end.finish(&mut tx, &stored, &mut claimable).await?;
        if !done && !append.calls.is_empty() {
            allowance::settle_late(&mut tx, append.lease.job, now).await?;
        }
        outcomes.push(outcome(done));
    }
    tx.commit().await?;
    ring(store, batch, &outcomes, claimable);
    Ok(outcomes)
}

/// Which entries do not come after one that gives their job up: those that do have lost their lease.
fn before_their_end(batch: &[Append]) -> Vec<bool> {
    let mut given_up: HashSet<&Lease> = HashSet::new();
    batch
        .iter()
        .map(|append| {
            let live = !given_up.contains(&append.lease);
            if gives_up_job(append) {
                given_up.insert(&append.lease);
            }
            live
        })
        .collect()
}

/// Whether the job leaves its worker with this entry.
fn gives_up_job(append: &Append) -> bool {
    append.give_back.is_some() || ending(append).is_some()
}

fn ending(append: &Append) -> Option<&Event> {
    append.events.last().filter(|event| event.terminal_state().is_some())
}

/// An entry, and what follows from it for its job.
struct End<'a> {
    append: &'a Append,
    addition: Option<&'a Addition>,
    now: Millis,
}

impl End<'_> {
    /// Settles the job where the entry ends it or gives it back; `claimable` is set if workers may find something
    /// to claim for it. Whether the entry was stored.
    async fn finish(
        &self,
        conn: &mut SqliteConnection,
        stored: &HashSet<ChunkKey>,
        claimable: &mut bool,
    ) -> Result<bool, StoreError> {
        let Self { append, now, .. } = *self;
        let held = if append.events.is_empty() {
            holds(conn, &append.lease).await?
        } else {
            stored.contains(&chunk::key(append))
        };
        if !held {
            return Ok(false);
        }
        let job = append.lease.job;
        if let Some(event) = ending(append) {
            if let Some(addition) = self.addition {
                history::add(conn, addition, now).await?;
            }
            for event in &append.events {
                if let Event::FilesChanged(changes) = event {
                    job::note_changes(conn, job, changes).await?;
                }
            }
            *claimable |= job::settle(conn, job, event, now).await?.makes_room;
        } else if let Some(give_back) = append.give_back {
            let not_before = match give_back {
                GiveBack::Failed { after_ms } => {
                    now.saturating_add(i64::try_from(after_ms).unwrap_or(i64::MAX))
                }
                GiveBack::Stopped => {
                    abandon::spare_attempt(conn, job).await?;
                    now
                }
            };
            *claimable |= abandon::abandon(conn, job, not_before, now).await?.claimable;
        }
        Ok(true)
    }
}

/// Whether the lease is the one the job runs under.
async fn holds(conn: &mut SqliteConnection, lease: &Lease) -> Result<bool, StoreError> {
    let held = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1 AND lease = ?2 AND state = 'running')",
    )
    .bind(lease.job.to_string())
    .bind(lease.token.to_string())
    .fetch_one(conn)
    .await?;
    Ok(held)
}

fn outcome(stored: bool) -> Appended {
    if stored { Appended::Stored } else { Appended::Fenced }
}

/// Rings the readers of every job that was written to, and the workers if one can be claimed again.
fn ring(store: &SqliteStore, batch: &[Append], outcomes: &[Appended], claimable: bool) {
    let stored = batch.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Appended::Stored);
    let jobs: HashSet<JobId> = stored.map(|(append, _)| append.lease.job).collect();
    store.ring_events(jobs);
    if claimable {
        store.ring_task();
    }
}
