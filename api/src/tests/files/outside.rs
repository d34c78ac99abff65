//! Nobody gets at what is not theirs.

use std::os::unix::fs::symlink;

use super::*;

#[tokio::test]
async fn another_keys_project_is_none() {
    let stage = Stage::with(|settings| settings.api_keys = vec!["mine".to_owned(), "yours".to_owned()]).await;
    for call in [
        stage.call("GET", ""),
        stage.call("GET", "/a"),
        stage.call("PUT", "/a"),
        stage.call("POST", ""),
        stage.call("DELETE", "/a"),
    ] {
        assert_eq!(stage.refusal(call.clone()).await, (401, "invalid_api_key".to_owned()));
        let refusal = stage.refusal(call.header("x-api-key", "yours")).await;
        assert_eq!(refusal, (404, "project_not_found".to_owned()));
    }
    assert!(!stage.root.path().join("projects").exists(), "nothing was touched");
    let nothing = Call::get("/v1/projects/project_x/files").header("x-api-key", "mine");
    assert_eq!(stage.refusal(nothing).await, (404, "project_not_found".to_owned()));
}

#[tokio::test]
async fn no_path_leads_out() {
    let stage = Stage::new().await;
    let secret = stage.root.path().join("secret");
    fs::write(&secret, "precious").expect("written");
    stage.put("real", "x").await;
    symlink(&secret, stage.home().join("to-file")).expect("linked");
    symlink(stage.root.path(), stage.home().join("to-directory")).expect("linked");
    let long = "x".repeat(256);
    for (path, expected) in [
        ("/../secret", (400, "invalid_path")),
        ("/..%2F..%2Fsecret", (400, "invalid_path")),
        ("/%2e%2e/%2e%2e/secret", (400, "invalid_path")),
        ("/a/../../../secret", (400, "invalid_path")),
        ("/%2Fetc%2Fpasswd", (400, "invalid_path")),
        ("//etc/passwd", (400, "invalid_path")),
        ("/a%00b", (400, "invalid_path")),
        ("/real/", (400, "invalid_path")),
        (&format!("/{long}"), (400, "invalid_path")),
        (&format!("/{}", "d/".repeat(200)), (400, "invalid_path")),
        ("/to-directory/secret", (403, "link_refused")),
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            let refusal = stage.refusal(stage.call(method, path)).await;
            assert_eq!(refusal, (expected.0, expected.1.to_owned()), "{method} {path}");
        }
    }
    assert_eq!(stage.refusal(stage.call("GET", "/to-file")).await, (403, "link_refused".to_owned()));
    assert_eq!(stage.put("to-file", "mine").await.status, 200, "the link is replaced");
    assert_eq!(stage.send("DELETE", "/to-directory?recursive=true").await.status, 200, "the link is removed");
    assert_eq!(fs::read_to_string(&secret).expect("untouched"), "precious");
    assert_eq!(stage.paths("?recursive=true").await, ["real", "to-file"]);
    stage.assert_nothing_is_left();
}

#[tokio::test]
async fn an_api_out_of_reach_of_the_files_says_so() {
    let stage = Stage::with(|settings| settings.project_root = None).await;
    for call in [stage.call("GET", ""), stage.call("PUT", "/a").body("x")] {
        assert_eq!(stage.refusal(call).await, (503, "files_unreachable".to_owned()));
    }
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("file");
    fs::write(&file, "").expect("written");
    let stage = Stage::with(|settings| settings.project_root = Some(file)).await;
    assert_eq!(stage.refusal(stage.call("GET", "")).await, (503, "files_unreachable".to_owned()));
}
