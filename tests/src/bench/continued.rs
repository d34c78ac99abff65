//! The first word of an answer that goes on with the results of a tool: as soon as that of any other turn, whatever has
//! become of the process that made the call.

use super::report::{Figure, Section};
use super::road::{self, Heard, call_for, chat_after};
use super::times::{Times, whole};
use crate::client::Client;
use crate::harness::{Builder, ClaudeKind, DirectCli};
use crate::upstream::Upstream;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::time::Duration;

const PROMPT: &str = "say 20 words";
const SCRIPT: &str = "until told call now {} or say 20 words";
/// The turns that a conversation has before the question, few and many.
const FEW: usize = 1;
const MANY: usize = 100;
const ROUNDS: usize = 20;
/// Fewer, as each takes the start of a worker.
const KILLS: usize = 8;
/// Long enough for a process to end its turn.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn measure() -> Section {
    let Compared { chat, few, many, bare } = compare().await;
    let killed = after_a_kill().await;
    let (chat_median, bare_median) = (whole(&chat, 0.5), whole(&bare, 0.5));
    let against_chat = |name: &str, times: &[Times]| {
        Figure::new(name, whole(times, 0.5), "ms").beside("chat turn", chat_median).ratio_at_most(1.25)
    };
    let against_bare = |name: &str, times: &[Times]| {
        Figure::new(name, whole(times, 0.5), "ms").beside("bare", bare_median).ratio_at_most(1.5)
    };
    Section {
        title: format!(
            "Results of a tool: `{PROMPT}` with them, {ROUNDS} in turn with {ROUNDS} turns of a bare CLI"
        ),
        figures: vec![
            against_bare("an ordinary chat turn, median", &chat),
            against_chat("with a tool's results, 1 prior turn, median", &few),
            against_bare("with a tool's results, 1 prior turn, median", &few),
            against_chat("with a tool's results, 100 prior turns, median", &many),
            against_bare("with a tool's results, 100 prior turns, median", &many),
            Figure::new("after kill -9 of the first worker, median", whole(&killed.results, 0.5), "ms")
                .beside("chat turn after one", whole(&killed.chat, 0.5))
                .ratio_at_most(1.25),
            Figure::new("after kill -9 of the first worker, median", whole(&killed.results, 0.5), "ms")
                .beside("bare", bare_median),
        ],
    }
}

#[derive(Default)]
struct Compared {
    chat: Vec<Times>,
    few: Vec<Times>,
    many: Vec<Times>,
    bare: Vec<Times>,
}

/// By turns, after one round that only warms up. All are served by one process, which is kept, and the bare one plays
/// as many turns.
async fn compare() -> Compared {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).env("DROVER_ISOLATION", "key").start().await;
    let client = cluster.client();
    road::pool(&client, "a spare waits", |pool| pool["chat_spares"] == 1).await;
    let mut hand = road::primed_by_hand(ClaudeKind::Native, &upstream.url()).await;
    let mut all = Compared::default();
    for round in 0..=ROUNDS {
        let chat = times(&upstream, PROMPT, road::heard(&client, &chat_after(FEW, PROMPT))).await;
        let few = with_results(&client, &upstream, FEW).await;
        let many = with_results(&client, &upstream, MANY).await;
        let bare = by_hand(&upstream, &mut hand).await;
        if round > 0 {
            all.chat.push(chat);
            all.few.push(few);
            all.many.push(many);
            all.bare.push(bare);
        }
    }
    all
}

#[derive(Default)]
struct Killed {
    chat: Vec<Times>,
    results: Vec<Times>,
}

/// The worker that has served the first round dies when there is another; the results come at once, and by turns an
/// ordinary question in their place.
async fn after_a_kill() -> Killed {
    let upstream = Upstream::start();
    let mut cluster = builder(&upstream).start().await;
    let client = cluster.client();
    let mut all = Killed::default();
    for round in 0..2 * KILLS {
        road::pool(&client, "a spare waits", |pool| pool["chat_spares"] == 1).await;
        let results = answered(&client, chat_after(FEW, SCRIPT)).await;
        cluster.add_worker().await;
        road::pool(&client, "the other has a spare too", |pool| pool["chat_spares"] == 2).await;
        cluster.kill_worker(round, Signal::SIGKILL).await;
        let (prompt, body, road) = match round % 2 {
            0 => (SCRIPT, results, &mut all.results),
            _ => (PROMPT, chat_after(FEW, PROMPT), &mut all.chat),
        };
        road.push(times(&upstream, prompt, road::heard(&client, &body)).await);
    }
    all
}

fn builder(upstream: &Upstream) -> Builder {
    let cluster = road::cluster(ClaudeKind::Native, 1, upstream);
    cluster.env("DROVER_SLOTS", "1").env("DROVER_SPARES", "1")
}

async fn with_results(client: &Client, upstream: &Upstream, turns: usize) -> Times {
    let body = answered(client, chat_after(turns, SCRIPT)).await;
    tokio::time::sleep(PAUSE).await;
    times(upstream, SCRIPT, road::heard(client, &body)).await
}

async fn by_hand(upstream: &Upstream, hand: &mut DirectCli) -> Times {
    times(upstream, PROMPT, road::turn_by_hand(hand, PROMPT)).await
}

/// Has the model call the tool, and answers the request that has the result.
async fn answered(client: &Client, mut body: Value) -> Value {
    body["tools"] = json!([{"type": "function", "function": {"name": "now"}}]);
    let mut asked = body.clone();
    asked["stream"] = false.into();
    let answer = client.post("/v1/chat/completions", &asked).await.json();
    let message = &answer["choices"][0]["message"];
    let id = &message["tool_calls"][0]["id"];
    assert!(id.is_string(), "the tool was not called: {answer}");
    let messages = body["messages"].as_array_mut().expect("messages");
    messages.push(message.clone());
    messages.push(json!({"role": "tool", "tool_call_id": id, "content": "noon"}));
    body
}

/// Hears an answer, and asks the provider when it was called for it. A process has come to rest before the next.
async fn times(upstream: &Upstream, prompt: &str, answer: impl Future<Output = Heard>) -> Times {
    upstream.forget();
    let heard = answer.await;
    let times = Times::of(&heard, &call_for(upstream, prompt).await);
    tokio::time::sleep(PAUSE).await;
    times
}
