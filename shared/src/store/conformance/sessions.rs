//! The rows of projects and sessions: lists, changes, deleting, forking, retention.

use std::sync::Arc;

use uuid::Uuid;

use super::bench::{Bench, Hand, NOW, enqueue_this, job};
use super::conversation::{answer, history};
use super::desk::{Desk, chat_job, turns};
use crate::schema::{
    CancelReason, JobState, Owner, Page, Project, ProjectChange, ProjectId, Session, SessionChange,
    SessionId, SessionSums, limits,
};
use crate::store::{Forked, Removed, Store};

fn somebody() -> Owner {
    Owner(Uuid::new_v4().to_string())
}

fn page<Id>(newest_first: bool, after: Option<Id>, skip: u64, limit: u32) -> Page<Id> {
    Page { newest_first, after, skip, limit }
}

async fn session(store: &Arc<dyn Store>, id: SessionId) -> Option<Session> {
    store.session(id).await.expect("a store")
}

pub(in crate::store) async fn lists_are_told_in_pages(bench: &dyn Bench) {
    let store = bench.handle().await;
    let owner = somebody();
    let (mut projects, mut sessions) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let project = Project::new(ProjectId::from_uuid(Uuid::now_v7()), owner.clone(), NOW);
        assert!(store.create_project(&project).await.expect("a store"));
        for place in [Some(project.id), None] {
            let id = SessionId::from_uuid(Uuid::now_v7());
            assert!(
                store.create_session(&Session::new(id, owner.clone(), place, NOW)).await.expect("a store")
            );
            sessions.push(id);
        }
        projects.push(project.id);
    }
    Desk::open(&store).await;

    for (asked, expected, has_more) in [
        (page(false, None, 0, 2), &[0, 1][..], true),
        (page(false, Some(projects[1]), 0, 3), &[2, 3, 4], false),
        (page(true, None, 1, 2), &[3, 2], true),
        (page(true, Some(projects[2]), 0, 9), &[1, 0], false),
        (page(false, None, 5, 9), &[], false),
    ] {
        let listed = store.projects(&owner, &asked).await.expect("a store");
        let ids: Vec<_> = listed.items.iter().map(|project| project.id).collect();
        let expected: Vec<_> = expected.iter().map(|at| projects[*at]).collect();
        assert_eq!((ids, listed.total, listed.has_more), (expected, 5, has_more), "{asked:?}");
    }
    for (project, asked, expected, total) in [
        (None, page(true, None, 0, 3), &[9, 8, 7][..], 10),
        (None, page(false, Some(sessions[7]), 0, 9), &[8, 9], 10),
        (Some(projects[4]), page(false, None, 0, 9), &[8], 1),
    ] {
        let listed = store.sessions(&owner, project, &asked).await.expect("a store");
        let ids: Vec<_> = listed.items.iter().map(|session| session.id).collect();
        let expected: Vec<_> = expected.iter().map(|at| sessions[*at]).collect();
        assert_eq!((ids, listed.total), (expected, total), "{asked:?}");
    }
    let others =
        store.sessions(&somebody(), Some(projects[0]), &page(true, None, 0, 9)).await.expect("a store");
    assert_eq!((others.items.len(), others.total), (0, 0));
}

pub(in crate::store) async fn what_is_changed_is_changed(bench: &dyn Bench) {
    let store = bench.handle().await;
    let Desk { project, session } = Desk::open(&store).await;
    let same = store.change_project(project.id, &ProjectChange::default(), NOW + 1).await.expect("a store");
    assert_eq!(same, Some(Project { updated_at_ms: NOW + 1, ..project.clone() }));
    let change = ProjectChange { name: Some(String::new()), network: Some(Vec::new()), description: None };
    let changed = store.change_project(project.id, &change, NOW + 2).await.expect("a store");
    let expected =
        Project { name: String::new(), network: Vec::new(), updated_at_ms: NOW + 2, ..project.clone() };
    assert_eq!(changed, Some(expected.clone()));
    assert_eq!(store.project(project.id).await.expect("a store"), Some(expected));

    let title = Some("Kiste".to_owned());
    let change = SessionChange { title, model: Some(None), system: None };
    let changed = store.change_session(session.id, &change, NOW + 1).await.expect("a store");
    let expected =
        Session { title: "Kiste".to_owned(), model: None, updated_at_ms: NOW + 1, ..session.clone() };
    assert_eq!(changed, Some(expected.clone()));
    let change = SessionChange { model: Some(Some("m".to_owned())), ..SessionChange::default() };
    let changed = store.change_session(session.id, &change, NOW + 1).await.expect("a store");
    assert_eq!(changed, Some(Session { model: Some("m".to_owned()), ..expected }));
    let unknown = Desk::new();
    assert_eq!(store.change_session(unknown.session.id, &change, NOW).await.expect("a store"), None);
    let nobody = store.change_project(unknown.project.id, &ProjectChange::default(), NOW).await;
    assert_eq!(nobody.expect("a store"), None);
}

pub(in crate::store) async fn sessions_are_added_up(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let desk = Desk::open(&hand.store).await;
    let chat = desk.chat(&hand.store).await;
    for _ in 0..2 {
        enqueue_this(&hand.store, chat_job(chat, &["q"])).await;
        answer(&hand, &hand.take(NOW).await, "a").await;
    }
    let sums = hand.store.session_sums(&desk.project.owner).await.expect("a store");
    let expected =
        SessionSums { sessions: 2, agent_sessions: 1, messages: 4, total_tokens: 16, cost_microusd: 0 };
    assert_eq!(sums, expected);
    assert_eq!(hand.store.session_sums(&somebody()).await.expect("a store"), SessionSums::default());
}

pub(in crate::store) async fn a_session_is_deleted_with_all_that_it_holds(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let desk = Desk::open(&hand.store).await;
    let chat = desk.chat(&hand.store).await;
    let delete = async |id| hand.store.delete_session(id).await.expect("a store");
    for (id, ask) in [(chat, chat_job(chat, &["q"])), (desk.session.id, desk.job())] {
        let asked = enqueue_this(&hand.store, ask).await;
        assert_eq!(delete(id).await, Removed::Busy, "a job waits");
        let claim = hand.take(NOW).await;
        assert_eq!(delete(id).await, Removed::Busy, "it runs");
        answer(&hand, &claim, "a").await;
        assert_eq!(delete(id).await, Removed::Gone);
        assert_eq!(delete(id).await, Removed::Unknown);
        assert_eq!(session(&hand.store, id).await, None);
        assert_eq!(history(&hand.store, id).await, []);
        assert!(hand.store.transcript(id).await.expect("a store").is_none());
        assert_eq!(job(&hand.store, asked).await.state, JobState::Completed, "its job stays");
    }
    assert!(hand.store.release(&hand.id, desk.project.id).await.expect("a store"));
    let next = desk.second_session(&hand.store).await;
    enqueue_this(&hand.store, super::desk::agent_job(next, desk.project.id)).await;
    hand.take(NOW).await;
}

pub(in crate::store) async fn a_fork_goes_on_by_itself(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let desk = Desk::new();
    let chat = desk.chat(&hand.store).await;
    let (owner, id) = (desk.project.owner.clone(), SessionId::from_uuid(Uuid::now_v7()));
    let fork = Session { title: "Zweig".to_owned(), ..Session::new(id, owner, None, NOW) };
    let make = async |from, fork: &Session| hand.store.fork_session(from, fork).await.expect("a store");

    let waiting = enqueue_this(&hand.store, chat_job(chat, &["q1"])).await;
    assert_eq!(make(chat, &fork).await, Forked::Busy);
    let claim = hand.take(NOW).await;
    assert_eq!(claim.lease.job, waiting);
    answer(&hand, &claim, "a1").await;
    assert_eq!(make(desk.session.id, &fork).await, Forked::Unknown);
    assert_eq!(make(chat, &Session { owner: somebody(), ..fork.clone() }).await, Forked::Unknown);
    assert_eq!(make(chat, &fork).await, Forked::Made);

    let row = session(&hand.store, id).await.expect("a fork");
    assert_eq!(row, Session { message_count: 2, ..fork }, "what was billed is not counted again");
    for (id, question) in [(chat, "here"), (id, "there")] {
        enqueue_this(&hand.store, chat_job(id, &[question])).await;
        let claim = hand.take(NOW).await;
        assert_eq!(claim.spec.turns, turns(&["q1", "a1", question]));
        answer(&hand, &claim, "a2").await;
        assert_eq!(history(&hand.store, id).await, turns(&["q1", "a1", question, "a2"]));
    }
}

pub(in crate::store) async fn an_agents_fork_has_the_transcript(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let (desk, elsewhere) = (Desk::open(&hand.store).await, Desk::open(&hand.store).await);
    let from = desk.session.id;
    enqueue_this(&hand.store, desk.job()).await;
    let claim = hand.take(NOW).await;
    let entry = r#"{"entry":1}"#.to_owned();
    hand.store.remember(&claim.lease, from, std::slice::from_ref(&entry), NOW).await.expect("a store");
    answer(&hand, &claim, "a").await;
    let new = |place: Option<ProjectId>| {
        let id = SessionId::from_uuid(Uuid::now_v7());
        Session::new(id, desk.project.owner.clone(), place, NOW)
    };
    for place in [None, Some(elsewhere.project.id)] {
        let forked = hand.store.fork_session(from, &new(place)).await.expect("a store");
        assert_eq!(forked, Forked::Unknown, "its files are in its project");
    }
    let fork = new(Some(desk.project.id));
    assert_eq!(hand.store.fork_session(from, &fork).await.expect("a store"), Forked::Made);
    assert_eq!(hand.store.transcript(fork.id).await.expect("a store"), Some(vec![entry]));
    assert_eq!(history(&hand.store, fork.id).await, history(&hand.store, from).await);

    enqueue_this(&hand.store, desk.job()).await;
    let claim = hand.take(NOW).await;
    let too_large = "x".repeat(limits::TRANSCRIPT_ENTRY_BYTES + 1);
    hand.store.remember(&claim.lease, from, &[too_large], NOW).await.expect("a store");
    answer(&hand, &claim, "a").await;
    let forked = hand.store.fork_session(from, &new(Some(desk.project.id))).await.expect("a store");
    assert_eq!(forked, Forked::NotWhole);
}

pub(in crate::store) async fn sessions_that_nobody_writes_to_go_and_projects_never(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let desk = Desk::open(&hand.store).await;
    let (chat, busy) = (desk.chat(&hand.store).await, desk.chat(&hand.store).await);
    let ended = enqueue_this(&hand.store, chat_job(chat, &["q"])).await;
    answer(&hand, &hand.take(NOW).await, "a").await;
    let waiting = enqueue_this(&hand.store, chat_job(busy, &["q"])).await;

    assert_eq!(hand.store.prune(NOW + 1, 100).await.expect("a store"), 1);
    assert!(hand.store.job(ended).await.expect("a store").is_none());
    assert_eq!(history(&hand.store, chat).await.len(), 2, "a session outlives its jobs");
    assert_eq!(hand.store.prune_sessions(NOW, 100).await.expect("a store"), 0, "as old, not older");
    assert_eq!(hand.store.prune_sessions(NOW + 1, 1).await.expect("a store"), 1, "no more at a time");
    assert_eq!(hand.store.prune_sessions(NOW + 1, 100).await.expect("a store"), 1);
    for id in [chat, desk.session.id] {
        assert_eq!(session(&hand.store, id).await, None);
        assert_eq!(history(&hand.store, id).await, []);
    }
    assert!(session(&hand.store, busy).await.is_some(), "a job of it waits");
    hand.store.cancel(waiting, CancelReason::Requested, NOW + 9).await.expect("a store");
    assert_eq!(hand.store.prune_sessions(NOW + 9, 100).await.expect("a store"), 0, "it was written to");
    assert_eq!(hand.store.prune_sessions(NOW + 10, 100).await.expect("a store"), 1);
    assert!(hand.store.project(desk.project.id).await.expect("a store").is_some());
}
