//! The time, as a value that is passed in.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use drover_shared::store::Millis;

/// Tells milliseconds since the Unix epoch.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Millis + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::new(|| {
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Millis::try_from(since_epoch.as_millis()).unwrap_or(Millis::MAX)
        })
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
