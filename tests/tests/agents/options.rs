//! What a client lets its agent do holds: by what reached the model, and by what did not happen.

use drover_tests::chat::{self, ErrorBody};
use drover_tests::client::{Answer, Client};
use drover_tests::desk::Desk;
use drover_tests::harness::{ClaudeKind, MODEL};
use drover_tests::upstream::{Call, Upstream};
use reqwest::Method;
use serde_json::{Value, json};

use crate::sessions::{builder, pool, run};

/// Asks an agent, with these options.
pub(crate) async fn ask(client: &Client, prompt: &str, options: Value) -> Answer {
    let mut body = chat::ask(prompt);
    body["agent"] = options;
    Answer::of(client.request(Method::POST, chat::PATH).json(&body)).await
}

pub(crate) fn content(answer: &Answer) -> Value {
    answer.json()["choices"][0]["message"]["content"].clone()
}

/// The names of the tools that a call offered to the model.
pub(crate) fn offered(call: &Call) -> Vec<String> {
    let tools = call.body["tools"].as_array().expect("tools").iter();
    let mut names: Vec<String> =
        tools.map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect();
    names.sort_unstable();
    names
}

/// What the model was told of the tools that it called, in its last round.
pub(crate) fn told(upstream: &Upstream, prompt: &str) -> String {
    upstream.calls_for(prompt).pop().expect("its calls").body["messages"].to_string()
}

#[tokio::test]
async fn the_model_is_offered_what_was_asked_for_and_can_run_nothing_else() {
    only_what_was_asked_for(ClaudeKind::Native).await;
}

#[tokio::test]
async fn the_javascript_build_offers_what_was_asked_for_and_runs_nothing_else() {
    only_what_was_asked_for(ClaudeKind::JavaScript).await;
}

async fn only_what_was_asked_for(kind: ClaudeKind) {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).claude(kind).start().await;
    let (client, desk) = (cluster.client(), Desk::of(&cluster).await);
    let usual = run("true", "usual");
    assert_eq!(content(&ask(&client, &usual, json!(true)).await), "usual");
    let all = ["Bash", "Edit", "Glob", "Grep", "NotebookEdit", "Read", "Write"];
    assert_eq!(offered(&upstream.calls_for(&usual)[0]), all);

    let forbidden = run("echo ran > file; echo it ran", "none");
    let answer = ask(&client, &forbidden, json!({"tools": ["Read", "Grep"]})).await;
    assert_eq!(content(&answer), "none", "{}", answer.text());
    assert_eq!(offered(&upstream.calls_for(&forbidden)[0]), ["Grep", "Read"]);
    let what = told(&upstream, &forbidden);
    assert!(what.contains("No such tool available: Bash") && !what.contains("it ran\\n"), "{what}");
    let project = answer.header("x-drover-project-id").expect("a project").parse().expect("an identifier");
    let mut session = desk.session(project).await;
    session.options.tools = vec!["Bash".to_owned()];
    let look = run("ls | wc -l", "looked");
    assert_eq!(desk.said(&session, &look).await, "looked");
    assert!(told(&upstream, &look).contains(r#""content":"0""#), "{}", told(&upstream, &look));
}

#[tokio::test]
async fn the_usual_options_are_served_by_a_spare_and_a_change_of_them_by_another_process() {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).start().await;
    let client = cluster.client();
    pool(&client, "a spare waits", |pool| pool["agent_spares"] == 1).await;
    let first = ask(&client, &run("true", "first"), json!({"max_turns": 9, "budget_usd": 1})).await;
    assert_eq!(content(&first), "first", "{}", first.text());
    let session = first.header("x-drover-session-id").expect("a session").to_owned();
    let mut body = chat::ask(&run("true", "second"));
    body["session_id"] = session.into();
    body["agent"] = json!({"tools": ["Bash"]});
    assert_eq!(content(&client.post(chat::PATH, &body).await), "second");
    assert!(told(&upstream, &run("true", "second")).contains("first"), "it is the same session");
    let figures = pool(&client, "both are told of", |pool| pool["cold_starts"] == 1).await;
    assert_eq!((&figures["spare_claims"], &figures["resident_claims"]), (&1.into(), &0.into()), "{figures}");
}

#[tokio::test]
async fn turns_and_budget_end_the_job_with_codes_of_their_own() {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).env("DROVER_JOB_TURNS", "3").start().await;
    let client = cluster.client();
    for (name, options, code, calls) in [
        ("its own", json!({"max_turns": 2}), "turns_exceeded", 2),
        ("the worker's", json!({"max_turns": 9}), "turns_exceeded", 3),
        ("a text", json!({"budget_usd": "0.000001"}), "budget_exceeded", 1),
        ("a number", json!({"budget_usd": 0.000_001}), "budget_exceeded", 1),
    ] {
        let endless = format!(r#"call Bash {{"command":"true # {name}"}}"#);
        let answer = ask(&client, &endless, options).await;
        assert_eq!(answer.json()["error"]["code"], code, "{name}: {}", answer.text());
        assert_eq!(upstream.calls_for(&endless).len(), calls, "{name}");
    }
}

/// Hands the work on, then says what came of it.
const HANDED_ON: &str = r#"until told call Agent {"description":"count","prompt":"say \"I am the other.\"","subagent_type":"general-purpose"} or say "all""#;

#[tokio::test]
async fn subagents_are_had_by_who_asks_for_them() {
    subagents(ClaudeKind::Native).await;
}

#[tokio::test]
async fn subagents_of_the_javascript_build_are_had_by_who_asks_for_them() {
    subagents(ClaudeKind::JavaScript).await;
}

async fn subagents(kind: ClaudeKind) {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).claude(kind).start().await;
    let answer = ask(&cluster.client(), HANDED_ON, json!({"subagents": true, "tools": ["Read"]})).await;
    assert_eq!(content(&answer), "all", "{}", answer.text());
    assert_eq!(offered(&upstream.calls_for(HANDED_ON)[0]), ["Agent", "Read"]);
    let theirs = upstream.calls_for(r#"say "I am the other.""#);
    assert_eq!(theirs.len(), 1, "the subagent has asked the model");
    assert!(
        !offered(&theirs[0]).contains(&"Bash".to_owned()),
        "and has no more tools: {:?}",
        offered(&theirs[0])
    );
    assert!(told(&upstream, HANDED_ON).contains("I am the other."));
}

#[tokio::test]
async fn a_models_name_asks_for_an_agent() {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).start().await;
    let client = cluster.client();
    let named = format!("{MODEL}:agent");
    let list = client.get("/v1/models").await.json();
    let ids: Vec<&str> =
        list["data"].as_array().expect("models").iter().filter_map(|model| model["id"].as_str()).collect();
    assert!(ids.contains(&MODEL) && ids.contains(&named.as_str()), "{ids:?}");
    assert_eq!(client.get(&format!("/v1/models/{named}")).await.json()["id"], named);
    let prompt = run("true", "done");
    let mut body = chat::ask(&prompt);
    body["model"] = named.clone().into();
    let answer = client.post(chat::PATH, &body).await;
    assert_eq!(
        (content(&answer), &answer.json()["model"]),
        ("done".into(), &json!(named)),
        "{}",
        answer.text()
    );
    assert!(answer.header("x-drover-session-id").is_some());
    let calls = upstream.calls_for(&prompt);
    assert!(calls.iter().all(|call| call.body["model"] == MODEL) && calls.len() == 2, "{calls:#?}");
    body["model"] = "nothing:agent".into();
    let unknown = client.post(chat::PATH, &body).await;
    assert_eq!(
        (unknown.status.as_u16(), ErrorBody::of(&unknown.json()).code.as_str()),
        (404, "model_not_found")
    );
}

#[tokio::test]
async fn what_no_agent_here_may_do_is_refused_before_the_model_is_asked() {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).env("DROVER_AGENT_TOOLS", "Read,Grep").start().await;
    let client = cluster.client();
    for (options, param, said) in [
        (json!({"tools": ["Grep", "Bash"]}), "agent.tools[1]", "Read, Grep."),
        (json!({"tools": ["read"]}), "agent.tools[0]", "Read, Grep."),
        (json!({"subagents": true}), "agent.subagents", "no subagents"),
        (json!({"permission_mode": "default"}), "agent.permission_mode", "acceptEdits, plan"),
    ] {
        let answer = ask(&client, "hello", options).await;
        assert_eq!(answer.status.as_u16(), 400, "{}", answer.text());
        let error = ErrorBody::of(&answer.json());
        assert_eq!(
            (error.code.as_str(), error.param.as_deref()),
            ("invalid_value", Some(param)),
            "{error:?}"
        );
        assert!(error.message.contains(said), "{error:?}");
    }
    assert!(upstream.calls().is_empty());
    let usual = run("true", "usual");
    assert_eq!(content(&ask(&client, &usual, json!(true)).await), "usual");
    assert_eq!(offered(&upstream.calls_for(&usual)[0]), ["Grep", "Read"]);
    let desk = Desk::of(&cluster).await;
    let mut session = desk.session(desk.project().await).await;
    session.options.tools = vec!["Bash".to_owned()];
    let events = desk.events(desk.ask(&session, "hello").await).await;
    assert!(
        format!("{events:?}").contains("no agent here has the tool Bash"),
        "the worker looks too: {events:?}"
    );
}
