//! New jobs, committed together: whoever waits for the write lock takes along everybody who came meanwhile.
//! A burst of requests then costs a few commits and not one each, which would keep the last ones waiting
//! behind all the others and behind every worker's writes between them.

use std::sync::{Mutex, PoisonError};

use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use super::allowance::Taken;
use super::{SqliteStore, allowance, job, request, session, share};
use crate::schema::{Denied, NewJob, limits};
use crate::store::{Enqueued, Recalled, StoreError, queue};

/// The jobs that wait to be added.
#[derive(Default)]
pub(super) struct Intake {
    orders: Mutex<Vec<Order>>,
    turn: tokio::sync::Mutex<()>,
}

struct Order {
    job: NewJob,
    max_queued: u64,
    answer: oneshot::Sender<Result<Enqueued, StoreError>>,
}

/// Adds the job, with all that wait.
pub(super) async fn enqueue(
    store: &SqliteStore,
    job: &NewJob,
    max_queued: u64,
) -> Result<Enqueued, StoreError> {
    let (answer, mut answered) = oneshot::channel();
    store.intake.push(Order { job: job.clone(), max_queued, answer });
    loop {
        let turn = store.intake.turn.lock().await;
        match answered.try_recv() {
            Ok(outcome) => return outcome,
            Err(oneshot::error::TryRecvError::Empty) => serve(store, store.intake.take()).await,
            // Its server was dropped with the request it served for; the transaction went with it.
            Err(oneshot::error::TryRecvError::Closed) => {
                return Err(StoreError::Unavailable("the commit was given up".to_owned()));
            }
        }
        drop(turn);
    }
}

impl Intake {
    fn push(&self, order: Order) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).push(order);
    }

    fn take(&self) -> Vec<Order> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let count = orders.len().min(limits::INTAKE_BATCH);
        orders.drain(..count).collect()
    }
}

/// Commits the orders and answers them. If the commit fails, nothing was added and everybody is told why.
async fn serve(store: &SqliteStore, orders: Vec<Order>) {
    let outcomes = commit(store, &orders).await;
    if outcomes.as_ref().is_ok_and(|taken| taken.contains(&Enqueued::Added)) {
        store.ring_task();
    }
    for (at, order) in orders.into_iter().enumerate() {
        let outcome = outcomes.as_ref().map(|taken| taken[at]).map_err(StoreError::again);
        // Who asked may have gone; the job is there all the same, and its reader's leaving is noticed.
        let _gone = order.answer.send(outcome);
    }
}

async fn commit(store: &SqliteStore, orders: &[Order]) -> Result<Vec<Enqueued>, StoreError> {
    let mut tx = store.begin().await?;
    let mut waiting = Waiting::count(&mut tx, orders).await?;
    let mut taken = Vec::with_capacity(orders.len());
    for Order { job, max_queued, .. } in orders {
        let (outcome, cost) = match known(&mut tx, job).await? {
            Some(known) => (known, Taken::default()),
            None => match allowance::ask(&mut tx, &job.owner, &job.spec, job.created_at_ms).await? {
                Err(denied) => (Enqueued::Denied(denied), Taken::default()),
                Ok(_) if *waiting.beside(job) >= *max_queued => (Enqueued::QueueFull, Taken::default()),
                Ok(cost) => match crowd(&mut tx, job).await? {
                    Some(denied) => (Enqueued::Denied(denied), Taken::default()),
                    None => (session::admit(&mut tx, job).await?, cost),
                },
            },
        };
        if outcome == Enqueued::Added {
            let run_at = job.terms.run_at_ms.unwrap_or(0).max(job.created_at_ms);
            job::insert(&mut tx, job).await?;
            allowance::charge(&mut tx, job, &cost).await?;
            queue::push(&mut tx, job.id, job.max_attempts, job.terms.priority, run_at).await?;
            *waiting.beside(job) += 1;
        }
        taken.push(outcome);
    }
    tx.commit().await?;
    Ok(taken)
}

/// Why the job may not be added where others are to find room, too.
async fn crowd(conn: &mut SqliteConnection, job: &NewJob) -> Result<Option<Denied>, StoreError> {
    let Some(most) = job.share else { return Ok(None) };
    let is_full = share::is_full(conn, &job.owner, is_for_later(job), most).await?;
    Ok(is_full.then_some(Denied::Share(most)))
}

/// What there is under the job's key.
async fn known(conn: &mut SqliteConnection, job: &NewJob) -> Result<Option<Enqueued>, StoreError> {
    let Some(key) = &job.key else { return Ok(None) };
    let known = request::attend(conn, &job.owner, key).await?;
    Ok(known.map(|known| match known {
        Recalled::Same(id) => Enqueued::Known(id),
        Recalled::Other => Enqueued::KeyReused,
    }))
}

/// How many jobs wait. Those whose time has not come are counted for themselves, so that nobody is held up by what is to
/// run tomorrow.
#[derive(Default)]
struct Waiting {
    now: u64,
    later: u64,
}

impl Waiting {
    /// Counts no further than any of the orders cares.
    async fn count(conn: &mut SqliteConnection, orders: &[Order]) -> Result<Self, StoreError> {
        let most = orders.iter().map(|order| order.max_queued).max().unwrap_or(0);
        let at = orders.iter().map(|order| order.job.created_at_ms).max().unwrap_or(0);
        let mut waiting = Self::default();
        let now = "SELECT count(*) FROM
                     (SELECT 1 FROM job WHERE state = 'queued' AND coalesce(run_at_ms, 0) <= ?1 LIMIT ?2)";
        let later =
            "SELECT count(*) FROM (SELECT 1 FROM job WHERE state = 'queued' AND run_at_ms > ?1 LIMIT ?2)";
        for (sql, count, is_asked) in [
            (now, &mut waiting.now, orders.iter().any(|order| !is_for_later(&order.job))),
            (later, &mut waiting.later, orders.iter().any(|order| is_for_later(&order.job))),
        ] {
            if is_asked {
                let counted: i64 = sqlx::query_scalar(sql)
                    .bind(at)
                    .bind(i64::try_from(most).unwrap_or(i64::MAX))
                    .fetch_one(&mut *conn)
                    .await?;
                *count = counted.unsigned_abs();
            }
        }
        Ok(waiting)
    }

    /// How many wait among which the job would.
    fn beside(&mut self, job: &NewJob) -> &mut u64 {
        if is_for_later(job) { &mut self.later } else { &mut self.now }
    }
}

fn is_for_later(job: &NewJob) -> bool {
    job.terms.run_at_ms.is_some_and(|run_at| run_at > job.created_at_ms)
}
