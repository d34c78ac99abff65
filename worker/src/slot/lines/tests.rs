use std::io::Write;

use super::*;

const LIMIT: usize = 1_000;

struct Output {
    lines: Lines,
    writer: io::PipeWriter,
    exit: watch::Sender<Option<Exit>>,
}

fn output() -> Output {
    let (reader, writer) = io::pipe().expect("a pipe");
    let (exit, exited) = watch::channel(None);
    let pipe = pipe::Receiver::from_owned_fd(reader.into()).expect("a receiver");
    let lines = Lines { limit: LIMIT, ..Lines::new(pipe, exited).expect("lines") };
    Output { lines, writer, exit }
}

const ENDED: Exit = Exit { code: Some(0), signal: None, swept: 0 };

async fn next(lines: &mut Lines) -> Option<Bytes> {
    lines.next().await.expect("a line or the end")
}

#[tokio::test]
async fn lines_come_whole_in_order_and_with_their_spaces() {
    let mut output = output();
    output.writer.write_all(b" one \n\nthree\r\nrest").expect("written");
    drop(output.writer);
    assert_eq!(next(&mut output.lines).await.as_deref(), Some(&b" one "[..]));
    assert_eq!(next(&mut output.lines).await.as_deref(), Some(&b""[..]));
    assert_eq!(next(&mut output.lines).await.as_deref(), Some(&b"three\r"[..]));
    assert_eq!(next(&mut output.lines).await.as_deref(), Some(&b"rest"[..]));
    assert_eq!(next(&mut output.lines).await, None);
    assert_eq!(next(&mut output.lines).await, None);
}

#[tokio::test]
async fn a_line_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
    let mut output = output();
    output.writer.write_all(&[b'x'; LIMIT]).expect("written");
    output.writer.write_all(b"\n").expect("written");
    output.writer.write_all(&[b'y'; LIMIT + 1]).expect("written");
    output.writer.write_all(b"\nafter\n").expect("written");
    assert_eq!(next(&mut output.lines).await.map(|line| line.len()), Some(LIMIT));
    let error = output.lines.next().await.expect_err("too long");
    assert!(matches!(error, LineError::LineTooLong(LIMIT)));
    assert_eq!(next(&mut output.lines).await, None, "the rest is given up");
}

#[tokio::test]
async fn a_dropped_future_loses_nothing() {
    let mut output = output();
    output.writer.write_all(b"hal").expect("written");
    assert!(futures_util::FutureExt::now_or_never(output.lines.next()).is_none());
    output.writer.write_all(b"ves\n").expect("written");
    assert_eq!(next(&mut output.lines).await.as_deref(), Some(&b"halves"[..]));
}

#[tokio::test(start_paused = true)]
async fn what_lies_in_the_pipe_is_read_after_the_exit_and_a_held_pipe_ends_all_the_same() {
    let mut output = output();
    output.writer.write_all(b"late\nunfinished").expect("written");
    output.exit.send_replace(Some(ENDED));
    assert_eq!(next(&mut output.lines).await.as_deref(), Some(&b"late"[..]));
    assert_eq!(next(&mut output.lines).await.as_deref(), Some(&b"unfinished"[..]));
    assert_eq!(next(&mut output.lines).await, None);
}

#[tokio::test]
async fn a_flood_after_the_exit_ends_too() {
    let mut output = output();
    output.exit.send_replace(Some(ENDED));
    let mut writer = output.writer;
    let flood = std::thread::spawn(move || while writer.write_all(&[b'\n'; 4096]).is_ok() {});
    let mut lines = 0;
    while next(&mut output.lines).await.is_some() {
        lines += 1;
    }
    drop(output.lines);
    flood.join().expect("the flood ends with its reader");
    assert!(lines > 0);
}

#[tokio::test]
async fn memory_of_a_large_line_is_not_kept() {
    let mut output = output();
    output.lines.limit = 4 << 20;
    let mut writer = output.writer;
    let sender = std::thread::spawn(move || {
        writer.write_all(&vec![b'x'; 3 << 20]).expect("written");
        writer.write_all(b"\nsmall\n").expect("written");
    });
    assert_eq!(next(&mut output.lines).await.map(|line| line.len()), Some(3 << 20));
    assert_eq!(next(&mut output.lines).await.as_deref(), Some(&b"small"[..]));
    sender.join().expect("all written");
    assert!(output.lines.buffer.capacity() <= 4 * READ_BYTES);
}
