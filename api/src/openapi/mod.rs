//! `GET /openapi.json`: the api described for machines (`OpenAPI` 3.1). Schemas are those of the types that are written
//! and of the dialect's table of parameters; who may use a route is the router's word. A test holds the list of
//! operations against the router, so neither can have what the other has not.

mod bodies;
mod chats;
mod fleet;
mod jobs;
mod keys;
mod operation;
mod projects;
mod schemas;
mod sessions;

use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use axum::http::{Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use self::operation::Operation;
use self::schemas::Schemas;

/// The document as it goes out, made once.
static DOCUMENT: LazyLock<(Bytes, HeaderValue)> = LazyLock::new(|| {
    let text = document().to_string();
    let digest = Sha256::digest(&text);
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest[..16]));
    let tag = HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""));
    (Bytes::from(text), tag)
});

/// `GET /openapi.json`. Needs no key: it tells no more than the source does.
pub(crate) async fn show(headers: HeaderMap) -> Response<Body> {
    let (text, tag) = &*DOCUMENT;
    let known = headers.get(IF_NONE_MATCH).is_some_and(|known| known == tag);
    let mut response = Response::new(if known { Body::empty() } else { Body::from(text.clone()) });
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response.headers_mut().insert(ETAG, tag.clone());
    // Another version of the server has another document at the same place.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Every operation there is, in the order in which documents show them.
fn operations(schemas: &mut Schemas) -> Vec<Operation> {
    let parts: [fn(&mut Schemas) -> Vec<Operation>; 6] = [
        chats::operations,
        jobs::operations,
        sessions::operations,
        projects::operations,
        keys::operations,
        fleet::operations,
    ];
    parts.into_iter().flat_map(|part| part(schemas)).collect()
}

fn document() -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for operation in operations(&mut schemas) {
        let (path, method) = (operation.path(), operation.method());
        paths.entry(path).or_insert_with(|| json!({}))[method] = operation.describe(&mut schemas);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Drover",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Claude Code behind OpenAI's API: chats, agents in projects, sessions, and jobs in the \
                            background.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas.components(),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "apiKey": { "type": "apiKey", "in": "header", "name": "x-api-key" },
            },
        },
    })
}

/// What the schema of a WebSocket's frames takes from here: the types in them, as `$defs`.
#[cfg(test)]
pub(crate) fn of_frames() -> Map<String, Value> {
    let mut schemas = Schemas::below("/$defs");
    schemas.of::<crate::jobs::JobBody>();
    schemas.of::<drover_shared::schema::Event>();
    let list = schemas::page(&schemas.of::<crate::jobs::Entry>());
    let Value::Object(mut all) = schemas.components() else { unreachable!("definitions are an object") };
    all.insert("JobList".to_owned(), list);
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn described() -> Vec<(String, String)> {
        let operations = operations(&mut Schemas::new());
        operations.iter().map(|it| (it.method().to_uppercase(), it.route().to_owned())).collect()
    }

    #[tokio::test]
    async fn every_route_is_described_and_nothing_else() {
        let described: BTreeSet<_> = described().into_iter().collect();
        let routed: BTreeSet<_> = crate::tests::routed().await.into_iter().collect();
        let missing: Vec<_> = routed.difference(&described).collect();
        let invented: Vec<_> = described.difference(&routed).collect();
        assert!(missing.is_empty(), "routes that are not described: {missing:?}");
        assert!(invented.is_empty(), "descriptions without a route: {invented:?}");
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let operations = operations(&mut Schemas::new());
        let names: BTreeSet<_> = operations.iter().map(Operation::name).collect();
        assert_eq!(names.len(), operations.len());
        let places: BTreeSet<_> = described().into_iter().collect();
        assert_eq!(places.len(), operations.len());
    }

    #[test]
    fn the_document_is_the_same_each_time_and_whole() {
        let text = document().to_string();
        assert_eq!(text, document().to_string());
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let schemas = document["components"]["schemas"].as_object().expect("schemas");
        for reference in text.split("\"$ref\":\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let name = reference.strip_prefix("#/components/schemas/").expect(reference);
            assert!(schemas.contains_key(name), "{reference} leads nowhere");
        }
    }
}
