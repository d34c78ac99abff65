//! Agent jobs, put straight into a cluster's store: what the api will do for its clients.

use crate::client::{Client, PATIENCE};
use crate::harness::{Cluster, MODEL, wait_for};
use drover_shared::clock::now_ms;
use drover_shared::schema::{
    AgentOptions, AgentSpec, Event, JobId, JobSpec, NewJob, Owner, Part, Project, ProjectId, Role, Session,
    SessionId, Turn,
};
use drover_shared::store::{self, Enqueued, Store};
use sqlx::{Connection as _, SqliteConnection};
use std::path::PathBuf;
use std::sync::Arc;
use uuid::Uuid;

/// A cluster's store, from the api's side.
pub struct Desk {
    store: Arc<dyn Store>,
    client: Client,
    database: PathBuf,
}

impl Desk {
    /// The store of this cluster.
    pub async fn of(cluster: &Cluster) -> Self {
        let url = format!("sqlite://{}", cluster.database().display());
        let store = store::open(&url).await.expect("the store opens");
        Self { store, client: cluster.client(), database: cluster.database() }
    }

    /// A new project.
    pub async fn project(&self) -> ProjectId {
        let id = ProjectId::from_uuid(Uuid::now_v7());
        let project = Project::new(id, Owner::anonymous(), now_ms());
        assert!(self.store.create_project(&project).await.expect("the store is there"));
        id
    }

    /// A new session in a project, as the rest of its jobs' spec.
    pub async fn session(&self, project: ProjectId) -> AgentSpec {
        let session = SessionId::from_uuid(Uuid::now_v7());
        let row = Session::new(session, Owner::anonymous(), Some(project), now_ms());
        assert!(self.store.create_session(&row).await.expect("the store is there"));
        AgentSpec { session, project, network: Vec::new(), options: AgentOptions::default() }
    }

    /// Asks for a session's next turn.
    pub async fn ask(&self, agent: &AgentSpec, prompt: &str) -> JobId {
        let id = JobId::from_uuid(Uuid::now_v7());
        let now = now_ms();
        let spec = JobSpec {
            model: MODEL.to_owned(),
            turns: vec![Turn { role: Role::User, parts: vec![Part::Text { text: prompt.to_owned() }] }],
            agent: Some(agent.clone()),
            ..JobSpec::default()
        };
        let job = NewJob::plain(id, Owner::anonymous(), spec, now, now + 600_000);
        let added = self.store.enqueue(&job, 1_000).await.expect("the store is there");
        assert_eq!(added, Enqueued::Added);
        id
    }

    /// The events of a job, to its end, read from the api.
    pub async fn events(&self, job: JobId) -> Vec<Event> {
        let events = self.client.request(reqwest::Method::GET, &format!("/v1/jobs/{job}/events"));
        let frames = crate::client::Events::open(events).await.all().await;
        let event = |frame: &crate::client::Frame| serde_json::from_str(&frame.data).expect("an event");
        frames.iter().filter(|frame| frame.event.is_some()).map(event).collect()
    }

    /// Whether the store knows by now that the job's model has spoken.
    pub async fn has_spoken(&self, job: JobId) -> bool {
        let events = self.store.events(job, 0, 1_000).await.expect("the store is there");
        events.iter().any(|stored| stored.event.speaks())
    }

    /// The text that a turn says, once it has ended well.
    pub async fn said(&self, agent: &AgentSpec, prompt: &str) -> String {
        let events = self.events(self.ask(agent, prompt).await).await;
        assert!(matches!(events.last(), Some(Event::Completed { .. })), "{prompt}: {events:#?}");
        text(&events)
    }

    /// The worker that has the project in a slot, if there is one.
    pub async fn holder(&self, project: ProjectId) -> Option<String> {
        let url = format!("sqlite://{}", self.database.display());
        let mut database = SqliteConnection::connect(&url).await.expect("the database opens");
        let holder = sqlx::query_scalar("SELECT holder FROM project WHERE id = ?1").bind(project.to_string());
        holder.fetch_one(&mut database).await.expect("the project is there")
    }

    /// Waits until the session's project is held by nobody, so that any worker may have it.
    pub async fn wait_until_at_home(&self, cluster: &Cluster, project: ProjectId) {
        let home = cluster.dir().join("data/projects").join(project.to_string());
        wait_for("the project is at home", PATIENCE, async || home.is_dir().then_some(())).await;
    }
}

/// All the text of some events.
pub fn text(events: &[Event]) -> String {
    let piece = |event: &Event| match event {
        Event::TextDelta { text, .. } => Some(text.clone()),
        _ => None,
    };
    events.iter().filter_map(piece).collect()
}
