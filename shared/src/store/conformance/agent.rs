//! Jobs of agents: which may be asked for, and which may run.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::Barrier;

use super::bell::expect;
use super::bench::{Bench, Hand, NOW, Tamper, completed, enqueue, enqueue_this, give_back, job, say};
use super::desk::{Desk, agent_job, chat_job};
use crate::schema::{JobState, NewJob, Owner, Project, Session, WorkerReport, limits};
use crate::store::{Enqueued, Ring, RingRole};

pub(in crate::store) async fn projects_and_sessions_are_kept_as_they_were_made(bench: &dyn Bench) {
    let store = bench.handle().await;
    let desk = Desk::open(&store).await;
    assert_eq!(store.project(desk.project.id).await.expect("a store"), Some(desk.project.clone()));
    assert_eq!(store.session(desk.session.id).await.expect("a store"), Some(desk.session.clone()));
    let other = Owner("other".to_owned());
    let project = Project { owner: other.clone(), ..desk.project.clone() };
    let session = Session { owner: other, ..desk.session.clone() };
    assert!(!store.create_project(&project).await.expect("a store"), "the id is taken");
    assert!(!store.create_session(&session).await.expect("a store"), "the id is taken");
    assert_eq!(store.project(desk.project.id).await.expect("a store"), Some(desk.project));
    assert_eq!(store.session(desk.session.id).await.expect("a store"), Some(desk.session));
}

pub(in crate::store) async fn a_job_needs_a_session_of_its_owner_in_its_project(bench: &dyn Bench) {
    let store = bench.handle().await;
    let (desk, elsewhere, unknown) = (Desk::open(&store).await, Desk::open(&store).await, Desk::new());
    let foreign = NewJob { owner: Owner("other".to_owned()), ..desk.job() };
    let chat = desk.chat(&store).await;
    let foreign_chat = NewJob { owner: Owner("other".to_owned()), ..chat_job(chat, &["q"]) };
    for job in [
        agent_job(chat, desk.project.id),
        chat_job(desk.session.id, &["q"]),
        chat_job(unknown.session.id, &["q"]),
        foreign_chat,
        agent_job(desk.session.id, elsewhere.project.id),
        agent_job(desk.session.id, unknown.project.id),
        agent_job(unknown.session.id, desk.project.id),
        foreign,
    ] {
        assert_eq!(store.enqueue(&job, 10).await.expect("a store"), Enqueued::NoSuchSession);
        assert!(store.job(job.id).await.expect("a store").is_none());
    }
    assert_eq!(store.enqueue(&desk.job(), 10).await.expect("a store"), Enqueued::Added);
}

pub(in crate::store) async fn only_so_many_jobs_wait_for_a_project(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let desk = Desk::open(&hand.store).await;
    for _ in 0..limits::PROJECT_QUEUED {
        enqueue_this(&hand.store, desk.job()).await;
    }
    let one_more = desk.job();
    assert_eq!(hand.store.enqueue(&one_more, 1_000).await.expect("a store"), Enqueued::ProjectFull);
    assert!(hand.store.job(one_more.id).await.expect("a store").is_none());
    enqueue_this(&hand.store, Desk::open(&hand.store).await.job()).await;
    enqueue(&hand.store).await;
    hand.take(NOW).await;
    assert_eq!(hand.store.enqueue(&one_more, 1_000).await.expect("a store"), Enqueued::Added);
}

pub(in crate::store) async fn one_job_of_a_project_runs_at_a_time(bench: &dyn Bench) {
    let store = bench.handle().await;
    let mut desks = Vec::new();
    for _ in 0..5 {
        let desk = Desk::open(&store).await;
        let second = desk.second_session(&store).await;
        for session in [desk.session.id, second, desk.session.id] {
            enqueue_this(&store, agent_job(session, desk.project.id)).await;
        }
        desks.push(desk);
    }
    let mut claimers = tokio::task::JoinSet::new();
    let start = Arc::new(Barrier::new(4));
    for number in 0..4 {
        let hand = Hand::hire(bench, &format!("w{number}")).await;
        let start = Arc::clone(&start);
        claimers.spawn(async move {
            start.wait().await;
            let mut claimed = Vec::new();
            while let Some(claim) = hand.claim(NOW).await {
                claimed.push(claim.spec.agent.as_ref().expect("an agent's").project);
            }
            claimed
        });
    }
    let claimed: Vec<_> = claimers.join_all().await.concat();
    assert_eq!(claimed.len(), desks.len(), "exactly one of each");
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>().len(), desks.len());
}

pub(in crate::store) async fn a_held_back_job_stops_nobody_behind_it(bench: &dyn Bench) {
    let (holder, other) = (Hand::hire(bench, "holder").await, Hand::hire(bench, "other").await);
    let desk = Desk::open(&holder.store).await;
    desk.hold(&holder).await;
    let held_back = enqueue_this(&holder.store, desk.job()).await;
    let mut behind = Vec::new();
    for _ in 0..1_000 {
        behind.push(enqueue(&holder.store).await);
    }
    for chat in behind {
        assert_eq!(other.take(NOW).await.lease.job, chat);
    }
    assert!(other.claim(NOW).await.is_none());
    assert_eq!(other.rescue(NOW).await, 0);
    assert_eq!(job(&other.store, held_back).await.state, JobState::Queued);
    assert_eq!(holder.take(NOW).await.lease.job, held_back, "it was left for its holder");
}

pub(in crate::store) async fn a_doubled_task_lets_nobody_into_a_busy_project(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let desk = Desk::open(&hand.store).await;
    let first = enqueue_this(&hand.store, desk.job()).await;
    let second = enqueue_this(&hand.store, desk.job()).await;
    let running = hand.take(NOW).await;
    assert_eq!(running.lease.job, first);
    bench.tamper(Tamper::AddTask(second)).await;
    assert!(hand.claim(NOW).await.is_none());
    assert_eq!(job(&hand.store, second).await.state, JobState::Queued);
    hand.append(say(&running, 1, &[completed()])).await;
    assert_eq!(hand.take(NOW).await.lease.job, second);
}

pub(in crate::store) async fn the_end_of_a_job_rings_for_the_next_of_its_project(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let desk = Desk::open(&hand.store).await;
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(enqueue_this(&hand.store, NewJob { max_attempts: 1, ..desk.job() }).await);
    }
    let first = hand.take(NOW).await;
    let mut rings = hand.store.listen(RingRole::Worker, "w").await.expect("a listener");
    hand.append(say(&first, 1, &[completed()])).await;
    expect(&mut rings, Ring::Task).await;
    let second = hand.take(NOW).await;
    hand.append(give_back(&second, 0)).await;
    expect(&mut rings, Ring::Task).await;
    let third = hand.take(NOW).await;
    assert_eq!([first, second, third].map(|claim| claim.lease.job), *jobs);
}

pub(in crate::store) async fn who_cannot_run_agents_leaves_them_to_others(bench: &dyn Bench) {
    let weak = Hand::hire_for_chats(bench, "weak").await;
    let desk = Desk::open(&weak.store).await;
    let alone = enqueue_this(&weak.store, desk.job()).await;
    let claim = weak.take(NOW).await;
    assert_eq!(claim.lease.job, alone, "somebody has to tell the client why not");
    weak.append(say(&claim, 1, &[completed()])).await;
    assert!(weak.store.release(&weak.id, desk.project.id).await.expect("a store"));

    let strong = Hand::hire(bench, "strong").await;
    let agents = enqueue_this(&weak.store, desk.job()).await;
    let chat = enqueue(&weak.store).await;
    assert_eq!(weak.take(NOW).await.lease.job, chat, "it is no obstacle for chats");
    assert!(weak.claim(NOW).await.is_none());
    assert_eq!(strong.take(NOW).await.lease.job, agents);

    let other = Desk::open(&weak.store).await;
    let orphan = enqueue_this(&weak.store, other.job()).await;
    assert!(weak.claim(NOW).await.is_none());
    strong.store.beat(&WorkerReport { draining: true, ..strong.report() }, NOW).await.expect("a beat");
    let claim = weak.take(NOW).await;
    assert_eq!(claim.lease.job, orphan, "who leaves takes none any more");
    weak.append(give_back(&claim, 0)).await;
    assert!(weak.store.release(&weak.id, other.project.id).await.expect("a store"));
    strong.beat(NOW).await;
    assert!(weak.claim(NOW).await.is_none());
    strong.store.retire(&strong.id).await.expect("a store");
    assert_eq!(weak.take(NOW).await.lease.job, orphan);
}
