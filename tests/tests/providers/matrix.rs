//! A registry of scripted providers, and a cluster that uses it.

use drover_tests::client::{Answer, Client};
use drover_tests::harness::{Builder, Cluster};
use drover_tests::upstream::Upstream;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::PathBuf;
use tempfile::TempDir;

/// A file of providers in the making.
pub(super) struct Registry {
    dir: TempDir,
    text: String,
    keys: Vec<(String, String)>,
}

/// The key of a provider. Nothing but the provider may ever see it.
pub(super) fn key_of(provider: &str) -> String {
    format!("sk-of-{provider}-0123456789")
}

impl Registry {
    pub(super) fn new() -> Self {
        let dir = TempDir::new().expect("a directory");
        Self { dir, text: "extends = \"nothing\"\ndefault_models = []\n".to_owned(), keys: Vec::new() }
    }

    /// Adds a provider with a key of its own.
    #[must_use]
    pub(super) fn provider(self, id: &str, upstream: &Upstream) -> Self {
        self.provider_lacking(id, upstream, &[])
    }

    /// The same, but it does not take these settings.
    #[must_use]
    pub(super) fn provider_lacking(self, id: &str, upstream: &Upstream, lacks: &[&str]) -> Self {
        self.add(id, &upstream.url(), lacks)
    }

    /// The same, somewhere else.
    #[must_use]
    pub(super) fn provider_at(self, id: &str, url: &str) -> Self {
        self.add(id, url, &[])
    }

    fn add(mut self, id: &str, url: &str, lacks: &[&str]) -> Self {
        let variable = format!("{}_API_KEY", id.to_uppercase().replace('-', "_"));
        writeln!(
            self.text,
            "[[provider]]\nid = \"{id}\"\nbase_url = \"{url}\"\nauth = \"bearer\"\nfirst_byte_s = 2\n\
             lacks = {lacks:?}\nkeys = [{{ env = \"{variable}\" }}]"
        )
        .expect("room");
        self.keys.push((variable, key_of(id)));
        self
    }

    /// Adds a model by its providers, each with what a million tokens of prompt and answer cost, in dollars.
    #[must_use]
    pub(super) fn model(mut self, id: &str, policy: &str, routes: &[(&str, u32, u32)]) -> Self {
        let routes: Vec<String> = routes
            .iter()
            .map(|(provider, input, output)| {
                format!("{{ provider = \"{provider}\", price = {{ input = {input}, output = {output} }} }}")
            })
            .collect();
        writeln!(
            self.text,
            "[[model]]\nid = \"{id}\"\ncontext = 1000\npolicy = \"{policy}\"\nroutes = [{}]",
            routes.join(", ")
        )
        .expect("room");
        self
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("providers.toml")
    }

    /// Writes the file.
    pub(super) fn write(&self) {
        std::fs::write(self.path(), &self.text).expect("the file can be written");
    }

    /// Has a cluster use it.
    pub(super) fn for_cluster(&self) -> Builder {
        self.write();
        let builder = Cluster::builder().env("DROVER_PROVIDERS", self.path().display().to_string());
        self.keys.iter().fold(builder, |builder, (name, key)| builder.env(name, key))
    }
}

/// A request of one user message.
pub(super) fn ask_model(model: &str, prompt: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": prompt}]})
}

/// The job that an answer belongs to, as the api tells of it.
pub(super) async fn job_of(client: &Client, answer: &Answer) -> Value {
    let id = answer.header("x-drover-job-id").expect("every answer of a job names it");
    client.get(&format!("/v1/jobs/{id}")).await.json()
}

/// One entry of `/v1/providers`.
pub(super) async fn provider(client: &Client, id: &str) -> Value {
    let list = client.get("/v1/providers").await.json();
    let all = list["data"].as_array().expect("a list");
    all.iter().find(|it| it["id"] == id).unwrap_or_else(|| panic!("{id} in {list}")).clone()
}
