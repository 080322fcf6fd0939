//! Where a test's database is: the same tests run on a file and on a server.

use api::db::DatabaseLocation;
use tempfile::TempDir;

use crate::postgres_server::{Cluster, PASSWORD};

/// What a module of tests runs on.
pub(crate) trait Engine: Send + Sync + 'static {
    /// An empty database.
    fn new_place() -> impl Future<Output = Place>;
}

/// A file of SQLite.
#[derive(Debug)]
pub(crate) struct Sqlite;

/// A database of a PostgreSQL server.
#[derive(Debug)]
pub(crate) struct Postgres;

/// A database of one test, gone with it (on a server, with the server).
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) location: DatabaseLocation,
    /// The same for sqlx.
    pub(crate) url: String,
    name: String,
    /// Holds the file.
    #[allow(dead_code, reason = "kept for as long as the test runs")]
    dir: TempDir,
}

impl Engine for Sqlite {
    async fn new_place() -> Place {
        Place::file()
    }
}

impl Engine for Postgres {
    async fn new_place() -> Place {
        let cluster = Cluster::shared().await;
        Place::of(cluster, cluster.database(None).await)
    }
}

impl Place {
    fn file() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.db");
        let url = format!("sqlite://{}", path.display());
        Self { location: path.into(), url, name: String::new(), dir }
    }

    /// A database of a server.
    pub(crate) fn of(cluster: &Cluster, name: String) -> Self {
        let url = cluster.url(&name, PASSWORD);
        Self { location: url.clone().into(), url, name, dir: tempfile::tempdir().unwrap() }
    }

    /// The same database, for another process of the api.
    pub(crate) fn again(&self) -> Self {
        let (location, url, name) = (self.location.clone(), self.url.clone(), self.name.clone());
        Self { location, url, name, dir: tempfile::tempdir().unwrap() }
    }

    /// Another database with the same in it; nobody may be using this one.
    pub(crate) async fn copy(&self) -> Self {
        match &self.location {
            DatabaseLocation::File(from) => {
                let copy = Self::file();
                let DatabaseLocation::File(to) = &copy.location else { unreachable!("a file") };
                std::fs::copy(from, to).unwrap();
                copy
            }
            DatabaseLocation::Postgres(_) => {
                let cluster = Cluster::shared().await;
                Self::of(cluster, cluster.database(Some(&self.name)).await)
            }
        }
    }
}
