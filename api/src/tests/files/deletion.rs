//! Projects that are deleted.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_deleted_project_is_gone_at_once_and_its_files_soon() {
    let stage = Stage::new().await;
    assert_eq!(stage.put("a/b", "x").await.status, 201);
    let delete = || Call::new("DELETE", &format!("/v1/projects/{}", stage.project));
    stage.api.store.lock().busy_projects.push(stage.project);
    assert_eq!(stage.refusal(delete()).await, (409, "project_busy".to_owned()));
    assert!(stage.home().exists());
    stage.api.store.lock().busy_projects.clear();
    let answer = delete().send(stage.address()).await;
    assert_eq!(answer.status, 200);
    let id = stage.project.to_string();
    let expected = json!({
        "id": id, "object": "project.deleted", "deleted": true, "project_id": id, "status": "deleted",
    });
    assert_eq!(answer.json().await, expected);
    for call in [delete(), stage.call("GET", "/a/b"), stage.call("PUT", "/c")] {
        assert_eq!(stage.refusal(call).await, (404, "project_not_found".to_owned()));
    }
    let forgotten = |state: &super::super::state::State| state.abandoned.is_empty().then_some(());
    stage.api.store.until("the project is forgotten", forgotten).await;
    assert!(!stage.home().exists(), "its files went before");
}

#[tokio::test]
async fn only_its_owner_deletes_a_project() {
    let stage = Stage::with(|settings| settings.api_keys = vec!["mine".to_owned()]).await;
    let delete = Call::new("DELETE", &format!("/v1/projects/{}", stage.project));
    assert_eq!(stage.refusal(delete.clone()).await, (401, "invalid_api_key".to_owned()));
    let refusal = stage.refusal(delete.header("x-api-key", "mine")).await;
    assert_eq!(refusal, (404, "project_not_found".to_owned()));
}
