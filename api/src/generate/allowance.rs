//! Headers that say what is left of a key's minute (OpenAI API, "Rate limits in headers").

use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use drover_shared::schema::{Allowance, Gauge};

use crate::app::App;
use crate::auth::Caller;

/// Adds them to an answer, or to its refusal for want of room, where the key has such limits.
pub(super) async fn tell(app: &App, caller: &Caller, response: &mut Response) {
    let status = response.status();
    let is_limited = caller.key.as_ref().is_some_and(|key| {
        key.limits.requests_per_minute.is_some() || key.limits.tokens_per_minute.is_some()
    });
    if !is_limited || !(status.is_success() || status == StatusCode::TOO_MANY_REQUESTS) {
        return;
    }
    match app.store.keys().allowance(&caller.owner, app.clock.now_ms()).await {
        Ok(allowance) => response.headers_mut().extend(headers(&allowance)),
        // The answer itself is there.
        Err(error) => tracing::warn!(%error, "what is left of a key's minute cannot be told"),
    }
}

fn headers(allowance: &Allowance) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let requests =
        ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"];
    let tokens = ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"];
    for (names, gauge) in [(requests, allowance.requests), (tokens, allowance.tokens)] {
        let Some(Gauge { limit, remaining, reset_ms }) = gauge else { continue };
        let values = [limit.to_string(), remaining.to_string(), duration(reset_ms)];
        for (name, value) in names.into_iter().zip(values) {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
    headers
}

/// As Go writes a duration, which is what clients of this header read.
fn duration(ms: u64) -> String {
    let (hours, minutes, seconds, rest) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
    if ms < 1_000 {
        return if ms == 0 { "0s".to_owned() } else { format!("{ms}ms") };
    }
    let hours = if hours > 0 { format!("{hours}h") } else { String::new() };
    let minutes = if ms >= 60_000 { format!("{minutes}m") } else { String::new() };
    let part = format!("{rest:03}");
    let part = part.trim_end_matches('0');
    let point = if part.is_empty() { "" } else { "." };
    format!("{hours}{minutes}{seconds}{point}{part}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_writes_them() {
        for (ms, expected) in [
            (0, "0s"),
            (6, "6ms"),
            (999, "999ms"),
            (1_000, "1s"),
            (1_250, "1.25s"),
            (60_000, "1m0s"),
            (360_000, "6m0s"),
            (61_005, "1m1.005s"),
            (3_600_000, "1h0m0s"),
            (7_384_500, "2h3m4.5s"),
        ] {
            assert_eq!(duration(ms), expected);
        }
    }

    #[test]
    fn only_limits_that_there_are_are_told() {
        let gauge = Gauge { limit: 60, remaining: 7, reset_ms: 53_000 };
        let headers = headers(&Allowance { requests: Some(gauge), tokens: None });
        let told: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("text"))).collect();
        assert_eq!(
            told,
            [
                ("x-ratelimit-limit-requests", "60"),
                ("x-ratelimit-remaining-requests", "7"),
                ("x-ratelimit-reset-requests", "53s"),
            ]
        );
    }
}
