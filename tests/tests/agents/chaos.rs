//! Many sessions at once, while workers are killed and jobs cancelled at random.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drover_shared::schema::{AgentSpec, Event, FailureKind, ProjectId};
use drover_tests::client::{Answer, Client};
use drover_tests::desk::{Desk, text};
use drover_tests::dice::Dice;
use drover_tests::harness::{Cluster, Process, wait_for};
use drover_tests::upstream::{Call, Upstream};
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::json;
use tokio::sync::mpsc;

use crate::sessions::builder;

const WORKERS: usize = 3;
/// How long a restart, the rescue of what was lost, and a queue of other sessions' turns may take together.
const PATIENCE: Duration = Duration::from_mins(2);

/// A number from the environment, for longer and other plays by hand.
pub(crate) fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

/// How a turn went.
struct Turn {
    mark: String,
    completed: bool,
}

/// A session, and whoever asks it.
struct Player {
    desk: Arc<Desk>,
    client: Client,
    upstream: Arc<Upstream>,
    spec: AgentSpec,
    name: String,
    turns: Vec<Turn>,
    dice: Dice,
}

impl Player {
    async fn play(mut self, turns: u64, asked: mpsc::UnboundedSender<()>) -> Self {
        for _ in 0..turns {
            let cancel = (self.dice.below(6) == 0).then(|| Duration::from_millis(self.dice.below(1_500)));
            self.turn(cancel, &asked).await;
        }
        self
    }

    /// A turn that adds a line to the project's file and says so.
    async fn turn(&mut self, cancel: Option<Duration>, asked: &mpsc::UnboundedSender<()>) {
        let mark = format!("{}t{};", self.name, self.turns.len());
        let pause = self.dice.below(4);
        let command = json!({"command": format!("echo '{mark}' >> lines; sleep 0.{pause}")});
        let prompt = format!("until told call Bash {command} or say \"done {mark}\"");
        let job = self.desk.ask(&self.spec, &prompt).await;
        let _ = asked.send(());
        let client = self.client.clone();
        let cancelling = cancel.map(|after| {
            tokio::spawn(async move {
                // Any moment is as good as any other.
                tokio::time::sleep(after).await;
                let cancel = client.request(Method::POST, &format!("/v1/jobs/{job}/cancel"));
                assert!(Answer::of(cancel).await.status.is_success());
            })
        });
        let events = tokio::time::timeout(PATIENCE, self.desk.events(job)).await;
        let events = events.unwrap_or_else(|_| panic!("{mark} has not ended"));
        if let Some(cancelling) = cancelling {
            cancelling.await.expect("it can be cancelled");
        }
        let ends = events.iter().filter(|event| event.terminal_state().is_some()).count();
        assert_eq!(ends, 1, "{mark}: {events:#?}");
        let completed = matches!(events.last(), Some(Event::Completed { .. }));
        if completed {
            assert_eq!(text(&events), format!("done {mark}"), "{events:#?}");
            let calls = self.upstream.calls_for(&prompt);
            self.judge(calls.last().expect("the model was called"), &mark);
        } else if cancel.is_none() {
            let Some(Event::Failed { failure, .. }) = events.last() else { panic!("{mark}: {events:#?}") };
            let lost = [FailureKind::WorkerLost, FailureKind::AttemptsExhausted];
            assert!(lost.contains(&failure.kind), "{mark}: {events:#?}");
        }
        self.turns.push(Turn { mark, completed });
    }

    /// The model sees what this session has said, in order, and nothing of any other.
    fn judge(&self, call: &Call, now: &str) {
        let messages = call.body["messages"].as_array().cloned().unwrap_or_default();
        let texts = |message: &serde_json::Value| -> Vec<String> {
            let blocks = message["content"].as_array().cloned().unwrap_or_default();
            blocks.iter().filter_map(|block| block["text"].as_str().map(str::to_owned)).collect()
        };
        let said = messages.iter().filter(|message| message["role"] == "assistant").flat_map(texts);
        let said: Vec<String> =
            said.filter_map(|text| text.strip_prefix("done ").map(str::to_owned)).collect();
        let mine: BTreeSet<&str> = self.turns.iter().map(|turn| turn.mark.as_str()).collect();
        assert!(said.iter().all(|mark| mine.contains(mark.as_str())), "{now} sees {said:?}");
        let completed: BTreeSet<&str> =
            self.turns.iter().filter(|turn| turn.completed).map(|turn| turn.mark.as_str()).collect();
        let seen: Vec<&str> =
            said.iter().map(String::as_str).filter(|mark| completed.contains(mark)).collect();
        let expected: Vec<&str> =
            self.turns.iter().filter(|turn| turn.completed).map(|turn| turn.mark.as_str()).collect();
        assert_eq!(seen, expected, "{now} sees {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_while_workers_die_and_jobs_are_cancelled() {
    let upstream = Arc::new(Upstream::start());
    let mut cluster = builder(&upstream).workers(WORKERS).start().await;
    let desk = Arc::new(Desk::of(&cluster).await);
    let mut dice = Dice::new(number("DROVER_CHAOS_SEED", 1));
    let sessions = usize::try_from(number("DROVER_CHAOS_SESSIONS", 8)).expect("a few");
    let mut projects = Vec::new();
    for _ in 0..sessions / 2 {
        projects.push(desk.project().await);
    }
    let mut players = Vec::new();
    let (asked, mut turns) = mpsc::unbounded_channel();
    for n in 0..sessions {
        let player = Player {
            desk: Arc::clone(&desk),
            client: cluster.client(),
            upstream: Arc::clone(&upstream),
            spec: desk.session(projects[n % projects.len()]).await,
            name: format!("s{n}"),
            turns: Vec::new(),
            dice: dice.split(),
        };
        players.push(tokio::spawn(player.play(number("DROVER_CHAOS_TURNS", 2), asked.clone())));
    }
    drop(asked);
    let mut pids: Vec<i32> = cluster.workers().iter().map(Process::pid).collect();
    let mut alive: Vec<usize> = (0..WORKERS).collect();
    while turns.recv().await.is_some() {
        if dice.below(5) == 0 {
            let killed = alive.swap_remove(usize::try_from(dice.below(WORKERS as u64)).expect("small"));
            cluster.kill_worker(killed, Signal::SIGKILL).await;
            cluster.add_worker().await;
            alive.push(cluster.workers().len() - 1);
            pids.push(cluster.workers().last().expect("a worker").pid());
        }
    }
    assert!(cluster.workers().len() > WORKERS, "some were killed");
    let mut played = Vec::new();
    for player in players {
        played.push(player.await.expect("a session's play"));
    }
    // Each session can be continued.
    let (nobody, _) = mpsc::unbounded_channel();
    for player in &mut played {
        player.turn(None, &nobody).await;
        assert!(player.turns.last().is_some_and(|turn| turn.completed), "{}", player.name);
    }
    for worker in alive {
        let exit = cluster.kill_worker(worker, Signal::SIGTERM).await;
        assert!(exit.success(), "{exit}");
    }
    cluster.wait_until_no_descendants().await;
    check_files(&cluster, &projects, &played);
    check_what_is_left(&cluster, &desk, &projects, &pids).await;
    let turns = || played.iter().flat_map(|player| &player.turns);
    let completed = turns().filter(|turn| turn.completed).count();
    assert!(completed * 2 > turns().count(), "most turns go well: {completed} of {}", turns().count());
}

/// Each line once where its turn went well, and else at most once, however often it was tried.
fn check_files(cluster: &Cluster, projects: &[ProjectId], played: &[Player]) {
    for project in projects {
        let home = cluster.dir().join("data/projects").join(project.to_string());
        let lines = std::fs::read_to_string(home.join("lines")).expect("the file is at home");
        let mut counts = BTreeMap::<&str, usize>::new();
        lines.lines().for_each(|line| *counts.entry(line).or_default() += 1);
        for player in played.iter().filter(|player| player.spec.project == *project) {
            for turn in &player.turns {
                let count = counts.remove(turn.mark.as_str()).unwrap_or_default();
                let least = usize::from(turn.completed);
                assert!((least..=1).contains(&count), "{} ×{count}: {lines}", turn.mark);
            }
        }
        assert!(counts.is_empty(), "lines of nobody: {counts:?}");
    }
}

async fn check_what_is_left(cluster: &Cluster, desk: &Desk, projects: &[ProjectId], pids: &[i32]) {
    let entries = |path: &Path| -> Vec<String> {
        let names = std::fs::read_dir(path).expect("a directory").flatten();
        names
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name != ".lock")
            .collect()
    };
    let data = cluster.dir().join("data");
    assert_eq!(entries(&data.join("slots")), Vec::<String>::new(), "slots are left");
    assert_eq!(entries(&data.join("projects/.out")), Vec::<String>::new(), "workspaces are out");
    let homes = entries(&data.join("projects")).into_iter().filter(|name| name.starts_with("project_"));
    assert_eq!(homes.count(), projects.len(), "each project once");
    let locks = std::fs::read_to_string("/proc/locks").expect("the locks of the machine");
    let held = locks.lines().filter(|line| {
        let pid = line.split_whitespace().find_map(|word| word.parse().ok()).unwrap_or_default();
        pids.contains(&pid)
    });
    assert_eq!(held.collect::<Vec<_>>(), Vec::<&str>::new(), "dead workers hold locks");
    for project in projects {
        wait_for("nobody holds the project", PATIENCE, async || {
            desk.holder(*project).await.is_none().then_some(())
        })
        .await;
    }
}
