//! The session and the project of an agent's job.

use axum::http::header::{HeaderName, HeaderValue};
use drover_shared::dialect::AgentWish;
use drover_shared::schema::{AgentSpec, Owner, Project, ProjectId, Session, SessionId};
use drover_shared::store::Store;
use uuid::Uuid;

use crate::error::Problem;

const SESSION: HeaderName = HeaderName::from_static("x-drover-session-id");
const PROJECT: HeaderName = HeaderName::from_static("x-drover-project-id");

/// What the client named, or new ones. Whatever is another key's is not there.
pub(super) async fn find(
    store: &dyn Store,
    owner: &Owner,
    wish: AgentWish,
    now: i64,
) -> Result<AgentSpec, Problem> {
    let known = match wish.session {
        Some(id) => {
            let found = store.session(id).await?.filter(|session| session.owner == *owner);
            Some(found.ok_or_else(Problem::no_such_session)?)
        }
        None => None,
    };
    // A chat's session has no project in which an agent could go on.
    if known.as_ref().is_some_and(|session| session.project.is_none()) {
        return Err(Problem::no_such_session());
    }
    let wanted = known.as_ref().and_then(|session| session.project).or(wish.project);
    if wish.project.is_some() && wanted != wish.project {
        return Err(Problem::no_such_session());
    }
    let project = match wanted {
        Some(id) => {
            let found = store.project(id).await?.filter(|project| project.owner == *owner);
            found.ok_or_else(Problem::no_such_project)?
        }
        None => new_project(store, owner, now).await?,
    };
    let session = match known {
        Some(session) => session.id,
        None => new_session(store, owner, project.id, now).await?,
    };
    Ok(AgentSpec { session, project: project.id, network: project.network, options: wish.options })
}

/// Where the answer says that it was made.
pub(super) fn headers(spec: &AgentSpec) -> Vec<(HeaderName, HeaderValue)> {
    let ids = [(SESSION, spec.session.to_string()), (PROJECT, spec.project.to_string())];
    ids.into_iter().filter_map(|(name, id)| Some((name, HeaderValue::try_from(id).ok()?))).collect()
}

async fn new_project(store: &dyn Store, owner: &Owner, now: i64) -> Result<Project, Problem> {
    let id = ProjectId::from_uuid(Uuid::now_v7());
    let project = Project::new(id, owner.clone(), now);
    store.create_project(&project).await?;
    Ok(project)
}

async fn new_session(
    store: &dyn Store,
    owner: &Owner,
    project: ProjectId,
    now: i64,
) -> Result<SessionId, Problem> {
    let id = SessionId::from_uuid(Uuid::now_v7());
    store.create_session(&Session::new(id, owner.clone(), Some(project), now)).await?;
    Ok(id)
}
