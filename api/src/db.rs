//! The api's own database: a file of SQLite, or a PostgreSQL server, through sqlx's `Any` driver.
//!
//! *One writing transaction at a time*, on either. In SQLite it begins `IMMEDIATE`; in PostgreSQL
//! it first takes an advisory lock of the database, also against other processes of the api. So
//! whatever a transaction reads stays true until it commits: event positions and invoice numbers
//! have no holes, an idempotency key is used once, a follower's version moves on once. Readers
//! wait for nobody: they read on other connections what was committed before each statement.
//!
//! SQL on a domain's tables is in that domain's `store.rs` alone, and one text serves both:
//! * types `TEXT` and `BIGINT` alone; times are microseconds (`_us`), booleans 0 and 1;
//! * parameters `$1`, `$2` …, each bound as `String` or `i64` (or their `Option`), never left out;
//! * `COUNT`, `MAX` and `COALESCE` of BIGINT are BIGINT; a `SUM` is cast: `CAST(SUM(x) AS BIGINT)`;
//! * upserts by `ON CONFLICT (…) DO UPDATE SET x = excluded.x`; a column of the row that is there
//!   is named with its table; no `OR REPLACE`, `RETURNING`, `rowid`, `now()`, JSON functions;
//! * `LIKE` compares lower case with lower case, with an `ESCAPE`;
//! * texts sort by the database's collation, so order and comparison are both left to it;
//! * after a failed statement the transaction is over: nothing goes on by catching its error.

mod copy;
mod location;
mod schema;

use std::time::Duration;

use sqlx::{
    Any, AnyConnection, AnyPool, Connection, Executor, Transaction, any::AnyPoolOptions,
    migrate::MigrateError, pool::PoolConnection,
};

use crate::{audit, fault::Kind};
pub use copy::copy;
pub use location::{DatabaseLocation, URL_VARIABLE};

/// Connections that read beside the one that writes.
const READER_COUNT: u32 = 4;
/// How long a request waits for a connection before it is told to come back: for its turn to write,
/// or for a server that is away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server that does not answer is waited for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The writers' lock in PostgreSQL: any number that no other program takes in this database.
const TAKE_WRITERS_LOCK: &str = "SELECT pg_advisory_xact_lock(7236291460212)";

/// A connection, inside or outside a transaction.
pub type Conn = AnyConnection;
/// A transaction; dropped without `commit`, it is rolled back.
pub type Tx = Transaction<'static, Any>;

/// Why the database failed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It cannot be opened or reached.
    #[error("cannot open database {place}; {remedy}")]
    Open {
        /// Which, without a password.
        place: String,
        /// What to do about it.
        remedy: &'static str,
        /// Why.
        source: sqlx::Error,
    },
    /// It was made by a newer release.
    #[error(
        "database {place} has schema {found} and this release knows {newest}; run the newer release, or restore a backup"
    )]
    Newer {
        /// Which.
        place: String,
        /// The schema it has.
        found: i64,
        /// The newest schema known here.
        newest: i64,
    },
    /// The schema cannot be brought up to date.
    #[error("cannot migrate database {place}; its user must own the tables and may create them")]
    Migrate {
        /// Which.
        place: String,
        /// Why.
        source: MigrateError,
    },
    /// A statement failed.
    #[error("statement failed")]
    Query(#[from] sqlx::Error),
}

impl DbError {
    /// What kind of failure it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Query(sqlx::Error::Database(e)) if e.is_unique_violation() => Kind::Conflict,
            Self::Query(error) if is_passing(error) => Kind::Busy,
            _ => Kind::Internal,
        }
    }
}

/// Whether the same may work later: the server is away, or somebody else was in the way.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(e) => match e.code().as_deref() {
            // SQLite: busy, locked, and a snapshot that is too old to write upon.
            Some("5" | "6" | "261" | "517") => true,
            // PostgreSQL: serialization, deadlock, lock not to be had, idle too long, resources
            // short, connection lost, shutting down or starting; read-only, as a server that another takes over from.
            Some(code) => ["40001", "40P01", "55P03", "25P03", "25006", "53", "08", "57P", "57014"]
                .iter()
                .any(|class| code.len() == 5 && code.starts_with(class)),
            None => false,
        },
        _ => false,
    }
}

/// What to do about a database that does not open.
fn remedy(location: &DatabaseLocation, error: &sqlx::Error) -> &'static str {
    if matches!(location, DatabaseLocation::File(_)) {
        return "check that its folder exists and may be written";
    }
    match error {
        sqlx::Error::Database(e) => match e.code().as_deref() {
            Some("28P01") => {
                "the server refuses the password; set database_password_file to the file that has the right one"
            }
            Some("28000") => "the server does not let this user in; see its pg_hba.conf",
            Some("3D000") => "the server has no such database; make it with createdb",
            _ => "the server refused; what it said follows",
        },
        sqlx::Error::Tls(_) => {
            "no TLS as wanted could be agreed on; see sslmode and sslrootcert of the URL, and the server's certificate"
        }
        sqlx::Error::Configuration(_) => "its URL is not right",
        _ => "the server does not answer; check that it runs and that host and port are right",
    }
}

/// The database, shared.
#[derive(Debug, Clone)]
pub struct Db {
    writer: AnyPool,
    reader: AnyPool,
    engine: Engine,
}

/// How writers are kept apart.
#[derive(Debug, Clone, Copy)]
enum Engine {
    Sqlite,
    Postgres,
}

impl Db {
    /// Opens the database (a file is created) and brings its schema up to date.
    pub async fn open(location: impl Into<DatabaseLocation>) -> Result<Self, DbError> {
        sqlx::any::install_default_drivers();
        let location = location.into();
        let place = location.to_string();
        let open =
            |source| DbError::Open { place: place.clone(), remedy: remedy(&location, &source), source };
        let options = location.options().map_err(open)?;
        // A connection of its own first: a pool would try again, and in the end not say why.
        let first = tokio::time::timeout(CONNECT_TIMEOUT, AnyConnection::connect_with(&options)).await;
        let mut first = first.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(open)?;
        schema::migrator().run(&mut first).await.map_err(|source| match source {
            MigrateError::VersionMissing(found) if found > schema::NEWEST => {
                DbError::Newer { place: place.clone(), found, newest: schema::NEWEST }
            }
            source => DbError::Migrate { place: place.clone(), source },
        })?;
        let engine = match location {
            DatabaseLocation::File(_) => Engine::Sqlite,
            DatabaseLocation::Postgres(_) => Engine::Postgres,
        };
        let pool = |count: u32| {
            AnyPoolOptions::new()
                .max_connections(count)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .after_connect(|conn, _| Box::pin(prepare(conn)))
                .connect_with(options.clone())
        };
        let writer = pool(1).await.map_err(open)?;
        let reader = pool(READER_COUNT).await.map_err(open)?;
        first.close().await.map_err(open)?;
        Ok(Self { writer, reader, engine })
    }

    /// Begins a transaction that may write: the only one until it ends. Within a request it carries
    /// the row of the audit log.
    pub async fn write(&self) -> Result<Tx, DbError> {
        let mut tx = match self.engine {
            Engine::Sqlite => self.writer.begin_with("BEGIN IMMEDIATE").await?,
            Engine::Postgres => {
                let mut tx = self.writer.begin().await?;
                tx.execute(TAKE_WRITERS_LOCK).await?;
                tx
            }
        };
        audit::note(&mut tx).await?;
        Ok(tx)
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

async fn prepare(conn: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let settings = if conn.backend_name() == "SQLite" {
        // FULL: an answered finalization must survive a power cut.
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
         PRAGMA busy_timeout = 10000;"
    } else {
        // Whoever waits for the writers' lock is told to come back; a writer that is cut off, whose
        // end the server does not see, holds it no longer than this.
        // Under another isolation, which a server may have as its default, what was read would be of before the
        // lock was had.
        "SET default_transaction_isolation = 'read committed'; SET lock_timeout = '10s'; SET statement_timeout = '60s'; \
         SET idle_in_transaction_session_timeout = '30s';"
    };
    conn.execute(settings).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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
