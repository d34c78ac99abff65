//! What is written to a process: one JSON object per line.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::Build;

/// What a claimed spare learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The project's directory. The CLI uses (and mirrors) its real path.
    pub cwd: &'a Path,
    /// The client's system text, appended to the CLI's own prompt; empty for none.
    pub system: &'a str,
}

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
    control(request_id, &json!({ "subtype": "initialize" }))
}

/// The first frame of an agent process that starts in its project. The client's system text is appended to the
/// CLI's own prompt, whose last paragraph it becomes; empty for none. Through this frame, because an argument
/// would stand in the list of processes. A spare gets [`initialize`], and the text with its [`claim`].
pub fn initialize_agent(request_id: &str, system: &str) -> String {
    let mut request = json!({ "subtype": "initialize" });
    if !system.is_empty() {
        request["appendSystemPrompt"] = system.into();
    }
    control(request_id, &request)
}

/// Binds a spare to its project, once. May be written in one burst with the turn that follows.
///
/// Answered at once on a quiet machine, with the session's id. After a refusal the process is of no use for this
/// project: user frames end with `not_claimed`. The refusal's first word tells why: `cwd_not_found`,
/// `project_settings_not_claimable` (see [`agent_arguments`](super::agent_arguments)), `already_claimed`,
/// `not_a_spare` and others. The answer to all of them is a cold start in the project.
pub fn claim(request_id: &str, claim: &Claim) -> String {
    let mut request = json!({
        "subtype": "claim_session",
        "cwd": claim.cwd.to_string_lossy(),
        "permission_mode": "bypassPermissions",
    });
    if !claim.system.is_empty() {
        request["append_system_prompt"] = claim.system.into();
    }
    control(request_id, &request)
}

/// Ends the running turn: answered within 25 ms (native) or 70 ms (JavaScript), then the `result` follows, and
/// the process takes the next user frame. Closing standard input, in contrast, lets a running turn go on; an
/// idle process then exits, with 0, or with 1 if its last turn failed.
///
/// An agent's running command is killed (but for what it started in a session of its own). The conversation then
/// holds what was said, a result for the call that says it was stopped, and a user text "[Request interrupted
/// by user …]", which goes upstream with the next turn.
pub fn interrupt(request_id: &str) -> String {
    control(request_id, &json!({ "subtype": "interrupt" }))
}

/// Begins a turn. `client_composed` keeps the native build from reading commands and files out of the text;
/// JavaScript ignores it.
pub fn user(uuid: &str, text: &str) -> String {
    turn(Build::Native, uuid, &[text])
}

/// Begins a turn of several texts, all of them the client's own words. JavaScript looks for a command at the
/// beginning of the last one, so there a `/` gets a space in front of it; an `@file` it replaces by that file,
/// which the agent could read as well.
pub fn turn(build: Build, uuid: &str, texts: &[&str]) -> String {
    let last = texts.len().saturating_sub(1);
    let content: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(at, text)| {
            let command = build == Build::JavaScript && at == last && text.starts_with('/');
            json!({ "type": "text", "text": if command { format!(" {text}") } else { (*text).to_owned() } })
        })
        .collect();
    frame(&json!({
        "type": "user",
        "uuid": uuid,
        "client_composed": true,
        "parent_tool_use_id": null,
        "message": { "role": "user", "content": content },
    }))
}

fn control(request_id: &str, request: &Value) -> String {
    frame(&json!({ "type": "control_request", "request_id": request_id, "request": request }))
}

fn frame(value: &Value) -> String {
    format!("{value}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_line() {
        let claimed = Claim { cwd: Path::new("/slot/a b"), system: "Be\nbrief." };
        for frame in [
            initialize("a"),
            initialize_agent("a", "one\ntwo"),
            interrupt("b"),
            claim("d", &claimed),
            user("c", "one\ntwo\u{2028}\"three\"\r"),
        ] {
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

    #[test]
    fn without_a_system_text_the_prompt_of_the_cli_stands() {
        assert_eq!(initialize_agent("a", ""), initialize("a"));
        let claimed = Claim { cwd: Path::new("/p"), system: "" };
        assert!(!claim("a", &claimed).contains("system"), "{}", claim("a", &claimed));
    }

    #[test]
    fn only_javascript_gets_a_space_before_a_command() {
        let texts = |build| {
            let frame: Value = serde_json::from_str(&turn(build, "u", &["/a", "/b"])).expect("JSON");
            [0, 1].map(|at| frame["message"]["content"][at]["text"].as_str().expect("a text").to_owned())
        };
        assert_eq!(texts(Build::Native), ["/a", "/b"]);
        assert_eq!(texts(Build::JavaScript), ["/a", " /b"]);
    }
}
