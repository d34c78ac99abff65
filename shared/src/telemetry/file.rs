//! A file of log lines that is put aside when it is full. Lines are handed to a thread of their own, so that nobody
//! waits for the disk; when it cannot keep up, or the file cannot be written, lines are lost, counted and told of.
//!
//! Processes that share the setting have a file each: the first of `drover-api-1.log`, `drover-api-2.log`, … that no
//! living process holds, which a lock beside it shows. So a process that is started again goes on in its file, and there
//! are never more than there were processes at once.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

use crate::schema::limits;

/// How often it is looked whether lines were lost.
const LOOK: Duration = Duration::from_secs(5);

/// When a file is put aside, and how many are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// How large a file may become.
    pub(super) most_bytes: u64,
    /// How many there may be, the one that is written included.
    pub(super) kept: u32,
}

/// The file, as long as it is to be written. What is still on its way is written when it is dropped.
pub(super) struct LogFile {
    losses: Losses,
    // Both go after the last word on losses: first the thread, then the name.
    _thread: WorkerGuard,
    _lock: Flock<File>,
}

impl LogFile {
    /// Takes a file for `process` in the directory, which is made if it is missing. Nobody but its user may read either.
    pub(super) fn open(dir: &Path, process: &str, rule: Rule) -> io::Result<(Self, NonBlocking)> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let (path, lock) = claim(dir, process)?;
        let lost = Arc::new(AtomicUsize::new(0));
        let rotating = Rotating::open(path, rule, Arc::clone(&lost))?;
        let (writer, thread) = NonBlockingBuilder::default()
            .buffered_lines_limit(limits::LOG_BACKLOG)
            .lossy(true)
            .thread_name("log file")
            .finish(rotating);
        let losses = Losses { dropped: writer.error_counter(), lost, told: Arc::default() };
        let watched = losses.clone();
        std::thread::Builder::new().name("log losses".to_owned()).spawn(move || {
            loop {
                std::thread::sleep(LOOK);
                watched.tell();
            }
        })?;
        Ok((Self { losses, _thread: thread, _lock: lock }, writer))
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        self.losses.tell();
    }
}

/// What has not come into the file.
#[derive(Clone)]
struct Losses {
    /// Lines that the thread had no room for.
    dropped: ErrorCounter,
    /// Lines that could not be written.
    lost: Arc<AtomicUsize>,
    told: Arc<AtomicUsize>,
}

impl Losses {
    fn tell(&self) {
        let all = self.dropped.dropped_lines() + self.lost.load(Ordering::Relaxed);
        let lines = all.saturating_sub(self.told.swap(all, Ordering::Relaxed));
        if lines > 0 {
            tracing::warn!(
                lines,
                "lines are missing in the log's file: it could not be written, or not fast enough"
            );
        }
    }
}

/// The first name that nobody holds, and the lock that holds it.
fn claim(dir: &Path, process: &str) -> io::Result<(PathBuf, Flock<File>)> {
    for number in 1..=limits::LOG_PROCESSES {
        let lock = private(&dir.join(format!(".{process}-{number}.lock")))?;
        match Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok((dir.join(format!("{process}-{number}.log")), lock)),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {}
            Err((_, error)) => return Err(error.into()),
        }
    }
    Err(io::Error::other("too many processes write logs there"))
}

/// A file to be appended to, which follows no link and is its user's alone.
fn private(path: &Path) -> io::Result<File> {
    let options =
        OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).clone();
    let file = options.open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Writes whole lines, each with one call. Never fails: what cannot be written is counted.
struct Rotating {
    path: PathBuf,
    rule: Rule,
    /// None after it could not be opened; the next line tries again.
    file: Option<(File, u64)>,
    lost: Arc<AtomicUsize>,
}

impl Rotating {
    fn open(path: PathBuf, rule: Rule, lost: Arc<AtomicUsize>) -> io::Result<Self> {
        let file = Some(with_size(&path)?);
        Ok(Self { path, rule, file, lost })
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        if let Some((_, size)) = &self.file
            && *size > 0
            && size + length > self.rule.most_bytes
        {
            self.file = None;
            self.put_aside()?;
        }
        let (file, size) = match &mut self.file {
            Some(open) => open,
            none => none.insert(with_size(&self.path)?),
        };
        file.write_all(line)?;
        *size += length;
        Ok(())
    }

    /// `x.log` becomes `x.1.log`, that `x.2.log`, and so on; the last one goes.
    fn put_aside(&self) -> io::Result<()> {
        let last = self.rule.kept.saturating_sub(1);
        for number in (0..last).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if last == 0 { fs::remove_file(&self.path) } else { Ok(()) }
    }

    fn numbered(&self, number: u32) -> PathBuf {
        if number == 0 { self.path.clone() } else { self.path.with_extension(format!("{number}.log")) }
    }
}

fn with_size(path: &Path) -> io::Result<(File, u64)> {
    let file = private(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

impl Write for Rotating {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.append(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).expect("a directory").flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn rotating(dir: &Path, most_bytes: u64, kept: u32) -> Rotating {
        Rotating::open(dir.join("x.log"), Rule { most_bytes, kept }, Arc::default()).expect("a file")
    }

    #[test]
    fn full_files_are_put_aside_and_the_oldest_go() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = rotating(dir.path(), 20, 3);
        for number in 0..9 {
            log.write_all(format!("line {number}..\n").as_bytes()).expect("never fails");
        }
        assert_eq!(names(dir.path()), ["x.1.log", "x.2.log", "x.log"]);
        let read = |name| fs::read_to_string(dir.path().join(name)).expect("text");
        assert_eq!(read("x.log"), "line 8..\n");
        assert_eq!(read("x.1.log"), "line 6..\nline 7..\n");
        assert_eq!(read("x.2.log"), "line 4..\nline 5..\n");
        let mode = fs::metadata(dir.path().join("x.log")).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn one_that_is_started_again_goes_on_where_it_was() {
        let dir = tempfile::tempdir().expect("a directory");
        rotating(dir.path(), 20, 1).write_all(b"one\n").expect("never fails");
        rotating(dir.path(), 20, 1).write_all(b"two\n").expect("never fails");
        assert_eq!(fs::read_to_string(dir.path().join("x.log")).expect("text"), "one\ntwo\n");
        rotating(dir.path(), 9, 1).write_all(b"three\n").expect("never fails");
        assert_eq!(fs::read_to_string(dir.path().join("x.log")).expect("text"), "three\n");
        assert_eq!(names(dir.path()), ["x.log"]);
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_later_ones_are_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = rotating(dir.path(), 10, 2);
        log.write_all(b"first line\n").expect("never fails");
        // What is in the way of the file that is put aside cannot be replaced by it.
        fs::create_dir_all(dir.path().join("x.1.log/in")).expect("a directory");
        log.write_all(b"second\n").expect("never fails");
        assert_eq!(log.lost.load(Ordering::Relaxed), 1);
        fs::remove_dir_all(dir.path().join("x.1.log")).expect("it can be removed");
        log.write_all(b"third\n").expect("never fails");
        assert_eq!(log.lost.load(Ordering::Relaxed), 1);
        assert!(fs::read_to_string(dir.path().join("x.log")).expect("text").ends_with("third\n"));
    }

    #[test]
    fn processes_that_share_a_directory_have_a_file_each() {
        let dir = tempfile::tempdir().expect("a directory");
        let (first, one) = claim(dir.path(), "p").expect("a name");
        let (second, _two) = claim(dir.path(), "p").expect("another");
        assert!(first.ends_with("p-1.log") && second.ends_with("p-2.log"));
        drop(one);
        let (again, _three) = claim(dir.path(), "p").expect("the first is free again");
        assert_eq!(again, first);
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), dir.path().join("x.log")).expect("a link");
        let rule = Rule { most_bytes: 10, kept: 1 };
        assert!(Rotating::open(dir.path().join("x.log"), rule, Arc::default()).is_err());
        assert!(!dir.path().join("elsewhere").exists());
    }
}
