//! The process: command line, standard input, faults at start.

use super::fault::Fault;
use super::http::{Relay, Wire};
use super::lines::{Lines, answer_control, print};
use super::turn::Turns;
use nix::sys::signal::{SigSet, Signal};
use serde_json::{Value, json};
use std::io::BufRead as _;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

/// What the thread that reads and the thread that answers share.
#[derive(Default)]
pub(super) struct Shared {
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    wire: Option<Wire>,
    interrupted: bool,
}

impl Shared {
    /// Remembers the running call, so that an interrupt can cut it.
    pub(super) fn started(&self, wire: &Wire) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.wire = wire.another().ok();
    }

    /// Whether the turn was interrupted; asked at its end.
    pub(super) fn take_interrupted(&self) -> bool {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.wire = None;
        std::mem::take(&mut running.interrupted)
    }

    fn interrupt(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wire) = running.wire.take() {
            running.interrupted = true;
            wire.cut();
        }
    }
}

struct Arguments {
    fault: Option<Fault>,
    marker: Option<String>,
    model: String,
    version: bool,
}

/// Runs the scripted CLI. `arguments` are those of the CLI, preceded by `--fault NAME`, `--marker PATH`.
pub fn run(arguments: &[String]) -> ExitCode {
    if arguments.first().is_some_and(|first| first == "--linger") {
        return linger(arguments.len() > 1);
    }
    let arguments = Arguments::read(arguments);
    if let Some(code) = at_start(&arguments) {
        return code;
    }
    let lines = Arc::new(Lines::new());
    let shared = Arc::new(Shared::default());
    let (send, receive) = mpsc::channel();
    let fault = arguments.fault;
    let reader = (Arc::clone(&lines), Arc::clone(&shared));
    std::thread::spawn(move || read_stdin(&reader.0, &reader.1, fault, &send));
    let mut turns = Turns::new(lines, shared, Relay::from_env(), arguments.model, fault);
    while let Ok(frame) = receive.recv() {
        turns.play(&frame);
    }
    if fault == Some(Fault::IgnoreSigterm) {
        sleep_forever();
    }
    ExitCode::from(u8::from(turns.last_failed))
}

impl Arguments {
    fn read(arguments: &[String]) -> Self {
        let after = |name: &str| {
            let at = arguments.iter().position(|argument| argument == name)?;
            arguments.get(at + 1).cloned()
        };
        let fault = after("--fault").map(|name| name.parse().expect("the harness names faults that exist"));
        Self {
            fault,
            marker: after("--marker"),
            model: after("--model").unwrap_or_else(|| "claude-sonnet-4-5".to_owned()),
            version: arguments.iter().any(|argument| argument == "--version" || argument == "-v"),
        }
    }
}

/// Whether this process is the first to read the pipe with one byte in it.
fn is_first(marker: &str) -> bool {
    use std::io::Read as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let pipe = std::fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(marker);
    pipe.expect("the marker can be read").read_exact(&mut [0]).is_ok()
}

/// What happens before the protocol starts; a code ends the process.
fn at_start(arguments: &Arguments) -> Option<ExitCode> {
    if arguments.version {
        let version = if arguments.fault == Some(Fault::WrongVersion) { "1.0.3" } else { super::VERSION };
        print(format!("{version} (Claude Code)").as_bytes());
        return Some(ExitCode::SUCCESS);
    }
    match arguments.fault {
        Some(Fault::Exit1) => return Some(fail()),
        Some(Fault::Exit1Once)
            if is_first(arguments.marker.as_deref().expect("exit-1-once needs --marker")) =>
        {
            return Some(fail());
        }
        Some(Fault::IgnoreSigterm) => {
            // Blocked before the first thread starts, so in all of them.
            let ignored = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
            ignored.thread_block().expect("signals can be blocked");
        }
        _ => {}
    }
    None
}

fn fail() -> ExitCode {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), b"scripted failure at start\n");
    ExitCode::from(1)
}

/// Leaves two daemons behind that hold standard output: one in a session of its own, one whose parent is gone.
pub(super) fn leave_grandchildren() {
    let itself = std::env::current_exe().expect("the own binary");
    for arguments in [&["--linger"][..], &["--linger", "orphan"][..]] {
        let _ = Command::new(&itself).args(arguments).stdin(Stdio::null()).spawn();
    }
}

fn linger(as_orphan: bool) -> ExitCode {
    let _ = nix::unistd::setsid();
    if as_orphan {
        let itself = std::env::current_exe().expect("the own binary");
        let _ = Command::new(itself).arg("--linger").spawn();
        return ExitCode::SUCCESS;
    }
    // Long enough for any test, short enough to leave no litter for good.
    std::thread::sleep(Duration::from_mins(10));
    ExitCode::SUCCESS
}

fn read_stdin(lines: &Lines, shared: &Shared, fault: Option<Fault>, turns: &mpsc::Sender<Value>) {
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let Ok(frame) = serde_json::from_str::<Value>(&line) else { continue };
        match frame["type"].as_str() {
            Some("user") if frame["shouldQuery"] != false => {
                lines.lifecycle(&frame, "queued");
                let _ = turns.send(frame);
            }
            Some("control_request") => control(shared, fault, &frame),
            _ => {}
        }
    }
}

fn control(shared: &Shared, fault: Option<Fault>, request: &Value) {
    match request["request"]["subtype"].as_str().unwrap_or_default() {
        "initialize" if fault == Some(Fault::HangBeforeInit) => {}
        "initialize" => {
            let answer = json!({
                "commands": [], "agents": [], "output_style": "default", "models": [],
                "account": {"tokenSource": "none", "apiKeySource": "ANTHROPIC_API_KEY"},
                "pid": std::process::id(), "claude_code_version": super::VERSION,
                "current_permission_mode": "bypassPermissions", "session_state": "idle",
            });
            answer_control(request, Ok(answer));
        }
        "interrupt" => {
            answer_control(request, Ok(json!({"still_queued": []})));
            shared.interrupt();
        }
        "set_model" | "set_max_thinking_tokens" | "set_permission_mode" => {
            answer_control(request, Ok(json!({})));
        }
        "end_session" => {
            answer_control(request, Ok(json!({})));
            std::process::exit(1);
        }
        other => answer_control(request, Err(format!("Unsupported control request subtype: {other}"))),
    }
}

pub(super) fn sleep_forever() -> ! {
    loop {
        std::thread::sleep(Duration::from_hours(1));
    }
}
