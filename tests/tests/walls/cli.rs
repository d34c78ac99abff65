//! Makes the attempts as a model would: by the real CLI's Bash tool.

use std::fs;
use std::path::{Path, PathBuf};

use drover_shared::cli::invocation::Account;
use drover_shared::cli::{Build, Slot as CliSlot, Upstream as CliUpstream, invocation};
use drover_tests::harness::ClaudeKind;
use drover_tests::upstream::Upstream;
use drover_worker::slot::{Launch, SlotDir};
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpStream, UnixListener};
use tokio::task::JoinHandle;

use crate::attempts::{Attempt, worked};
use crate::shell::{give, lay_script, walls};
use crate::world::{World, supervisor};

/// How an agent is started, as far as it matters here: with Bash and the permission to use it.
const ARGUMENTS: [&str; 14] = [
    "-p",
    "--input-format",
    "stream-json",
    "--output-format",
    "stream-json",
    "--verbose",
    "--include-partial-messages",
    "--bare",
    "--tools",
    "Bash",
    "--dangerously-skip-permissions",
    "--strict-mcp-config",
    "--no-session-persistence",
    "--setting-sources=",
];
/// Leaves two daemons behind, each in a session of its own, and tells their process ids.
const DAEMONS: &str = "setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo daemon $!; \
    (setsid sh -c 'sleep 1000 & echo daemon $!; wait' </dev/null 2>/dev/null &)";

/// What the model's tool has achieved.
pub(crate) struct Outcome {
    /// The names of the attempts that worked.
    pub(crate) worked: Vec<&'static str>,
    /// Process ids of the daemons that it left behind.
    pub(crate) daemons: Vec<i32>,
}

/// The real CLI.
pub(crate) fn binary() -> PathBuf {
    ClaudeKind::Native.binary(Path::new("/"))
}

/// Lets the model try.
pub(crate) async fn make(world: &World, attempts: &[Attempt]) -> Outcome {
    let upstream = Upstream::start();
    let dir = world.slot();
    let relay = relay(&dir, &upstream);
    let script = lay_script(&dir, attempts);
    let program = binary().canonicalize().expect("the CLI's path");
    let launch = Launch {
        arguments: ARGUMENTS.map(str::to_owned).to_vec(),
        environment: environment(&dir),
        directory: dir.work(),
        walls: Some(walls(&dir).reading([program.clone()])),
        program,
    };
    let mut slot = supervisor().launch(&launch).await.expect("it starts");
    let command = format!("sh {script} > results; {DAEMONS}; sleep 0.2");
    let prompt = format!("1 times call Bash {} or say \"done\"", json!({ "command": command }));
    slot.stdin.write_all(invocation::user("u", &prompt).as_bytes()).await.expect("it reads");
    let mut told = String::new();
    let result = loop {
        let line = slot.lines.next().await.expect("a readable line").expect("a result");
        let line: Value = serde_json::from_slice(&line).expect("JSON");
        told += line["message"]["content"][0]["content"].as_str().unwrap_or_default();
        if line["type"] == "result" {
            break line;
        }
    };
    assert_eq!(result["is_error"], false, "{result}");
    let said = fs::read_to_string(dir.work().join("results")).expect("results");
    let daemons = told.lines().filter_map(|line| line.strip_prefix("daemon ")?.trim().parse().ok()).collect();
    slot.kill();
    slot.exited().await;
    relay.abort();
    Outcome { worked: worked(attempts, said.lines()), daemons }
}

/// Carries every connection to the scripted upstream.
fn relay(dir: &SlotDir, upstream: &Upstream) -> JoinHandle<()> {
    let listener = UnixListener::bind(dir.socket()).expect("a socket");
    give(dir, &dir.socket());
    let address = upstream.url().replace("http://", "");
    tokio::spawn(async move {
        while let Ok((mut inside, _)) = listener.accept().await {
            let address = address.clone();
            tokio::spawn(async move {
                let mut outside = TcpStream::connect(address).await.expect("the upstream listens");
                // Either side may hang up whenever it likes.
                let _ = copy_bidirectional(&mut inside, &mut outside).await;
            });
        }
    })
}

fn environment(dir: &SlotDir) -> Vec<(String, String)> {
    let (home, tmp, socket) = (dir.home(), dir.tmp(), dir.socket());
    let path = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
    let upstream = CliUpstream::UnixSocket(&socket);
    let slot =
        CliSlot { home: &home, tmp: &tmp, upstream, token: "token-of-the-slot", account: Account::Key, path };
    let pairs = invocation::environment(Build::Native, &slot).into_iter();
    let relay = ("RELAY".to_owned(), socket.display().to_string());
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_string_lossy().into_owned()))
        .chain([relay])
        .collect()
}
