//! Which process a job gets.

use drover_tests::chat;
use drover_tests::harness::ClaudeKind;
use drover_tests::upstream::{Upstream, words};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::fleet::{carried, pool, pooled, said};

#[tokio::test]
async fn the_first_job_gets_a_primed_spare_and_the_next_ones_the_process_it_left() {
    one_process_serves_one_key(ClaudeKind::Native).await;
}

#[tokio::test]
async fn the_javascript_cli_is_primed_and_kept_as_well() {
    one_process_serves_one_key(ClaudeKind::JavaScript).await;
}

async fn one_process_serves_one_key(kind: ClaudeKind) {
    let upstream = Upstream::start();
    let cluster = pooled(&upstream, 1, 1).claude(kind).start().await;
    let client = cluster.client();
    pool(&client, "a spare waits", |pool| pool["chat_spares"] == 1).await;
    assert!(upstream.calls().is_empty(), "a priming turn costs nothing");
    for prompt in ["say 3 words", "say 4 words", "say \"five\""] {
        let expected = words(prompt.as_bytes()[4].saturating_sub(b'0').into());
        assert_eq!(said(&client, prompt).await, if prompt.contains("five") { "five" } else { &expected });
        let alone = json!([{"role": "user", "content": [{"type": "text", "text": prompt}]}]);
        assert_eq!(carried(&upstream, prompt), alone, "nothing of another turn goes up");
    }
    let figures = pool(&client, "the next spare waits", |pool| pool["chat_spares"] == 1 && pool["kept"] == 1);
    let figures = figures.await;
    assert_eq!(
        (&figures["spare_claims"], &figures["kept_claims"], &figures["cold_starts"], &figures["recycled"]),
        (&json!(1), &json!(2), &json!(0), &json!(0)),
        "{figures}"
    );
}

#[tokio::test]
async fn a_process_that_served_a_key_never_serves_another() {
    let upstream = Upstream::start();
    let builder = pooled(&upstream, 1, 1).env("API_KEYS", "key-of-ann, key-of-bob");
    let cluster = builder.start().await;
    let [ann, bob] = ["key-of-ann", "key-of-bob"].map(|key| cluster.client().with_key(key));
    for (turn, prompt) in
        ["say \"ann 1\"", "say \"bob 1\"", "say \"ann 2\"", "say \"bob 2\""].iter().enumerate()
    {
        let fresh = |pool: &Value| pool["chat_spares"] == 1 && pool["spare_claims"] == turn;
        pool(&ann, "a fresh spare waits", fresh).await;
        let client = if turn % 2 == 0 { &ann } else { &bob };
        said(client, prompt).await;
        let alone = json!([{"role": "user", "content": [{"type": "text", "text": prompt}]}]);
        assert_eq!(carried(&upstream, prompt), alone);
    }
    // With room for one kept process, each key's next job finds the other's in its place.
    let figures = pool(&ann, "all are told of", |pool| pool["spare_claims"] == 4).await;
    assert_eq!((&figures["kept_claims"], &figures["kept"]), (&json!(0), &json!(1)), "{figures}");
    assert_eq!(figures["recycled"], 3, "{figures}");
}

#[tokio::test]
async fn a_process_serves_one_job_only_where_the_operator_says_so() {
    let upstream = Upstream::start();
    let cluster = pooled(&upstream, 1, 1).env("DROVER_ISOLATION", "job").start().await;
    let client = cluster.client();
    for served in 1..=2 {
        let fresh = |pool: &Value| pool["chat_spares"] == 1 && pool["spare_claims"] == served - 1;
        pool(&client, "a fresh spare waits", fresh).await;
        said(&client, "say 1 words").await;
        let figures = pool(&client, "it was claimed", |pool| pool["recycled"] == served).await;
        assert_eq!((&figures["spare_claims"], &figures["kept"]), (&json!(served), &json!(0)), "{figures}");
    }
}

#[tokio::test]
async fn eight_at_once_find_a_process_each() {
    let upstream = Upstream::start();
    let cluster = pooled(&upstream, 8, 8).start().await;
    let client = cluster.client();
    pool(&client, "eight spares wait", |pool| pool["chat_spares"] == 8).await;
    let prompts: Vec<String> =
        (0..8).map(|n| format!("say 10 words every 50ms then say \" number {n}\"")).collect();
    let answers = join_all(prompts.iter().map(|prompt| said(&client, prompt))).await;
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(*answer, format!("{} number {n}", words(10)));
    }
    let figures = pool(&client, "all are told of", |pool| pool["spare_claims"] == 8).await;
    assert_eq!(figures["cold_starts"], 0, "{figures}");
    pool(&client, "all wait for the key's next jobs", |pool| pool["kept"] == 8).await;
}

#[tokio::test]
async fn a_job_that_finds_nothing_starts_a_process_of_its_own() {
    let upstream = Upstream::start();
    let cluster = pooled(&upstream, 2, 0).start().await;
    let client = cluster.client();
    assert_eq!(said(&client, "say 2 words").await, words(2));
    pool(&client, "its process waits", |pool| pool["kept"] == 1).await;
    let history = json!({"messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "first"}, {"role": "assistant", "content": "second"},
        {"role": "user", "content": "say 3 words"},
    ]});
    let answer = client.post(chat::PATH, &history).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], words(3));
    let turns = carried(&upstream, "say 3 words");
    assert_eq!(turns.as_array().map(Vec::len), Some(3), "the history goes up on a used process too: {turns}");
    let figures = pool(&client, "both are told of", |pool| pool["kept_claims"] == 1).await;
    assert_eq!((&figures["cold_starts"], &figures["spare_claims"]), (&json!(1), &json!(0)), "{figures}");
}
