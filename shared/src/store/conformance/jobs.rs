//! Jobs as their owners see them.

use std::sync::Arc;

use super::bench::{Bench, Hand, NOW, completed, enqueue_this, job, new_job, say, started, text};
use super::desk::{agent_job, chat_job};
use super::{Desk, ledger};
use crate::schema::{
    Delivery, Job, JobId, JobQuery, JobState, Keep, Listed, NewJob, Owner, Page, Priority, RequestKey, Terms,
};
use crate::store::{Removed, Store};

fn page(limit: u32) -> Page<JobId> {
    Page { newest_first: true, after: None, skip: 0, limit }
}

async fn listed(store: &Arc<dyn Store>, query: &JobQuery, page: &Page<JobId>) -> Listed<Job> {
    store.jobs().list(&Owner::anonymous(), query, page).await.expect("a list")
}

fn ids(listed: &Listed<Job>) -> Vec<JobId> {
    listed.items.iter().map(|job| job.id).collect()
}

pub(in crate::store) async fn a_row_tells_on_what_terms_a_job_is_taken(bench: &dyn Bench) {
    let store = bench.handle().await;
    let first = enqueue_this(&store, new_job()).await;
    let terms = Terms {
        delivery: Delivery::Background,
        priority: Priority::High,
        run_at_ms: Some(NOW + 7),
        tags: vec!["a".to_owned(), "it's \"é\"".to_owned()],
        retry_of: Some(first),
    };
    let desk = Desk::open(&store).await;
    let asked = NewJob { terms: terms.clone(), deadline_at_ms: NOW + 9, ..desk.job() };
    enqueue_this(&store, asked.clone()).await;
    let row = job(&store, asked.id).await;
    assert_eq!((row.terms, row.deadline_at_ms), (terms, NOW + 9));
    assert_eq!((row.session, row.project), (asked.spec.session(), Some(desk.project.id)));
    let plain = job(&store, first).await;
    assert_eq!((plain.terms, plain.session, plain.project), (Terms::default(), None, None));
}

pub(in crate::store) async fn an_owners_jobs_are_listed_page_by_page(bench: &dyn Bench) {
    let store = bench.handle().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(enqueue_this(&store, new_job()).await);
        enqueue_this(&store, NewJob { owner: Owner("other".to_owned()), ..new_job() }).await;
    }
    let all = JobQuery::default();
    let first = listed(&store, &all, &page(2)).await;
    assert_eq!((ids(&first), first.total, first.has_more), (vec![made[4], made[3]], 5, true));
    // Whatever is added meanwhile: the next page goes on where this one ended.
    let newest = enqueue_this(&store, new_job()).await;
    let second = listed(&store, &all, &Page { after: Some(made[3]), ..page(2) }).await;
    assert_eq!((ids(&second), second.total, second.has_more), (vec![made[2], made[1]], 6, true));
    let last = listed(&store, &all, &Page { after: Some(made[1]), ..page(2) }).await;
    assert_eq!((ids(&last), last.has_more), (vec![made[0]], false));
    let oldest = Page { newest_first: false, ..page(3) };
    assert_eq!(ids(&listed(&store, &all, &oldest).await), made[..3]);
    let rest = Page { after: Some(made[3]), ..oldest };
    assert_eq!(ids(&listed(&store, &all, &rest).await), [made[4], newest]);
    assert_eq!(ids(&listed(&store, &all, &Page { skip: 4, ..page(2) }).await), [made[1], made[0]]);
    let nobody = store.jobs().list(&Owner("nobody".to_owned()), &all, &page(5)).await.expect("a list");
    assert_eq!((nobody.items.len(), nobody.total), (0, 0));
}

pub(in crate::store) async fn jobs_are_found_by_what_they_are(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let store = Arc::clone(&hand.store);
    let desk = Desk::open(&store).await;
    let session = desk.chat(&store).await;
    let tagged = |tags: &[&str]| {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        NewJob { terms: Terms { tags, ..Terms::default() }, ..new_job() }
    };
    let done = enqueue_this(&store, tagged(&["a", "b"])).await;
    let claim = hand.take(NOW).await;
    hand.append(say(&claim, 1, &[started(1), text("Hello"), completed()])).await;
    let running = enqueue_this(&store, tagged(&["b"])).await;
    hand.take(NOW).await;
    let of_session = enqueue_this(&store, chat_job(session, &["q"])).await;
    let of_project = enqueue_this(&store, agent_job(desk.session.id, desk.project.id)).await;
    let mut other = NewJob { created_at_ms: NOW + 1_000, ..tagged(&["a,b"]) };
    other.spec.model = "opus".to_owned();
    other.terms.delivery = Delivery::Background;
    let other = enqueue_this(&store, other).await;
    let tags = |tags: &[&str]| JobQuery {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..JobQuery::default()
    };
    let states = |states: &[JobState]| JobQuery { states: states.to_vec(), ..JobQuery::default() };
    for (query, expected) in [
        (states(&[JobState::Completed]), vec![done]),
        (states(&[JobState::Running, JobState::Completed]), vec![running, done]),
        (states(&[JobState::Failed]), vec![]),
        (JobQuery { model: Some("opus".to_owned()), ..JobQuery::default() }, vec![other]),
        (JobQuery { session: Some(session), ..JobQuery::default() }, vec![of_session]),
        (JobQuery { project: Some(desk.project.id), ..JobQuery::default() }, vec![of_project]),
        (tags(&["b"]), vec![running, done]),
        (tags(&["b", "a"]), vec![done]),
        (tags(&["a,b"]), vec![other]),
        (tags(&["c"]), vec![]),
        (JobQuery { since_ms: Some(NOW + 1), ..JobQuery::default() }, vec![other]),
        (
            JobQuery { until_ms: Some(NOW + 1), ..JobQuery::default() },
            vec![of_project, of_session, running, done],
        ),
        (JobQuery { background: Some(true), ..JobQuery::default() }, vec![other]),
        (JobQuery { background: Some(false), ..tags(&["a"]) }, vec![done]),
    ] {
        let found = listed(&store, &query, &page(10)).await;
        assert_eq!((ids(&found), found.total), (expected.clone(), expected.len() as u64), "{query:?}");
        let none = store.jobs().list(&Owner("other".to_owned()), &query, &page(10)).await.expect("a list");
        assert!(none.items.is_empty(), "{query:?}");
    }
}

pub(in crate::store) async fn a_job_that_has_ended_is_deleted_with_all_but_its_cost(bench: &dyn Bench) {
    let hand = Hand::hire(bench, "w").await;
    let store = Arc::clone(&hand.store);
    let keep = Keep { dialect: "d".to_owned(), form: "{}".to_owned(), stored: true, ..Keep::default() };
    let key = RequestKey { key: "k".to_owned(), digest: "1".to_owned() };
    let asked = NewJob { keep: Some(keep), key: Some(key.clone()), ..new_job() };
    let id = enqueue_this(&store, asked.clone()).await;
    let delete = async |owner: &Owner, id| store.jobs().delete(owner, id).await.expect("a store");
    assert_eq!(delete(&asked.owner, id).await, Removed::Busy, "it waits");
    let claim = hand.take(NOW).await;
    assert_eq!(delete(&asked.owner, id).await, Removed::Busy, "it runs");
    let mut end = say(&claim, 1, &[started(1), text("Hello"), completed()]);
    end.calls = vec![ledger::any(id, 1)];
    hand.append(end).await;
    assert_eq!(delete(&Owner("other".to_owned()), id).await, Removed::Unknown);
    assert!(store.answers().find(&asked.owner, "d", id).await.expect("a store").is_some());
    assert_eq!(delete(&asked.owner, id).await, Removed::Gone);
    assert_eq!(delete(&asked.owner, id).await, Removed::Unknown);
    assert!(store.job(id).await.expect("a store").is_none());
    assert!(store.events(id, 0, 10).await.expect("a store").is_empty());
    assert_eq!(store.answers().form(id).await.expect("a store"), None);
    assert_eq!(store.answers().spec(id).await.expect("a store"), None);
    assert_eq!(store.calls(id).await.expect("a store").len(), 1, "it has cost what it has cost");
    assert_eq!(store.jobs().recall(&asked.owner, &key).await.expect("a store"), None);
    assert_eq!(hand.rescue(NOW + 1).await, 0, "nothing is left to be taken up");
}
