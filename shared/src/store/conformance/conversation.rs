//! What jobs of a session find there, and what they leave.

use std::sync::Arc;

use super::bell::expect;
use super::bench::{
    Bench, Hand, NOW, completed, enqueue, enqueue_this, give_back, opening, say, started, text,
};
use super::desk::{Desk, agent_job, chat_job, turns};
use crate::schema::{
    CancelReason, Event, Failure, FailureKind, IfBusy, JobId, NewJob, Page, Session, SessionId, Told, Turn,
    Usage, limits,
};
use crate::store::{Append, Appended, Claim, Enqueued, Ring, RingRole, Store};

/// A new session of a chat.
async fn chat(store: &Arc<dyn Store>) -> SessionId {
    Desk::new().chat(store).await
}

async fn session(store: &Arc<dyn Store>, id: SessionId) -> Session {
    store.session(id).await.expect("a store").expect("a session")
}

pub(super) async fn history(store: &Arc<dyn Store>, id: SessionId) -> Vec<Turn> {
    let all = Page { newest_first: false, after: None, skip: 0, limit: 1_000 };
    let past = store.history(id, &all).await.expect("a store");
    assert!((1..).zip(&past).all(|(seq, past)| past.seq == seq), "{past:?}");
    past.into_iter().map(|past| past.turn).collect()
}

/// The claimed job says something and is done.
pub(super) async fn answer(hand: &Hand, claim: &Claim, said: &str) {
    let events = [started(1), opening(), text(said), completed()];
    assert_eq!(hand.append(say(claim, claim.last_seq + 1, &events)).await, Appended::Stored);
}

pub(in crate::store) async fn a_job_goes_on_from_what_was_said(bench: &dyn Bench) {
    let (one, other) = (Hand::hire(bench, "one").await, Hand::hire(bench, "other").await);
    let id = chat(&one.store).await;
    enqueue_this(&one.store, chat_job(id, &["q1"])).await;
    let claim = one.take(NOW).await;
    assert_eq!(claim.spec.turns, turns(&["q1"]));
    answer(&one, &claim, "a1").await;

    enqueue_this(&one.store, chat_job(id, &["q2"])).await;
    let claim = other.take(NOW + 7).await;
    assert_eq!(claim.spec.turns, turns(&["q1", "a1", "q2"]), "only what is new was sent");
    answer(&other, &claim, "a2").await;

    let all = ["q1", "a1", "q2", "a2", "q3"];
    enqueue_this(&other.store, chat_job(id, &all)).await;
    let claim = one.take(NOW).await;
    assert_eq!(claim.spec.turns, turns(&all), "all was sent");
    answer(&one, &claim, "a3").await;
    assert_eq!(history(&other.store, id).await, turns(&["q1", "a1", "q2", "a2", "q3", "a3"]));

    let row = session(&other.store, id).await;
    assert_eq!((row.message_count, row.total_tokens), (6, 3 * 8));
    assert!(row.updated_at_ms >= NOW);
}

pub(in crate::store) async fn a_job_that_waited_goes_on_from_the_answer_before_it(bench: &dyn Bench) {
    let (one, other) = (Hand::hire(bench, "one").await, Hand::hire(bench, "other").await);
    let id = chat(&one.store).await;
    let first = enqueue_this(&one.store, chat_job(id, &["q1"])).await;
    let second = enqueue_this(&one.store, chat_job(id, &["q2"])).await;
    let elsewhere = enqueue(&one.store).await;
    let claim = one.take(NOW).await;
    assert_eq!(claim.lease.job, first);
    assert_eq!(other.take(NOW).await.lease.job, elsewhere, "nobody behind it is stopped");
    assert!(other.claim(NOW).await.is_none());
    assert_eq!(other.rescue(NOW).await, 0);

    let mut rings = other.store.listen(RingRole::Worker, "other").await.expect("a listener");
    answer(&one, &claim, "a1").await;
    expect(&mut rings, Ring::Task).await;
    let claim = other.take(NOW).await;
    assert_eq!(claim.lease.job, second);
    assert_eq!(claim.spec.turns, turns(&["q1", "a1", "q2"]));
}

pub(in crate::store) async fn what_fails_adds_nothing_but_its_cost(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let id = chat(&hand.store).await;
    let usage = Usage { input_tokens: 1, output_tokens: 2, cost_microusd: 50, ..Usage::default() };
    let failure = Failure::new(FailureKind::ProviderError, "no");
    for end in [Event::Failed { failure, usage }, Event::Cancelled { reason: CancelReason::Requested, usage }]
    {
        enqueue_this(&hand.store, chat_job(id, &["q"])).await;
        let claim = hand.take(NOW).await;
        assert_eq!(claim.spec.turns, turns(&["q"]));
        let events = [started(1), opening(), text("half an"), end];
        assert_eq!(hand.append(say(&claim, 1, &events)).await, Appended::Stored);
    }
    let row = session(&hand.store, id).await;
    assert_eq!((row.message_count, row.total_tokens, row.cost_microusd), (0, 6, 100));
    assert_eq!(history(&hand.store, id).await, []);
}

/// Two jobs of one session of an agent, and two of one of a chat.
async fn pairs(hand: &Hand) -> [[JobId; 2]; 2] {
    let desk = Desk::open(&hand.store).await;
    let chat = desk.chat(&hand.store).await;
    let mut asked = Vec::new();
    for _ in 0..2 {
        let agents = enqueue_this(&hand.store, agent_job(desk.session.id, desk.project.id)).await;
        asked.push((agents, enqueue_this(&hand.store, chat_job(chat, &["q"])).await));
    }
    let (agents, chats): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
    [agents, chats].map(|jobs| jobs.try_into().expect("two"))
}

pub(in crate::store) async fn jobs_of_a_session_run_in_the_order_in_which_they_came(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let [agents, chats] = pairs(&hand).await;
    for first in [agents[0], chats[0]] {
        let claim = hand.take(NOW).await;
        assert_eq!(claim.lease.job, first);
        hand.append(give_back(&claim, 5_000)).await;
    }
    assert!(hand.claim(NOW).await.is_none(), "the first ones have not ended");
    let mut rings = hand.store.listen(RingRole::Worker, "w").await.expect("a listener");
    for [first, second] in [agents, chats] {
        hand.store.cancel(first, CancelReason::Requested, NOW).await.expect("a store");
        expect(&mut rings, Ring::Task).await;
        assert_eq!(hand.take(NOW).await.lease.job, second);
    }
}

pub(in crate::store) async fn a_session_that_is_busy_refuses_who_will_not_wait(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let desk = Desk::open(&hand.store).await;
    let chat = desk.chat(&hand.store).await;
    for ask in [&(|| desk.job()) as &dyn Fn() -> NewJob, &|| chat_job(chat, &["q"])] {
        let impatient = || NewJob { if_busy: IfBusy::Refuse, ..ask() };
        enqueue_this(&hand.store, impatient()).await;
        let refused = impatient();
        assert_eq!(hand.store.enqueue(&refused, 10).await.expect("a store"), Enqueued::SessionBusy);
        assert!(hand.store.job(refused.id).await.expect("a store").is_none());
        let claim = hand.take(NOW).await;
        assert_eq!(hand.store.enqueue(&impatient(), 10).await.expect("a store"), Enqueued::SessionBusy);
        answer(&hand, &claim, "a").await;
        let id = enqueue_this(&hand.store, impatient()).await;
        hand.store.cancel(id, CancelReason::Requested, NOW).await.expect("a store");
    }
    let second = desk.second_session(&hand.store).await;
    enqueue_this(&hand.store, desk.job()).await;
    let elsewhere = NewJob { if_busy: IfBusy::Refuse, ..agent_job(second, desk.project.id) };
    enqueue_this(&hand.store, elsewhere).await;
}

pub(in crate::store) async fn only_so_many_jobs_wait_for_a_session(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let id = chat(&hand.store).await;
    for _ in 0..limits::SESSION_QUEUED {
        enqueue_this(&hand.store, chat_job(id, &["q"])).await;
    }
    let one_more = chat_job(id, &["q"]);
    assert_eq!(hand.store.enqueue(&one_more, 1_000).await.expect("a store"), Enqueued::SessionFull);
    enqueue_this(&hand.store, chat_job(chat(&hand.store).await, &["q"])).await;
    hand.take(NOW).await;
    assert_eq!(hand.store.enqueue(&one_more, 1_000).await.expect("a store"), Enqueued::Added);
}

pub(in crate::store) async fn a_history_holds_only_so_much(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let id = chat(&hand.store).await;
    let half = "x".repeat(usize::try_from(limits::HISTORY_BYTES / 2).expect("small"));
    for _ in 0..2 {
        enqueue_this(&hand.store, chat_job(id, &["q"])).await;
        answer(&hand, &hand.take(NOW).await, &half).await;
    }
    let refused = chat_job(id, &["q"]);
    assert_eq!(hand.store.enqueue(&refused, 10).await.expect("a store"), Enqueued::SessionTooLong);
    assert!(hand.store.job(refused.id).await.expect("a store").is_none());
}

pub(in crate::store) async fn a_session_keeps_the_first_that_it_is_told(bench: &dyn Bench) {
    let store = bench.handle().await;
    let id = chat(&store).await;
    let told = |model: &str, system: Option<&str>| NewJob {
        told: Told { model: Some(model.to_owned()), system: system.map(str::to_owned) },
        created_at_ms: NOW + 9,
        ..chat_job(id, &["q"])
    };
    enqueue_this(&store, chat_job(id, &["q"])).await;
    assert_eq!((session(&store, id).await.model, session(&store, id).await.system), (None, None));
    let refused = NewJob { if_busy: IfBusy::Refuse, ..told("never", Some("never")) };
    assert_eq!(store.enqueue(&refused, 10).await.expect("a store"), Enqueued::SessionBusy);
    for (model, system) in [("first", None), ("second", Some("Be brief.")), ("third", Some("Be long."))] {
        enqueue_this(&store, told(model, system)).await;
    }
    let row = session(&store, id).await;
    assert_eq!((row.model.as_deref(), row.system.as_deref()), (Some("first"), Some("Be brief.")));
    assert_eq!(row.updated_at_ms, NOW + 9);
}

pub(in crate::store) async fn what_an_agent_said_is_kept_for_reading(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let desk = Desk::open(&hand.store).await;
    for at in 0..2 {
        let asked = enqueue_this(&hand.store, desk.job()).await;
        let claim = hand.take(NOW).await;
        assert_eq!((claim.lease.job, claim.spec.turns.len()), (asked, 1), "it knows by its transcript");
        answer(&hand, &claim, &format!("a{at}")).await;
    }
    let said = history(&hand.store, desk.session.id).await;
    assert_eq!(said[1], turns(&["", "a0"])[1]);
    assert_eq!((said.len(), session(&hand.store, desk.session.id).await.message_count), (4, 4));
    let newest = Page { newest_first: true, after: Some(4), skip: 0, limit: 2 };
    let past = hand.store.history(desk.session.id, &newest).await.expect("a store");
    assert_eq!(past.iter().map(|past| past.seq).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(past[0].at_ms, NOW);
}

pub(in crate::store) async fn an_answer_in_many_pieces_is_kept_whole(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let id = chat(&hand.store).await;
    enqueue_this(&hand.store, chat_job(id, &["q"])).await;
    let lost = hand.take(NOW).await;
    hand.append(say(&lost, 1, &[started(1)])).await;
    hand.append(Append { first_seq: 2, ..give_back(&lost, 0) }).await;
    let claim = hand.take(NOW).await;
    let first = say(&claim, 2, &[started(2), opening(), text("one ")]);
    assert_eq!(hand.append(first.clone()).await, Appended::Stored);
    let (middle, end) = (say(&claim, 5, &[text("two ")]), say(&claim, 6, &[text("three"), completed()]));
    // Stored again, since its writer could not know that it was stored; and two in one commit.
    let stored = hand.store.append(&[first, middle, end], NOW).await.expect("an append");
    assert_eq!(stored, [Appended::Stored; 3]);
    assert_eq!(history(&hand.store, id).await, turns(&["q", "one two three"]));
    let late = say(&lost, 9, &[text("four"), completed()]);
    assert_eq!(hand.append(late).await, Appended::Fenced);
    assert_eq!(history(&hand.store, id).await.len(), 2, "who lost the lease adds nothing");
}
