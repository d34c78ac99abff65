//! What a CLI finds when it starts.

use std::io;
use std::os::unix::fs::PermissionsExt;

use drover_worker::slot::walls::{Rlimits, User, Wall, Walls};
use drover_worker::slot::{Launch, LaunchError, Step};
use tokio::io::AsyncWriteExt;

use crate::stage::{everybody, launch, line, python, rest, run, see, shell, supervisor};

#[tokio::test]
async fn its_environment_is_exactly_the_given_one() {
    let environment = vec![("HOME".into(), "/nowhere".into()), ("EMPTY".into(), String::new())];
    let mut slot = launch(&Launch { environment, ..run("/usr/bin/env", &[]) }).await;
    let mut seen = rest(&mut slot).await;
    seen.sort();
    assert_eq!(seen, ["EMPTY=", "HOME=/nowhere"]);
}

#[tokio::test]
async fn it_has_no_descriptor_but_the_three() {
    let program = "import os; print([fd for fd in range(3, 4096) if os.path.exists(f'/proc/self/fd/{fd}')])";
    let mut slot = launch(&python(program)).await;
    assert_eq!(line(&mut slot).await, "[]");
}

#[tokio::test]
async fn it_starts_in_its_directory_with_private_files_and_no_core_dumps() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().canonicalize().expect("its path");
    let mut slot = launch(&Launch { directory: path.clone(), ..shell("pwd; umask; ulimit -c") }).await;
    assert_eq!(rest(&mut slot).await, [path.to_str().expect("text"), "0077", "0"]);
}

#[tokio::test]
async fn it_leads_a_session_of_its_own_with_signals_as_usual() {
    let program = "import os, signal\n\
        print(os.getsid(0) == os.getpid() == os.getpgid(0))\n\
        print([s.name for s in signal.pthread_sigmask(signal.SIG_BLOCK, [])])\n\
        held = [s.name for s in signal.valid_signals() if signal.getsignal(s) == signal.SIG_IGN]\n\
        print(sorted(held))";
    let mut slot = launch(&python(program)).await;
    // Python itself ignores these two.
    assert_eq!(rest(&mut slot).await, ["True", "[]", "['SIGPIPE', 'SIGXFSZ']"]);
}

#[tokio::test]
async fn what_is_written_to_it_comes_back_from_it() {
    let mut slot = launch(&run("/bin/cat", &[])).await;
    let sent = format!("{}\n", "x".repeat(3 << 20));
    let mut stdin = slot.stdin;
    let writing = tokio::spawn(async move { stdin.write_all(sent.as_bytes()).await });
    let echoed = slot.lines.next().await.expect("readable").expect("a line");
    assert_eq!(echoed.len(), 3 << 20);
    writing.await.expect("a writer").expect("written");
    assert_eq!(slot.process.exited().await.code, Some(0), "its input was closed");
}

#[tokio::test]
async fn no_process_list_shows_what_it_was_given_but_its_own() {
    let environment = vec![("TOKEN".into(), "secret-of-the-slot".into())];
    let mut slot = launch(&Launch { environment, ..shell("echo ready; exec sleep 1000") }).await;
    line(&mut slot).await;
    let cli = slot.process.pid();
    let supervisor = see(cli).expect("the CLI").parent;
    let shown = |what: &str| std::fs::read(format!("/proc/{supervisor}/{what}")).expect("readable");
    assert!(shown("cmdline").ends_with(b"\0supervise-slot\0"));
    assert!(shown("environ").is_empty());
    assert_eq!(everybody()[&supervisor].parent, std::process::id().cast_signed());
}

async fn refusal(launch: &Launch) -> LaunchError {
    match supervisor().launch(launch).await {
        Ok(slot) => panic!("{} started", slot.process.pid()),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_failed_start_says_at_which_step_and_why() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = directory.path().join("script");
    std::fs::write(&script, "#!/no/such/interpreter\n").expect("written");
    let script_path = script.to_str().expect("text");

    let error = refusal(&run("/no/such/program", &[])).await;
    assert_eq!((error.step, error.source.kind()), (Step::Program, io::ErrorKind::NotFound));
    assert_eq!(
        error.to_string(),
        "cannot start /no/such/program: the program: No such file or directory (os error 2)"
    );

    let error = refusal(&run(script_path, &[])).await;
    assert_eq!((error.step, error.source.kind()), (Step::Program, io::ErrorKind::PermissionDenied));

    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).expect("executable");
    let error = refusal(&run(script_path, &[])).await;
    assert_eq!((error.step, error.source.raw_os_error()), (Step::Interpreter, Some(libc::ENOENT)));

    let error = refusal(&Launch { directory: "/no/such/place".into(), ..shell("true") }).await;
    assert_eq!((error.step, error.source.kind()), (Step::Directory, io::ErrorKind::NotFound));

    let error = refusal(&run("/bin/true", &[&"x".repeat(200_000)])).await;
    assert_eq!((error.step, error.source.raw_os_error()), (Step::Program, Some(libc::E2BIG)));

    let error = refusal(&run("/bin/true", &[&"x".repeat(5 << 20)])).await;
    assert_eq!((error.step, error.source.kind()), (Step::Supervise, io::ErrorKind::ArgumentListTooLong));
}

#[tokio::test]
async fn a_wall_that_cannot_be_put_up_is_named_and_nothing_starts() {
    let around = |write: &str| Walls {
        user: None,
        write: vec![write.into()],
        read: Vec::new(),
        ports: Vec::new(),
        limits: Rlimits { files: 1_000, file_bytes: 1 << 20, processes: None },
        without: Vec::new(),
    };
    let error = refusal(&Launch { walls: Some(around("/no/such/place")), ..shell("true") }).await;
    assert_eq!(error.step, Step::Walls(Wall::Landlock));
    // Numbers that would leave it who it is.
    for (uid, gid) in [(u32::MAX, 70_000), (70_000, u32::MAX), (0, 70_000), (70_000, 0)] {
        let walls = Walls { user: Some(User { uid, gid }), ..around("/tmp") };
        let error = refusal(&Launch { walls: Some(walls), ..shell("true") }).await;
        assert_eq!(error.step, Step::Walls(Wall::User), "{uid} {gid}");
        assert!(error.to_string().contains("its walls: user"), "{error}");
    }
}

#[tokio::test]
async fn a_program_that_does_not_supervise_is_an_error_and_no_hang() {
    let error = drover_worker::slot::Supervisor::at("/bin/true").launch(&shell("true")).await.err();
    assert_eq!(error.map(|error| error.step), Some(Step::Supervise));
}
