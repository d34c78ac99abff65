//! How a process is started, and what is written to its standard input.

mod agent;
mod chat;
mod environment;
mod frames;

use std::path::Path;

pub use agent::{AGENT_TOOLS, AgentSetup, AgentStart, agent_arguments, possible_tools};
pub use chat::chat_arguments;
pub use environment::{Leave, agent_environment, environment};
pub use frames::{Claim, claim, initialize, initialize_agent, interrupt, placeholder, turn, user};

/// The model that a process believes to speak with; the relay puts the job's in its place. One of the 4.5
/// family, because newer ones make the CLI insert messages of its own when effort or model change.
pub const PLACEHOLDER_MODEL: &str = "claude-sonnet-4-5";
/// The system prompt that the relay replaces. Without one the CLI would send 28 kB of its own.
pub const PLACEHOLDER_SYSTEM: &str = "Relayed.";

/// Where a process lives. Both directories are its own.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    /// Its home.
    pub home: &'a Path,
    /// Where its temporary files go.
    pub tmp: &'a Path,
    /// The relay that this process speaks to.
    pub upstream: Upstream<'a>,
    /// What the relay knows the process by; stands where the key would. Never a provider's key.
    pub token: &'a str,
    /// As what the CLI shows it.
    pub account: Account,
    /// Where programs are found (node, for the JavaScript build).
    pub path: &'a str,
}

/// What the CLI believes to be paid for with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Account {
    /// An API key, sent as `x-api-key`.
    #[default]
    Key,
    /// Its own login, sent as `Authorization: Bearer` with the headers that belong to it.
    Login,
}

/// How a process reaches its relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream<'a> {
    /// A Unix socket; needs [`Feature::UnixSocketUpstream`](super::Feature).
    UnixSocket(&'a Path),
    /// A port of 127.0.0.1.
    Port(u16),
}

/// What every process is started with: frames in, frames out, and the model's words while it speaks.
const FRAMED: [&str; 7] = [
    "-p",
    "--input-format",
    "stream-json",
    "--output-format",
    "stream-json",
    // The CLI refuses stream-json output without it.
    "--verbose",
    "--include-partial-messages",
];

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::{env, fs};

    use serde_json::{Value, json};

    use super::*;
    use crate::cli::Build;
    use crate::schema::Permissions;
    use crate::schema::agent::SUBAGENTS;

    fn slot(upstream: Upstream<'_>) -> Slot<'_> {
        Slot {
            home: Path::new("/slot/home"),
            tmp: Path::new("/slot/tmp"),
            upstream,
            token: "slot-token",
            account: Account::Key,
            path: "/usr/bin:/bin",
        }
    }

    fn texts(arguments: Vec<OsString>) -> Vec<String> {
        arguments.into_iter().map(|argument| argument.into_string().expect("UTF-8")).collect()
    }

    fn pairs(environment: Vec<(&'static str, OsString)>) -> Vec<Value> {
        let pairs = environment.into_iter();
        pairs.map(|(name, value)| json!([name, value.into_string().expect("UTF-8")])).collect()
    }

    /// The invocation as `tests/record/` uses it, so that the recordings are made with what workers do.
    fn written() -> String {
        let leave = Leave { escape: true, proxy: None };
        let of = |build, upstream| {
            let tools: Vec<&str> = AGENT_TOOLS.into_iter().filter(|tool| *tool != SUBAGENTS).collect();
            let setup = AgentSetup { tools: &tools, permissions: Permissions::default(), servers: None };
            let agent = |start| texts(agent_arguments(build, &setup, start));
            json!({
                "chat": { "arguments": chat_arguments(Account::Key), "environment": pairs(environment(build, &slot(upstream))) },
                "agent": {
                    "spare": agent(AgentStart::Spare),
                    "cold": agent(AgentStart::Cold),
                    "resume": agent(AgentStart::Resume(Path::new("/slot/session.jsonl"))),
                    "environment": pairs(agent_environment(build, &slot(upstream), leave)),
                },
            })
        };
        let mut invocation = json!({
            "native": of(Build::Native, Upstream::UnixSocket(Path::new("/slot/relay.sock"))),
            "js": of(Build::JavaScript, Upstream::Port(9)),
        });
        invocation.sort_all_objects();
        format!("{invocation:#}\n")
    }

    #[test]
    fn recordings_are_made_with_what_workers_use() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/record/invocation.json");
        if env::var_os("DROVER_GOLDEN").is_some_and(|value| value == "write") {
            fs::write(&file, written()).expect("the invocation is written");
        }
        let recorded = fs::read_to_string(&file).expect("the invocation is there");
        assert_eq!(recorded, written(), "write it with DROVER_GOLDEN=write, then record again");
    }

    #[test]
    fn no_name_is_set_twice() {
        let leave = Leave { escape: true, proxy: Some("http://127.0.0.1:8") };
        for build in [Build::Native, Build::JavaScript] {
            let slot = slot(Upstream::Port(1));
            for environment in [environment(build, &slot), agent_environment(build, &slot, leave)] {
                let mut names: Vec<_> = environment.into_iter().map(|(name, _)| name).collect();
                let all = names.len();
                names.sort_unstable();
                names.dedup();
                assert_eq!(names.len(), all, "{build:?}");
            }
        }
    }

    #[test]
    fn an_agent_gets_a_proxy_and_the_escape_only_with_leave() {
        let upstream = Upstream::UnixSocket(Path::new("/slot/relay.sock"));
        let names = |leave| pairs(agent_environment(Build::Native, &slot(upstream), leave));
        let (without, with) =
            (names(Leave::default()), names(Leave { escape: true, proxy: Some("http://127.0.0.1:8") }));
        for name in ["IS_SANDBOX", "HTTP_PROXY", "https_proxy", "NO_PROXY", "NODE_USE_ENV_PROXY"] {
            let has = |pairs: &[Value]| pairs.iter().any(|pair| pair[0] == name);
            assert!(!has(&without) && has(&with), "{name}");
        }
    }
}
