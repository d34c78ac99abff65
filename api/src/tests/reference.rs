//! The description for machines and the reference for people.

use axum::http::header::CONTENT_SECURITY_POLICY;

use super::Api;
use super::client::Call;

#[tokio::test]
async fn the_description_is_there_without_a_key_and_says_when_it_is_the_same() {
    let api = Api::with(|settings| settings.api_keys = vec!["sesame".to_owned()]).await;
    let answer = api.get("/openapi.json").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    let tag = answer.header("etag").to_owned();
    let document = answer.json().await;
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/v1/chat/completions"]["post"]["requestBody"].is_object());
    let mut again = Call::get("/openapi.json").header("if-none-match", &tag).send(api.address).await;
    assert_eq!((again.status.as_u16(), again.header("etag")), (304, tag.as_str()));
    assert_eq!(again.rest().await.expect("nothing"), "");
}

#[tokio::test]
async fn the_reference_refers_only_to_what_this_server_has() {
    let api = Api::with(|settings| settings.api_keys = vec!["sesame".to_owned()]).await;
    let mut page = api.get("/docs").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header(CONTENT_SECURITY_POLICY.as_str()).to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    let html = page.rest().await.expect("a page").to_owned();
    let referred =
        html.split(['"', '\'']).filter(|text| text.contains('/') && !text.contains(['<', ' ', '>']));
    let mut assets = 0;
    for path in referred {
        assert!(path.starts_with("/docs/"), "{path} is not this server's");
        let mut asset = api.get(path).await;
        assert_eq!(asset.status, 200, "{path}");
        assert_eq!(asset.header("content-encoding"), "", "who takes no gzip gets none");
        let kind = if path.to_ascii_lowercase().ends_with("css") { "text/css" } else { "text/javascript" };
        assert!(asset.header("content-type").starts_with(kind), "{path}");
        let plain = asset.rest().await.expect("a whole file").len();
        let packed = Call::get(path).header("accept-encoding", "br, gzip").send(api.address).await;
        let length = packed.header("content-length").parse::<usize>().expect("a length");
        match packed.header("content-encoding") {
            "gzip" => assert!(length < plain / 2, "{path}: {length} of {plain}"),
            _ => assert_eq!(length, plain, "{path}"),
        }
        assets += 1;
    }
    assert_eq!(assets, 3, "{html}");
    for script in html.split("<script").skip(1) {
        assert!(script.starts_with(" src="), "the policy lets no script run that stands in the page");
    }
    let mut start = api.get("/docs/start.js").await;
    assert!(start.rest().await.expect("a script").contains("\"/openapi.json\""));
    assert_eq!(api.get("/docs/other.js").await.status, 404);
}
