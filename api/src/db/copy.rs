//! A copy of a database in a file, whole and of one moment, beside a server that writes to it.

use std::{fs::File, path::Path, str::FromStr};

use sqlx::{AnyConnection, Connection, any::AnyConnectOptions};

use super::{DatabaseLocation, DbError, location::percent_encoded, remedy};

/// Copies the database of a file into another file, which must not be there yet, and has it on the disk. Its
/// schema stays as it is, of whatever release.
pub async fn copy(from: &Path, to: &Path) -> Result<(), DbError> {
    sqlx::any::install_default_drivers();
    let location = DatabaseLocation::from(from);
    let open =
        |source| DbError::Open { place: location.to_string(), remedy: remedy(&location, &source), source };
    let url = format!("sqlite://{}?mode=rw", percent_encoded(&from.to_string_lossy()));
    let options = AnyConnectOptions::from_str(&url).map_err(open)?;
    let mut conn = AnyConnection::connect_with(&options).await.map_err(open)?;
    // A writer of the server may have it for a moment.
    sqlx::query("PRAGMA busy_timeout = 10000").execute(&mut conn).await?;
    sqlx::query("VACUUM INTO $1").bind(to.to_string_lossy().into_owned()).execute(&mut conn).await?;
    conn.close().await?;
    File::open(to).and_then(|file| file.sync_all()).map_err(|e| DbError::Query(sqlx::Error::Io(e)))
}
