//! Where the agents of the cases work.

use std::sync::Arc;

use uuid::Uuid;

use super::bench::{Hand, NOW, completed, enqueue_this, new_job, say};
use crate::schema::{
    AgentOptions, AgentSpec, JobSpec, NewJob, Owner, Part, Project, ProjectId, Role, Session, SessionId, Turn,
};
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
            name: "Hütte".to_owned(),
            description: "am See".to_owned(),
            network: ["crates.io", "*.example.org"].map(|rule| rule.parse().expect("a rule")).to_vec(),
            ..Project::new(ProjectId::from_uuid(Uuid::now_v7()), Owner::anonymous(), NOW)
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

    /// Adds a session of a chat, of the same owner.
    pub(in crate::store) async fn chat(&self, store: &Arc<dyn Store>) -> SessionId {
        let id = SessionId::from_uuid(Uuid::now_v7());
        let session = Session::new(id, self.project.owner.clone(), None, NOW);
        assert!(store.create_session(&session).await.expect("a store"));
        id
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
    let id = SessionId::from_uuid(Uuid::now_v7());
    let title = "Schatz".to_owned();
    let (model, system) = (Some("sonnet".to_owned()), Some("Be brief.".to_owned()));
    Session { title, model, system, ..Session::new(id, project.owner.clone(), Some(project.id), NOW) }
}

/// A job that continues the session in the project, whether or not they belong together.
pub(in crate::store) fn agent_job(session: SessionId, project: ProjectId) -> NewJob {
    let agent = AgentSpec { session, project, network: Vec::new(), options: AgentOptions::default() };
    let chat = new_job();
    NewJob { spec: JobSpec { agent: Some(agent), ..chat.spec }, ..chat }
}

/// A job that continues a chat with these texts, the user's and the assistant's in turn.
pub(in crate::store) fn chat_job(session: SessionId, texts: &[&str]) -> NewJob {
    let chat = new_job();
    NewJob { spec: JobSpec { turns: turns(texts), chat: Some(session), ..chat.spec }, ..chat }
}

/// Turns of these texts, the user's and the assistant's in turn.
pub(in crate::store) fn turns(texts: &[&str]) -> Vec<Turn> {
    let roles = [Role::User, Role::Assistant].into_iter().cycle();
    let part = |text: &&str| Part::Text { text: (*text).to_owned() };
    texts.iter().zip(roles).map(|(text, role)| Turn { role, parts: vec![part(text)] }).collect()
}
