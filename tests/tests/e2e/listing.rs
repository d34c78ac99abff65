//! A key's jobs: finding them, repeating and forgetting them, and when they run.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use drover_tests::chat::{self, ErrorBody, ask};
use drover_tests::client::{Answer, Client, PATIENCE};
use drover_tests::harness::{Builder, Cluster, wait_for};
use drover_tests::upstream::{Upstream, words};
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};

/// Far from now, in seconds, and not too far.
const LATER_S: u64 = 3_600;

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs()
}

/// Two apis on one store, and two keys.
async fn two_apis(builder: Builder) -> (Cluster, [Client; 2], Client) {
    let mut cluster = builder.env("API_KEYS", "own,anothers").start().await;
    let apis = [cluster.client().with_key("own"), cluster.add_api().await.with_key("own")];
    let stranger = cluster.client().with_key("anothers");
    (cluster, apis, stranger)
}

/// A request for a job in the background, with more fields.
fn job(prompt: &str, more: Value) -> Value {
    let mut body = ask(prompt);
    body["background"] = true.into();
    let Value::Object(more) = more else { panic!("{more}") };
    body.as_object_mut().expect("an object").extend(more);
    body
}

async fn added(client: &Client, body: &Value) -> String {
    let answer = client.post(chat::PATH, body).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["id"].as_str().expect("an id").to_owned()
}

async fn call(client: &Client, method: &str, path: &str) -> Answer {
    Answer::of(client.request(method.parse::<Method>().expect("a method"), path)).await
}

async fn show(client: &Client, job: &str) -> Value {
    client.get(&format!("/v1/jobs/{job}")).await.json()
}

async fn ended(client: &Client, job: &str) -> Value {
    wait_for("the end of the job", PATIENCE, async || {
        let shown = show(client, job).await;
        (shown["status"] != "queued" && shown["status"] != "running").then_some(shown)
    })
    .await
}

fn ids(list: &Value) -> Vec<&str> {
    let items = list["data"].as_array().expect("a list").iter();
    items.map(|item| item["id"].as_str().expect("an id")).collect()
}

async fn found(client: &Client, query: &str) -> BTreeSet<String> {
    let answer = client.get(&format!("/v1/jobs?limit=100&{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    ids(&answer.json()).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn jobs_are_found_by_what_they_are_at_any_api() {
    let upstream = Upstream::start();
    let (_cluster, [api, other], stranger) = two_apis(Cluster::builder().upstream(&upstream)).await;
    let begun_s = now_s();
    let whole = api.post(chat::PATH, &ask("say 2 words")).await;
    let whole = whole.header("x-drover-job-id").expect("a job").to_owned();
    let session = json!({"session_id": "new", "tags": ["red", "blue"]});
    let in_session = added(&api, &job("say 3 words", session)).await;
    let failed = added(&other, &job("status 400 \"no\"", json!({"tags": ["red"]}))).await;
    let waits = json!({"tags": ["blue"], "run_at": begun_s + LATER_S, "priority": "high", "model": drover_tests::harness::MODEL});
    let waits = added(&other, &job("say 4 words", waits)).await;
    for ends in [&in_session, &failed] {
        ended(&api, ends).await;
    }
    let foreign = added(&stranger, &job("say 5 words", json!({"tags": ["red"]}))).await;
    let session = show(&api, &in_session).await["session_id"].as_str().expect("a session").to_owned();
    let nobodys = format!("project_{}", "0".repeat(32));

    let all = [&whole, &in_session, &failed, &waits];
    for (query, expected) in [
        ("", &all[..]),
        ("status=completed", &[&whole, &in_session]),
        ("status=failed,queued", &[&failed, &waits]),
        ("status=failed&status=completed", &[&whole, &in_session, &failed]),
        ("status=running", &[]),
        ("background=true", &[&in_session, &failed, &waits]),
        ("background=false", &[&whole]),
        ("tag=red", &[&in_session, &failed]),
        ("tag=red&tag=blue", &[&in_session]),
        ("tag=red&status=failed", &[&failed]),
        ("tag=green", &[]),
        (&format!("session_id={session}"), &[&in_session]),
        (&format!("project_id={nobodys}"), &[]),
        (&format!("model={}", drover_tests::harness::MODEL), &all),
        ("model=no-such-model", &[]),
        (&format!("created_after={begun_s}"), &all),
        (&format!("created_before={begun_s}"), &[]),
        (&format!("created_after={}", begun_s + LATER_S), &[]),
        (&format!("created_before={}", begun_s + LATER_S), &all),
    ] {
        let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
        for client in [&api, &other] {
            assert_eq!(found(client, query).await, expected, "{query}");
        }
    }
    assert_eq!(found(&stranger, "").await, BTreeSet::from([foreign]));
    assert_eq!(found(&stranger, &format!("session_id={session}")).await, BTreeSet::new());

    let list = api.get("/v1/jobs").await.json();
    assert_eq!(ids(&list), [&waits, &failed, &in_session, &whole], "newest first");
    let entry = &list["data"][0];
    assert_eq!(
        (&entry["priority"], &entry["run_at"], &entry["tags"], &entry["status"]),
        (&json!("high"), &json!(begun_s + LATER_S), &json!(["blue"]), &json!("queued"))
    );
    assert_eq!(list["data"][1]["error"]["code"], "invalid_request");
    for (query, param) in [
        ("status=done", "status"),
        ("status=", "status"),
        ("session_id=x", "session_id"),
        ("project_id=x", "project_id"),
        ("background=perhaps", "background"),
        ("created_after=today", "created_after"),
        ("created_before=99999999999999999999", "created_before"),
        ("limit=0", "limit"),
        ("limit=1000000", "limit"),
        ("order=up", "order"),
        ("after=x", "after"),
        ("model=a&model=b", "model"),
        ("colour=red", "colour"),
    ] {
        let refused = api.get(&format!("/v1/jobs?{query}")).await;
        assert_eq!(refused.status, 400, "{query}: {}", refused.text());
        assert_eq!(ErrorBody::of(&refused.json()).param.as_deref(), Some(param), "{query}");
    }
}

#[tokio::test]
async fn pages_go_on_where_the_one_before_ended_whatever_is_added_meanwhile() {
    let upstream = Upstream::start();
    let (_cluster, apis, stranger) = two_apis(Cluster::builder().upstream(&upstream)).await;
    let later = json!({"run_at": now_s() + LATER_S});
    let mut expected = Vec::new();
    for number in 0..17 {
        expected.push(added(&apis[number % 2], &job("say 2 words", later.clone())).await);
    }
    for order in ["asc", "desc"] {
        let before = expected.clone();
        let (mut seen, mut after) = (Vec::new(), String::new());
        for number in 0.. {
            let list = apis[number % 2].get(&format!("/v1/jobs?limit=5&order={order}{after}")).await.json();
            seen.extend(ids(&list).into_iter().map(str::to_owned));
            assert_eq!(
                (&list["first_id"], list["data"].as_array().map(Vec::len) <= Some(5)),
                (&list["data"][0]["id"], true)
            );
            assert_eq!(list["pagination"]["total_items"], expected.len());
            if list["has_more"] == false {
                break;
            }
            after = format!("&after={}", list["last_id"].as_str().expect("a last one"));
            // Of the first page on; neither is to move the others.
            if number < 2 {
                expected.push(added(&apis[0], &job("say 2 words", later.clone())).await);
                added(&stranger, &job("say 2 words", later.clone())).await;
            }
        }
        let mut told = if order == "asc" { expected.clone() } else { before };
        if order == "desc" {
            told.reverse();
        }
        assert_eq!(seen, told, "{order}");
    }
    let second = apis[1].get("/v1/jobs?page=2&per_page=8&order=asc").await.json();
    assert_eq!(ids(&second), expected[8..16]);
    let pagination = &second["pagination"];
    assert_eq!((&pagination["total_pages"], &pagination["has_prev"]), (&json!(3), &json!(true)));
    // Of one that is another's, or is gone, only the place counts.
    let past = apis[0].get(&format!("/v1/jobs?order=asc&after=job_{}", "f".repeat(32))).await.json();
    assert_eq!((ids(&past).len(), &past["last_id"]), (0, &Value::Null));
}

#[tokio::test]
async fn a_job_is_repeated_and_forgotten_by_its_owner_alone() {
    let upstream = Upstream::start();
    let (_cluster, [api, other], stranger) = two_apis(Cluster::builder().upstream(&upstream)).await;
    let prompt = "1 times status 400 \"not yet\" or say 3 words";
    let failed = added(&api, &job(prompt, json!({"tags": ["t"], "priority": "low"}))).await;
    assert_eq!(ended(&other, &failed).await["status"], "failed");
    let running = added(&api, &job("say 4000 words every 50ms", json!({}))).await;
    wait_for("the model speaks", PATIENCE, async || {
        (show(&other, &running).await["status"] == "running").then_some(())
    })
    .await;

    let unknown = format!("job_{}", "0".repeat(32));
    for (method, path) in [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/retry"),
        ("POST", "/cancel"),
        ("GET", "/events"),
        ("GET", "/result"),
    ] {
        for job in [&failed, &running, &unknown] {
            let client = if *job == unknown { &other } else { &stranger };
            let refused = call(client, method, &format!("/v1/jobs/{job}{path}")).await;
            assert_eq!(refused.status, 404, "{method} {path}");
            let error = ErrorBody::of(&refused.json());
            assert_eq!((error.code.as_str(), error.message.contains(job)), ("job_not_found", true));
        }
    }
    for (method, path) in [("DELETE", ""), ("POST", "/retry")] {
        let refused = call(&other, method, &format!("/v1/jobs/{running}{path}")).await;
        assert_eq!(
            (refused.status.as_u16(), ErrorBody::of(&refused.json()).code),
            (409, "job_not_finished".to_owned())
        );
    }

    let retried = call(&other, "POST", &format!("/v1/jobs/{failed}/retry")).await;
    assert_eq!(retried.status, 202, "{}", retried.text());
    let again = retried.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(retried.header("location"), Some(format!("/v1/jobs/{again}").as_str()));
    let end = ended(&api, &again).await;
    assert_eq!(
        (&end["status"], &end["retry_of"], &end["tags"], &end["priority"], &end["background"]),
        (&json!("completed"), &json!(failed), &json!(["t"]), &json!("low"), &json!(true))
    );
    let result = api.get(&format!("/v1/jobs/{again}/result")).await.json();
    assert_eq!(result["choices"][0]["message"]["content"], words(3));
    assert_eq!(show(&api, &failed).await["status"], "failed", "the old one stays as it is");

    let spent = api.get("/v1/usage").await.json();
    let deleted = call(&other, "DELETE", &format!("/v1/jobs/{again}")).await;
    assert_eq!(deleted.json(), json!({"id": again, "object": "job.deleted", "deleted": true}));
    for (method, path) in
        [("GET", ""), ("DELETE", ""), ("POST", "/retry"), ("GET", "/events"), ("GET", "/result")]
    {
        assert_eq!(
            call(&api, method, &format!("/v1/jobs/{again}{path}")).await.status,
            404,
            "{method} {path}"
        );
    }
    assert_eq!(found(&api, "").await, BTreeSet::from([failed.clone(), running.clone()]));
    assert_eq!(api.get("/v1/usage").await.json()["data"], spent["data"], "what it has cost stays");

    assert_eq!(call(&api, "POST", &format!("/v1/jobs/{running}/cancel")).await.status, 200);
    assert_eq!(ended(&other, &running).await["status"], "cancelled");
    assert_eq!(call(&api, "DELETE", &format!("/v1/jobs/{running}")).await.status, 200);
    let repeated = call(&api, "POST", &format!("/v1/jobs/{failed}/retry")).await.json();
    let repeated = repeated["id"].as_str().expect("an id");
    assert_eq!(ended(&other, repeated).await["status"], "completed", "it can be repeated more than once");
}

#[tokio::test]
async fn what_is_urgent_goes_first_and_what_is_for_later_waits() {
    let upstream = Upstream::start();
    let builder = Cluster::builder().upstream(&upstream).env("DROVER_SLOTS", "1");
    let (_cluster, [api, other], _) = two_apis(builder).await;
    let first = added(&api, &job("say 4000 words every 50ms", json!({}))).await;
    wait_for("it runs", PATIENCE, async || (show(&api, &first).await["status"] == "running").then_some(()))
        .await;
    let run_at = now_s() + 3;
    let mut waiting = Vec::new();
    for (prompt, terms) in [
        ("say 2 words", json!({"priority": "low"})),
        ("say 3 words", json!({})),
        ("say 4 words", json!({"priority": "high"})),
        // Before its time not even the most urgent goes before others.
        ("say 5 words", json!({"priority": "high", "run_at": run_at})),
        ("say 6 words", json!({"priority": "normal", "run_at": "2001-01-31T08:00:00+01:00"})),
    ] {
        waiting.push(added(&other, &job(prompt, terms)).await);
    }
    assert_eq!(call(&other, "POST", &format!("/v1/jobs/{first}/cancel")).await.status, 200);
    let mut started = Vec::new();
    for job in &waiting {
        let end = ended(&api, job).await;
        assert_eq!(end["status"], "completed", "{end}");
        started.push(end["started_at"].as_u64().expect("a start"));
    }
    assert!(started[3] >= run_at, "{started:?}, {run_at}");
    let prompts: Vec<String> = upstream.calls().iter().map(|call| call.prompt.clone()).collect();
    let place = |words: u32| {
        let prompt = format!("say {words} words");
        prompts.iter().position(|asked| *asked == prompt).expect("it was asked")
    };
    assert!(place(4) < place(3) && place(3) < place(6) && place(6) < place(2), "{prompts:?}");
}

#[tokio::test]
async fn what_nobody_takes_in_time_expires_and_nonsense_is_refused() {
    let upstream = Upstream::start();
    let (mut cluster, [api, other], _) = two_apis(Cluster::builder().upstream(&upstream)).await;
    let far = now_s() + 40 * 86_400;
    for (terms, param) in [
        (json!({"deadline": 1}), "deadline"),
        (json!({"deadline": far}), "deadline"),
        (json!({"deadline": "soon"}), "deadline"),
        (json!({"run_at": far}), "run_at"),
        (json!({"run_at": -1}), "run_at"),
        (json!({"run_at": now_s() + 100, "deadline": now_s() + 50}), "deadline"),
        (json!({"run_at": now_s() + 100, "background": false}), "run_at"),
        (json!({"priority": "urgent"}), "priority"),
        (json!({"priority": 1}), "priority"),
        (json!({"tags": "red"}), "tags"),
        (json!({"tags": ["ok", ""]}), "tags[1]"),
    ] {
        let refused = api.post(chat::PATH, &job("say 2 words", terms.clone())).await;
        assert_eq!(refused.status, 400, "{terms}: {}", refused.text());
        assert_eq!(ErrorBody::of(&refused.json()).param.as_deref(), Some(param), "{terms}");
    }
    assert_eq!(found(&api, "").await, BTreeSet::new(), "what is refused leaves nothing");

    cluster.kill_worker(0, Signal::SIGTERM).await;
    let deadline = now_s() + 2;
    let late = added(&api, &job("say 2 words", json!({"deadline": deadline}))).await;
    assert_eq!(show(&other, &late).await["deadline"], deadline);
    let end = ended(&other, &late).await;
    assert_eq!((&end["status"], &end["attempts"]), (&json!("expired"), &json!(0)));
    assert!(end["finished_at"].as_u64() >= Some(deadline), "{end}");
    let result = other.get(&format!("/v1/jobs/{late}/result")).await;
    assert_eq!((result.status.as_u16(), ErrorBody::of(&result.json()).code), (504, "job_expired".to_owned()));
    assert_eq!(call(&other, "DELETE", &format!("/v1/jobs/{late}")).await.status, 200);
    assert!(upstream.calls().is_empty());
}
