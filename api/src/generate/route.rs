//! Who answers: headers that say which provider it is, and how many were asked.

use axum::http::header::{HeaderMap, HeaderName, HeaderValue};
use drover_shared::schema::{Event, SeqEvent};

const PROVIDER: HeaderName = HeaderName::from_static("x-drover-provider");
const MODEL: HeaderName = HeaderName::from_static("x-drover-upstream-model");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-drover-attempts");

/// Told by the latest of the events that says so; nothing where none does.
pub(super) fn headers(events: &[SeqEvent]) -> HeaderMap {
    let routed = events.iter().rev().find_map(|event| match event.event.split().1 {
        Event::Routed { provider, model, attempts } => Some((provider, model, *attempts)),
        _ => None,
    });
    let mut headers = HeaderMap::new();
    if let Some((provider, model, attempts)) = routed {
        // Names that no header can hold are the operator's own doing; they are left out.
        for (name, value) in [(PROVIDER, provider), (MODEL, model)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        headers.insert(ATTEMPTS, attempts.into());
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(provider: &str, attempts: u32) -> SeqEvent {
        let event = Event::Routed { provider: provider.to_owned(), model: "m/1".to_owned(), attempts };
        SeqEvent { seq: 1, attempt: 1, event }
    }

    #[test]
    fn the_latest_route_is_told() {
        assert!(headers(&[]).is_empty());
        let told = headers(&[routed("first", 1), routed("second", 3)]);
        assert_eq!(
            (&told[PROVIDER], &told[MODEL], &told[ATTEMPTS]),
            (
                &HeaderValue::from_static("second"),
                &HeaderValue::from_static("m/1"),
                &HeaderValue::from_static("3"),
            )
        );
        assert_eq!(headers(&[routed("a\nb", 1)]).get(PROVIDER), None);
    }
}
