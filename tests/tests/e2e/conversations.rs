//! Chats that go on in sessions: on any worker, after any death, with and without the full history.

use drover_tests::chat::{self, ErrorBody, Spoken, ask, streaming};
use drover_tests::client::{Answer, Client, PATIENCE};
use drover_tests::harness::{ClaudeKind, Cluster, wait_for};
use drover_tests::upstream::Upstream;
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};

/// A request for a session's next turn.
fn next(session: &str, prompt: &str) -> Value {
    let mut body = ask(prompt);
    body["session_id"] = session.into();
    body
}

fn said(answer: &Answer) -> String {
    let answer = answer.json();
    answer["choices"][0]["message"]["content"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

async fn session(client: &Client, id: &str) -> Value {
    client.get(&format!("/v1/sessions/{id}")).await.json()
}

async fn history(client: &Client, id: &str) -> Vec<Value> {
    let mut messages =
        client.get(&format!("/v1/sessions/{id}/history?limit=100")).await.json()["data"].take();
    let messages = messages.as_array_mut().expect("a list");
    for message in messages.iter_mut() {
        for name in ["id", "created_at", "job_id"] {
            let own = message.as_object_mut().expect("a message").remove(name);
            assert!(own.is_some_and(|own| own.is_string()), "{name}");
        }
    }
    std::mem::take(messages)
}

/// The worker that ran the job is killed, and the api too, which is started again.
async fn kill_all_that_served(cluster: &mut Cluster, answer: &Answer) {
    let job = answer.header("x-drover-job-id").expect("a job").to_owned();
    let row = cluster.client().get(&format!("/v1/jobs/{job}")).await.json();
    let worker = row["worker"].as_str().expect("a worker").to_owned();
    let pid = |process: &drover_tests::harness::Process| process.pid().to_string();
    let served =
        cluster.workers().iter().position(|process| worker.split('-').any(|part| part == pid(process)));
    cluster.kill_worker(served.expect("one of ours"), Signal::SIGKILL).await;
    cluster.kill_api().await;
    cluster.restart_api().await;
    cluster.wait_until_healthy("/readyz").await;
}

#[tokio::test]
async fn a_chat_goes_on_wherever_and_however_it_is_asked() {
    let upstream = Upstream::start();
    let builder = Cluster::builder().workers(2).claude(ClaudeKind::Native).upstream(&upstream);
    let mut cluster = builder.start().await;
    let mut body = next("new", r#"say "one""#);
    body["system_prompt"] = "Be brief.".into();
    let first = cluster.client().post(chat::PATH, &body).await;
    assert_eq!(said(&first), "one");
    let id = first.json()["session_id"].as_str().expect("a session").to_owned();
    assert_eq!(first.header("x-drover-session-id"), Some(id.as_str()));
    kill_all_that_served(&mut cluster, &first).await;

    // Only what is new, named by the header, and streamed.
    let client = cluster.client();
    let new = streaming(ask(r#"say "two""#));
    let request = client.request(Method::POST, chat::PATH).header("x-drover-session-id", &id).json(&new);
    let spoken = Spoken::of(drover_tests::client::Events::open(request).await).await;
    assert_eq!(spoken.text(), "two");
    assert!(spoken.chunks.iter().all(|chunk| chunk.json()["session_id"] == *id));

    // All that was said.
    let mut all = next(&id, r#"say "three""#);
    let message = |role: &str, text: &str| json!({"role": role, "content": text});
    all["messages"] = json!([
        message("user", r#"say "one""#),
        message("assistant", "one"),
        message("user", r#"say "two""#),
        message("assistant", "two"),
        message("user", r#"say "three""#),
    ]);
    assert_eq!(said(&client.post(chat::PATH, &all).await), "three");
    assert_eq!(said(&client.post(chat::PATH, &next(&id, r#"say "four""#)).await), "four");

    // The provider was asked as by a client that keeps the conversation itself.
    let mut own = json!({"messages": [message("system", "Be brief.")]});
    for word in ["one", "two", "three", "four"] {
        let prompt = format!("say \"{word}\"");
        own["messages"].as_array_mut().expect("messages").push(message("user", &prompt));
        assert_eq!(said(&client.post(chat::PATH, &own).await), word);
        own["messages"].as_array_mut().expect("messages").push(message("assistant", word));
        let [in_session, alone] = &upstream.calls_for(&prompt)[..] else { panic!("two calls: {prompt}") };
        assert_eq!(in_session.body, alone.body, "{prompt}");
    }
    let row = session(&client, &id).await;
    assert_eq!((&row["message_count"], &row["system_prompt"]), (&json!(8), &json!("Be brief.")));
    assert!(row["total_tokens"].as_u64() > Some(0) && row["total_cost"].as_f64() > Some(0.0), "{row}");
    assert_eq!(history(&client, &id).await, own["messages"].as_array().expect("messages")[1..]);
    assert!(first.header("x-drover-project-id").is_none() && row["project_id"].is_null());
}

#[tokio::test]
async fn calls_of_a_sessions_last_turn_are_answered_without_repeating_them() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().claude(ClaudeKind::Native).upstream(&upstream).start().await;
    let client = cluster.client();
    let prompt =
        r#"until told say "Let me see." then call now {"zone":"CET"} then call now {} or say "Noon.""#;
    let mut body = next("new", prompt);
    body["tools"] = json!([{"type": "function", "function": {"name": "now"}}]);
    let called = client.post(chat::PATH, &body).await.json();
    let id = called["session_id"].as_str().expect("a session").to_owned();
    let message = &called["choices"][0]["message"];
    let calls: Vec<&str> = message["tool_calls"]
        .as_array()
        .expect("calls")
        .iter()
        .map(|call| call["id"].as_str().expect("an id"))
        .collect();
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "12:00"});

    body["session_id"] = id.as_str().into();
    for (messages, param) in [
        (json!([{"role": "user", "content": "and?"}]), "messages"),
        (json!([result(calls[0])]), "messages"),
        (json!([result(calls[0]), result("toolu_unheard_of")]), "messages[1].tool_call_id"),
    ] {
        body["messages"] = messages;
        let refused = client.post(chat::PATH, &body).await;
        let error = ErrorBody::of(&refused.json());
        assert_eq!(
            (refused.status.as_u16(), error.param.as_deref()),
            (400, Some(param)),
            "{}",
            body["messages"]
        );
    }
    assert_eq!(upstream.calls().len(), 1, "the model was not asked");

    body["messages"] = json!([result(calls[1]), result(calls[0])]);
    let told = client.post(chat::PATH, &body).await;
    assert_eq!(said(&told), "Noon.");
    let own = json!({
        "tools": body["tools"],
        "messages": [{"role": "user", "content": prompt}, message, result(calls[1]), result(calls[0])],
    });
    assert_eq!(said(&client.post(chat::PATH, &own).await), "Noon.");
    let [_, in_session, alone] = &upstream.calls_for(prompt)[..] else { panic!("three calls") };
    assert_eq!(in_session.body, alone.body);
    assert_eq!(history(&client, &id).await.len(), 5);

    let answered = client.post(chat::PATH, &body).await;
    let error = ErrorBody::of(&answered.json());
    assert_eq!((answered.status.as_u16(), error.param.as_deref()), (400, Some("messages[0].tool_call_id")));
}

#[tokio::test]
async fn a_busy_session_is_waited_for_or_refuses() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().workers(2).claude(ClaudeKind::Native).upstream(&upstream).start().await;
    let client = cluster.client();
    let id = client.post("/v1/sessions", &json!({"title": "t"})).await.json()["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let mut slow = client.stream(chat::PATH, &streaming(next(&id, "say 300 words every 10ms"))).await;
    assert!(slow.next().await.is_some(), "it speaks");

    let mut impatient = next(&id, r#"say "never""#);
    impatient["session_busy"] = "refuse".into();
    let refused = client.post(chat::PATH, &impatient).await;
    assert_eq!(
        (refused.status.as_u16(), ErrorBody::of(&refused.json()).code.as_str()),
        (409, "session_busy")
    );
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    let path = format!("/v1/sessions/{id}");
    for (method, path) in [(Method::DELETE, path.clone()), (Method::POST, format!("{path}/fork"))] {
        let busy = Answer::of(client.request(method, &path)).await;
        assert_eq!((busy.status.as_u16(), ErrorBody::of(&busy.json()).code.as_str()), (409, "session_busy"));
    }
    let waiting = tokio::spawn({
        let (client, body) = (client.clone(), next(&id, r#"say "second""#));
        async move { client.post(chat::PATH, &body).await }
    });
    wait_for("the second waits", PATIENCE, async || {
        let health = client.get("/health").await.json();
        (health["queue"]["queued"].as_u64() == Some(1)).then_some(())
    })
    .await;
    let first = Spoken::of(slow).await.text();
    assert_eq!(said(&waiting.await.expect("an answer")), "second");
    let call = upstream.calls_for(r#"say "second""#).pop().expect("a call");
    let messages = call.body["messages"].as_array().expect("messages").clone();
    assert_eq!(messages.len(), 3, "it went on from the answer before it");
    assert!(messages[1]["content"][0]["text"].as_str().is_some_and(|text| text.ends_with(&first)));
    assert!(upstream.calls_for(r#"say "never""#).is_empty());
}

#[tokio::test]
async fn what_fails_is_not_remembered_and_what_is_told_is() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().claude(ClaudeKind::Native).upstream(&upstream).start().await;
    let client = cluster.client();
    let failed = client.post(chat::PATH, &next("new", r#"status 400 "no""#)).await;
    assert_eq!(failed.status, 400);
    let id = client.get("/v1/sessions").await.json()["data"][0]["id"].as_str().expect("a session").to_owned();
    assert_eq!(session(&client, &id).await["message_count"], 0);

    let mut named = next(&id, r#"say "a""#);
    named["model"] = drover_tests::harness::MODEL.into();
    named["messages"] =
        json!([{"role": "system", "content": "First."}, {"role": "user", "content": r#"say "a""#}]);
    assert_eq!(said(&client.post(chat::PATH, &named).await), "a");
    named["messages"] =
        json!([{"role": "system", "content": "Once."}, {"role": "user", "content": r#"say "b""#}]);
    assert_eq!(said(&client.post(chat::PATH, &named).await), "b");
    assert_eq!(said(&client.post(chat::PATH, &next(&id, r#"say "c""#)).await), "c");
    for (prompt, system) in [(r#"say "a""#, "First."), (r#"say "b""#, "Once."), (r#"say "c""#, "First.")] {
        let call = upstream.calls_for(prompt).pop().expect("a call");
        assert!(call.body["system"].to_string().contains(system), "{prompt}: {}", call.body["system"]);
    }
    let row = session(&client, &id).await;
    assert_eq!(
        (&row["model"], &row["system_prompt"]),
        (&json!(drover_tests::harness::MODEL), &json!("First."))
    );

    // A fork goes on by itself, and an export tells it all.
    let fork = client.post(&format!("/v1/sessions/{id}/fork"), &json!({"title": "fork"})).await.json();
    let fork_id = fork["id"].as_str().expect("an id").to_owned();
    assert_eq!((&fork["message_count"], &fork["total_tokens"]), (&json!(6), &json!(0)));
    assert_eq!(said(&client.post(chat::PATH, &next(&fork_id, r#"say "d""#)).await), "d");
    assert_eq!(history(&client, &id).await.len(), 6);
    let export = client.get(&format!("/v1/sessions/{fork_id}/export")).await.json();
    assert_eq!(
        (&export["object"], export["messages"].as_array().map(Vec::len)),
        (&json!("session.export"), Some(8))
    );
    let text = client.get(&format!("/v1/sessions/{fork_id}/export?format=markdown")).await;
    assert_eq!(text.header("content-type"), Some("text/markdown; charset=utf-8"));
    assert!(
        text.text()
            .starts_with("# fork\n\n## System\n\nFirst.\n\n## User\n\nsay \"a\"\n\n## Assistant\n\na\n")
    );
    let newest = client.get(&format!("/v1/sessions/{fork_id}/history?order=desc&limit=1")).await.json();
    assert_eq!((&newest["data"][0]["content"], &newest["has_more"]), (&json!("d"), &json!(true)));
    let after = newest["last_id"].as_str().expect("an id");
    let before =
        client.get(&format!("/v1/sessions/{fork_id}/history?order=desc&limit=2&after={after}")).await.json();
    assert_eq!(
        (&before["data"][0]["content"], &before["data"][1]["content"]),
        (&json!(r#"say "d""#), &json!("c"))
    );
    assert_eq!(Answer::of(client.request(Method::DELETE, &format!("/v1/sessions/{id}"))).await.status, 200);
    let gone = client.post(chat::PATH, &next(&id, "say 1 words")).await;
    assert_eq!((gone.status.as_u16(), ErrorBody::of(&gone.json()).code.as_str()), (404, "session_not_found"));
}
