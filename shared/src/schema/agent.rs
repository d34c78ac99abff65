//! What an agent may do, and what the workers let any agent do.

use serde::{Deserialize, Serialize};

/// What follows a model's name where the name alone asks for an agent.
pub const AGENT_SUFFIX: &str = ":agent";
/// The tool by which an agent hands a part of its work to another, by the CLI's name.
pub const SUBAGENTS: &str = "Agent";

/// What an agent may do, as far as its client says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentOptions {
    /// The built-in tools that the model is offered, by the CLI's names; empty for all that the worker gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// Whether it may hand parts of its work to subagents.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub subagents: bool,
    /// What it may do without asking, which is all that it may do: there is nobody to ask.
    #[serde(default, skip_serializing_if = "Permissions::is_usual")]
    pub permissions: Permissions,
    /// The operator's MCP servers whose tools it has, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mcp_servers: Vec<String>,
    /// Most calls to the model; `None` leaves it to the worker's own limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// Most it may cost, in millionths of a US dollar; `None` leaves it to the worker's own limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_microusd: Option<u64>,
}

impl AgentOptions {
    /// Whether a process that was started for these serves those too. Turns and budget are the relay's to enforce.
    pub fn same_process(&self, other: &Self) -> bool {
        let process = |it: &Self| Self { max_turns: None, budget_microusd: None, ..it.clone() };
        process(self) == process(other)
    }

    /// Whether a process that was started for nobody in particular serves these.
    pub fn are_usual(&self) -> bool {
        self.same_process(&Self::default())
    }
}

/// What an agent may do with its tools, by the names that Claude Code has for it. Modes in which somebody is asked
/// are not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Permissions {
    /// All that the walls of its slot allow.
    #[default]
    BypassPermissions,
    /// Read, and change the project's files, but run no commands beyond those that do no more than that.
    AcceptEdits,
    /// Read, and write nothing in the project.
    Plan,
    /// Read, and what the project's own settings allow.
    DontAsk,
}

impl Permissions {
    /// All of them, in the order in which documents list them.
    pub const ALL: [Self; 4] = [Self::BypassPermissions, Self::AcceptEdits, Self::Plan, Self::DontAsk];

    /// The name, on the wire and for the CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BypassPermissions => "bypassPermissions",
            Self::AcceptEdits => "acceptEdits",
            Self::Plan => "plan",
            Self::DontAsk => "dontAsk",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it so")]
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// What a worker lets agents do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentsOffer {
    /// The built-in tools that they may be given, by the CLI's names.
    pub tools: Vec<String>,
    /// The MCP servers that the operator has configured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mcp_servers: Vec<McpServer>,
}

/// An MCP server, as far as clients may know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpServer {
    /// By which jobs ask for it.
    pub name: String,
    /// Whether jobs have it that do not say which they want.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
}

impl AgentsOffer {
    /// The tools that an agent is offered whose client names none.
    pub fn usual_tools(&self) -> impl Iterator<Item = &str> {
        self.tools.iter().map(String::as_str).filter(|tool| *tool != SUBAGENTS)
    }

    /// Whether agents may have subagents.
    pub fn subagents(&self) -> bool {
        self.tools.iter().any(|tool| tool == SUBAGENTS)
    }

    /// What of these options an agent cannot have, in words; `None` where it can have all.
    pub fn lacks(&self, options: &AgentOptions) -> Option<String> {
        if options.subagents && !self.subagents() {
            return Some("subagents".to_owned());
        }
        let tool = options.tools.iter().find(|tool| !self.usual_tools().any(|given| given == *tool));
        let server = || options.mcp_servers.iter().find(|name| self.server(name).is_none());
        tool.map(|tool| format!("the tool {tool}"))
            .or_else(|| server().map(|name| format!("the MCP server {name}")))
    }

    /// The server of that name.
    pub fn server(&self, name: &str) -> Option<&McpServer> {
        self.mcp_servers.iter().find(|server| server.name == name)
    }

    /// What both let agents do.
    #[must_use]
    pub fn common(mut self, other: &Self) -> Self {
        self.tools.retain(|tool| other.tools.contains(tool));
        self.mcp_servers.retain_mut(|server| {
            let theirs = other.mcp_servers.iter().find(|theirs| theirs.name == server.name);
            server.default &= theirs.is_some_and(|theirs| theirs.default);
            theirs.is_some()
        });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_has_from_its_start_tells_processes_apart() {
        let usual = AgentOptions { max_turns: Some(1), budget_microusd: Some(1), ..AgentOptions::default() };
        assert!(usual.are_usual());
        for other in [
            AgentOptions { tools: vec!["Read".to_owned()], ..AgentOptions::default() },
            AgentOptions { subagents: true, ..AgentOptions::default() },
            AgentOptions { permissions: Permissions::Plan, ..AgentOptions::default() },
            AgentOptions { mcp_servers: vec!["notes".to_owned()], ..AgentOptions::default() },
        ] {
            assert!(!other.are_usual() && other.same_process(&other.clone()), "{other:?}");
        }
    }

    #[test]
    fn permissions_are_named_as_they_are_stored() {
        for permissions in Permissions::ALL {
            let stored = serde_json::to_value(permissions).expect("JSON");
            assert_eq!(stored, permissions.as_str());
        }
    }

    #[test]
    fn several_workers_let_agents_do_what_each_of_them_does() {
        let offer = |tools: &[&str], servers: &[(&str, bool)]| AgentsOffer {
            tools: tools.iter().map(ToString::to_string).collect(),
            mcp_servers: servers
                .iter()
                .map(|(name, default)| McpServer { name: (*name).to_owned(), default: *default })
                .collect(),
        };
        let one = offer(&["Bash", "Read", SUBAGENTS], &[("notes", true), ("tickets", false)]);
        let other = offer(&["Read", "Bash"], &[("notes", false)]);
        assert_eq!(one.clone().common(&other), offer(&["Bash", "Read"], &[("notes", false)]));
        assert!(one.subagents() && !other.subagents());
        assert_eq!(one.usual_tools().collect::<Vec<_>>(), ["Bash", "Read"]);
    }
}
