//! The time, as a value that is passed in.

use std::sync::Arc;

use drover_shared::clock::now_ms;
use drover_shared::store::Millis;
use time::UtcDateTime;

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

/// The time as RFC 3339 writes it, in UTC and with milliseconds.
pub(crate) fn rfc3339(ms: Millis) -> String {
    let seconds = UtcDateTime::from_unix_timestamp(ms.div_euclid(1_000)).unwrap_or(UtcDateTime::UNIX_EPOCH);
    let (date, time) = (seconds.date(), seconds.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        ms.rem_euclid(1_000)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_utc() {
        assert_eq!(rfc3339(1_709_164_800_007), "2024-02-29T00:00:00.007Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999Z");
    }
}
