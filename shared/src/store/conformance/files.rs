//! Uploaded files.

use std::sync::Arc;

use uuid::Uuid;

use super::bench::{Bench, NOW};
use crate::schema::{FileId, FileQuery, Owner, StoredFile};
use crate::store::{PieceAdded, Store};

const QUOTA: u64 = 1_000;

fn file(expires_at_ms: Option<i64>) -> StoredFile {
    StoredFile {
        id: FileId::from_uuid(Uuid::now_v7()),
        owner: Owner::anonymous(),
        name: "näïve \"name\".pdf".to_owned(),
        purpose: "user_data".to_owned(),
        bytes: 7,
        created_at_ms: NOW,
        expires_at_ms,
    }
}

fn all() -> FileQuery {
    FileQuery { owner: Owner::anonymous(), purpose: None, after: None, latest_first: false, limit: 100 }
}

async fn begin(store: &Arc<dyn Store>, file: &StoredFile) {
    store.files().begin(&file.owner, file.id, file.created_at_ms).await.expect("a store");
}

async fn add(store: &Arc<dyn Store>, file: &StoredFile, number: u32, piece: &[u8]) -> PieceAdded {
    store.files().add(file.id, number, piece, QUOTA).await.expect("a store")
}

/// A file in two pieces.
async fn upload(store: &Arc<dyn Store>, file: &StoredFile) {
    begin(store, file).await;
    assert_eq!(add(store, file, 0, b"\0\xff12").await, PieceAdded::Stored);
    assert_eq!(add(store, file, 1, b"345").await, PieceAdded::Stored);
    assert!(store.files().finish(file).await.expect("a store"));
}

async fn find(store: &Arc<dyn Store>, file: &StoredFile, now: i64) -> Option<StoredFile> {
    store.files().find(&file.owner, file.id, now).await.expect("a store")
}

async fn listed(store: &Arc<dyn Store>, query: FileQuery) -> Vec<StoredFile> {
    store.files().list(&query, NOW).await.expect("a list")
}

pub(in crate::store) async fn a_file_is_there_once_it_is_whole(bench: &dyn Bench) {
    let (store, other) = (bench.handle().await, bench.handle().await);
    let new = file(None);
    begin(&store, &new).await;
    assert_eq!(add(&store, &new, 0, b"\0\xff12").await, PieceAdded::Stored);
    assert_eq!(
        (find(&store, &new, NOW).await, listed(&store, all()).await),
        (None, vec![]),
        "it is coming in"
    );
    assert_eq!(add(&store, &new, 1, b"345").await, PieceAdded::Stored);
    assert!(store.files().finish(&new).await.expect("a store"));
    assert_eq!(find(&other, &new, NOW).await, Some(new.clone()), "everybody's handle has it");
    for (number, piece) in [(0, Some(&b"\0\xff12"[..])), (1, Some(b"345")), (2, None)] {
        assert_eq!(other.files().piece(new.id, number).await.expect("a store").as_deref(), piece);
    }
    assert_eq!(add(&store, &new, 2, b"more").await, PieceAdded::Gone);
    assert!(!store.files().finish(&new).await.expect("a store"));
    let stranger = Owner("other".to_owned());
    assert_eq!(store.files().find(&stranger, new.id, NOW).await.expect("a store"), None);
    assert!(!store.files().delete(&stranger, new.id).await.expect("a store"));
    assert!(store.files().delete(&new.owner, new.id).await.expect("a store"));
    assert!(!store.files().delete(&new.owner, new.id).await.expect("a store"));
    assert_eq!(
        (find(&store, &new, NOW).await, store.files().piece(new.id, 0).await.expect("a store")),
        (None, None)
    );
}

pub(in crate::store) async fn files_are_listed_page_by_page(bench: &dyn Bench) {
    let store = bench.handle().await;
    let mut files = Vec::new();
    for number in 0..4 {
        let purpose = if number == 1 { "batch" } else { "vision" };
        let new = StoredFile { purpose: purpose.to_owned(), ..file(None) };
        upload(&store, &new).await;
        files.push(new);
    }
    let foreign = StoredFile { owner: Owner("other".to_owned()), ..file(None) };
    upload(&store, &foreign).await;
    assert_eq!(listed(&store, all()).await, files);
    let page = FileQuery { limit: 2, ..all() };
    assert_eq!(listed(&store, page.clone()).await, files[..3], "one more tells that there are more");
    assert_eq!(listed(&store, FileQuery { after: Some(files[1].id), ..page.clone() }).await, files[2..]);
    let latest: Vec<StoredFile> = files.iter().rev().cloned().collect();
    assert_eq!(listed(&store, FileQuery { latest_first: true, ..page.clone() }).await, latest[..3]);
    let last = FileQuery { latest_first: true, after: Some(files[1].id), ..page };
    assert_eq!(listed(&store, last).await, files[..1]);
    let batch = FileQuery { purpose: Some("batch".to_owned()), ..all() };
    assert_eq!(listed(&store, batch).await, files[1..2]);
}

pub(in crate::store) async fn an_owners_files_have_a_quota(bench: &dyn Bench) {
    let store = bench.handle().await;
    let (first, second) = (file(None), file(None));
    upload(&store, &first).await;
    begin(&store, &second).await;
    let most = usize::try_from(QUOTA - first.bytes).expect("small");
    assert_eq!(add(&store, &second, 0, &vec![b'x'; most + 1]).await, PieceAdded::QuotaFull);
    assert_eq!(add(&store, &second, 0, &vec![b'x'; most]).await, PieceAdded::Stored);
    assert_eq!(add(&store, &second, 1, b"x").await, PieceAdded::QuotaFull);
    let foreign = StoredFile { owner: Owner("other".to_owned()), ..file(None) };
    upload(&store, &foreign).await;
    assert!(store.files().delete(&second.owner, second.id).await.expect("a store"), "unfinished ones too");
    assert_eq!(add(&store, &second, 1, b"x").await, PieceAdded::Gone);
    upload(&store, &file(None)).await;
}

pub(in crate::store) async fn what_has_expired_or_was_never_finished_goes(bench: &dyn Bench) {
    let store = bench.handle().await;
    let (lasting, brief) = (file(None), file(Some(NOW + 10)));
    upload(&store, &lasting).await;
    upload(&store, &brief).await;
    let begun = file(None);
    begin(&store, &begun).await;
    assert_eq!(find(&store, &brief, NOW + 9).await, Some(brief.clone()));
    assert_eq!(find(&store, &brief, NOW + 10).await, None, "at once");
    let expire = async |stale, now, limit| store.files().expire(stale, now, limit).await.expect("a store");
    assert_eq!(expire(NOW, NOW + 9, 10).await, 0);
    assert_eq!((expire(NOW, NOW + 10, 10).await, expire(NOW, NOW + 10, 10).await), (1, 0));
    assert_eq!(store.files().piece(brief.id, 0).await.expect("a store"), None);
    assert_eq!((expire(NOW + 1, NOW, 0).await, expire(NOW + 1, NOW, 10).await), (0, 1));
    assert_eq!(add(&store, &begun, 0, b"x").await, PieceAdded::Gone);
    assert_eq!(listed(&store, all()).await, [lasting]);
}
