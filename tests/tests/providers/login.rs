//! Claude Code's own login: the CLI believes to pay by it, and only the relay knows the token.

use super::matrix::job_of;
use drover_tests::chat::{self, ask};
use drover_tests::harness::{ClaudeKind, Cluster};
use drover_tests::upstream::{Upstream, words};
use serde_json::json;

const TOKEN: &str = "sk-ant-oat01-token-of-the-tests";

#[tokio::test]
async fn the_clis_login_pays_for_chats_and_agents() {
    let upstream = Upstream::start();
    let builder = Cluster::builder().claude(ClaudeKind::Native).env("ANTHROPIC_BASE_URL", upstream.url());
    let builder = builder.env("DROVER_CLAUDE_LOGIN", "true").env("CLAUDE_CODE_OAUTH_TOKEN", TOKEN);
    let cluster = builder.env("ANTHROPIC_MODEL", "claude-sonnet-4-5").start().await;
    let client = cluster.client();
    let mut body = ask("say 3 words");
    body["messages"]
        .as_array_mut()
        .expect("a list")
        .insert(0, json!({"role": "system", "content": "Be kind."}));
    for _ in 0..2 {
        let answer = client.post(chat::PATH, &body).await;
        assert_eq!(answer.json()["choices"][0]["message"]["content"], words(3), "{}", answer.text());
        assert_eq!(answer.header("x-drover-provider"), Some("claude-login"));
        assert_eq!(job_of(&client, &answer).await["usage"]["unpriced_calls"], 1, "nobody says what it costs");
    }
    let chat = &upstream.calls_for("say 3 words")[0];
    assert_eq!(chat.headers["authorization"], format!("Bearer {TOKEN}"));
    assert!(!chat.headers.contains_key("x-api-key"));
    // The call is the CLI's, and says so; the conversation is the client's and nothing besides.
    assert!(chat.headers["user-agent"].starts_with("claude-cli/"), "{:?}", chat.headers);
    assert!(chat.headers["anthropic-beta"].contains("oauth-"), "{:?}", chat.headers);
    assert_eq!(chat.body["system"].as_array().map(Vec::len), Some(2), "{}", chat.body);
    assert_eq!(chat.body["system"][1]["text"], "Be kind.");
    assert_eq!(
        chat.body["messages"],
        json!([{"role": "user", "content": [{"type": "text", "text": "say 3 words"}]}])
    );

    let mut agent = ask("until told call Bash {\"command\":\"env\"} or say \"done\"");
    agent["agent"] = true.into();
    let answer = client.post(chat::PATH, &agent).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "done", "{}", answer.text());
    let rounds = upstream.calls_for("until told call Bash {\"command\":\"env\"} or say \"done\"");
    assert!(rounds.iter().all(|call| call.headers["authorization"] == format!("Bearer {TOKEN}")));
    let told = rounds.last().expect("a round").body.to_string();
    assert!(
        told.contains("CLAUDE_CODE") && !told.contains(TOKEN),
        "the agent's environment has another token"
    );
    assert!(!cluster.logs().contains(TOKEN));
}
