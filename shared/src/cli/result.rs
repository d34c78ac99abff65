//! The `result` line, with which every turn ends.

use serde::{Deserialize, Serialize};

use super::decode::{Text, bounded};
use crate::schema::StopReason;
use crate::schema::limits::{CLI_KIND_BYTES, CLI_MESSAGE_BYTES};

/// How a turn ended. The usage that the CLI tells is not read: it describes the placeholder, the relay knows
/// what was billed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TurnEnd {
    /// Whether the turn failed. Upstream errors come as `subtype: success` with this set.
    pub is_error: bool,
    /// `success`, `error_during_execution`, `error_max_turns` and others; bounded.
    pub subtype: String,
    /// The upstream's status, if it answered with an error; `None` where the connection broke.
    pub api_error_status: Option<u16>,
    /// How long the turn was, in the CLI's own counting: messages of either side, more than calls upstream.
    pub num_turns: u32,
    /// Why the turn's last whole message stopped; `None` where there was none.
    pub stop: Option<StopReason>,
    /// `completed`, `api_error`, `prompt_too_long`, `aborted_streaming` and others; bounded. JavaScript says
    /// `completed` after most errors too: ask `is_error` first.
    pub terminal_reason: Option<String>,
    /// What the CLI says about an error, bounded; `None` where there was none. Written for a person at a
    /// terminal, and may quote the upstream.
    pub message: Option<String>,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    subtype: Option<Text<'a>>,
    #[serde(default)]
    is_error: bool,
    #[serde(default)]
    num_turns: u32,
    #[serde(default)]
    api_error_status: Option<u16>,
    #[serde(borrow, default)]
    terminal_reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    result: Option<Text<'a>>,
    #[serde(borrow, default)]
    errors: Vec<Text<'a>>,
}

impl TurnEnd {
    /// Whether an `interrupt` of ours, rather than the turn itself, ended it.
    pub fn interrupted(&self) -> bool {
        self.terminal_reason.as_deref().is_some_and(|reason| reason.starts_with("aborted"))
    }

    /// Reads a whole `result` line; `None` where it has not the shape of one. `stop` is what the turn's messages
    /// told: the line's own reason is the CLI's view, `stop_sequence` after an upstream error.
    pub(super) fn read(line: &[u8], stop: Option<StopReason>) -> Option<Self> {
        let raw: Raw = serde_json::from_slice(line).ok()?;
        let said = raw.result.as_ref().or(raw.errors.first());
        Some(Self {
            is_error: raw.is_error,
            subtype: bounded(raw.subtype.as_ref().map_or("", |text| &text.0), CLI_KIND_BYTES),
            num_turns: raw.num_turns,
            stop,
            api_error_status: raw.api_error_status,
            terminal_reason: raw.terminal_reason.map(|text| bounded(&text.0, CLI_KIND_BYTES)),
            message: said.filter(|_| raw.is_error).map(|text| bounded(&text.0, CLI_MESSAGE_BYTES)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_not_kept_and_an_error_is_bounded() {
        let line = |is_error: bool| {
            format!(
                r#"{{"result":"{}","is_error":{is_error},"type":"result","subtype":"success"}}"#,
                "x".repeat(9_999)
            )
        };
        let answered = TurnEnd::read(line(false).as_bytes(), None).expect("a result");
        assert_eq!(answered.message, None);
        let failed = TurnEnd::read(line(true).as_bytes(), None).expect("a result");
        assert_eq!(failed.message.map(|message| message.len()), Some(CLI_MESSAGE_BYTES));
    }
}
