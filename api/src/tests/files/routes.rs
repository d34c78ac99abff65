//! What each route does.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_file_is_put_told_read_and_removed() {
    let stage = Stage::new().await;
    assert!(stage.paths("").await.is_empty(), "nothing was ever put there");
    let answer = stage.put("src/main.rs", "fn main() {}").await;
    assert_eq!(answer.status, 201);
    let mut body = answer.json().await;
    assert!(body["modified_at"].as_i64() > Some(1_700_000_000), "{body}");
    body["modified_at"] = 0.into();
    let expected = json!({
        "object": "project.file", "path": "src/main.rs", "kind": "file", "bytes": 12, "executable": false,
        "modified_at": 0,
    });
    assert_eq!(body, expected);
    assert_eq!(fs::read_to_string(stage.home().join("src/main.rs")).expect("there"), "fn main() {}");
    assert_eq!(stage.put("src/main.rs", "fn main() { }").await.status, 200);

    let mut answer = stage.send("GET", "/src/main.rs").await;
    assert_eq!(answer.status, 200);
    for (name, expected) in [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", "13"),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
        ("content-disposition", "attachment; filename*=UTF-8''main.rs"),
    ] {
        assert_eq!(answer.header(name), expected, "{name}");
    }
    assert_eq!(answer.rest().await.expect("whole"), "fn main() { }");
    let mut part = stage.call("GET", "/src/main.rs").header("range", "bytes=3-6").send(stage.address()).await;
    assert_eq!((part.status.as_u16(), part.header("content-range")), (206, "bytes 3-6/13"));
    assert_eq!(part.rest().await.expect("whole"), "main");
    let beyond = stage.call("GET", "/src/main.rs").header("range", "bytes=13-").send(stage.address()).await;
    assert_eq!((beyond.status.as_u16(), beyond.header("content-range")), (416, "bytes */13"));
    let head = stage.send("HEAD", "/src/main.rs").await;
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, "13"));

    assert_eq!(stage.refusal(stage.call("DELETE", "/src")).await, (409, "directory_not_empty".to_owned()));
    let gone = stage.send("DELETE", "/src?recursive=true").await.json().await;
    assert_eq!(gone, json!({"object": "project.file.deleted", "path": "src", "deleted": true}));
    assert!(stage.paths("?recursive=true").await.is_empty());
    stage.assert_nothing_is_left();
}

#[tokio::test]
async fn lists_go_as_deep_and_as_far_as_is_asked() {
    let stage = Stage::new().await;
    for path in ["a/b/c", "a/d", "e.txt", "f"] {
        assert_eq!(stage.put(path, "x").await.status, 201);
    }
    symlink("/etc", stage.home().join("link")).expect("linked");
    assert_eq!(stage.paths("").await, ["a", "e.txt", "f", "link"]);
    let all = ["a", "a/b", "a/b/c", "a/d", "e.txt", "f", "link"];
    assert_eq!(stage.paths("?recursive=true").await, all);
    assert_eq!(stage.paths("?path=a").await, ["a/b", "a/d"]);
    assert_eq!(stage.paths("?path=a&recursive=1").await, ["a/b", "a/b/c", "a/d"]);
    let mut met = Vec::new();
    let mut after = String::new();
    loop {
        let list = stage.send("GET", &format!("?recursive=true&limit=2{after}")).await.json().await;
        met.extend(list["data"].as_array().expect("a list").iter().map(|entry| entry["path"].clone()));
        assert_eq!(list["has_more"], list["next"].is_string());
        let Some(next) = list["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(met, all);
    let list = stage.send("GET", "").await.json().await;
    let kinds: Vec<_> = list["data"].as_array().expect("a list").iter().map(|entry| &entry["kind"]).collect();
    assert_eq!(kinds, ["directory", "file", "file", "link"]);
    for (query, code) in [
        ("?path=nothing", (404, "file_not_found")),
        ("?path=f", (409, "not_a_directory")),
        ("?path=link", (403, "link_refused")),
        ("?path=../..", (400, "invalid_path")),
        // `YQ` is `a`, which does not lie below `b`.
        ("?path=b&after=YQ", (400, "invalid_value")),
        ("?after=%2e", (400, "invalid_value")),
        ("?limit=0", (400, "invalid_value")),
        ("?recursive=perhaps", (400, "invalid_value")),
        ("?colour=red", (400, "unknown_parameter")),
    ] {
        assert_eq!(stage.refusal(stage.call("GET", query)).await, (code.0, code.1.to_owned()), "{query}");
    }
}

#[tokio::test]
async fn a_form_brings_several_files() {
    let stage = Stage::new().await;
    let form = |parts: &[(&str, &str)]| {
        let part = |(name, text): &(&str, &str)| {
            format!(
                "--x\r\ncontent-disposition: form-data; name=\"files\"; filename=\"{name}\"\r\n\r\n{text}\r\n"
            )
        };
        parts.iter().map(part).collect::<String>() + "--x--\r\n"
    };
    let post = |query: &str, body: String| {
        stage.call("POST", query).header("content-type", "multipart/form-data; boundary=x").body(body)
    };
    let answer = post("?path=in", form(&[("a.txt", "one"), ("b/c.txt", "two")])).send(stage.address()).await;
    assert_eq!(answer.status, 200);
    let list = answer.json().await;
    assert_eq!(
        (&list["data"][0]["path"], &list["data"][1]["bytes"]),
        (&json!("in/a.txt"), &json!(3)),
        "{list}"
    );
    assert_eq!(fs::read_to_string(stage.home().join("in/b/c.txt")).expect("there"), "two");
    for (call, expected) in [
        (post("", form(&[("../up", "x")])), (400, "invalid_path")),
        (post("?path=..", form(&[("up", "x")])), (400, "invalid_path")),
        (post("", form(&[])), (400, "missing_required_parameter")),
        (post("", form(&[("", "x")])), (400, "missing_required_parameter")),
        (post("", "--x\r\nnonsense".to_owned()), (400, "body_unreadable")),
        (post("?colour=red", form(&[("a", "x")])), (400, "unknown_parameter")),
        (stage.call("POST", "").body("{}"), (415, "unsupported_media_type")),
    ] {
        assert_eq!(stage.refusal(call).await, (expected.0, expected.1.to_owned()));
    }
    stage.assert_nothing_is_left();
}

#[tokio::test]
async fn names_that_are_no_text_are_told_and_taken_percent_encoded() {
    let stage = Stage::new().await;
    let answer = stage.put("a%20b/no%FFtext%2Bok.txt", "x").await;
    assert_eq!(answer.status, 201);
    let body = answer.json().await;
    assert_eq!((&body["path"], &body["encoded"]), (&json!("a%20b/no%FFtext%2Bok.txt"), &json!(true)));
    let list = stage.send("GET", "?recursive=true").await.json().await;
    assert_eq!(list["data"][0]["path"], "a b");
    assert!(list["data"][0].get("encoded").is_none(), "{list}");
    let path = list["data"][1]["path"].as_str().expect("a path").to_owned();
    assert_eq!(stage.send("GET", &format!("/{path}")).await.rest().await.expect("whole"), "x");
    assert_eq!(stage.send("DELETE", &format!("/{path}")).await.status, 200);
}

#[tokio::test]
async fn what_stands_in_the_way_is_named() {
    let stage = Stage::new().await;
    stage.put("dir/file", "x").await;
    let closed = stage.home().join("closed");
    fs::write(&closed, "x").expect("written");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("closed");
    for (method, path, expected) in [
        ("GET", "/nothing", (404, "file_not_found")),
        ("GET", "/dir", (409, "is_a_directory")),
        ("GET", "/dir/file/x", (409, "not_a_directory")),
        ("PUT", "/dir", (409, "is_a_directory")),
        ("PUT", "/dir/file/x", (409, "not_a_directory")),
        ("DELETE", "/nothing", (404, "file_not_found")),
        ("DELETE", "/dir?recursive=2", (400, "invalid_value")),
        ("POST", "/dir", (405, "method_not_allowed")),
    ] {
        let refusal = stage.refusal(stage.call(method, path)).await;
        assert_eq!(refusal, (expected.0, expected.1.to_owned()), "{method} {path}");
    }
    if !nix::unistd::geteuid().is_root() {
        let refusal = stage.refusal(stage.call("GET", "/closed")).await;
        assert_eq!(refusal, (403, "file_forbidden".to_owned()));
    }
}
