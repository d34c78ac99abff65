//! The environment of a process; nothing is inherited.

use std::ffi::OsString;

use super::{Account, Slot, Upstream};
use crate::cli::Build;
use crate::schema::limits::{
    AGENT_BASH, AGENT_BASH_LONGEST, AGENT_COMPACT_WINDOW_TOKENS, AGENT_MCP_OUTPUT_TOKENS,
    CLI_UPSTREAM_PATIENCE,
};

/// What an agent process may, beyond a chat process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leave<'a> {
    /// The CLI runs as root, so that it skips permissions only if it is told to be in a sandbox.
    pub escape: bool,
    /// The address of the proxy through which what the agent starts may reach the network. The native CLI
    /// itself does not use it while its relay is a Unix socket.
    pub proxy: Option<&'a str>,
}

/// The whole environment of a chat process.
///
/// - Retries and fallbacks are off, because the relay owns them: a retry of the CLI's would repeat deltas.
/// - `CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS` also keeps the native build from asking again, twice, after a
///   400; with it every upstream failure is one request, but for a 404, which both builds ask once more
///   without streaming.
/// - The CLI's own time limits are longer than any job, so that the worker's timers alone decide. That
///   holds for native; JavaScript gives up after 300 s without a byte (node's fetch), so a relay that has
///   nothing to say has to send pings.
///
/// - JavaScript, every 5 minutes and when it exits, asks api.anthropic.com whether it may report metrics, with
///   its key, and no switch stops it. So on a port the relay is also its proxy: it sees a `CONNECT`, and no
///   name is looked up. (The proxy also spares the `HEAD /` that JavaScript begins with otherwise.) Native
///   was seen to connect to nothing but its relay.
///
/// A call upstream is `POST /v1/messages?beta=true` with the token as `x-api-key`; no build counts tokens.
pub fn environment(build: Build, slot: &Slot) -> Vec<(&'static str, OsString)> {
    let mut environment = base(build, slot);
    if let Upstream::Port(port) = slot.upstream {
        // Whatever else it would reach goes to the relay too, which refuses it.
        environment.push(("HTTPS_PROXY", format!("http://127.0.0.1:{port}").into()));
        environment.push(("NO_PROXY", "127.0.0.1".into()));
    }
    environment.extend(["IS_SANDBOX", "DISABLE_COMPACT"].map(|name| (name, "1".into())));
    environment
}

/// The whole environment of an agent process. What it starts, the agent's commands, inherits all of it, the
/// slot's token included.
///
/// # Calls upstream
///
/// With these switches an agent process makes no call but those of its conversation, one after another: no
/// titles, no counting of tokens, no small model. A call may be told by its body and headers:
/// - The main conversation has the built-in tools by name in `tools`, and no `x-claude-code-agent-id`. To it
///   belong the rounds that the CLI adds by itself: after `max_tokens` ("Resume directly …"), after an answer
///   without content, and after a tool it does not know.
/// - Compaction looks the same, its last text begins with "Do NOT call any tools". It is asked again once if
///   the answer has no `<summary>`. It happens when the usage that the upstream *reports* nears
///   `CLAUDE_CODE_AUTO_COMPACT_WINDOW`, so the relay has to report what the conversation really has.
/// - A subagent carries `x-claude-code-agent-id`, and a system prompt and conversation of its own.
/// - `WebSearch` asks with a `web_search_…` tool alone.
///
/// A failed call is not repeated: the turn ends with `api_error`, and the process stays usable.
///
/// In the first user message stand reminders as text blocks of their own, one of which names the placeholder:
/// "You are powered by the model named Sonnet 4.5. …"; the user's text is the last block.
pub fn agent_environment(build: Build, slot: &Slot, leave: Leave) -> Vec<(&'static str, OsString)> {
    let mut environment = base(build, slot);
    environment.extend([
        ("CLAUDE_CONFIG_DIR", slot.home.join(".claude").into()),
        ("BASH_DEFAULT_TIMEOUT_MS", AGENT_BASH.as_millis().to_string().into()),
        ("BASH_MAX_TIMEOUT_MS", AGENT_BASH_LONGEST.as_millis().to_string().into()),
        ("MAX_MCP_OUTPUT_TOKENS", AGENT_MCP_OUTPUT_TOKENS.to_string().into()),
        ("CLAUDE_CODE_AUTO_COMPACT_WINDOW", AGENT_COMPACT_WINDOW_TOKENS.to_string().into()),
        // A project's settings may set variables too: with this none of them moves the upstream or its key.
        ("CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST", "1".into()),
        // Notes for later sessions would be kept in the home, which does not outlive the slot.
        ("CLAUDE_CODE_DISABLE_AUTO_MEMORY", "1".into()),
        // Nobody is there to type a password.
        ("GIT_TERMINAL_PROMPT", "0".into()),
    ]);
    if build == Build::Native {
        // Else every tool result tells the model of a budget that does not exist.
        environment.push(("CLAUDE_CODE_TOTAL_TOKENS_REMINDER", "off".into()));
    }
    if leave.escape {
        environment.push(("IS_SANDBOX", "1".into()));
    }
    if leave.proxy.is_some() {
        // Unlike all others, node reads the variables below only if it is told to (since 22.21 and 24.5).
        environment.push(("NODE_USE_ENV_PROXY", "1".into()));
    }
    let relay = match slot.upstream {
        Upstream::Port(port) => Some(format!("http://127.0.0.1:{port}")),
        Upstream::UnixSocket(_) => None,
    };
    // Without leave, what JavaScript would reach beside its relay ends there, as in the chat class.
    if let Some(proxy) = leave.proxy.map(str::to_owned).or(relay) {
        environment.extend(PROXIES.map(|name| (name, proxy.clone().into())));
        environment.extend(["NO_PROXY", "no_proxy"].map(|name| (name, "127.0.0.1,localhost,::1".into())));
    }
    environment
}

/// In both spellings: curl reads `http_proxy` in small letters only, others read only capitals.
const PROXIES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];

/// What every process gets.
fn base(build: Build, slot: &Slot) -> Vec<(&'static str, OsString)> {
    let patience_ms = CLI_UPSTREAM_PATIENCE.as_millis().to_string();
    let credential = match slot.account {
        Account::Key => "ANTHROPIC_API_KEY",
        Account::Login => "CLAUDE_CODE_OAUTH_TOKEN",
    };
    let mut environment: Vec<(&'static str, OsString)> = vec![
        ("PATH", slot.path.into()),
        ("LANG", "C.UTF-8".into()),
        ("HOME", slot.home.into()),
        ("TMPDIR", slot.tmp.into()),
        ("CLAUDE_CODE_TMPDIR", slot.tmp.into()),
        (credential, slot.token.into()),
        ("API_TIMEOUT_MS", patience_ms.clone().into()),
        ("CLAUDE_STREAM_IDLE_TIMEOUT_MS", patience_ms.into()),
        ("CLAUDE_CODE_MAX_RETRIES", "0".into()),
        ("CLAUDE_CODE_ATTRIBUTION_HEADER", "0".into()),
    ];
    match slot.upstream {
        Upstream::UnixSocket(socket) => {
            environment.push(("ANTHROPIC_UNIX_SOCKET", socket.into()));
            environment.push(("ANTHROPIC_BASE_URL", "http://relay.invalid".into()));
        }
        Upstream::Port(port) => {
            environment.push(("ANTHROPIC_BASE_URL", format!("http://127.0.0.1:{port}").into()));
        }
    }
    let native: &[_] = if build == Build::Native { &NATIVE_SWITCHES } else { &[] };
    environment.extend(SWITCHES.iter().chain(native).map(|name| (*name, "1".into())));
    environment
}

/// Set to `1` for every process.
const SWITCHES: [&str; 9] = [
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
    "DISABLE_AUTOUPDATER",
    "DISABLE_TELEMETRY",
    "DISABLE_ERROR_REPORTING",
    "DO_NOT_TRACK",
    "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK",
    "CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS",
    "CLAUDE_CODE_DISABLE_CRON",
];

/// Set to `1` for the native build; JavaScript knows none of them.
const NATIVE_SWITCHES: [&str; 4] = [
    "CLAUDE_CODE_DISABLE_REFUSAL_RETRY",
    "CLAUDE_CODE_DISABLE_REFUSAL_FALLBACK",
    "CLAUDE_CODE_DISABLE_LEGACY_MODEL_REMAP",
    "CLAUDE_CODE_DISABLE_FILE_MENTIONS",
];
