//! Processes of the agent class: spares that learn of their project late, and those that start in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use drover_shared::cli::invocation::{self, AgentSetup, AgentStart, Leave};
use drover_shared::cli::{Line, Transcript, activity};
use drover_shared::provider::tool::ToolCall;
use drover_shared::schema::agent::SUBAGENTS;
use drover_shared::schema::{AgentOptions, AgentSpec, AgentsOffer, Part, limits};
use drover_shared::store::Claim;
use drover_shared::workspace::Tree;
use tokio::task;
use tokio::time::sleep;
use uuid::Uuid;

use super::launch::{Command, Ground};
use super::{Parts, Stage, StageError, told};
use crate::egress::{Egress, Internet};
use crate::install::RootMode;
use crate::relay::Binding;
use crate::slot::{SlotDir, Workspace, WorkspaceError};

/// What an agent process has besides.
#[derive(Default)]
pub(super) struct Agent {
    /// The project it works in; none while it is a spare.
    pub(super) workspace: Option<Workspace>,
    /// Its way to the network, if it has one.
    pub(super) _egress: Option<Egress>,
    /// What it has added to the session's transcript and nobody has taken yet.
    mirror: Vec<String>,
    mirror_bytes: usize,
    /// The binding of the job whose turn went with the claim.
    begun: Option<Binding>,
}

impl Agent {
    /// Adds to the transcript, up to the entry with which it is more than a transcript may hold: that one tells
    /// the store that it is not whole. An agent's commands can write to the CLI's output, without end.
    pub(super) fn mirrored(&mut self, entries: Vec<String>) {
        for entry in entries {
            if self.mirror_bytes <= limits::TRANSCRIPT_BYTES {
                self.mirror_bytes += entry.len();
                self.mirror.push(entry);
            }
        }
    }
}

impl Stage {
    /// Starts an agent process that waits, in an empty directory, to be claimed.
    pub async fn open_spare_agent(parts: &Parts) -> Result<Self, StageError> {
        let ground = Ground::prepare(parts)?;
        let usual = AgentOptions::default();
        let tools = tools(&parts.agents, &usual);
        let setup = AgentSetup { tools: &tools, permissions: usual.permissions, servers: None };
        let arguments = invocation::agent_arguments(parts.claude.build, &setup, AgentStart::Spare);
        let environment = ground.with_slot(parts, |slot| {
            invocation::agent_environment(parts.claude.build, slot, leave(parts, None))
        });
        let directory = ground.dir.work();
        let command = Command { arguments, environment, directory: &directory, proxy: None };
        let mut stage = Self::start(parts, ground, command, Some(Agent::default())).await?;
        let id = Uuid::new_v4().to_string();
        stage.write(&invocation::initialize(&id)).await;
        let ready = tokio::time::timeout(limits::CLI_READY, stage.granted(&id)).await;
        if matches!(ready, Ok(Ok(()))) {
            return Ok(stage);
        }
        stage.strike().await;
        Err(StageError::new("the Claude CLI did not get ready"))
    }

    /// Starts an agent process in the project, with what `transcript` tells of the session.
    pub async fn open_agent(parts: &Parts, claim: &Claim, transcript: &[String]) -> Result<Self, StageError> {
        let spec = agent(claim)?;
        let ground = Ground::prepare(parts)?;
        let workspace = enter(parts, spec, &ground.dir).await?;
        let egress = egress(spec)?;
        let file = Transcript::resumable(transcript, workspace.path())
            .map(|transcript| write_transcript(&ground.dir, &transcript))
            .transpose()
            .map_err(|error| told("the session's transcript cannot be written", &error))?;
        let start = file.as_deref().map_or(AgentStart::Cold, AgentStart::Resume);
        let tools = tools(&parts.agents, &spec.options);
        let servers = &spec.options.mcp_servers;
        let config = write_servers(parts, &ground, servers)
            .map_err(|error| told("the MCP servers' configuration cannot be written", &error))?;
        let setup = AgentSetup {
            tools: &tools,
            permissions: spec.options.permissions,
            servers: config.as_deref().map(|config| (servers.as_slice(), config)),
        };
        let arguments = invocation::agent_arguments(parts.claude.build, &setup, start);
        let proxy = egress.as_ref().map(Egress::proxy_url);
        let leave = leave(parts, proxy.as_ref().map(drover_shared::secret::Secret::expose));
        let environment =
            ground.with_slot(parts, |slot| invocation::agent_environment(parts.claude.build, slot, leave));
        let directory = workspace.path().to_owned();
        let proxy = egress.as_ref().map(Egress::port);
        let command = Command { arguments, environment, directory: &directory, proxy };
        let agent = Agent { workspace: Some(workspace), _egress: egress, ..Agent::default() };
        let mut stage = Self::start(parts, ground, command, Some(agent)).await?;
        stage.decoder.works_in(directory.as_path());
        stage.write(&invocation::initialize_agent(&Uuid::new_v4().to_string(), &claim.spec.system)).await;
        Ok(stage)
    }

    /// Binds a spare to the job's project and gives it the job's turn, in one burst: to wait for the answer
    /// between the two would cost the job's first word a tenth of its time. `false` where the CLI refuses: the
    /// process is of no use then.
    pub async fn claim(&mut self, parts: &Parts, claim: &Claim) -> Result<bool, StageError> {
        let spec = agent(claim)?;
        let workspace = enter(parts, spec, &self.dir).await?;
        let id = Uuid::new_v4().to_string();
        let told = invocation::Claim { cwd: workspace.path(), system: &claim.spec.system };
        let frame = invocation::claim(&id, &told);
        self.decoder.works_in(workspace.path());
        self.agent.get_or_insert_default().workspace = Some(workspace);
        let binding = self.begin_turn(parts, claim, &frame).await;
        self.agent.get_or_insert_default().begun = Some(binding);
        match tokio::time::timeout(limits::CLI_READY, self.granted(&id)).await {
            Ok(Ok(())) => Ok(true),
            // As where the project's settings say what a spare cannot take up any more.
            Ok(Err(_)) | Err(_) => Ok(false),
        }
    }

    /// Gives an agent process its session's next turn, unless it has got it with its claim.
    pub async fn begin_agent(&mut self, parts: &Parts, claim: &Claim) -> Binding {
        match self.agent.as_mut().and_then(|agent| agent.begun.take()) {
            Some(begun) => begun,
            None => self.begin_turn(parts, claim, "").await,
        }
    }

    /// Binds the job and writes its turn, after `frames`.
    async fn begin_turn(&mut self, parts: &Parts, claim: &Claim, frames: &str) -> Binding {
        let binding = self.bind(claim, String::new(), parts.allowance, Arc::default());
        let last = claim.spec.turns.last();
        let texts = last.into_iter().flat_map(|turn| &turn.parts).filter_map(Part::text);
        let texts: Vec<&str> = texts.collect();
        self.turn = super::Turn::Asked;
        let turn = invocation::turn(parts.claude.build, &Uuid::new_v4().to_string(), &texts);
        self.write(&format!("{frames}{turn}")).await;
        binding
    }

    /// The files of the project that the process works in.
    pub fn workspace(&self) -> Option<Tree> {
        let workspace = self.agent.as_ref()?.workspace.as_ref()?;
        workspace
            .tree()
            .inspect_err(|error| tracing::warn!(%error, "a project's files cannot be looked at"))
            .ok()
    }

    /// What a tool is about to do, for people.
    pub fn title_of(&self, call: &ToolCall) -> Option<String> {
        let workspace = self.agent.as_ref().and_then(|agent| agent.workspace.as_ref());
        let root = workspace.map(|workspace| workspace.path().to_string_lossy());
        activity::title(&call.name, &call.input, root.as_deref())
    }

    /// What the process has added to the session's transcript since this was last asked.
    pub fn take_mirror(&mut self) -> Vec<String> {
        let Some(agent) = &mut self.agent else { return Vec::new() };
        agent.mirror_bytes = 0;
        std::mem::take(&mut agent.mirror)
    }

    /// Waits for the answer to a control request; the refusal, or nothing at the end of the output, is an error.
    async fn granted(&mut self, id: &str) -> Result<(), Option<String>> {
        loop {
            match self.hear().await {
                Ok(Some(Line::Control { request_id, error, .. })) if request_id == id => {
                    return error.map_or(Ok(()), |error| Err(Some(error)));
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Err(None),
            }
        }
    }
}

fn agent(claim: &Claim) -> Result<&AgentSpec, StageError> {
    claim.spec.agent.as_ref().ok_or_else(|| StageError::new("the job is none of an agent's"))
}

/// The built-in tools that the model is offered.
fn tools<'a>(offer: &'a AgentsOffer, options: &'a AgentOptions) -> Vec<&'a str> {
    let mut tools: Vec<&str> = match options.tools.as_slice() {
        [] => offer.usual_tools().collect(),
        some => some.iter().map(String::as_str).collect(),
    };
    tools.extend(options.subagents.then_some(SUBAGENTS));
    tools
}

fn leave<'a>(parts: &Parts, proxy: Option<&'a str>) -> Leave<'a> {
    Leave { escape: parts.claude.root == Ok(RootMode::Env), proxy }
}

/// The way to the hosts that the job may reach, if there are any.
fn egress(spec: &AgentSpec) -> Result<Option<Egress>, StageError> {
    let open = || Egress::open(spec.network.clone(), Arc::new(Internet));
    let egress = (!spec.network.is_empty()).then(open).transpose();
    egress.map_err(|error| told("no proxy for the slot", &error))
}

/// Moves the project's files into the slot: a rename and, where slots have users of their own, a walk. Waits for
/// a slot that is just being struck to give them back, which would else cost the job an attempt.
async fn enter(parts: &Parts, spec: &AgentSpec, dir: &SlotDir) -> Result<Workspace, StageError> {
    let user = dir.user().map(|user| (user.uid, user.gid));
    let patience = Instant::now() + limits::PROJECT_PATIENCE;
    loop {
        match task::block_in_place(|| parts.workspaces.enter(spec.project, dir, user)) {
            Err(WorkspaceError::Busy) if Instant::now() < patience => sleep(limits::PROJECT_RETRY).await,
            entered => return entered.map_err(|error| told("the project's files cannot be had", &error)),
        }
    }
}

/// The file that tells the CLI how to start these servers, if there are any, and beside it one for each with its
/// variables. They are as secret as the slot: what runs there can read them, as it could read them from the servers.
fn write_servers(parts: &Parts, ground: &Ground, names: &[String]) -> std::io::Result<Option<PathBuf>> {
    if names.is_empty() {
        return Ok(None);
    }
    let (home, tmp) = (ground.dir.home(), ground.dir.tmp());
    let own = |name: &str| tmp.join(format!("mcp-{name}"));
    for name in names {
        ground.dir.write(&own(name), &parts.mcp.variables(name))?;
    }
    let path = ground.with_slot(parts, |slot| PathBuf::from(slot.path));
    let base = [("PATH", path.as_path()), ("HOME", &home), ("TMPDIR", &tmp), ("LANG", Path::new("C.UTF-8"))];
    let file = tmp.join("mcp.json");
    ground.dir.write(&file, &parts.mcp.config(names, &base, own))?;
    Ok(Some(file))
}

/// The file that the CLI resumes from, in the slot's own directory for temporary files.
fn write_transcript(dir: &SlotDir, transcript: &Transcript) -> std::io::Result<std::path::PathBuf> {
    let file = dir.tmp().join(format!("{}.jsonl", transcript.session_id));
    std::fs::write(&file, &transcript.bytes)?;
    dir.give(&file)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_without_end_is_kept_up_to_what_the_store_refuses() {
        let mut agent = Agent::default();
        let entry = "x".repeat(limits::TRANSCRIPT_BYTES / 4);
        for _ in 0..9 {
            agent.mirrored(vec![entry.clone()]);
        }
        assert_eq!(agent.mirror.len(), 5, "one more than fits");
    }
}
