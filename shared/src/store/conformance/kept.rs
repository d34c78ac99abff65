//! Answers that are kept.

use std::sync::Arc;

use super::bench::{Bench, Hand, NOW, completed, enqueue_this, new_job, say, started, text};
use crate::schema::{Event, Failure, FailureKind, JobId, Keep, KeptQuery, Metadata, NewJob, Owner, Usage};
use crate::store::Store;

const DAY_MS: i64 = 86_400_000;

fn labels(pairs: &[(&str, &str)]) -> Metadata {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn to_keep(metadata: &[(&str, &str)]) -> NewJob {
    let keep = Keep {
        dialect: "d".to_owned(),
        form: "{\"f\":1}".to_owned(),
        stored: true,
        metadata: labels(metadata),
    };
    NewJob { keep: Some(keep), ..new_job() }
}

fn all() -> KeptQuery {
    KeptQuery {
        owner: Owner::anonymous(),
        dialect: "d".to_owned(),
        model: None,
        metadata: Metadata::new(),
        after: None,
        latest_first: false,
        limit: 100,
    }
}

/// Enqueues the job and ends it.
async fn done(store: &Arc<dyn Store>, hand: &Hand, job: NewJob, end: Event) -> JobId {
    let id = enqueue_this(store, job).await;
    let claim = hand.take(NOW).await;
    hand.append(say(&claim, 1, &[started(1), text("Hello"), end])).await;
    id
}

async fn listed(store: &Arc<dyn Store>, query: KeptQuery) -> Vec<JobId> {
    let answers = store.answers().list(&query).await.expect("a list");
    answers.into_iter().map(|answer| answer.job).collect()
}

pub(in crate::store) async fn an_answer_is_kept_once_it_is_whole(bench: &dyn Bench) {
    let (store, hand) = (bench.handle().await, Hand::hire(bench, "w").await);
    let job = to_keep(&[("a", "1")]);
    let asked = job.clone();
    let id = enqueue_this(&store, job).await;
    let find = async || store.answers().find(&asked.owner, "d", id).await.expect("a store");
    assert_eq!(find().await, None, "it waits");
    let claim = hand.take(NOW).await;
    hand.append(say(&claim, 1, &[started(1), text("Hello")])).await;
    assert_eq!((find().await, listed(&store, all()).await), (None, vec![]), "it runs");
    hand.append(say(&claim, 3, &[completed()])).await;
    let kept = find().await.expect("an answer");
    assert_eq!((kept.job, Some(kept.keep)), (id, asked.keep));
    assert_eq!(store.answers().spec(id).await.expect("a store"), Some(asked.spec));
    assert_eq!(store.answers().spec(new_job().id).await.expect("a store"), None);

    let failure = Failure::new(FailureKind::ProviderError, "No.");
    let failed = Event::Failed { failure, usage: Usage::default() };
    let failed = done(&store, &hand, to_keep(&[]), failed).await;
    let unkept = done(&store, &hand, new_job(), completed()).await;
    for (owner, dialect, job) in [
        (&Owner::anonymous(), "d", failed),
        (&Owner::anonymous(), "d", unkept),
        (&Owner::anonymous(), "other", id),
        (&Owner("other".to_owned()), "d", id),
    ] {
        assert_eq!(store.answers().find(owner, dialect, job).await.expect("a store"), None);
        let labelled = store.answers().label(owner, dialect, job, &Metadata::new()).await;
        let forgotten = store.answers().forget(owner, dialect, job).await;
        assert_eq!((labelled.expect("a store"), forgotten.expect("a store")), (false, false));
    }
    assert_eq!(listed(&store, all()).await, [id]);
    for query in [
        KeptQuery { owner: Owner("other".to_owned()), ..all() },
        KeptQuery { dialect: "e".to_owned(), ..all() },
    ] {
        assert!(listed(&store, query).await.is_empty());
    }
}

pub(in crate::store) async fn answers_are_listed_page_by_page(bench: &dyn Bench) {
    let (store, hand) = (bench.handle().await, Hand::hire(bench, "w").await);
    let mut ids = Vec::new();
    for number in 0..5 {
        let parity = if number % 2 == 0 { "even" } else { "odd" };
        let mut job = to_keep(&[("parity", parity), ("it's", "\"é\"")]);
        job.spec.model = format!("m{}", number / 3);
        ids.push(done(&store, &hand, job, completed()).await);
    }
    let page = KeptQuery { limit: 2, ..all() };
    assert_eq!(listed(&store, page.clone()).await, ids[..3], "one more tells that there are more");
    assert_eq!(listed(&store, KeptQuery { after: Some(ids[2]), ..page.clone() }).await, ids[3..]);
    let latest = KeptQuery { latest_first: true, ..page };
    assert_eq!(listed(&store, latest.clone()).await, [ids[4], ids[3], ids[2]]);
    assert_eq!(listed(&store, KeptQuery { after: Some(ids[1]), ..latest }).await, [ids[0]]);
    let of = |metadata: &[(&str, &str)]| KeptQuery { metadata: labels(metadata), ..all() };
    assert_eq!(listed(&store, of(&[("parity", "odd"), ("it's", "\"é\"")])).await, [ids[1], ids[3]]);
    assert!(listed(&store, of(&[("parity", "odd"), ("x", "y")])).await.is_empty());
    let model = |name: &str| KeptQuery { model: Some(name.to_owned()), ..all() };
    assert_eq!(listed(&store, model("m1")).await, ids[3..]);
    assert!(listed(&store, model("m")).await.is_empty());

    assert!(store.answers().forget(&Owner::anonymous(), "d", ids[2]).await.expect("a store"));
    let after_a_gap = KeptQuery { after: Some(ids[2]), ..all() };
    assert_eq!(listed(&store, after_a_gap).await, ids[3..], "what is gone still marks a place");
    let new = labels(&[("parity", "none")]);
    assert!(store.answers().label(&Owner::anonymous(), "d", ids[1], &new).await.expect("a store"));
    assert_eq!(listed(&store, of(&[("parity", "none")])).await, [ids[1]]);
    assert_eq!(listed(&store, of(&[("parity", "odd")])).await, [ids[3]]);
}

pub(in crate::store) async fn what_is_kept_outlives_its_jobs_time(bench: &dyn Bench) {
    let (store, hand) = (bench.handle().await, Hand::hire(bench, "w").await);
    let failure = Failure::new(FailureKind::ProviderError, "No.");
    let failed = Event::Failed { failure, usage: Usage::default() };
    let failed = done(&store, &hand, to_keep(&[]), failed).await;
    let kept = done(&store, &hand, to_keep(&[]), completed()).await;
    let forgotten = done(&store, &hand, to_keep(&[]), completed()).await;
    assert!(store.answers().forget(&Owner::anonymous(), "d", forgotten).await.expect("a store"));
    assert!(store.job(forgotten).await.expect("a store").is_none(), "it goes with all that was said");
    assert!(store.events(forgotten, 0, 10).await.expect("a store").is_empty());
    assert_eq!(store.prune(NOW + DAY_MS, 10).await.expect("a store"), 1);
    assert!(store.job(failed).await.expect("a store").is_none(), "nothing of it is kept");
    assert_eq!(listed(&store, all()).await, [kept]);
    assert_eq!(store.events(kept, 0, 10).await.expect("a store").len(), 3);

    let expire = async |before, limit| store.answers().expire(before, limit).await.expect("a store");
    assert_eq!((expire(NOW, 10).await, expire(NOW + 1, 0).await), (0, 0));
    assert_eq!((expire(NOW + 1, 10).await, expire(NOW + 1, 10).await), (1, 0));
    assert!(listed(&store, all()).await.is_empty());
    assert!(store.job(kept).await.expect("a store").is_some());
    assert_eq!(store.prune(NOW + DAY_MS, 10).await.expect("a store"), 1);
    assert!(store.job(kept).await.expect("a store").is_none());
}

pub(in crate::store) async fn how_an_answer_is_told_is_known_until_its_job_goes(bench: &dyn Bench) {
    let (store, hand) = (bench.handle().await, Hand::hire(bench, "w").await);
    let form = async |job| store.answers().form(job).await.expect("a store");
    let keep = Keep { dialect: "d".to_owned(), form: "{}".to_owned(), ..Keep::default() };
    let id = enqueue_this(&store, NewJob { keep: Some(keep.clone()), ..new_job() }).await;
    assert_eq!(form(id).await.as_ref(), Some(&keep), "it is known from the beginning");
    let claim = hand.take(NOW).await;
    hand.append(say(&claim, 1, &[started(1), text("Hello"), completed()])).await;
    let stored = done(&store, &hand, to_keep(&[]), completed()).await;
    let untold = done(&store, &hand, new_job(), completed()).await;
    assert_eq!((form(id).await, form(untold).await), (Some(keep), None));

    let (anyone, answers) = (Owner::anonymous(), store.answers());
    assert_eq!(listed(&store, all()).await, [stored]);
    assert_eq!(answers.find(&anyone, "d", id).await.expect("a store"), None, "its client does not store it");
    assert!(!answers.label(&anyone, "d", id, &Metadata::new()).await.expect("a store"));
    assert!(!answers.forget(&anyone, "d", id).await.expect("a store"));
    assert_eq!(answers.expire(NOW + 1, 10).await.expect("a store"), 1);
    assert!(form(stored).await.is_some_and(|keep| !keep.stored), "it is told as long as its job is there");
    assert_eq!(store.prune(NOW + DAY_MS, 10).await.expect("a store"), 3);
    assert_eq!((form(id).await, form(stored).await), (None, None));
}
