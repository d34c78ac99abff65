//! Web pages of other origins: what a browser asks, and what it is told.

use super::client::{Answer, Call};
use super::{Api, STREAM, WHOLE};
use crate::cors::{Origin, Origins};

const PAGE: &str = "https://app.example";

async fn start(origins: &[&str]) -> Api {
    let origins: Vec<Origin> = origins.iter().map(|origin| origin.parse().expect("an origin")).collect();
    Api::with(|settings| {
        settings.allowed_origins = Origins::of(&origins);
        settings.api_keys = vec!["sesame".to_owned()];
    })
    .await
}

/// What Chromium sends before a page's request with these headers.
fn preflight(path: &str, method: &str, headers: &str) -> Call {
    Call::new("OPTIONS", path)
        .header("origin", PAGE)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", headers)
        .header("sec-fetch-mode", "cors")
        .header("accept", "*/*")
}

fn names(answer: &Answer, header: &str) -> Vec<String> {
    let values = answer.headers.get_all(header).iter().map(|value| value.to_str().expect("text"));
    let mut names: Vec<String> =
        values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_browser_that_asks_first_is_let_through() {
    let api = start(&["https://other.example", PAGE]).await;
    let sent = "authorization,content-type,idempotency-key,last-event-id,prefer,traceparent,x-api-key,\
                x-drover-session,x-stainless-retry-count";
    for (path, method) in [
        ("/v1/chat/completions", "POST"),
        ("/v1/projects/p/files/a/b", "PUT"),
        ("/v1/sessions/s", "PATCH"),
        ("/v1/files/f", "DELETE"),
        ("/nowhere", "GET"),
    ] {
        let answer = preflight(path, method, sent).send(api.address).await;
        assert_eq!(answer.status, 204, "{path}: asked without a key, as browsers do");
        assert_eq!(answer.header("access-control-allow-origin"), PAGE);
        assert!(names(&answer, "access-control-allow-methods").contains(&method.to_ascii_lowercase()));
        assert_eq!(names(&answer, "access-control-allow-headers").join(","), sent);
        assert!(names(&answer, "vary").contains(&"origin".to_owned()));
        assert!(answer.header("access-control-max-age").parse::<u32>().is_ok());
    }
}

#[tokio::test]
async fn a_page_sees_answers_and_errors_alike() {
    let api = start(&[PAGE]).await;
    let key = |call: Call| call.header("origin", PAGE).header("authorization", "Bearer sesame");
    let calls = [
        (key(Call::get("/v1/models")), 200),
        (Call::get("/v1/models").header("origin", PAGE), 401),
        (key(Call::get("/nowhere")), 404),
        (key(Call::new("PUT", "/v1/models")), 405),
        (key(Call::chat("{")), 400),
        (key(Call::chat(r#"{"panic":true}"#)), 500),
    ];
    for (call, status) in calls {
        let answer = call.clone().send(api.address).await;
        assert_eq!(answer.status, status, "{call:?}");
        assert_eq!(answer.header("access-control-allow-origin"), PAGE, "{call:?}");
        assert_eq!(answer.header("access-control-expose-headers"), "*", "{call:?}");
        assert_eq!(answer.header("access-control-allow-credentials"), "", "{call:?}");
    }
    let shown = key(Call::get("/v1/models")).send(api.address).await;
    assert_eq!(names(&shown, "vary"), ["origin"]);
}

#[tokio::test]
async fn a_page_of_elsewhere_sees_nothing() {
    let api = start(&["https://other.example"]).await;
    let answer = preflight("/v1/chat/completions", "POST", "authorization").send(api.address).await;
    assert_eq!(answer.status, 204, "as OPTIONS is answered without a page");
    for header in ["origin", "methods", "headers"] {
        assert_eq!(answer.header(&format!("access-control-allow-{header}")), "");
    }
    let answer = Call::get("/livez").header("origin", PAGE).send(api.address).await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (200, ""));
    assert_eq!(names(&answer, "vary"), ["origin"], "a cache must not show it to the page that may");
    let nobody = Api::start().await;
    let answer = Call::get("/livez").header("origin", PAGE).send(nobody.address).await;
    assert_eq!((answer.header("access-control-allow-origin"), answer.header("vary")), ("", ""));
}

#[tokio::test]
async fn every_page_may_mean_every_page_but_no_cookies() {
    let api = start(&["*"]).await;
    let answer = preflight("/v1/jobs", "GET", "x-api-key").send(api.address).await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (204, "*"));
    for body in [STREAM, WHOLE] {
        let answer = Call::chat(body).header("origin", PAGE).send(api.address).await;
        assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (401, "*"));
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
}

#[tokio::test]
async fn without_keys_no_stranger_can_use_a_browser_to_get_in() {
    let api = Api::start().await;
    let refusal = async |call: Call| {
        let answer = call.send(api.address).await;
        let status = answer.status.as_u16();
        (status, answer.json().await["error"]["code"].as_str().expect("a code").to_owned())
    };
    for origin in [PAGE, "null"] {
        // A page may send this without asking first.
        let simple = Call::chat(WHOLE).header("content-type", "text/plain").header("origin", origin);
        assert_eq!(refusal(simple).await, (403, "origin_not_allowed".to_owned()));
    }
    let own = Call::get("/v1/models").header("origin", "http://test");
    assert_eq!(own.send(api.address).await.status, 200);
    // The page's own name was made to lead here.
    let rebound =
        Call::get("/v1/models").header("host", "evil.example").header("origin", "http://evil.example");
    assert_eq!(refusal(rebound).await, (403, "host_not_allowed".to_owned()));
    let guarded = start(&[]).await;
    let call = Call::get("/v1/models").header("host", "drover.example").header("x-api-key", "sesame");
    assert_eq!(call.send(guarded.address).await.status, 200, "a key is what no page knows");
}
