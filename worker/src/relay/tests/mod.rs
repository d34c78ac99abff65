//! The relay between a provider and a CLI that are both the test's.

mod agents;
mod cli;
mod failing;
mod failover;
mod gating;
mod leaving;
mod peers;
mod priming;
mod provider;
mod real_cli;
mod session;
mod streaming;
mod succession;
mod tools;

use std::sync::Arc;
use std::time::Duration;

use drover_shared::schema::{
    AgentOptions, AgentSpec, JobId, JobSpec, Owner, Part, ProjectId, Role, Sampling, SessionId, Turn,
};
use tempfile::TempDir;
use uuid::Uuid;

use super::{Allowance, Bound, Relay, Upstream};

/// What the CLI was given in place of the conversation.
const PLACEHOLDER: &str = "drover-1";

/// What the worker of these tests lets a job use up.
const ALLOWANCE: Allowance = Allowance { turns: 100, budget_microusd: None };

/// A relay on a socket in a folder of its own.
fn relay(upstream: Arc<Upstream>) -> (TempDir, Relay) {
    let folder = TempDir::new().expect("a folder");
    let relay = Relay::unix(&folder.path().join("relay.sock"), None, upstream).expect("a relay");
    relay.admit(std::process::id().cast_signed());
    (folder, relay)
}

fn bound(model: &str) -> Bound {
    let parts = vec![Part::Text { text: "What is a ferry?".to_owned() }];
    let spec = JobSpec {
        model: model.to_owned(),
        system: "Be brief.".to_owned(),
        turns: vec![Turn { role: Role::User, parts }],
        sampling: Sampling { temperature: Some(0.5), ..Sampling::default() },
        ..JobSpec::default()
    };
    Bound {
        job: JobId::from_uuid(Uuid::now_v7()),
        attempt: 1,
        owner: Owner::anonymous(),
        spec: Arc::new(spec),
        placeholder: PLACEHOLDER.to_owned(),
        allowance: ALLOWANCE,
        calls: Arc::default(),
    }
}

/// The job of most tests.
pub(super) fn job() -> Bound {
    bound("claude-opus-5-5")
}

/// An agent's job with such limits.
pub(super) fn agent(max_turns: Option<u32>, budget_microusd: Option<u64>) -> Bound {
    let mut bound = job();
    let session = SessionId::from_uuid(Uuid::now_v7());
    let project = ProjectId::from_uuid(Uuid::now_v7());
    let options = AgentOptions { max_turns, budget_microusd, ..AgentOptions::default() };
    let agent = AgentSpec { session, project, network: vec![], options };
    Arc::make_mut(&mut bound.spec).agent = Some(agent);
    bound
}

/// What comes of it before the deadline that all waiting here has.
async fn soon<T>(it: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), it).await.expect("within the deadline")
}
