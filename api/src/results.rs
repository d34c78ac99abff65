//! `/v1/jobs/{id}/result`: the answer that a job has come to, as the request that made it would have been answered.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::response::Response;
use drover_shared::dialect::{self, Answer, Dialect, Rejection};
use drover_shared::schema::{JobId, Keep};
use drover_shared::store::StoreError;

use crate::app::App;
use crate::auth::Caller;
use crate::envelope::Ticket;
use crate::error::{Problem, try_again_ms};
use crate::generate::{place, whole};
use crate::jobs;

/// `GET /v1/jobs/{id}/result`
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Extension(ticket): Extension<Arc<Ticket>>,
    Path(id): Path<String>,
    Caller { owner, .. }: Caller,
) -> Result<Response, Problem> {
    let job = jobs::find(&app, &ticket, &owner, &id).await?;
    if !job.state.is_terminal() {
        return Err(not_finished().into());
    }
    let (dialect, answer) = form(&app, job.id).await?.ok_or_else(|| Problem::no_such_job(&id))?;
    let events = app.store.events(job.id, 0, u32::MAX).await?;
    let mut response = whole::told(dialect, &answer, &events)?;
    response.headers_mut().extend(place::headers(answer.session, answer.project));
    Ok(response)
}

/// How a job's answer is told; `None` of jobs alone that an older version has taken.
pub(crate) async fn form(
    app: &App,
    job: JobId,
) -> Result<Option<(&'static dyn Dialect, Answer)>, StoreError> {
    let keep = app.store.answers().form(job).await?;
    Ok(keep.and_then(|keep| Some((spoken(app, &keep)?, Answer::kept(&keep)?))))
}

/// The dialect that the answer is told in.
pub(crate) fn spoken(app: &App, keep: &Keep) -> Option<&'static dyn Dialect> {
    let mut known = [app.dialect].into_iter().chain(dialect::ALL);
    known.find(|dialect| dialect.name() == keep.dialect)
}

/// 409: the job waits or runs. Told not to be retried, since SDKs would do so by themselves, a few times and in vain; how
/// soon it is worth asking again is told all the same.
pub(crate) fn not_finished() -> Rejection {
    let message = "This job waits or runs. Its events tell when it has ended.";
    Rejection::new(409, "job_not_finished", message).retry_after_ms(try_again_ms()).final_()
}
