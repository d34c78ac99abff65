//! One chat as its client sees it.

use drover_tests::client::{Client, Events};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

/// Where chats are asked for.
pub(crate) const CHAT: &str = "/v1/chat/completions";

/// How often a client lets itself be sent away.
const INSISTENCE: u32 = 20;

/// A streamed answer, as far as it was read.
pub(crate) struct Chat {
    /// The job behind it.
    pub(crate) job: String,
    /// What was read.
    pub(crate) heard: Heard,
    events: Events,
}

/// What a client has been told.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Heard {
    /// The text.
    pub(crate) text: String,
    /// The `finish_reason`s; one in a whole answer.
    pub(crate) finishes: Vec<String>,
    /// The codes of error frames.
    pub(crate) errors: Vec<String>,
    /// How many `[DONE]`s came.
    pub(crate) dones: u32,
    /// Whether the connection broke before an orderly end.
    pub(crate) broken: bool,
}

impl Heard {
    /// What is heard of an answer that is whole.
    pub(crate) fn whole(text: impl Into<String>) -> Self {
        Self { text: text.into(), finishes: vec!["stop".to_owned()], dones: 1, ..Self::default() }
    }

    fn take(&mut self, data: &str) {
        if data == "[DONE]" {
            self.dones += 1;
            return;
        }
        let frame: Value = serde_json::from_str(data).expect("a frame is JSON");
        if let Some(code) = frame["error"]["code"].as_str() {
            self.errors.push(code.to_owned());
        }
        let choice = &frame["choices"][0];
        self.text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        self.finishes.extend(choice["finish_reason"].as_str().map(str::to_owned));
    }
}

/// The body that asks for an answer to a prompt.
pub(crate) fn request(prompt: &str, stream: bool) -> Value {
    json!({"stream": stream, "messages": [{"role": "user", "content": prompt}]})
}

impl Chat {
    /// Asks, and reads the head of the answer.
    pub(crate) async fn open(client: &Client, prompt: &str) -> Self {
        let events = client.stream(CHAT, &request(prompt, true)).await;
        assert_eq!(events.status, StatusCode::OK, "{prompt}");
        Self::of(events)
    }

    /// The same, by a client that does as it is told when the store is too busy to take its job, as the
    /// SDKs do. Answers also how often it was sent away.
    pub(crate) async fn insist(client: &Client, prompt: &str) -> (Self, u32) {
        for refusals in 0..INSISTENCE {
            let events = client.stream(CHAT, &request(prompt, true)).await;
            if events.status == StatusCode::OK {
                return (Self::of(events), refusals);
            }
            assert_eq!(events.status, StatusCode::SERVICE_UNAVAILABLE, "{prompt}");
            let wait_s = events.header("retry-after").and_then(|wait| wait.parse().ok());
            let wait_s = wait_s.expect("whoever is sent away is told when to come again");
            let body = events.into_answer().await.text();
            assert!(body.contains("\"code\":\"store_unavailable\""), "{body}");
            tokio::time::sleep(Duration::from_secs(wait_s)).await;
        }
        panic!("{prompt} was sent away {INSISTENCE} times");
    }

    fn of(events: Events) -> Self {
        let job = events.header("x-drover-job-id").expect("an answer names its job").to_owned();
        Self { job, heard: Heard::default(), events }
    }

    /// Reads until so much text has come.
    pub(crate) async fn until(&mut self, text: &str) {
        while !self.heard.text.contains(text) {
            assert!(self.step().await, "no {text:?} in {:?}", self.heard);
        }
    }

    /// Reads to the end, in order or not.
    pub(crate) async fn rest(mut self) -> Heard {
        while self.step().await {}
        self.heard
    }

    async fn step(&mut self) -> bool {
        let patience = 2 * drover_tests::client::PATIENCE;
        let next = tokio::time::timeout(patience, self.events.try_next()).await;
        match next.expect("a frame or a heartbeat within a patient wait") {
            Ok(Some(frame)) if frame.comment.is_some() => true,
            Ok(Some(frame)) => {
                self.heard.take(&frame.data);
                true
            }
            Ok(None) => false,
            Err(_) => {
                self.heard.broken = true;
                false
            }
        }
    }
}

/// Asks for a stream and reads it to its end.
pub(crate) async fn hear(client: &Client, prompt: &str) -> (String, Heard) {
    let chat = Chat::open(client, prompt).await;
    (chat.job.clone(), chat.rest().await)
}
