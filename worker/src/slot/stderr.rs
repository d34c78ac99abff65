//! The last of what a CLI says on its standard error, kept to explain a failure.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use drover_shared::schema::limits;
use tokio::io::{AsyncRead, AsyncReadExt};

/// How much is read at once.
const READ_BYTES: usize = 4 << 10;

/// A tail of at most [`limits::CLI_STDERR_BYTES`], however much is written.
#[derive(Default)]
pub(super) struct Stderr {
    kept: Mutex<VecDeque<u8>>,
}

impl Stderr {
    /// Reads to the end, so that the CLI is never held up by what nobody wants to know.
    pub(super) async fn read(&self, mut pipe: impl AsyncRead + Unpin) {
        let mut buffer = [0; READ_BYTES];
        while let Ok(bytes @ 1..) = pipe.read(&mut buffer).await {
            self.keep(&buffer[..bytes]);
        }
    }

    pub(super) fn tail(&self) -> String {
        let mut kept = self.kept();
        String::from_utf8_lossy(kept.make_contiguous()).into_owned()
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.kept();
        kept.extend(bytes);
        let surplus = kept.len().saturating_sub(limits::CLI_STDERR_BYTES);
        kept.drain(..surplus);
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<u8>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_end_of_a_flood_is_kept() {
        let mut written = vec![b'a'; 100_000];
        written.extend(b"the end");
        let stderr = Stderr::default();
        stderr.read(&written[..]).await;
        assert_eq!(stderr.tail().len(), limits::CLI_STDERR_BYTES);
        assert!(stderr.tail().ends_with("aaathe end"));
    }

    #[tokio::test]
    async fn a_character_cut_in_half_is_no_trouble() {
        let written = "ü".repeat(limits::CLI_STDERR_BYTES) + "x";
        let stderr = Stderr::default();
        stderr.read(written.as_bytes()).await;
        assert!(stderr.tail().ends_with("üüx"));
    }
}
