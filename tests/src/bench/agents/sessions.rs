//! The first word of a session's first two turns, from a spare and from the process that stays.

use super::super::report::{Figure, Section};
use super::super::road::{self, Heard, call_for};
use super::super::times::{Times, added, whole};
use crate::client::Client;
use crate::harness::{Agent, AgentSlot, ClaudeKind};
use crate::upstream::Upstream;
use drover_shared::cli::invocation::AgentStart;
use drover_shared::schema::Event;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PROMPT: &str = "say 20 words";
const ROUNDS: usize = 15;
/// Long enough for a process to end its turn, and far less than a person thinks.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn measure() -> Section {
    let all = measure_each().await;
    let (first, second) = (whole(&all.first, 0.5), whole(&all.second, 0.5));
    let of_first = |of| added(&all.first, &all.bare_first, of);
    let of_second = |of| added(&all.second, &all.bare_second, of);
    Section {
        title: format!("Sessions of agents: `{PROMPT}` twice, {ROUNDS} in turn with {ROUNDS} bare ones"),
        figures: vec![
            Figure::new("first content, claimed spare, median", first, "ms")
                .beside("bare claimed", whole(&all.bare_first, 0.5))
                .ratio_at_most(1.2),
            Figure::new("first content, claimed spare, p90", whole(&all.first, 0.9), "ms")
                .beside("bare claimed", whole(&all.bare_first, 0.9)),
            Figure::new("added by Drover", of_first(|times| times.whole), "ms"),
            Figure::new("  before the provider's call", of_first(|times| times.before), "ms"),
            Figure::new("  after the provider's first word", of_first(|times| times.after), "ms"),
            Figure::new("a cold agent's first content, median", whole(&all.cold, 0.5), "ms")
                .beside("claimed spare", first)
                .ratio_at_least(2.0),
            Figure::new("first content, second turn, median", second, "ms")
                .beside("bare, second turn", whole(&all.bare_second, 0.5))
                .ratio_at_most(1.5),
            Figure::new("first content, second turn, p90", whole(&all.second, 0.9), "ms")
                .beside("bare, second turn", whole(&all.bare_second, 0.9)),
            Figure::new("added by Drover, second turn", of_second(|times| times.whole), "ms"),
            Figure::new("  before the provider's call", of_second(|times| times.before), "ms"),
            Figure::new("  after the provider's first word", of_second(|times| times.after), "ms"),
        ],
    }
}

/// The five ways to an answer.
#[derive(Default)]
struct Times5 {
    first: Vec<Times>,
    second: Vec<Times>,
    bare_first: Vec<Times>,
    bare_second: Vec<Times>,
    cold: Vec<Times>,
}

/// By turns, after one round that only warms up. Whatever is measured, nothing else is at work: the next spare
/// is awaited each time, and the one that was started by hand has waited like one.
async fn measure_each() -> Times5 {
    let upstream = Upstream::start();
    let cluster = road::cluster(ClaudeKind::Native, 1, &upstream).env("DROVER_SPARES", "0");
    let cluster = cluster.env("DROVER_AGENT_SPARES", "1").env("DROVER_RESIDENTS", "1").start().await;
    let client = cluster.client();
    let mut all = Times5::default();
    for round in 0..=ROUNDS {
        let slot = AgentSlot::with_project();
        let mut hand = start_by_hand(&slot, &upstream, AgentStart::Spare).await;
        at_rest(&client, round).await;
        let (session, first) = first_turn(&client, &upstream).await;
        at_rest(&client, round + 1).await;
        let second = second_turn(&client, &upstream, &session).await;
        at_rest(&client, round + 1).await;
        let bare_first = times(&upstream, claimed_by_hand(&mut hand, &slot)).await;
        tokio::time::sleep(PAUSE).await;
        let bare_second = times(&upstream, turn_by_hand(&mut hand)).await;
        hand.kill().await;
        let cold = times(&upstream, cold_by_hand(&upstream)).await;
        if round > 0 {
            all.first.push(first);
            all.second.push(second);
            all.bare_first.push(bare_first);
            all.bare_second.push(bare_second);
            all.cold.push(cold);
        }
    }
    let played = |pool: &Value| pool["resident_claims"] == ROUNDS + 1;
    road::pool(&client, "each second turn was played by its process", played).await;
    all
}

/// Waits until a spare waits again after so many sessions, of which the last one's process has stayed.
async fn at_rest(client: &Client, sessions: usize) {
    let rests = |pool: &Value| {
        pool["agent_spares"] == 1
            && pool["spare_claims"] == sessions
            && pool["residents"] == sessions.min(1)
            && pool["recycled"] == sessions.saturating_sub(1)
    };
    road::pool(client, "a spare waits", rests).await;
    tokio::time::sleep(PAUSE).await;
}

async fn first_turn(client: &Client, upstream: &Upstream) -> (String, Times) {
    upstream.forget();
    let body = json!({"agent": true, "stream": true, "messages": [{"role": "user", "content": PROMPT}]});
    let events = client.stream("/v1/chat/completions", &body).await;
    let session = events.headers.get("x-drover-session-id").and_then(|id| id.to_str().ok());
    let session = session.expect("a session").to_owned();
    let heard = road::heard_of(events).await;
    (session, Times::of(&heard, &call_for(upstream, PROMPT).await))
}

async fn second_turn(client: &Client, upstream: &Upstream, session: &str) -> Times {
    let body =
        json!({"session_id": session, "stream": true, "messages": [{"role": "user", "content": PROMPT}]});
    times(upstream, road::heard(client, &body)).await
}

async fn claimed_by_hand(agent: &mut Agent, slot: &AgentSlot) -> Heard {
    let project = slot.project();
    let asked = Instant::now();
    agent.claim_and_say(&project, PROMPT).await;
    heard(agent, asked).await
}

async fn turn_by_hand(agent: &mut Agent) -> Heard {
    let asked = Instant::now();
    agent.say(PROMPT).await;
    heard(agent, asked).await
}

async fn cold_by_hand(upstream: &Upstream) -> Heard {
    let slot = AgentSlot::with_project();
    let asked = Instant::now();
    let mut agent = slot.begin(ClaudeKind::Native, &upstream.url(), AgentStart::Cold, "").await;
    agent.say(PROMPT).await;
    let heard = heard(&mut agent, asked).await;
    agent.kill().await;
    heard
}

async fn start_by_hand(slot: &AgentSlot, upstream: &Upstream, start: AgentStart<'_>) -> Agent {
    slot.start(ClaudeKind::Native, &upstream.url(), start, "").await
}

/// Reads a turn to its end.
async fn heard(agent: &mut Agent, asked: Instant) -> Heard {
    let before = agent.events.len();
    let is_text = |event: &Event| matches!(event, Event::TextDelta { .. });
    agent.until(|agent| agent.events[before..].iter().any(is_text)).await;
    let words = vec![Instant::now()];
    agent.turn_end().await;
    Heard { asked, words, done: Instant::now() }
}

/// Hears an answer, and asks the provider when it was called for it.
async fn times(upstream: &Upstream, answer: impl Future<Output = Heard>) -> Times {
    upstream.forget();
    let heard = answer.await;
    Times::of(&heard, &call_for(upstream, PROMPT).await)
}
