//! `/v1/sessions`: what clients make of their conversations, without any worker.

use drover_tests::chat::ErrorBody;
use drover_tests::client::{Answer, Client};
use drover_tests::harness::Cluster;
use reqwest::Method;
use serde_json::{Value, json};

const PATH: &str = "/v1/sessions";

async fn send(client: &Client, method: Method, path: &str, body: &Value) -> Answer {
    Answer::of(client.request(method, path).json(body)).await
}

fn id(answer: &Value) -> &str {
    answer["id"].as_str().unwrap_or_else(|| panic!("no id: {answer}"))
}

#[tokio::test]
async fn a_session_is_made_told_changed_and_deleted() {
    let cluster = Cluster::builder().workers(0).env("API_KEYS", "ann,bob").start().await;
    let (ann, bob) = (cluster.client().with_key("ann"), cluster.client().with_key("bob"));
    let project = ann.post("/v1/projects", &json!({"name": "p"})).await.json();
    let body =
        json!({"project_id": id(&project), "title": "Wetter", "model": "m", "system_prompt": "Be\nbrief."});
    let made = ann.post(PATH, &body).await.json();
    for (name, value) in body.as_object().expect("fields") {
        assert_eq!(&made[name], value, "{made}");
    }
    assert_eq!((&made["object"], &made["message_count"]), (&json!("session"), &json!(0)));
    assert_eq!((&made["total_tokens"], &made["total_cost"]), (&json!(0), &json!(0.0)));
    let chat = ann.post(PATH, &json!({})).await.json();
    assert_eq!(
        (&chat["project_id"], &chat["model"], &chat["title"]),
        (&json!(null), &json!(null), &json!(""))
    );

    let path = format!("{PATH}/{}", id(&made));
    let changed = send(&ann, Method::PATCH, &path, &json!({"title": "Regen", "model": null})).await.json();
    assert_eq!((&changed["title"], &changed["model"]), (&json!("Regen"), &json!(null)));
    assert_eq!(changed["system_prompt"], made["system_prompt"]);
    assert_eq!(
        send(&ann, Method::POST, &path, &json!({"system_prompt": null})).await.json()["system_prompt"],
        json!(null)
    );

    let listed = ann.get(&format!("{PATH}?project_id={}", id(&project))).await.json();
    assert_eq!((listed["data"].as_array().map(Vec::len), id(&listed["data"][0])), (Some(1), id(&made)));
    assert_eq!(ann.get(PATH).await.json()["pagination"]["total_items"], 2);
    let stats = ann.get(&format!("{PATH}/stats")).await.json();
    assert_eq!((&stats["agent_sessions"], &stats["chat_sessions"]), (&json!(1), &json!(1)));
    assert_eq!(ann.get(&format!("{path}/history")).await.json()["data"], json!([]));

    for (method, end) in [
        (Method::GET, ""),
        (Method::PATCH, ""),
        (Method::DELETE, ""),
        (Method::GET, "/history"),
        (Method::GET, "/export"),
        (Method::POST, "/fork"),
    ] {
        let answer = send(&bob, method, &format!("{path}{end}"), &json!({})).await;
        let told = (answer.status.as_u16(), answer.json()["error"]["code"].clone());
        assert_eq!(told, (404, json!("session_not_found")), "{end}");
    }
    let foreign = bob.post(PATH, &json!({"project_id": id(&project)})).await;
    assert_eq!(
        (foreign.status.as_u16(), &foreign.json()["error"]["code"]),
        (404, &json!("project_not_found"))
    );
    assert_eq!(bob.get(&format!("{PATH}?project_id={}", id(&project))).await.status, 404);

    let deleted = send(&ann, Method::DELETE, &path, &json!({})).await.json();
    let expected = json!({"id": id(&made), "object": "session.deleted", "deleted": true, "session_id": id(&made),
        "status": "deleted"});
    assert_eq!(deleted, expected);
    assert_eq!(ann.get(&path).await.status, 404);
    assert_eq!(send(&ann, Method::DELETE, &path, &json!({})).await.status, 404);
}

#[tokio::test]
async fn what_is_wrong_with_a_session_is_named() {
    let cluster = Cluster::builder().workers(0).start().await;
    let client = cluster.client();
    let session = client.post(PATH, &json!({})).await.json();
    let one = format!("{PATH}/{}", id(&session));
    let fork = format!("{one}/fork");
    let project = format!("project_{}", "0".repeat(32));
    for (path, body, code, param) in [
        (PATH, json!({"project_id": "mine"}), "invalid_value", "project_id"),
        (PATH, json!({"title": "a\nb"}), "invalid_value", "title"),
        (PATH, json!({"model": ""}), "invalid_value", "model"),
        (PATH, json!({"system_prompt": ["x"]}), "invalid_type", "system_prompt"),
        (PATH, json!({"working_directory": "/"}), "unknown_parameter", "working_directory"),
        (&one, json!({"project_id": project}), "unknown_parameter", "project_id"),
        (&fork, json!({"project_id": project}), "invalid_value", "project_id"),
        (&fork, json!({"model": "m"}), "unknown_parameter", "model"),
    ] {
        let answer = client.post(path, &body).await;
        let error = &answer.json()["error"];
        assert_eq!((answer.status.as_u16(), &error["code"]), (400, &json!(code)), "{path} {body}");
        assert_eq!(error["param"], param, "{path} {body}");
    }
    let unknown = client.post(PATH, &json!({"project_id": project})).await;
    assert_eq!(unknown.status, 404);
    for query in ["history?page=2", "history?after=msg_0_0", "export?format=pdf"] {
        assert_eq!(client.get(&format!("{one}/{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_chat_that_cannot_go_on_is_refused_before_anybody_works() {
    let cluster = Cluster::builder().workers(0).start().await;
    let client = cluster.client();
    let project = client.post("/v1/projects", &json!({"name": "p"})).await.json();
    let [chat, agents] = [json!({}), json!({"project_id": id(&project)})];
    let (chat, agents) = (client.post(PATH, &chat).await.json(), client.post(PATH, &agents).await.json());
    let (chat, agents) = (id(&chat), id(&agents));
    let unknown = format!("session_{}", "0".repeat(32));
    let elsewhere = format!("project_{}", "0".repeat(32));
    for (fields, header, status, code, param) in [
        (json!({"session_id": unknown}), None, 404, "session_not_found", None),
        (json!({}), Some(unknown.as_str()), 404, "session_not_found", None),
        (json!({"session_id": chat}), Some(agents), 400, "invalid_value", Some("session_id")),
        (json!({}), Some("mine"), 400, "invalid_value", Some("x-drover-session-id")),
        (json!({"session_id": chat, "agent": true}), None, 400, "invalid_value", Some("agent")),
        (json!({"session_id": chat, "project_id": id(&project)}), None, 404, "session_not_found", None),
        (json!({"session_id": agents, "project_id": elsewhere}), None, 404, "session_not_found", None),
        (json!({"session_id": agents, "agent": false}), None, 400, "invalid_value", Some("agent")),
        (json!({"session_id": agents, "top_p": 0.5}), None, 400, "unsupported_parameter", Some("top_p")),
        (json!({"session_id": chat, "n": 2}), None, 400, "unsupported_parameter", Some("n")),
        (json!({"session_busy": "refuse"}), None, 400, "invalid_value", Some("session_busy")),
    ] {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
        body.as_object_mut().expect("a body").extend(fields.as_object().expect("fields").clone());
        let request = client.request(Method::POST, "/v1/chat/completions").json(&body);
        let answer = Answer::of(match header {
            Some(session) => request.header("x-drover-session-id", session),
            None => request,
        })
        .await;
        let error = ErrorBody::of(&answer.json());
        let told = (answer.status.as_u16(), error.code.as_str(), error.param.as_deref());
        assert_eq!(told, (status, code, param), "{fields} {header:?}: {}", error.message);
    }
    let listed = client.get(PATH).await.json();
    assert_eq!(listed["pagination"]["total_items"], 2, "nothing was begun");
}
