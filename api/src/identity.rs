//! By what a request can be found again: the trace that it is part of, and what its client calls it.

use axum::http::HeaderMap;
use drover_shared::dialect::Rejection;
use drover_shared::schema::{TraceParent, limits};
use uuid::Uuid;

const TRACE_PARENT: &str = "traceparent";
const CLIENT_REQUEST: &str = "x-client-request-id";

/// The request's own step of the trace that its client tells of. Where it tells of none, of several, or of none that can
/// be read, a new trace begins (W3C Trace Context, level 1, section 4.3).
pub(crate) fn trace(headers: &HeaderMap) -> TraceParent {
    let mut told = headers.get_all(TRACE_PARENT).into_iter();
    let only = told.next().filter(|_| told.next().is_none());
    let given = only.and_then(|value| value.to_str().ok()).and_then(TraceParent::parse);
    // The first half of a random UUID says which version it is, and so is never 0.
    let span = Uuid::new_v4().as_u64_pair().0;
    given.map_or_else(|| TraceParent::begin(Uuid::new_v4().as_u128(), span), |given| given.next(span))
}

/// What the client calls the request. It is logged, and used for nothing else.
pub(crate) fn of_client(headers: &HeaderMap) -> Result<Option<&str>, Rejection> {
    let Some(value) = headers.get(CLIENT_REQUEST) else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| text.len() <= limits::CLIENT_REQUEST_BYTES);
    let is_printable = |text: &&str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    text.filter(is_printable).map(Some).ok_or_else(|| {
        let most = limits::CLIENT_REQUEST_BYTES;
        let why = format!("It must be printable ASCII of at most {most} characters.");
        Rejection::invalid_value("X-Client-Request-Id", &why)
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(name: &'static str, values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_bytes(value).expect("a value"));
        }
        headers
    }

    #[test]
    fn a_trace_goes_on_with_a_step_of_its_own() {
        let step = trace(&headers(TRACE_PARENT, &[GIVEN.as_bytes()])).to_string();
        assert!(step.starts_with(&GIVEN[..36]) && step.ends_with("-01") && step != GIVEN, "{step}");
    }

    #[test]
    fn what_cannot_be_read_begins_a_new_trace() {
        let given = GIVEN.as_bytes();
        for values in [&[][..], &[&b"x"[..]], &[&b"00-\xff"[..]], &[given, given]] {
            let step = trace(&headers(TRACE_PARENT, values)).to_string();
            assert!(TraceParent::parse(&step).is_some() && !step.contains(&GIVEN[3..35]), "{step}");
        }
    }

    #[test]
    fn a_clients_name_for_it_is_short_and_printable() {
        let name =
            |value: &[u8]| of_client(&headers(CLIENT_REQUEST, &[value])).map(|it| it.map(str::to_owned));
        assert_eq!(of_client(&HeaderMap::new()), Ok(None));
        assert_eq!(name(b"run 7/\"a\""), Ok(Some("run 7/\"a\"".to_owned())));
        assert!(name(&[b'x'; limits::CLIENT_REQUEST_BYTES]).is_ok());
        for bad in [&[b'x'; limits::CLIENT_REQUEST_BYTES + 1][..], b"a\tb", b"\xc3\xa9", b"\x9b2J"] {
            let rejection = name(bad).expect_err("refused");
            assert_eq!((rejection.status, rejection.param.as_deref()), (400, Some("X-Client-Request-Id")));
        }
    }
}
