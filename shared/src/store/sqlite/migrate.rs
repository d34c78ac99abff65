//! Brings the database to this version's shape, ours and the queue library's.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use sqlx::SqlitePool;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tokio::time::{Instant, sleep};

use crate::schema::limits;
use crate::store::OpenError;

/// Our own, in `migrations/sqlite`.
pub(super) static OURS: Migrator = sqlx::migrate!("../migrations/sqlite");

/// Pause before the lock is tried again.
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// Runs what migrations are missing. sqlx has no migration lock for SQLite, so a lock file keeps processes
/// that start together apart.
pub(super) async fn migrate(file: &Path, options: &SqliteConnectOptions) -> Result<(), OpenError> {
    let _lock = lock(&lock_path(file)).await?;
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
    run_theirs(&pool).await?;
    OURS.run(&pool).await?;
    pool.close().await;
    Ok(())
}

/// The queue library's, with a table of their own: neither we nor they would accept the other's entries in a
/// shared one.
pub(super) async fn run_theirs(pool: &SqlitePool) -> Result<(), MigrateError> {
    let mut theirs = apalis_sqlite::SqliteStorage::migrations();
    theirs.dangerous_set_table_name("_apalis_migrations");
    theirs.run(pool).await
}

fn lock_path(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".migrate.lock");
    path.into()
}

async fn lock(path: &Path) -> Result<Flock<File>, OpenError> {
    let failed = |error: io::Error| OpenError::File(path.to_owned(), error);
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(failed)?;
    let deadline = Instant::now() + limits::MIGRATE_WAIT;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((file, Errno::EAGAIN | Errno::EINTR)) if Instant::now() < deadline => file,
            Err((_, error)) => return Err(failed(error.into())),
        };
        sleep(LOCK_RETRY).await;
    }
}
