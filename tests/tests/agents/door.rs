//! Agents, as clients of the api meet them.

use drover_tests::chat;
use drover_tests::client::{Answer, Client};
use drover_tests::upstream::Upstream;
use reqwest::Method;
use serde_json::{Value, json};

use crate::sessions::{builder, run};

async fn ask(client: &Client, prompt: &str, fields: Value) -> Answer {
    let mut body = chat::ask(prompt);
    body.as_object_mut().expect("a body").extend(fields.as_object().expect("fields").clone());
    Answer::of(client.request(Method::POST, chat::PATH).json(&body)).await
}

fn content(answer: &Answer) -> Value {
    answer.json()["choices"][0]["message"]["content"].clone()
}

#[tokio::test]
async fn a_client_asks_for_an_agent_and_goes_on_with_its_session() {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).env("API_KEYS", "key-of-ann, key-of-bob").start().await;
    let [ann, bob] = ["key-of-ann", "key-of-bob"].map(|key| cluster.client().with_key(key));

    let first = ask(&ann, &run("echo 1 > one", "first"), json!({"agent": true})).await;
    assert_eq!(content(&first), "first", "{}", first.text());
    assert_eq!(
        first.json()["choices"][0]["finish_reason"],
        "stop",
        "the agent's own tools are not the client's"
    );
    let session = first.header("x-drover-session-id").expect("a session").to_owned();
    let project = first.header("x-drover-project-id").expect("a project").to_owned();

    let second = ask(&ann, &run("cat one", "second"), json!({"session_id": session})).await;
    assert_eq!(content(&second), "second", "{}", second.text());
    assert_eq!(second.header("x-drover-project-id"), Some(project.as_str()));
    let elsewhere = ask(&ann, &run("cat one", "third"), json!({"project_id": project})).await;
    assert_eq!(content(&elsewhere), "third", "{}", elsewhere.text());
    assert_ne!(
        elsewhere.header("x-drover-session-id"),
        Some(session.as_str()),
        "another session, the same files"
    );
    let last =
        upstream.calls_for(&run("cat one", "third")).pop().expect("its calls").body["messages"].to_string();
    assert!(last.contains("tool_result") && !last.contains("second"), "{last}");

    for (fields, code) in [
        (json!({"session_id": session}), "session_not_found"),
        (json!({"project_id": project}), "project_not_found"),
    ] {
        let stranger = ask(&bob, "say 1 words", fields).await;
        assert_eq!((stranger.status.as_u16(), &stranger.json()["error"]["code"]), (404, &json!(code)));
    }
}
