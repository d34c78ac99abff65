//! The turn before the first job. It is answered here, so that it costs nothing and nobody is told of it.

use std::sync::Arc;

use drover_shared::provider::priming;
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

/// While it lives, and no job is bound, the relay answers calls for its placeholder.
#[derive(Debug)]
pub struct Priming {
    _guard: DropGuard,
}

/// The relay's side of a [`Priming`].
#[derive(Debug)]
pub(super) struct Primer {
    placeholder: String,
    ended: CancellationToken,
}

impl Primer {
    pub(super) fn begin(placeholder: &str) -> (Arc<Self>, Priming) {
        let primer = Self { placeholder: placeholder.to_owned(), ended: CancellationToken::new() };
        let priming = Priming { _guard: primer.ended.clone().drop_guard() };
        (Arc::new(primer), priming)
    }

    pub(super) fn end(&self) {
        self.ended.cancel();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// The whole answer to the CLI's call, if it is the placeholder's.
    pub(super) fn answer(&self, cli_body: &Value) -> Option<Vec<u8>> {
        let asked = !self.has_ended() && priming::asks(cli_body, &self.placeholder);
        asked.then(|| priming::answer(cli_body).concat())
    }
}
