//! The database is locked by somebody else.

use super::cluster::Cluster;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use std::time::Duration;

/// Holds the database's write lock until it is released.
pub struct Lock(SqliteConnection);

impl Lock {
    /// Waits for the lock and takes it.
    pub async fn take(cluster: &Cluster) -> Self {
        let options =
            SqliteConnectOptions::new().filename(cluster.database()).busy_timeout(Duration::from_secs(20));
        let mut connection = options.connect().await.expect("the database can be opened");
        sqlx::query("BEGIN EXCLUSIVE").execute(&mut connection).await.expect("the write lock");
        Self(connection)
    }

    /// Lets others write again.
    pub async fn release(mut self) {
        sqlx::query("ROLLBACK").execute(&mut self.0).await.expect("the lock is let go");
        self.0.close().await.expect("an orderly end");
    }
}
