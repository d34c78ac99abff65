//! All files at once.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

async fn unpacked(stage: &Stage) -> BTreeMap<String, (u32, String)> {
    let request =
        axum::http::Request::get(format!("/v1/projects/{}/archive", stage.project)).header("host", "test");
    let request = request.body(axum::body::Body::empty()).expect("a request");
    let router = crate::router::router(&stage.api.app);
    let answer = router.oneshot(request).await.expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"application/gzip".parse().expect("a value"))
    );
    let packed = answer.into_body().collect().await.expect("whole").to_bytes();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&packed[..]));
    let mut files = BTreeMap::new();
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").to_string_lossy().into_owned();
        let mode = entry.header().mode().expect("a mode");
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        files.insert(path, (mode, text));
    }
    files
}

#[tokio::test]
async fn an_archive_holds_the_files_and_nothing_that_leads_elsewhere() {
    let stage = Stage::new().await;
    assert!(unpacked(&stage).await.is_empty(), "nothing was ever put there");
    let (long, large) = (format!("{}/{}", "d".repeat(120), "f".repeat(200)), "x".repeat(300_000));
    for (path, text) in [("a/b", "one"), (&long, "two"), ("large", &large)] {
        assert_eq!(stage.put(path, text).await.status, 201);
    }
    fs::set_permissions(stage.home().join("a/b"), fs::Permissions::from_mode(0o700)).expect("set");
    symlink("/etc/passwd", stage.home().join("link")).expect("linked");
    symlink("/etc", stage.home().join("directory")).expect("linked");
    nix::unistd::mkfifo(&stage.home().join("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("made");
    let files = unpacked(&stage).await;
    let expected = BTreeMap::from([
        ("a".to_owned(), (0o755, String::new())),
        ("a/b".to_owned(), (0o755, "one".to_owned())),
        ("d".repeat(120), (0o755, String::new())),
        (long, (0o644, "two".to_owned())),
        ("large".to_owned(), (0o644, large)),
    ]);
    let names = |files: &BTreeMap<String, _>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&files), names(&expected));
    assert!(files == expected, "they hold what they held");
}

#[tokio::test]
async fn only_so_many_archives_are_packed_at_once() {
    let stage = Stage::new().await;
    let all = u32::try_from(drover_shared::schema::limits::ARCHIVES).expect("few");
    let _taken = stage.api.app.archives.try_acquire_many(all).expect("all places");
    let call = Call::get(&format!("/v1/projects/{}/archive", stage.project));
    assert_eq!(stage.refusal(call).await, (429, "too_many_archives".to_owned()));
}
