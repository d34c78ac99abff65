//! The time, as a value that is passed in.

use std::sync::Arc;

use drover_shared::clock::now_ms;
use drover_shared::store::Millis;

/// Tells milliseconds since the Unix epoch.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Millis + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::new(now_ms)
    }

    /// Any other clock.
    pub fn new(now_ms: impl Fn() -> Millis + Send + Sync + 'static) -> Self {
        Self(Arc::new(now_ms))
    }

    /// Now.
    pub fn now_ms(&self) -> Millis {
        (self.0)()
    }
}
