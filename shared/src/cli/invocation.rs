//! How a process of the chat class is started, and what is written to its standard input.

use std::ffi::OsString;
use std::path::Path;

use serde_json::{Value, json};

use super::build::Build;
use crate::schema::limits::CLI_UPSTREAM_PATIENCE;

/// The model that a chat process believes to speak with; the relay puts the job's in its place. One of the 4.5
/// family, because newer ones make the CLI insert messages of its own when effort or model change.
pub const PLACEHOLDER_MODEL: &str = "claude-sonnet-4-5";
/// The system prompt that the relay replaces. Without one the CLI would send 28 kB of its own.
pub const PLACEHOLDER_SYSTEM: &str = "Relayed.";

/// Where a process lives. Both directories are its own, and so is its working directory.
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
    /// Where programs are found (node, for the JavaScript build).
    pub path: &'a str,
}

/// How a process reaches its relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream<'a> {
    /// A Unix socket; needs [`Feature::UnixSocketUpstream`](super::Feature).
    UnixSocket(&'a Path),
    /// A port of 127.0.0.1.
    Port(u16),
}

/// The arguments of a chat process, the same for both builds (after `cli.js` for JavaScript).
///
/// Without tools there is nothing to permit, so no permission flag is needed, nor the escape for root. With
/// these the whole upstream body is below 1 kB; without `--tools` it has 4 kB (native) or 17 kB of tools.
pub fn chat_arguments() -> Vec<&'static str> {
    vec![
        "-p",
        "--input-format",
        "stream-json",
        "--output-format",
        "stream-json",
        // The CLI refuses stream-json output without it.
        "--verbose",
        "--include-partial-messages",
        // No hooks, memory files, reminders or file mentions.
        "--bare",
        "--tools",
        "",
        "--model",
        PLACEHOLDER_MODEL,
        "--system-prompt",
        PLACEHOLDER_SYSTEM,
        "--strict-mcp-config",
        "--setting-sources",
        "",
        "--disable-slash-commands",
        "--no-session-persistence",
    ]
}

/// The whole environment of a chat process; nothing is inherited.
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
    let patience_ms = CLI_UPSTREAM_PATIENCE.as_millis().to_string();
    let mut environment: Vec<(&'static str, OsString)> = vec![
        ("PATH", slot.path.into()),
        ("LANG", "C.UTF-8".into()),
        ("HOME", slot.home.into()),
        ("TMPDIR", slot.tmp.into()),
        ("CLAUDE_CODE_TMPDIR", slot.tmp.into()),
        ("ANTHROPIC_API_KEY", slot.token.into()),
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
            let relay = format!("http://127.0.0.1:{port}");
            environment.push(("ANTHROPIC_BASE_URL", relay.clone().into()));
            // Whatever else it would reach goes to the relay too, which refuses it.
            environment.push(("HTTPS_PROXY", relay.into()));
            environment.push(("NO_PROXY", "127.0.0.1".into()));
        }
    }
    let native: &[_] = if build == Build::Native { &NATIVE_SWITCHES } else { &[] };
    environment.extend(SWITCHES.iter().chain(native).map(|name| (*name, "1".into())));
    environment
}

/// Set to `1` for every process.
const SWITCHES: [&str; 11] = [
    "IS_SANDBOX",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
    "DISABLE_AUTOUPDATER",
    "DISABLE_TELEMETRY",
    "DISABLE_ERROR_REPORTING",
    "DO_NOT_TRACK",
    "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK",
    "CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS",
    "CLAUDE_CODE_DISABLE_CRON",
    "DISABLE_COMPACT",
];

/// Set to `1` for the native build; JavaScript knows none of them.
const NATIVE_SWITCHES: [&str; 4] = [
    "CLAUDE_CODE_DISABLE_REFUSAL_RETRY",
    "CLAUDE_CODE_DISABLE_REFUSAL_FALLBACK",
    "CLAUDE_CODE_DISABLE_LEGACY_MODEL_REMAP",
    "CLAUDE_CODE_DISABLE_FILE_MENTIONS",
];

/// The text of a user frame that stands for a job's conversation; `nonce` is letters, digits and dashes, and
/// differs from job to job. It begins with a letter, since JavaScript takes a leading `/` for a command and
/// never calls upstream.
///
/// In the upstream body it is a text block of the last user message, not wrapped. What the process said before
/// stands in front of it: earlier turns, in JavaScript a reminder of the date as the first block, and, in the
/// same message, the text of a turn that failed or was interrupted. Such merged texts get a newline at their
/// end, so the relay looks for a block that *begins* with the placeholder.
pub fn placeholder(nonce: &str) -> String {
    format!("Relayed conversation {nonce}")
}

/// The first frame; the process is ready when it answers.
pub fn initialize(request_id: &str) -> String {
    control(request_id, "initialize")
}

/// Ends the running turn: answered within 25 ms (native) or 70 ms (JavaScript), then the `result` follows, and
/// the process takes the next user frame. Closing standard input, in contrast, lets a running turn go on; an
/// idle process then exits, with 0, or with 1 if its last turn failed.
pub fn interrupt(request_id: &str) -> String {
    control(request_id, "interrupt")
}

/// Begins a turn. `client_composed` keeps the native build from reading commands and files out of the text;
/// JavaScript ignores it.
pub fn user(uuid: &str, text: &str) -> String {
    frame(&json!({
        "type": "user",
        "uuid": uuid,
        "client_composed": true,
        "parent_tool_use_id": null,
        "message": { "role": "user", "content": [{ "type": "text", "text": text }] },
    }))
}

fn control(request_id: &str, subtype: &str) -> String {
    frame(&json!({ "type": "control_request", "request_id": request_id, "request": { "subtype": subtype } }))
}

fn frame(value: &Value) -> String {
    format!("{value}\n")
}

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use super::*;

    /// The invocation as `tests/record/` uses it, so that the recordings are made with what workers do.
    fn written() -> String {
        let slot = |upstream| Slot {
            home: Path::new("/slot/home"),
            tmp: Path::new("/slot/tmp"),
            upstream,
            token: "slot-token",
            path: "/usr/bin:/bin",
        };
        let pairs = |build, upstream| -> Vec<Value> {
            let pairs = environment(build, &slot(upstream));
            pairs
                .into_iter()
                .map(|(name, value)| json!([name, value.into_string().expect("UTF-8")]))
                .collect()
        };
        let invocation = json!({
            "arguments": chat_arguments(),
            "native": pairs(Build::Native, Upstream::UnixSocket(Path::new("/slot/relay.sock"))),
            "js": pairs(Build::JavaScript, Upstream::Port(9)),
        });
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
        let slot = Slot {
            home: Path::new("/s"),
            tmp: Path::new("/s"),
            upstream: Upstream::Port(1),
            token: "t",
            path: "",
        };
        let mut names: Vec<_> = environment(Build::Native, &slot).into_iter().map(|(name, _)| name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn a_frame_is_one_line() {
        for frame in [initialize("a"), interrupt("b"), user("c", "one\ntwo\u{2028}\"three\"\r")] {
            assert_eq!(frame.find('\n'), Some(frame.len() - 1), "{frame}");
            assert!(serde_json::from_str::<Value>(&frame).expect("JSON").is_object());
        }
    }

    #[test]
    fn a_placeholder_is_no_command_and_no_file() {
        let text = placeholder("01J-9");
        assert!(text.starts_with(|first: char| first.is_ascii_alphabetic()), "{text}");
        assert!(!text.contains(['/', '@', '!', '#', '\n']), "{text}");
        assert_eq!(text.trim(), text);
    }
}
