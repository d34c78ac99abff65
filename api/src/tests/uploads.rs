//! Files that a store in a test's hands holds, and what becomes of bad uploads.

use async_trait::async_trait;
use drover_shared::schema::{FileId, FileQuery, Owner, StoredFile};
use drover_shared::store::{Files, Millis, PieceAdded, StoreError};

use super::Api;
use super::client::Call;
use super::store::FakeStore;

#[async_trait]
impl Files for FakeStore {
    async fn begin(&self, _: &Owner, _: FileId, _: Millis) -> Result<(), StoreError> {
        self.check()
    }

    async fn add(&self, _: FileId, _: u32, _: &[u8], _: u64) -> Result<PieceAdded, StoreError> {
        self.check()?;
        Ok(PieceAdded::QuotaFull)
    }

    async fn finish(&self, _: &StoredFile) -> Result<bool, StoreError> {
        unreachable!("no file is whole here")
    }

    async fn find(&self, _: &Owner, _: FileId, _: Millis) -> Result<Option<StoredFile>, StoreError> {
        self.check()?;
        Ok(None)
    }

    async fn list(&self, _: &FileQuery, _: Millis) -> Result<Vec<StoredFile>, StoreError> {
        self.check()?;
        Ok(Vec::new())
    }

    async fn piece(&self, _: FileId, _: u32) -> Result<Option<Vec<u8>>, StoreError> {
        unreachable!("no file is whole here")
    }

    async fn delete(&self, _: &Owner, _: FileId) -> Result<bool, StoreError> {
        self.check()?;
        Ok(false)
    }

    async fn expire(&self, _: Millis, _: Millis, _: u32) -> Result<u64, StoreError> {
        self.check()?;
        Ok(0)
    }
}

fn field(name: &str, value: &str) -> String {
    format!("--b\r\ncontent-disposition: form-data; {name}\r\n\r\n{value}\r\n")
}

#[tokio::test]
async fn bad_uploads_are_told_what_is_wrong() {
    let api = Api::start().await;
    let file = field("name=\"file\"; filename=\"a\"", "x");
    let purpose = |value: &str| field("name=\"purpose\"", value);
    let empty = field("name=\"file\"; filename=\"a\"", "");
    let nameless = field("name=\"file\"", "x");
    for (form, status, code, param) in [
        (purpose("vision"), 400, "missing_required_parameter", "file"),
        (purpose(&"x".repeat(2_000)), 400, "invalid_value", "purpose"),
        (purpose("a") + &purpose("a"), 400, "invalid_value", "purpose"),
        (field("name=\"odd\"", "x"), 400, "unknown_parameter", "odd"),
        (empty, 400, "invalid_value", "file"),
        (nameless, 400, "invalid_value", "file"),
        (file, 400, "file_quota_exceeded", "file"),
    ] {
        let call = Call::new("POST", "/v1/files").header("content-type", "multipart/form-data; boundary=b");
        let answer = call.body(form.clone() + "--b--\r\n").send(api.address).await;
        assert_eq!(answer.status, status, "{form}");
        let error = answer.json().await["error"].clone();
        assert_eq!((&error["code"], &error["param"]), (&code.into(), &param.into()), "{form}");
    }
    for kind in ["application/json", "multipart/form-data", ""] {
        let answer =
            Call::new("POST", "/v1/files").header("content-type", kind).body("x").send(api.address).await;
        assert_eq!(answer.json().await["error"]["code"], "invalid_form", "{kind}");
    }
}
