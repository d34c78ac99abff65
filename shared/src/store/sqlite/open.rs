//! Opening the database: its file, its connections.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqlitePool};

use super::{Intake, Own, SqliteStore, migrate};
use crate::schema::limits;
use crate::store::OpenError;
use crate::store::doorbell::Doorbell;

impl SqliteStore {
    /// Opens the database in `path`, which is created, with its directory, if it is not there, and
    /// migrated. Any number of processes may do so at once.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_with(path, limits::STORE_BUSY).await
    }

    /// As [`SqliteStore::open`], waiting `busy` for the write lock.
    pub(super) async fn open_with(path: &Path, busy: Duration) -> Result<Self, OpenError> {
        let path = std::path::absolute(path).map_err(|error| OpenError::File(path.to_owned(), error))?;
        create(&path).map_err(|error| OpenError::File(path.clone(), error))?;
        let options = options(&path, busy);
        migrate::migrate(&path, &options).await?;
        let readers = options.clone().pragma("query_only", "ON");
        let dir = path.parent().unwrap_or(Path::new("/")).to_owned();
        let bell_dir = dir.join("bell");
        Ok(Self {
            writer: pool(options, 1).await?,
            readers: pool(readers, limits::STORE_READERS).await?,
            bell: Doorbell::open(&bell_dir).map_err(|error| OpenError::File(bell_dir, error))?,
            dir,
            own: Own::default(),
            intake: Intake::default(),
        })
    }
}

/// Prompts and answers lie in this file: its owner alone may read it. SQLite gives the files it makes
/// beside it the same mode.
fn create(path: &Path) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        // Not to be listed, but to be passed through: slots below it may have users of their own.
        DirBuilder::new().recursive(true).mode(0o711).create(dir)?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    Ok(())
}

fn options(path: &Path, busy: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // In WAL mode nothing is lost when a process is killed, and nothing corrupted when the power goes.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(busy)
        .foreign_keys(true)
        .pragma("journal_size_limit", limits::WAL_BYTES.to_string())
}

/// A pool whose connections stay: the last one to close would checkpoint and delete the log.
async fn pool(options: SqliteConnectOptions, connections: u32) -> Result<SqlitePool, sqlx::Error> {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        // Whoever waits for the connection waits for the statement before, which may wait for the lock.
        .acquire_timeout(2 * limits::STORE_BUSY)
        // A full disk makes SQLite itself roll back, and sqlx believe the transaction open for ever: a
        // connection in that state is replaced.
        .before_acquire(|conn, _| Box::pin(async { Ok(!conn.is_in_transaction()) }))
        .connect_with(options)
        .await
}
