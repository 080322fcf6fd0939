//! The api's own database: SQLite through sqlx's `Any` driver, so that PostgreSQL is another URL.
//!
//! One connection writes: transactions queue for it and none meets `SQLITE_BUSY`. A few others
//! read, on WAL snapshots. SQL on a domain's tables is in that domain's `store.rs` alone.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{Any, AnyConnection, AnyPool, Executor, Transaction, any::AnyPoolOptions, pool::PoolConnection};

use crate::fault::Kind;

/// Connections that read beside the one that writes.
const READER_COUNT: u32 = 4;
/// How long a request waits for a connection before it is told to come back.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection, inside or outside a transaction.
pub type Conn = AnyConnection;
/// A transaction; dropped without `commit`, it is rolled back.
pub type Tx = Transaction<'static, Any>;

/// Why the database failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The file cannot be opened.
    #[error("cannot open database {path}; check that its folder exists and may be written")]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// The schema cannot be brought up to date.
    #[error("cannot migrate database {path}; it may be of a newer release")]
    Migrate {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
    /// A statement failed.
    #[error("statement failed")]
    Query(#[from] sqlx::Error),
}

impl DbError {
    /// What kind of failure it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Query(sqlx::Error::PoolTimedOut) => Kind::Busy,
            Self::Query(sqlx::Error::Database(e)) if e.is_unique_violation() => Kind::Conflict,
            _ => Kind::Internal,
        }
    }
}

/// The database, shared.
#[derive(Debug, Clone)]
pub struct Db {
    writer: AnyPool,
    reader: AnyPool,
}

impl Db {
    /// Opens or creates the file and brings its schema up to date.
    pub async fn open(path: &Path) -> Result<Self, DbError> {
        sqlx::any::install_default_drivers();
        let open = |source| DbError::Open { path: path.to_owned(), source };
        let url = format!("sqlite://{}?mode=rwc", percent_encoded(&path.to_string_lossy()));
        let writer = pool(&url, 1).await.map_err(open)?;
        sqlx::migrate!("./migrations")
            .run(&writer)
            .await
            .map_err(|source| DbError::Migrate { path: path.to_owned(), source })?;
        let reader = pool(&url, READER_COUNT).await.map_err(open)?;
        Ok(Self { writer, reader })
    }

    /// Begins a transaction that may write.
    pub async fn write(&self) -> Result<Tx, DbError> {
        Ok(self.writer.begin().await?)
    }

    /// A connection to read with.
    pub async fn read(&self) -> Result<PoolConnection<Any>, DbError> {
        Ok(self.reader.acquire().await?)
    }

    /// Closes all connections; what was committed is on disk.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

async fn pool(url: &str, connection_count: u32) -> Result<AnyPool, sqlx::Error> {
    AnyPoolOptions::new()
        .max_connections(connection_count)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|conn, _| {
            Box::pin(async move {
                if conn.backend_name() == "SQLite" {
                    // FULL: an answered finalization must survive a power cut.
                    conn.execute(
                        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                         PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 10000;",
                    )
                    .await?;
                }
                Ok(())
            })
        })
        .connect(url)
        .await
}

/// A path as the part of a URL: everything but plain characters as `%XX`.
fn percent_encoded(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_path_with_spaces_and_signs_opens_twice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a b?c#d%e.db");
        Db::open(&path).await.unwrap().close().await;
        Db::open(&path).await.unwrap();
        assert!(path.exists());
    }

    #[tokio::test]
    async fn a_missing_folder_is_named() {
        let error = Db::open(Path::new("/nonexistent-folder/api.db")).await.unwrap_err();
        assert!(error.to_string().contains("/nonexistent-folder/api.db"), "{error}");
    }
}
