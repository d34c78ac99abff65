//! What an agent does is told: its tools as they begin, and the files that are not what they were.

use drover_shared::schema::{Change, Changes, Event, FileChange};
use drover_tests::chat::{self, Spoken, streaming};
use drover_tests::desk::Desk;
use drover_tests::harness::ClaudeKind;
use drover_tests::upstream::Upstream;
use serde_json::{Value, json};

use crate::options::{ask, content};
use crate::sessions::builder;

/// Makes two files and a directory, in a way that no tool tells of.
const FIRST: &str = r#"until told say "I begin." then call Bash {"command":"mkdir -p src; echo 1 > src/a; echo 1 > b; ln -s b link"} or say "made""#;
/// Changes one, deletes one, makes one: all but the first without a tool that says so.
const SECOND: &str = r#"until told call Write {"file_path":"NEW","content":"2"} then call Bash {"command":"rm b; echo 22 > src/a; git init -q ."} or say "changed""#;

fn changes(files: &[(&str, Change)]) -> Value {
    let files = files.iter().map(|(path, change)| FileChange { path: (*path).to_owned(), change: *change });
    json!(Changes { files: files.collect(), complete: true })
}

#[tokio::test]
async fn files_and_tools_are_told_of() {
    told(ClaudeKind::Native).await;
}

#[tokio::test]
async fn files_and_tools_of_the_javascript_build_are_told_of() {
    told(ClaudeKind::JavaScript).await;
}

async fn told(kind: ClaudeKind) {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).claude(kind).start().await;
    let (client, desk) = (cluster.client(), Desk::of(&cluster).await);
    let first = ask(&client, FIRST, json!({"activity": "reasoning"})).await;
    let made = changes(&[("b", Change::Created), ("link", Change::Created), ("src/a", Change::Created)]);
    assert_eq!(
        (content(&first), &first.json()["files_changed"]),
        ("I begin.made".into(), &made),
        "{}",
        first.text()
    );
    let message = &first.json()["choices"][0]["message"];
    assert_eq!(
        message["reasoning_content"],
        "Bash: mkdir -p src; echo 1 > src/a; echo 1 > b; ln -s b link\n"
    );
    assert!(message.get("tool_calls").is_none(), "{message}");
    let job = first.header("x-drover-job-id").expect("a job").to_owned();
    assert_eq!(client.get(&format!("/v1/jobs/{job}")).await.json()["files_changed"], made);

    let session = first.header("x-drover-session-id").expect("a session").to_owned();
    let mut body = streaming(chat::ask(SECOND));
    body["session_id"] = session.into();
    body["agent"] = json!({"activity": "reasoning"});
    body["stream_options"] = json!({"include_usage": true});
    let spoken = Spoken::of(client.stream(chat::PATH, &body).await).await;
    assert_eq!((spoken.text().as_str(), spoken.done), ("changed", true), "{spoken:#?}");
    assert_eq!(spoken.thoughts.concat(), "Write: NEW\nBash: rm b; echo 22 > src/a; git init -q .\n");
    let changed = changes(&[("NEW", Change::Created), ("b", Change::Deleted), ("src/a", Change::Changed)]);
    let with = spoken
        .chunks
        .iter()
        .map(drover_tests::client::Frame::json)
        .filter(|chunk| chunk.get("files_changed").is_some());
    let [last] = &with.collect::<Vec<_>>()[..] else { panic!("{spoken:#?}") };
    assert_eq!((&last["files_changed"], &last["choices"][0]["finish_reason"]), (&changed, &json!("stop")));
    assert!(
        !cluster.logs().contains("mkdir -p src") && !cluster.logs().contains("src/a"),
        "no log tells of it"
    );

    let events = desk.events(job.parse().expect("an identifier")).await;
    let titles = events.iter().filter_map(|event| match event {
        Event::ToolStarted { name, title, .. } => Some((name.as_str(), title.as_deref().unwrap_or_default())),
        _ => None,
    });
    let titles: Vec<_> = titles.collect();
    assert_eq!(titles, [("Bash", "mkdir -p src; echo 1 > src/a; echo 1 > b; ln -s b link")]);
    assert!(
        matches!(&events[events.len() - 2], Event::FilesChanged(told) if json!(told) == made),
        "{events:#?}"
    );
}

#[tokio::test]
async fn without_being_asked_an_answer_tells_of_files_and_not_of_tools() {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).start().await;
    let client = cluster.client();
    let first = ask(&client, FIRST, json!(true)).await;
    assert!(first.json()["choices"][0]["message"].get("reasoning_content").is_none(), "{}", first.text());
    assert_eq!(first.json()["files_changed"]["files"].as_array().map(Vec::len), Some(3));
    let nothing = ask(&client, r#"until told call Bash {"command":"true"} or say "x""#, json!(true)).await;
    assert_eq!(nothing.json()["files_changed"], changes(&[]), "{}", nothing.text());
    let chat = client.post(chat::PATH, &chat::ask("say 1 words")).await;
    assert!(chat.json().get("files_changed").is_none(), "{}", chat.text());
    // What a job did before it failed is told too.
    let endless = r#"call Bash {"command":"echo >> grown"}"#;
    let failed = ask(&client, endless, json!({"max_turns": 2})).await;
    assert_eq!(failed.json()["error"]["code"], "turns_exceeded");
    let job = failed.header("x-drover-job-id").expect("a job");
    let told = client.get(&format!("/v1/jobs/{job}")).await.json();
    assert_eq!(told["files_changed"], changes(&[("grown", Change::Created)]), "{told}");
}
