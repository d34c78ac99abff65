//! The files of projects, on a real file system.

mod archive;
mod bounds;
mod deletion;
mod outside;
mod routes;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use drover_shared::schema::{Owner, Project, ProjectId};
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use super::client::{Answer, Call};
use super::{Api, NOW_MS};
use crate::Settings;

/// An api with one project, of nobody in particular.
struct Stage {
    api: Api,
    root: TempDir,
    project: ProjectId,
}

impl Stage {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let api = Api::with(|settings| {
            settings.project_root = Some(root.path().to_owned());
            change(settings);
        })
        .await;
        let stage = Self { api, root, project: ProjectId::from_uuid(Uuid::from_u128(7)) };
        stage.add(stage.project, Owner::anonymous());
        stage
    }

    fn add(&self, id: ProjectId, owner: Owner) {
        let project = Project::new(id, owner, NOW_MS);
        self.api.store.lock().projects.insert(id, project);
    }

    fn address(&self) -> SocketAddr {
        self.api.address
    }

    fn home(&self) -> PathBuf {
        self.root.path().join("projects").join(self.project.to_string())
    }

    /// A request about the project's files; `rest` is what follows in the path.
    fn call(&self, method: &str, rest: &str) -> Call {
        Call::new(method, &format!("/v1/projects/{}/files{rest}", self.project))
    }

    async fn send(&self, method: &str, rest: &str) -> Answer {
        self.call(method, rest).send(self.address()).await
    }

    async fn put(&self, path: &str, text: &str) -> Answer {
        self.call("PUT", &format!("/{path}")).body(text).send(self.address()).await
    }

    /// Status and code of the error that comes.
    async fn refusal(&self, call: Call) -> (u16, String) {
        let answer = call.send(self.address()).await;
        let status = answer.status.as_u16();
        let body = answer.json().await;
        (status, body["error"]["code"].as_str().unwrap_or_else(|| panic!("no error: {body}")).to_owned())
    }

    /// The paths that are listed.
    async fn paths(&self, query: &str) -> Vec<String> {
        let list = self.send("GET", query).await.json().await;
        let path = |entry: &Value| entry["path"].as_str().expect("a path").to_owned();
        list["data"].as_array().unwrap_or_else(|| panic!("no list: {list}")).iter().map(path).collect()
    }

    /// Nothing that was being received is left.
    fn assert_nothing_is_left(&self) {
        let arrivals = self.root.path().join("projects/.in").join(self.project.to_string());
        let left = fs::read_dir(arrivals).into_iter().flatten().count();
        assert_eq!(left, 0);
    }
}
