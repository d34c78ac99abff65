//! `/v1/projects`: what clients make of their workspaces, without any worker.

use drover_tests::client::{Answer, Client};
use drover_tests::harness::Cluster;
use reqwest::Method;
use serde_json::{Value, json};

const PATH: &str = "/v1/projects";

async fn send(client: &Client, method: Method, path: &str, body: &Value) -> Answer {
    Answer::of(client.request(method, path).json(body)).await
}

#[tokio::test]
async fn a_project_is_made_told_and_changed() {
    let cluster = Cluster::builder().workers(0).env("API_KEYS", "ann,bob").start().await;
    let (ann, bob) = (cluster.client().with_key("ann"), cluster.client().with_key("bob"));
    let body =
        json!({"name": "Hütte", "description": "am\nSee", "network": ["crates.io", "*.example.org:443"]});
    let made = ann.post(PATH, &body).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    for (name, value) in body.as_object().expect("fields") {
        assert_eq!(&made[name], value, "{made}");
    }
    assert_eq!(
        (&made["object"], &made["path"], &made["is_active"]),
        (&json!("project"), &json!(null), &json!(true))
    );
    assert!(made["created_at"].as_str().is_some_and(|at| at.ends_with('Z') && at.len() == 24), "{made}");
    let path = format!("{PATH}/{}", made["id"].as_str().expect("an id"));
    assert_eq!(ann.get(&path).await.json(), made);

    let changed = send(&ann, Method::PATCH, &path, &json!({"name": "Haus", "path": null})).await.json();
    assert_eq!((&changed["name"], &changed["description"]), (&json!("Haus"), &made["description"]));
    let changed = send(&ann, Method::POST, &path, &json!({"description": null, "network": []})).await.json();
    assert_eq!((&changed["name"], &changed["description"]), (&json!("Haus"), &json!("")));
    assert_eq!((&changed["network"], &changed["created_at"]), (&json!([]), &made["created_at"]));

    for answer in [bob.get(&path).await, send(&bob, Method::PATCH, &path, &json!({"name": "mine"})).await] {
        assert_eq!(answer.status, 404);
        assert_eq!(answer.json()["error"]["code"], "project_not_found");
    }
    assert_eq!(ann.get(&path).await.json(), changed);
    assert_eq!(bob.get(PATH).await.json()["pagination"]["total_items"], 0);
    assert_eq!(cluster.client().get(PATH).await.status, 401);
}

#[tokio::test]
async fn projects_are_listed_in_pages() {
    let cluster = Cluster::builder().workers(0).start().await;
    let client = cluster.client();
    for number in 0..5 {
        assert_eq!(client.post(PATH, &json!({"name": format!("p{number}")})).await.status, 200);
    }
    let names = |answer: &Value| {
        let items = answer["data"].as_array().expect("a list");
        items.iter().map(|item| item["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    let second = client.get(&format!("{PATH}?page=2&per_page=2")).await.json();
    assert_eq!(names(&second), ["p2", "p1"], "the newest first");
    assert_eq!(
        second["pagination"],
        json!({"page": 2, "per_page": 2, "total_items": 5, "total_pages": 3, "has_next": true, "has_prev": true})
    );
    let mut after = String::new();
    let mut told = Vec::new();
    loop {
        let answer = client.get(&format!("{PATH}?order=asc&limit=2{after}")).await.json();
        told.extend(names(&answer));
        if answer["has_more"] == false {
            break;
        }
        after = format!("&after={}", answer["last_id"].as_str().expect("an id"));
    }
    assert_eq!(told, ["p0", "p1", "p2", "p3", "p4"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_project_is_named() {
    let cluster = Cluster::builder().workers(0).start().await;
    let client = cluster.client();
    for (body, code, param) in [
        (json!({}), "missing_required_parameter", "name"),
        (json!({"name": " "}), "invalid_value", "name"),
        (json!({"name": 7}), "invalid_type", "name"),
        (json!({"name": "a\u{7}"}), "invalid_value", "name"),
        (json!({"name": "x".repeat(201)}), "invalid_value", "name"),
        (json!({"name": "a", "description": "b\u{0}"}), "invalid_value", "description"),
        (json!({"name": "a", "path": "/etc"}), "unsupported_parameter", "path"),
        (json!({"name": "a", "network": ["no host"]}), "invalid_value", "network[0]"),
        (json!({"name": "a", "colour": "red"}), "unknown_parameter", "colour"),
    ] {
        let answer = client.post(PATH, &body).await;
        let error = &answer.json()["error"];
        assert_eq!((answer.status.as_u16(), &error["code"]), (400, &json!(code)), "{body}");
        assert_eq!(error["param"], param, "{body}");
    }
    for query in ["page=0", "per_page=101", "after=x", "order=up", "name=a"] {
        assert_eq!(client.get(&format!("{PATH}?{query}")).await.status, 400, "{query}");
    }
    assert_eq!(client.get(PATH).await.json()["pagination"]["total_items"], 0);
}
