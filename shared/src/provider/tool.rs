//! Where in the provider's answer a call of an agent's tool becomes complete: the CLI runs it then, while the rest
//! of the answer still streams (measured with 2.1.330 and 2.1.112).

use serde_json::Value;

use super::sse::fields;
use crate::schema::limits::TOOL_INPUT_BYTES;

/// A call of one of the agent's tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// The provider's identifier of the call.
    pub id: String,
    /// The tool, by the CLI's name.
    pub name: String,
    /// The beginning of its arguments' JSON text.
    pub input: String,
}

/// Watches the frames of one answer.
#[derive(Debug, Default)]
pub struct ToolCalls {
    open: Option<ToolCall>,
}

impl ToolCalls {
    /// The call that the CLI may run once it has been given this frame. That is the first frame after the call's
    /// beginning that is not known to go on with it, whatever it is.
    pub fn completed_by(&mut self, frame: &[u8]) -> Option<ToolCall> {
        let (_, data) = fields(frame);
        // A frame without data, such as a comment, tells the CLI nothing.
        if data.is_empty() {
            return None;
        }
        let event: Value = serde_json::from_slice(&data).unwrap_or_default();
        let kind = event["type"].as_str().unwrap_or_default();
        let goes_on = matches!(kind, "content_block_delta" | "ping");
        let completed = if goes_on { None } else { self.open.take() };
        if let (Some(call), Some(more)) = (&mut self.open, event["delta"]["partial_json"].as_str())
            && call.input.len() < TOOL_INPUT_BYTES
        {
            call.input.push_str(more);
        }
        let block = &event["content_block"];
        if block["type"] == "tool_use" {
            let text = |field: &str| block[field].as_str().unwrap_or_default().to_owned();
            self.open = Some(ToolCall { id: text("id"), name: text("name"), input: String::new() });
        }
        completed
    }
}

#[cfg(test)]
mod tests {
    use super::super::sse::frame;
    use super::*;
    use serde_json::json;

    fn start(block: &Value) -> Vec<u8> {
        let start = json!({ "type": "content_block_start", "index": 1, "content_block": block });
        frame("content_block_start", &start)
    }

    fn bash(id: &str) -> Vec<u8> {
        start(&json!({ "type": "tool_use", "id": id, "name": "Bash", "input": {} }))
    }

    fn of(kind: &str) -> Vec<u8> {
        frame(kind, &json!({ "type": kind, "index": 1 }))
    }

    fn call(id: &str) -> ToolCall {
        ToolCall { id: id.to_owned(), name: "Bash".to_owned(), input: String::new() }
    }

    /// The calls that each of the frames completes.
    fn completed(frames: &[Vec<u8>]) -> Vec<Option<ToolCall>> {
        let mut calls = ToolCalls::default();
        frames.iter().map(|frame| calls.completed_by(frame)).collect()
    }

    #[test]
    fn a_call_is_complete_with_the_end_of_its_block_or_whatever_comes_in_its_place() {
        for end in ["content_block_stop", "content_block_start", "message_delta", "message_stop", "news"] {
            let frames = [of("message_start"), bash("a"), of("content_block_delta"), of("ping"), of(end)];
            assert_eq!(completed(&frames), [None, None, None, None, Some(call("a"))], "{end}");
        }
        let nonsense = b"event: content_block_stop\ndata: [broken\n\n".to_vec();
        let comment = b": still here\n\n".to_vec();
        assert_eq!(completed(&[bash("a"), comment, nonsense]), [None, None, Some(call("a"))]);
    }

    #[test]
    fn each_call_is_told_once_and_other_blocks_are_no_calls() {
        assert_eq!(
            completed(&[bash("a"), bash("b"), of("message_stop")]),
            [None, Some(call("a")), Some(call("b"))]
        );
        let text = start(&json!({ "type": "text", "text": "tool_use" }));
        let searched = start(&json!({ "type": "server_tool_use", "id": "s", "name": "web_search" }));
        let stop = || of("content_block_stop");
        assert_eq!(completed(&[text, stop(), searched, stop()]), [None, None, None, None]);
    }

    #[test]
    fn a_call_is_told_with_the_beginning_of_its_arguments() {
        let piece = |json: &str| {
            let delta = json!({ "type": "input_json_delta", "partial_json": json });
            frame(
                "content_block_delta",
                &json!({ "type": "content_block_delta", "index": 1, "delta": delta }),
            )
        };
        let frames = [bash("a"), piece("{\"comm"), piece("and\":\"ls\"}"), of("content_block_stop")];
        let told = completed(&frames).pop().flatten().expect("a call");
        assert_eq!(told.input, "{\"command\":\"ls\"}");
        let long = [bash("a"), piece(&"x".repeat(TOOL_INPUT_BYTES)), piece("y"), of("content_block_stop")];
        assert!(!completed(&long).pop().flatten().expect("a call").input.contains('y'));
    }

    #[test]
    fn a_frame_without_a_name_counts_too() {
        let unnamed = |frame: Vec<u8>| {
            frame.split_inclusive(|byte| *byte == b'\n').skip(1).collect::<Vec<_>>().concat()
        };
        assert_eq!(
            completed(&[unnamed(bash("a")), unnamed(of("content_block_stop"))]),
            [None, Some(call("a"))]
        );
    }
}
