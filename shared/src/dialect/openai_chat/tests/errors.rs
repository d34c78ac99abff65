use super::OpenAiChat;
use crate::dialect::{Dialect, Rejection};

#[test]
fn every_error_has_all_four_keys() {
    for (rejection, expected) in [
        (
            Rejection::invalid("invalid_type", "messages[2].content", "Say \"text\"."),
            r#"{"error":{"message":"Say \"text\".","type":"invalid_request_error","param":"messages[2].content","code":"invalid_type"}}"#,
        ),
        (
            Rejection::new(429, "queue_full", "Later."),
            r#"{"error":{"message":"Later.","type":"rate_limit_error","param":null,"code":"queue_full"}}"#,
        ),
    ] {
        let body = String::from_utf8(OpenAiChat.error(&rejection)).expect("bodies are UTF-8");
        assert_eq!(body, expected);
    }
}

#[test]
fn the_type_follows_from_the_status() {
    for (status, expected) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "invalid_request_error"),
        (405, "invalid_request_error"),
        (413, "invalid_request_error"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (502, "server_error"),
        (503, "service_unavailable_error"),
        (504, "server_error"),
    ] {
        let body = OpenAiChat.error(&Rejection::new(status, "some_code", "Why."));
        let body: serde_json::Value = serde_json::from_slice(&body).expect("bodies are JSON");
        assert_eq!(body["error"]["type"], expected, "{status}");
    }
    let quota = OpenAiChat.error(&Rejection::new(429, "insufficient_quota", "Why."));
    let quota: serde_json::Value = serde_json::from_slice(&quota).expect("bodies are JSON");
    assert_eq!(quota["error"]["type"], "insufficient_quota");
    let limit = Rejection { class: Some("tokens"), ..Rejection::new(429, "rate_limit_exceeded", "Why.") };
    let limit: serde_json::Value =
        serde_json::from_slice(&OpenAiChat.error(&limit)).expect("bodies are JSON");
    assert_eq!(limit["error"]["type"], "tokens");
}
