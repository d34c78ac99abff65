//! What a CLI says.

use drover_shared::schema::limits;
use drover_worker::slot::LineError;

use crate::stage::{launch, line, python, rest, shell};

#[tokio::test]
async fn a_line_of_ten_megabytes_comes_whole() {
    let mut slot = launch(&python("print('x' * (10 << 20)); print('next')")).await;
    assert_eq!(line(&mut slot).await.len(), 10 << 20);
    assert_eq!(line(&mut slot).await, "next");
}

#[tokio::test]
async fn a_line_past_the_limit_is_an_error_of_its_own_and_the_process_can_be_killed() {
    let mut slot = launch(&python("while True: print('x' * (1 << 20), end='')")).await;
    let error = slot.lines.next().await.expect_err("too long");
    assert!(matches!(error, LineError::LineTooLong(limits::CLI_LINE_BYTES)));
    slot.kill();
    assert_eq!(slot.exited().await.signal, Some(libc::SIGKILL));
}

#[tokio::test]
async fn a_flood_arrives_complete_and_in_order() {
    let mut slot = launch(&python("for i in range(200_000): print(i)")).await;
    let mut expected = 0;
    while let Some(line) = slot.lines.next().await.expect("readable") {
        assert_eq!(line, expected.to_string());
        expected += 1;
    }
    assert_eq!(expected, 200_000);
}

#[tokio::test]
async fn what_was_said_before_the_exit_is_there_after_it() {
    let mut slot = launch(&shell("echo one; echo two; printf three; exit 3")).await;
    assert_eq!(slot.exited().await.code, Some(3));
    assert_eq!(rest(&mut slot).await, ["one", "two", "three"]);
}

#[tokio::test]
async fn standard_error_never_blocks_and_its_end_is_kept() {
    let mut slot = launch(&python(
        "import sys\nfor i in range(100_000): print('noise', i, file=sys.stderr)\n\
         print('the reason', file=sys.stderr); print('done'); sys.exit(1)",
    ))
    .await;
    assert_eq!(line(&mut slot).await, "done");
    assert_eq!(slot.exited().await.code, Some(1));
    let tail = slot.process.stderr_tail();
    assert!(tail.ends_with("noise 99999\nthe reason\n"), "{tail}");
    assert_eq!(tail.len(), limits::CLI_STDERR_BYTES);
}
