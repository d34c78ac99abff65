//! Where a job belongs: the session that it continues, and the project that an agent works in.

use axum::http::header::{HeaderName, HeaderValue};
use drover_shared::dialect::{AgentWish, Rejection, Request, SESSION_HEADER};
use drover_shared::schema::{AgentSpec, JobSpec, Owner, Project, ProjectId, Session, SessionId, Told};
use drover_shared::store::Store;
use uuid::Uuid;

use super::past;
use crate::error::Problem;

const SESSION: HeaderName = HeaderName::from_static(SESSION_HEADER);
const PROJECT: HeaderName = HeaderName::from_static("x-drover-project-id");

/// A place that is known as far as the client has named it.
pub(super) struct Place {
    known: Option<Session>,
    /// Whether there is to be a session.
    begins: bool,
    agent: Option<AgentWish>,
    /// What the client said itself.
    told: Told,
}

/// Finds what the request names, and lets the session say what the request does not. Whatever is another key's is not
/// there.
pub(super) async fn find(
    store: &dyn Store,
    owner: &Owner,
    request: &mut Request,
    default_model: Option<String>,
) -> Result<Place, Problem> {
    let named = request.session.and_then(|wish| wish.known);
    let known = match named {
        Some(id) => {
            let found = store.session(id).await?.filter(|session| session.owner == *owner);
            Some(found.ok_or_else(Problem::no_such_session)?)
        }
        None => None,
    };
    let told = Told {
        model: request.names_model.then(|| request.spec.model.clone()),
        system: (!request.spec.system.is_empty()).then(|| request.spec.system.clone()),
    };
    if let Some(session) = &known {
        continues(store, session, request).await?;
        if told.model.is_none() {
            let model = session.model.clone().or(default_model);
            request.spec.model = model.ok_or_else(no_model)?;
        }
        if let (None, Some(system)) = (&told.system, &session.system) {
            request.spec.system.clone_from(system);
        }
    }
    let agent = request.agent.take();
    Ok(Place { known, begins: request.session.is_some() || agent.is_some(), agent, told })
}

/// Whether the request can go on with the session; brings it into the form in which it does.
async fn continues(store: &dyn Store, session: &Session, request: &mut Request) -> Result<(), Problem> {
    let Some(project) = session.project else {
        return match &request.agent {
            Some(AgentWish { project: Some(_), .. }) => Err(Problem::no_such_session()),
            Some(AgentWish { project: None, .. }) => {
                let message = "Invalid value for 'agent'. The session is a chat's, in no project.";
                Err(Rejection::invalid("invalid_value", "agent", message).into())
            }
            None => past::check(store, session, request).await,
        };
    };
    if request.agent.as_ref().and_then(|wish| wish.project).is_some_and(|named| named != project) {
        return Err(Problem::no_such_session());
    }
    if let Some(rejection) = request.unfit_for_agent.take() {
        return Err(rejection.into());
    }
    request.agent.get_or_insert_default();
    past::take_new(store, session, request).await
}

fn no_model() -> Rejection {
    let message = "Missing required parameter: 'model'. Its session has none either.";
    Rejection::invalid("missing_required_parameter", "model", message)
}

impl Place {
    /// The agent that the job is for, if it is for one.
    pub(super) fn agent(&mut self) -> Option<&mut AgentWish> {
        self.agent.as_mut()
    }

    /// Whether anything would be made that is there afterwards, whatever becomes of the job.
    pub(super) fn makes(&self) -> bool {
        self.known.is_none() && self.begins
    }

    /// Makes what there is not yet, and gives the job its place.
    pub(super) async fn make(
        self,
        store: &dyn Store,
        owner: &Owner,
        spec: &mut JobSpec,
        now: i64,
    ) -> Result<(Told, Begun), Problem> {
        let mut begun = Begun::default();
        let project = match (&self.agent, &self.known) {
            (None, _) => None,
            (Some(wish), known) => {
                let named = known.as_ref().and_then(|session| session.project).or(wish.project);
                let project = project(store, owner, named, now).await?;
                begun.project = named.is_none().then_some(project.id);
                Some(project)
            }
        };
        let session = match self.known {
            Some(session) => session.id,
            None if !self.begins => return Ok((self.told, begun)),
            None => {
                let id = new_session(store, owner, project.as_ref().map(|project| project.id), now).await?;
                begun.session = Some(id);
                id
            }
        };
        match project {
            None => spec.chat = Some(session),
            Some(project) => {
                let options = self.agent.map(|wish| wish.options).unwrap_or_default();
                spec.agent =
                    Some(AgentSpec { session, project: project.id, network: project.network, options });
            }
        }
        Ok((self.told, begun))
    }
}

/// What was begun for a job.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Begun {
    session: Option<SessionId>,
    project: Option<ProjectId>,
}

impl Begun {
    /// The job is not there, so that nobody has been told of them. What cannot be undone stays; it is in nobody's way.
    pub(super) async fn undo(self, store: &dyn Store, now: i64) {
        let undone = match (self.project, self.session) {
            // With its sessions.
            (Some(project), _) => store.delete_project(project, now).await,
            (None, Some(session)) => store.delete_session(session).await,
            (None, None) => return,
        };
        if let Err(error) = undone {
            tracing::warn!(%error, "what was begun for a job that was not added could not be undone");
        }
    }
}

/// Where the answer says that the job belongs.
pub(crate) fn headers(
    session: Option<SessionId>,
    project: Option<ProjectId>,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let session = session.map(|id| (SESSION, id.to_string()));
    let project = project.map(|id| (PROJECT, id.to_string()));
    let ids = session.into_iter().chain(project);
    ids.filter_map(|(name, id)| Some((name, HeaderValue::try_from(id).ok()?)))
}

async fn project(
    store: &dyn Store,
    owner: &Owner,
    named: Option<ProjectId>,
    now: i64,
) -> Result<Project, Problem> {
    if let Some(id) = named {
        let found = store.project(id).await?.filter(|project| project.owner == *owner);
        return found.ok_or_else(Problem::no_such_project);
    }
    let project = Project::new(ProjectId::from_uuid(Uuid::now_v7()), owner.clone(), now);
    store.create_project(&project).await?;
    Ok(project)
}

async fn new_session(
    store: &dyn Store,
    owner: &Owner,
    project: Option<ProjectId>,
    now: i64,
) -> Result<SessionId, Problem> {
    let id = SessionId::from_uuid(Uuid::now_v7());
    // The project may have been deleted meanwhile.
    let made = store.create_session(&Session::new(id, owner.clone(), project, now)).await?;
    made.then_some(id).ok_or_else(Problem::no_such_project)
}
