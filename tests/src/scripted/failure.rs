//! What the CLI prints, and puts into its result, when a turn fails.

use super::lines::Lines;
use serde_json::{Value, json};

impl Lines {
    pub(super) fn refused(&self, status: u16, request_id: Option<&str>, error: &Value) -> Value {
        let said = error["error"]["message"].as_str().or(error.as_str()).unwrap_or("no error text");
        let too_long = status == 400 && said.contains("prompt is too long");
        let text = match status {
            429 => format!("API Error: Request rejected (429) · {said}"),
            _ if too_long => "Prompt is too long".to_owned(),
            _ => format!("API Error: {status} {said}"),
        };
        let class = match status {
            401 | 403 => "authentication_failed",
            404 => "model_not_found",
            413 => "invalid_request",
            _ if too_long => "invalid_request",
            429 => "rate_limit",
            500.. => "server_error",
            _ => "unknown",
        };
        let kind = &error["error"]["type"];
        let more = json!({"request_id": request_id, "api_error_status": status, "api_error_type": kind});
        self.synthetic(&text, "stop_sequence", class, &more);
        json!({
            "subtype": "success", "is_error": true, "api_error_status": status, "api_error_type": kind,
            "result": text, "stop_reason": "stop_sequence",
            "terminal_reason": match status {
                413 => "image_error",
                _ if too_long => "prompt_too_long",
                _ => "api_error",
            },
        })
    }

    pub(super) fn lost(&self, text: &str) -> Value {
        self.synthetic(text, "stop_sequence", "server_error", &json!({"api_error": "connection_failed"}));
        json!({
            "subtype": "success", "is_error": true, "api_error_status": null, "result": text,
            "api_error": "connection_failed", "stop_reason": "stop_sequence", "terminal_reason": "api_error",
        })
    }

    /// What an error in the midst of a stream comes to.
    pub(super) fn overloaded(&self, error: &Value) -> Value {
        let text = format!("API Error: {}", error["message"].as_str().unwrap_or_default());
        let status = if error["type"] == "overloaded_error" { json!(529) } else { Value::Null };
        let kind = &error["type"];
        self.synthetic(
            &text,
            "stop_sequence",
            "unknown",
            &json!({"api_error_status": status, "api_error_type": kind}),
        );
        json!({
            "subtype": "success", "is_error": true, "api_error_status": status, "result": text,
            "stop_reason": "stop_sequence", "terminal_reason": "api_error",
        })
    }

    pub(super) fn interrupted(&self) -> Value {
        let content = json!([{"type": "text", "text": "[Request interrupted by user]"}]);
        self.line(json!({"type": "user", "message": {"role": "user", "content": content}}));
        json!({
            "subtype": "error_during_execution", "is_error": true, "stop_reason": null, "errors": [],
            "terminal_reason": "aborted_streaming",
        })
    }

    /// The message that the CLI makes up to show an error.
    pub(super) fn synthetic(&self, text: &str, stop_reason: &str, class: &str, more: &Value) {
        let mut line = json!({
            "type": "assistant", "parent_tool_use_id": null, "error": class, "is_api_error_message": true,
            "message": {
                "id": uuid::Uuid::new_v4(), "type": "message", "role": "assistant", "model": "<synthetic>",
                "content": [{"type": "text", "text": text}], "stop_reason": stop_reason, "stop_sequence": "",
                "usage": {"input_tokens": 0, "output_tokens": 0},
            },
        });
        if let (Some(line), Some(more)) = (line.as_object_mut(), more.as_object()) {
            line.extend(more.clone());
        }
        self.line(line);
    }

    /// Prints a text that the CLI itself tells the model.
    pub(super) fn told(&self, text: &str) -> Value {
        let content = json!([{"type": "text", "text": text}]);
        let message = json!({"role": "user", "content": content});
        self.line(json!({
            "type": "user", "message": message, "isSynthetic": true, "parent_tool_use_id": null,
        }));
        content
    }
}
