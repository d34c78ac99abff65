//! The lines that the CLI prints, as recorded from the real one.

use serde_json::{Value, json};
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Prints one line. When nobody reads any more, there is nobody to work for either.
pub(super) fn print(line: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    if stdout.write_all(line).and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush()).is_err() {
        std::process::exit(1);
    }
}

/// Writer of the CLI's output for one session.
pub(super) struct Lines {
    pub(super) session_id: String,
    count: AtomicU64,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self { session_id: uuid::Uuid::new_v4().to_string(), count: AtomicU64::new(0) }
    }

    /// Prints a line with the session's id and an id of its own.
    pub(super) fn line(&self, mut line: Value) {
        line["session_id"] = json!(self.session_id);
        line["uuid"] = json!(self.uuid());
        print(line.to_string().as_bytes());
    }

    /// Prints an upstream event as it came.
    pub(super) fn stream_event(&self, event: &str) {
        print(
            format!(
                r#"{{"type":"stream_event","event":{event},"session_id":"{}","parent_tool_use_id":null,"uuid":"{}"}}"#,
                self.session_id,
                self.uuid()
            )
            .as_bytes(),
        );
    }

    pub(super) fn init(&self, model: &str) {
        let cwd = std::env::current_dir().unwrap_or_default();
        self.line(json!({
            "type": "system", "subtype": "init", "cwd": cwd, "tools": [], "mcp_servers": [], "model": model,
            "permissionMode": "bypassPermissions", "slash_commands": [], "apiKeySource": "ANTHROPIC_API_KEY",
            "claude_code_version": super::VERSION, "output_style": "default", "agents": [], "skills": [],
            "plugins": [], "capabilities": ["interrupt_receipt_v1", "msg_lifecycle_v1"],
        }));
    }

    pub(super) fn requesting(&self) {
        self.line(json!({"type": "system", "subtype": "status", "status": "requesting"}));
    }

    pub(super) fn lifecycle(&self, frame: &Value, state: &str) {
        if let Some(uuid) = frame["uuid"].as_str() {
            self.line(json!({"type": "command_lifecycle", "command_uuid": uuid, "state": state}));
        }
    }

    fn uuid(&self) -> String {
        // Distinct is enough, and asks the kernel for no randomness on every line.
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        format!("{}-4000-8000-{count:012x}", &self.session_id[..13])
    }
}

/// Answers a control request.
pub(super) fn answer_control(request: &Value, answer: Result<Value, String>) {
    let id = &request["request_id"];
    let response = match answer {
        Ok(response) => json!({"subtype": "success", "request_id": id, "response": response}),
        Err(error) => json!({"subtype": "error", "request_id": id, "error": error}),
    };
    print(json!({"type": "control_response", "response": response}).to_string().as_bytes());
}
