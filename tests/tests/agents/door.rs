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

#[tokio::test]
async fn an_agents_session_is_read_forked_and_deleted() {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).start().await;
    let client = cluster.client();
    let project = client.post("/v1/projects", &json!({"name": "p"})).await.json()["id"].clone();
    let session = client.post("/v1/sessions", &json!({"project_id": project})).await.json()["id"].clone();
    let session = session.as_str().expect("an id");
    let write = run("echo 1 > one", "first");
    let first = ask(&client, &write, json!({"session_id": session})).await;
    assert_eq!(content(&first), "first", "{}", first.text());
    assert_eq!((&first.json()["session_id"], &first.json()["project_id"]), (&json!(session), &project));

    // All that was said, and nothing but that.
    let read = run("cat one", "second");
    let all = |answer: &str| {
        json!({"session_id": session, "messages": [
            {"role": "user", "content": write}, {"role": "assistant", "content": answer},
            {"role": "user", "content": read},
        ]})
    };
    let refused = client.post(chat::PATH, &all("something else")).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["error"]["param"]), (400, &json!("messages")));
    assert_eq!(content(&client.post(chat::PATH, &all("first")).await), "second");
    let unfit = ask(&client, "say 1 words", json!({"session_id": session, "temperature": 0.5})).await;
    assert_eq!((unfit.status.as_u16(), &unfit.json()["error"]["param"]), (400, &json!("temperature")));

    let path = format!("/v1/sessions/{session}");
    let history = client.get(&format!("{path}/history")).await.json();
    let contents: Vec<_> =
        history["data"].as_array().expect("a list").iter().map(|it| &it["content"]).collect();
    assert_eq!(contents, [&json!(write), &json!("first"), &json!(read), &json!("second")]);
    let fork = client.post(&format!("{path}/fork"), &json!({"project_id": project})).await.json();
    let deleted = Answer::of(client.request(Method::DELETE, &path)).await;
    assert_eq!(deleted.status, 200, "{}", deleted.text());
    assert_eq!(ask(&client, "say 1 words", json!({"session_id": session})).await.status, 404);

    let again = run("cat one", "third");
    let third = ask(&client, &again, json!({"session_id": fork["id"]})).await;
    assert_eq!(content(&third), "third", "{}", third.text());
    let last = upstream.calls_for(&again).pop().expect("its calls").body["messages"].to_string();
    assert!(last.contains("first") && last.contains("second"), "it goes on from the transcript: {last}");
}
