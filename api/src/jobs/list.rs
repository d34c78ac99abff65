//! `GET /v1/jobs`, and `job.list` over a WebSocket: a key's jobs, found by what they are.

use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use drover_shared::dialect::Rejection;
use drover_shared::schema::{Job, JobId, JobQuery, JobState, Owner, limits};
use serde_json::{Value, json};

use super::body::Entry;
use crate::app::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::resource::page;
use crate::resource::parameters::{boolean, invalid, parameters_with};

/// What may be asked of the jobs once, and what several times.
const ONCE: &[&str] = &["model", "session_id", "project_id", "background", "created_after", "created_before"];
const SEVERAL: &[&str] = &["status", "tag"];

/// What is asked for of a key's jobs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    asked: page::Asked<JobId>,
    query: JobQuery,
}

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    Caller { owner, .. }: Caller,
) -> Result<Json<Value>, Problem> {
    let listing = Listing::read(parameters_with(query.as_deref(), SEVERAL)?)?;
    Ok(Json(listing.tell(&app, &owner).await?))
}

impl Listing {
    /// Reads parameters, of which those of [`SEVERAL`] alone come several times.
    pub(crate) fn read(parameters: Vec<(String, String)>) -> Result<Self, Rejection> {
        let asked = page::read_all(parameters, true, ONCE, SEVERAL)?;
        let query = read(&asked.besides)?;
        Ok(Self { asked, query })
    }

    /// The owner's jobs that were asked for.
    pub(crate) async fn tell(&self, app: &App, owner: &Owner) -> Result<Value, Problem> {
        let listed = app.store.jobs().list(owner, &self.query, &self.asked.page).await?;
        Ok(page::answer(&self.asked, &listed, |job: &Job| json!(Entry::from(job.clone()))))
    }
}

fn read(parameters: &[(String, String)]) -> Result<JobQuery, Rejection> {
    let mut query = JobQuery::default();
    for (name, value) in parameters {
        match name.as_str() {
            "status" => query.states.extend(states(name, value)?),
            "model" => query.model = Some(value.clone()),
            "session_id" => query.session = Some(id(name, value)?),
            "project_id" => query.project = Some(id(name, value)?),
            "background" => query.background = Some(boolean(name, value)?),
            "created_after" => query.since_ms = Some(moment(name, value)?),
            "created_before" => query.until_ms = Some(moment(name, value)?),
            // No other names were let through.
            _ => query.tags.push(value.clone()),
        }
    }
    if query.tags.len() > limits::TAGS {
        return Err(invalid("tag", &format!("No job has more than {} labels.", limits::TAGS)));
    }
    Ok(query)
}

fn states(name: &str, value: &str) -> Result<Vec<JobState>, Rejection> {
    let state = |word: &str| {
        JobState::parse(word).ok_or_else(|| {
            let known = JobState::ALL.map(JobState::as_str).join(", ");
            invalid(name, &format!("It is a list of: {known}."))
        })
    };
    value.split(',').map(state).collect()
}

fn id<T: FromStr>(name: &str, value: &str) -> Result<T, Rejection> {
    value.parse().map_err(|_| invalid(name, "It is no identifier of that kind."))
}

/// Seconds since the Unix epoch.
fn moment(name: &str, value: &str) -> Result<i64, Rejection> {
    let ms = value.parse().ok().and_then(|seconds: i64| seconds.checked_mul(1_000));
    ms.ok_or_else(|| invalid(name, "It must be seconds since the Unix epoch."))
}
