//! The bell between two handles, as between two processes.

use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;
use uuid::Uuid;

use super::*;
use crate::schema::JobId;

/// Longer than any machine takes to pass a datagram on.
const PATIENCE: Duration = Duration::from_secs(20);

fn job(number: usize) -> JobId {
    JobId::from_uuid(Uuid::from_u128(number as u128))
}

fn bells() -> (TempDir, Doorbell, Doorbell) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("bell");
    let bell = || Doorbell::open(&path).expect("a bell");
    let (one, other) = (bell(), bell());
    (dir, one, other)
}

async fn next(rings: &mut mpsc::Receiver<Ring>) -> Ring {
    timeout(PATIENCE, rings.recv()).await.expect("a ring in time").expect("an open bell")
}

fn files(bell: &Doorbell) -> usize {
    std::fs::read_dir(bell.dir.path()).expect("the directory").count()
}

#[tokio::test]
async fn only_the_role_that_is_meant_hears_it() {
    let (_dir, here, there) = bells();
    let mut api = there.listen(RingRole::Api, "a").expect("a listener");
    let mut worker = there.listen(RingRole::Worker, "w").expect("a listener");
    here.ring(RingRole::Api, [Ring::Events(job(1))]);
    here.ring(RingRole::Worker, [Ring::Task]);
    assert_eq!(next(&mut api).await, Ring::Events(job(1)));
    assert_eq!(next(&mut worker).await, Ring::Task);
    assert!(api.try_recv().is_err() && worker.try_recv().is_err());
}

#[tokio::test]
async fn who_comes_later_is_heard_too() {
    let (_dir, here, there) = bells();
    for number in 0..20 {
        let mut api = there.listen(RingRole::Api, &format!("late-{number}")).expect("a listener");
        here.ring(RingRole::Api, [Ring::Events(job(number))]);
        assert_eq!(next(&mut api).await, Ring::Events(job(number)));
    }
}

#[tokio::test]
async fn what_a_full_socket_refused_comes_with_the_next_ring() {
    let (_dir, here, there) = bells();
    let mut api = there.listen(RingRole::Api, "a").expect("a listener");
    // The listening task cannot run before this one waits, so the kernel's queue fills up.
    let many = 300;
    (0..many).for_each(|number| here.ring(RingRole::Api, [Ring::Events(job(number))]));
    let mut heard = HashSet::new();
    let hears_all = async {
        while heard.len() < many {
            match timeout(Duration::from_millis(20), api.recv()).await {
                Ok(ring) => drop(heard.insert(ring)),
                // Says nothing new itself, but carries what waits.
                Err(_) => here.ring(RingRole::Api, [Ring::Events(job(0))]),
            }
        }
    };
    timeout(PATIENCE, hears_all).await.expect("all in time");
}

#[tokio::test]
async fn a_reader_that_does_not_read_loses_rings_and_nothing_else() {
    let (_dir, here, there) = bells();
    let mut api = there.listen(RingRole::Api, "a").expect("a listener");
    for number in 0..limits::RING_BACKLOG + 100 {
        here.ring(RingRole::Api, [Ring::Events(job(number))]);
        tokio::task::yield_now().await;
    }
    let hears_again = async {
        loop {
            here.ring(RingRole::Api, [Ring::Task]);
            if timeout(Duration::from_millis(20), api.recv()).await == Ok(Some(Ring::Task)) {
                return;
            }
        }
    };
    timeout(PATIENCE, hears_again).await.expect("heard in time");
}

#[tokio::test]
async fn what_waits_for_a_stuck_process_is_bounded() {
    let (_dir, here, there) = bells();
    let _stuck = UnixDatagram::bind(there.dir.at("api-stuck.sock")).expect("a socket");
    for number in 0..3 * limits::RING_BACKLOG {
        here.ring(RingRole::Api, [Ring::Events(job(number))]);
    }
    let outbox = here.outbox.lock().expect("unpoisoned");
    let waiting: Vec<usize> = outbox.unsent.values().map(HashSet::len).collect();
    assert_eq!(waiting, [limits::RING_BACKLOG]);
}

#[tokio::test]
async fn a_dead_listeners_socket_is_removed() {
    let (_dir, here, there) = bells();
    let path = there.dir.at("api-dead.sock");
    drop(UnixDatagram::bind(&path).expect("a socket"));
    assert_eq!(files(&here), 1);
    here.ring(RingRole::Api, [Ring::Task]);
    assert_eq!(files(&here), 0);
}

#[tokio::test]
async fn the_socket_goes_with_its_listener() {
    let (_dir, here, there) = bells();
    let api = there.listen(RingRole::Api, "a").expect("a listener");
    assert_eq!(files(&here), 1);
    drop(api);
    timeout(PATIENCE, async {
        while files(&here) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("removed");
}

#[tokio::test]
async fn long_directories_and_names_fit() {
    let dir = tempfile::tempdir().expect("a directory");
    let deep = dir.path().join("d".repeat(120)).join("bell");
    let bell = Doorbell::open(&deep).expect("a bell");
    let mut worker =
        bell.listen(RingRole::Worker, &format!("{}/über-1", "host".repeat(60))).expect("a listener");
    bell.ring(RingRole::Worker, [Ring::Task]);
    assert_eq!(next(&mut worker).await, Ring::Task);
}
