//! An answer in one piece: waits for the end of the job.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use drover_shared::dialect::{Answer, Dialect};
use drover_shared::schema::SeqEvent;

use super::route;
use crate::error::Problem;
use crate::tail::Reader;

pub(super) async fn answer(
    dialect: &'static dyn Dialect,
    answer: &Answer,
    mut reader: Reader,
) -> Result<Response, Problem> {
    let mut events: Vec<SeqEvent> = Vec::new();
    while let Some(batch) = reader.next().await {
        events.extend_from_slice(&batch);
    }
    if !reader.saw_the_end() {
        return Err(vanished(answer));
    }
    told(dialect, answer, &events)
}

/// The answer of a job that has ended, or what its end stands for.
pub(crate) fn told(dialect: &dyn Dialect, answer: &Answer, events: &[SeqEvent]) -> Result<Response, Problem> {
    let mut response = Response::new(Body::from(dialect.whole(answer, events)?));
    response.headers_mut().extend(route::headers(events));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// The job was deleted before it had ended.
pub(super) fn vanished(answer: &Answer) -> Problem {
    tracing::error!(job = %answer.job, "a job has gone without an end");
    Problem::internal()
}
