//! Where the agents of the cases work.

use std::sync::Arc;

use uuid::Uuid;

use super::bench::{Hand, NOW, completed, enqueue_this, new_job, say};
use crate::schema::{AgentSpec, JobSpec, NewJob, Owner, Project, ProjectId, Session, SessionId};
use crate::store::{Appended, Store};

/// A project, and a session in it.
pub(in crate::store) struct Desk {
    pub(in crate::store) project: Project,
    pub(in crate::store) session: Session,
}

impl Desk {
    /// One that the store knows.
    pub(in crate::store) async fn open(store: &Arc<dyn Store>) -> Self {
        let desk = Self::new();
        assert!(store.create_project(&desk.project).await.expect("a store"));
        assert!(store.create_session(&desk.session).await.expect("a store"));
        desk
    }

    /// One that it does not know.
    pub(in crate::store) fn new() -> Self {
        let project = Project {
            id: ProjectId::from_uuid(Uuid::new_v4()),
            owner: Owner::anonymous(),
            name: "Hütte".to_owned(),
            network: ["crates.io", "*.example.org"].map(|rule| rule.parse().expect("a rule")).to_vec(),
            created_at_ms: NOW,
        };
        let session = session_in(&project);
        Self { project, session }
    }

    /// Adds another session to the project.
    pub(in crate::store) async fn second_session(&self, store: &Arc<dyn Store>) -> SessionId {
        let session = session_in(&self.project);
        assert!(store.create_session(&session).await.expect("a store"));
        session.id
    }

    /// A job that continues the session.
    pub(in crate::store) fn job(&self) -> NewJob {
        agent_job(self.session.id, self.project.id)
    }

    /// Makes the worker the project's holder: it has run a job there.
    pub(in crate::store) async fn hold(&self, hand: &Hand) {
        let id = enqueue_this(&hand.store, self.job()).await;
        let claim = hand.take(NOW).await;
        assert_eq!(claim.lease.job, id);
        assert_eq!(hand.append(say(&claim, 1, &[completed()])).await, Appended::Stored);
    }
}

fn session_in(project: &Project) -> Session {
    Session {
        id: SessionId::from_uuid(Uuid::new_v4()),
        owner: project.owner.clone(),
        project: project.id,
        created_at_ms: NOW,
        updated_at_ms: NOW,
    }
}

/// A job that continues the session in the project, whether or not they belong together.
pub(in crate::store) fn agent_job(session: SessionId, project: ProjectId) -> NewJob {
    let agent = AgentSpec {
        session,
        project,
        tools: Vec::new(),
        network: Vec::new(),
        max_turns: None,
        budget_microusd: None,
    };
    let chat = new_job();
    NewJob { spec: JobSpec { agent: Some(agent), ..chat.spec }, ..chat }
}
