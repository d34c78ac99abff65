//! Sessions and projects that change hands between workers.

use drover_shared::schema::Event;
use drover_tests::client::{Answer, PATIENCE};
use drover_tests::desk::{Desk, text};
use drover_tests::harness::wait_for;
use drover_tests::upstream::Upstream;
use nix::sys::signal::Signal;
use reqwest::Method;

use crate::sessions::{builder, pool, run};

#[tokio::test]
async fn a_session_goes_on_elsewhere_when_its_worker_is_killed() {
    let upstream = Upstream::start();
    let mut cluster = builder(&upstream).start().await;
    let desk = Desk::of(&cluster).await;
    let project = desk.project().await;
    let session = desk.session(project).await;
    assert_eq!(desk.said(&session, &run("echo 1 > one", "first")).await, "first");
    cluster.kill_worker(0, Signal::SIGKILL).await;
    cluster.add_worker().await;
    let second = run("cat one", "second");
    assert_eq!(desk.said(&session, &second).await, "second");
    let last = upstream.calls_for(&second).last().expect("its calls").body["messages"].to_string();
    assert!(last.contains("first"), "the session was resumed: {last}");
    let exit = cluster.kill_worker(1, Signal::SIGTERM).await;
    assert!(exit.success(), "{exit}");
    cluster.wait_until_no_descendants().await;
    desk.wait_until_at_home(&cluster, project).await;
    let home = cluster.dir().join("data/projects").join(project.to_string());
    assert_eq!(std::fs::read_to_string(home.join("one")).expect("the file is kept"), "1\n");
}

#[tokio::test]
async fn a_project_survives_a_worker_that_dies_in_the_midst_of_a_turn() {
    let upstream = Upstream::start();
    let mut cluster = builder(&upstream).workers(2).start().await;
    let desk = Desk::of(&cluster).await;
    let project = desk.project().await;
    let session = desk.session(project).await;
    assert_eq!(desk.said(&session, &run("echo 1 > one", "first")).await, "first");
    let slow = run("echo 2 > two; sleep 600", "never");
    let job = desk.ask(&session, &slow).await;
    let written = || std::fs::read_dir(cluster.dir().join("data/slots")).into_iter().flatten().flatten();
    wait_for("the command runs", PATIENCE, async || {
        let slots =
            written().flat_map(|worker| std::fs::read_dir(worker.path()).into_iter().flatten().flatten());
        let mut projects =
            slots.map(|slot| slot.path().join("project").join(project.to_string()).join("two"));
        let written = projects.any(|file| std::fs::read_to_string(file).is_ok_and(|text| text == "2\n"));
        (written && desk.has_spoken(job).await).then_some(())
    })
    .await;
    for worker in 0..2 {
        cluster.kill_worker(worker, Signal::SIGKILL).await;
    }
    cluster.add_worker().await;
    let events = desk.events(job).await;
    assert!(matches!(events.last(), Some(Event::Failed { .. })), "a tool was used: {events:#?}");
    let after = run("cat one two", "both");
    assert_eq!(desk.said(&session, &after).await, "both");
    let last = upstream.calls_for(&after).last().expect("its calls").body["messages"].to_string();
    assert!(last.contains("first") && !last.contains("never"), "{last}");
    assert!(last.contains("1\\\\n2") || last.contains("1\\n2"), "{last}");
}

#[tokio::test]
async fn a_full_worker_gives_up_what_others_wait_for() {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).env("DROVER_SLOTS", "1").workers(2).start().await;
    let (client, desk) = (cluster.client(), Desk::of(&cluster).await);
    let project = desk.project().await;
    let session = desk.session(project).await;
    assert_eq!(desk.said(&session, &run("echo 1 > one", "first")).await, "first");
    pool(&client, "the session's process waits", |pool| pool["residents"] == 1).await;
    // Both workers are kept busy by chats, until one of them has nothing else to do.
    let chats: Vec<_> = (0..2)
        .map(|n| {
            let (client, prompt) = (client.clone(), format!("say {} words every 50ms", 40 + 200 * n));
            tokio::spawn(async move {
                client.post(drover_tests::chat::PATH, &drover_tests::chat::ask(&prompt)).await
            })
        })
        .collect();
    wait_for("both chats run", PATIENCE, async || (upstream.calls().len() >= 4).then_some(())).await;
    assert_eq!(desk.said(&session, &run("cat one", "second")).await, "second");
    for chat in chats {
        assert!(chat.await.expect("it ends").status.is_success());
    }
}

#[tokio::test]
async fn a_cancelled_turn_stops_its_command_and_the_session_goes_on() {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).start().await;
    let (client, desk) = (cluster.client(), Desk::of(&cluster).await);
    let session = desk.session(desk.project().await).await;
    let slow = run("touch begun; sleep 600", "never");
    let job = desk.ask(&session, &slow).await;
    wait_for("the command runs", PATIENCE, async || {
        let sleeping = |process: &drover_tests::harness::Kin| process.command == "sleep 600";
        cluster.descendants().iter().any(sleeping).then_some(())
    })
    .await;
    let cancel = client.request(Method::POST, &format!("/v1/jobs/{job}/cancel"));
    assert_eq!(Answer::of(cancel).await.status, 200);
    let events = desk.events(job).await;
    assert!(matches!(events.last(), Some(Event::Cancelled { .. })), "{events:#?}");
    assert_eq!(text(&events), "");
    wait_for("the command is gone", PATIENCE, async || {
        let sleeping = |process: &drover_tests::harness::Kin| process.command == "sleep 600";
        (!cluster.descendants().iter().any(sleeping)).then_some(())
    })
    .await;
    assert_eq!(desk.said(&session, &run("ls", "second")).await, "second");
    pool(&client, "its process was kept", |pool| pool["resident_claims"] == 1).await;
}

#[tokio::test]
async fn a_job_called_off_before_its_process_runs_costs_the_next_one_nothing() {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).env("DROVER_AGENT_SPARES", "0").workers(2).start().await;
    let (client, desk) = (cluster.client(), Desk::of(&cluster).await);
    let project = desk.project().await;
    let session = desk.session(project).await;
    for round in 0..3 {
        let job = desk.ask(&session, &run("sleep 600", "never")).await;
        wait_for("a worker has it", PATIENCE, async || {
            let shown = client.get(&format!("/v1/jobs/{job}")).await.json();
            (shown["status"] == "running").then_some(())
        })
        .await;
        let cancel = client.request(Method::POST, &format!("/v1/jobs/{job}/cancel"));
        assert_eq!(Answer::of(cancel).await.status, 200);
        let said = format!("round {round}");
        let events = desk.events(desk.ask(&session, &run("true", &said)).await).await;
        assert_eq!(text(&events), said, "{events:#?}");
        let attempts = events.iter().filter(|event| matches!(event, Event::AttemptStarted { .. }));
        assert_eq!(attempts.count(), 1, "{events:#?}");
        // The next round starts a process again.
        let elsewhere = desk.session(project).await;
        assert_eq!(desk.said(&elsewhere, &run("true", "other")).await, "other");
    }
}
