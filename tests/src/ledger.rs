//! A look into a cluster's database, past the api.

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::path::Path;

/// The owners of all jobs that were begun, in the order in which they were.
pub async fn begun(database: &Path) -> Vec<String> {
    let options = SqliteConnectOptions::new().filename(database);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("the database opens");
    let owners = sqlx::query_scalar(
        "SELECT owner FROM job WHERE started_at_ms IS NOT NULL ORDER BY started_at_ms, id",
    );
    owners.fetch_all(&mut connection).await.expect("the owners")
}

/// How many apis are noted to have clients that wait for a job under its key.
pub async fn attended(database: &Path, job: &str) -> i64 {
    let options = SqliteConnectOptions::new().filename(database);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("the database opens");
    let attended = sqlx::query_scalar("SELECT attended FROM job WHERE id = ?1").bind(job);
    attended.fetch_one(&mut connection).await.expect("the job")
}

/// The ids of all jobs, whatever their state, oldest first.
pub async fn job_ids(database: &Path) -> Vec<String> {
    let options = SqliteConnectOptions::new().filename(database);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("the database opens");
    let ids = sqlx::query_scalar("SELECT id FROM job ORDER BY created_at_ms, id");
    ids.fetch_all(&mut connection).await.expect("the ids")
}
