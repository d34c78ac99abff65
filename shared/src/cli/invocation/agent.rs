//! The command line of the agent class.

use std::ffi::OsString;
use std::path::Path;

use super::{FRAMED, PLACEHOLDER_MODEL};
use crate::cli::Build;
use crate::schema::Permissions;
use crate::schema::agent::SUBAGENTS;

/// The tools that agents may be given unless the operator says otherwise, by the CLI's names. All of them work on
/// files and processes of the slot and call nobody, but for `Agent`: subagents call the model beside the main one,
/// so nobody gets them who has not asked.
pub const AGENT_TOOLS: [&str; 8] =
    ["Bash", "Read", "Edit", "Write", "Glob", "Grep", "NotebookEdit", SUBAGENTS];

/// What else an operator may allow: the list of things to do that the model keeps for itself, which each build has
/// in its own form.
const LISTS: [(Build, &[&str]); 2] = [
    (Build::Native, &["TaskCreate", "TaskGet", "TaskList", "TaskUpdate"]),
    (Build::JavaScript, &["TodoWrite"]),
];

/// The built-in tools of a build that work in a slot and without a person. Left out are `WebSearch` (a side call
/// that only Anthropic's own servers answer), `WebFetch` (asks api.anthropic.com about the domain first), and what
/// asks a person, moves the working directory, waits for a time of day or speaks with other processes.
pub fn possible_tools(build: Build) -> Vec<&'static str> {
    let lists = LISTS.iter().filter(|(its, _)| *its == build).flat_map(|(_, tools)| *tools);
    AGENT_TOOLS.iter().chain(lists).copied().collect()
}

/// What an agent process can do from its start to its end.
#[derive(Clone, Copy, Debug)]
pub struct AgentSetup<'a> {
    /// The built-in tools that the model is offered.
    pub tools: &'a [&'a str],
    /// What it may do with them.
    pub permissions: Permissions,
    /// The MCP servers whose tools it has, and the file that tells how to start them: see
    /// [`McpServers::config`](crate::cli::McpServers::config).
    pub servers: Option<(&'a [String], &'a Path)>,
}

/// Set on every agent process: without it each commit would be signed by the placeholder model.
const SETTINGS: &str = r#"{"attribution":{"commit":"","pr":""}}"#;

/// How an agent process begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentStart<'a> {
    /// As a spare in an empty directory, which learns of its project by [`claim`](super::claim). Needs
    /// [`Feature::AwaitClaim`](crate::cli::Feature); claimed, it says its first word in half the time of a
    /// cold start.
    Spare,
    /// In its project, with a new session.
    Cold,
    /// In its project, with the session of this file: absolute, and named `<session id>.jsonl`. Under any
    /// other name the CLI copies it, and mirrors every old entry again.
    Resume(&'a Path),
}

/// The arguments of an agent process (after `cli.js` for JavaScript).
///
/// - The working directory is the project, or an empty directory for a spare. `--setting-sources project` is
///   what makes the CLI send the project's CLAUDE.md; it also runs the project's hooks, inside the slot's walls.
///   Settings that a spare cannot take up late (`env`, `model`, `agent`, `apiKeyHelper`,
///   `permissions.disableBypassPermissionsMode`) make a claim fail with `project_settings_not_claimable`. The
///   answer is a cold start, never a change of the project's files: it keeps the model that stands here, and
///   [`agent_environment`](super::agent_environment) keeps it to its relay.
/// - Nothing is asked of anybody: what the CLI would ask about fails with a result that says so. Rules of the
///   project's settings hold in every mode: what they deny fails too, as does an `rm` of a system directory. The
///   flag that skips permissions outdoes the mode, so a process whose mode is another must do without the flag.
/// - `--session-mirror` says on standard output what the session's file gets, which is how a session moves to
///   another worker.
/// - The system prompt is not kept in the session (native; JavaScript never does): a resumed session uses that of
///   the job at hand, and does not carry 15 kB per change of it.
/// - As root, permissions can be skipped only with the escape, see
///   [`agent_environment`](super::agent_environment).
///
/// The placeholder is of the 4.5 family here too: newer models, and all names that the CLI does not know, make
/// it put `role: system` messages between the turns, which only Anthropic accepts. The price is a longer system
/// prompt (15 kB) and longer descriptions of tools (22 kB).
pub fn agent_arguments(build: Build, setup: &AgentSetup, start: AgentStart) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = FRAMED.iter().map(Into::into).collect();
    arguments.extend(["--tools".into(), setup.tools.join(",").into()]);
    arguments.extend(["--model", PLACEHOLDER_MODEL, "--strict-mcp-config"].map(Into::into));
    arguments.extend(["--setting-sources", "project", "--settings", SETTINGS].map(Into::into));
    arguments.extend(["--disable-slash-commands", "--session-mirror"].map(Into::into));
    if build == Build::Native {
        arguments.extend(["--system-prompt-snapshot", "off"].map(Into::into));
    }
    if let Some((servers, file)) = setup.servers {
        arguments.extend(["--mcp-config".into(), file.into()]);
        // Elsewhere they are either not asked about, or not to be used.
        if matches!(setup.permissions, Permissions::AcceptEdits | Permissions::DontAsk) {
            let all: Vec<String> = servers.iter().map(|name| format!("mcp__{name}")).collect();
            arguments.extend(["--allowedTools".into(), all.join(",").into()]);
        }
    }
    match (start, setup.permissions) {
        // The claim then chooses the mode, but may choose only what was allowed here.
        (AgentStart::Spare, _) => {
            arguments.extend(["--await-claim", "--allow-dangerously-skip-permissions"].map(Into::into));
        }
        (_, Permissions::BypassPermissions) => arguments.push("--dangerously-skip-permissions".into()),
        (_, mode) => arguments.extend(["--permission-mode", mode.as_str()].map(Into::into)),
    }
    if let AgentStart::Resume(file) = start {
        arguments.extend(["--resume".into(), file.into()]);
    }
    arguments
}
