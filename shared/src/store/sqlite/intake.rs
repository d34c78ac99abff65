//! New jobs, committed together: whoever waits for the write lock takes along everybody who came meanwhile.
//! A burst of requests then costs a few commits and not one each, which would keep the last ones waiting
//! behind all the others and behind every worker's writes between them.

use std::sync::{Mutex, PoisonError};

use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use super::{SqliteStore, job, session};
use crate::schema::{NewJob, limits};
use crate::store::{Enqueued, StoreError, queue};

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
    let mut queued = queued(&mut tx, orders).await?;
    let mut taken = Vec::with_capacity(orders.len());
    for order in orders {
        let outcome = if queued < order.max_queued {
            session::admit(&mut tx, &order.job).await?
        } else {
            Enqueued::QueueFull
        };
        if outcome == Enqueued::Added {
            job::insert(&mut tx, &order.job).await?;
            queue::push(&mut tx, order.job.id, order.job.max_attempts, order.job.created_at_ms).await?;
            queued += 1;
        }
        taken.push(outcome);
    }
    tx.commit().await?;
    Ok(taken)
}

/// How many jobs wait, counted no further than any of the orders cares.
async fn queued(conn: &mut SqliteConnection, orders: &[Order]) -> Result<u64, StoreError> {
    let most = orders.iter().map(|order| order.max_queued).max().unwrap_or(0);
    let queued: i64 =
        sqlx::query_scalar("SELECT count(*) FROM (SELECT 1 FROM job WHERE state = 'queued' LIMIT ?1)")
            .bind(i64::try_from(most).unwrap_or(i64::MAX))
            .fetch_one(conn)
            .await?;
    Ok(u64::try_from(queued).unwrap_or(0))
}
