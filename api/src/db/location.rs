//! Where the api's database is: a file of SQLite, or a PostgreSQL server by its URL.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::Deserialize;
use service::config::Secret;
use sqlx::{any::AnyConnectOptions, postgres::PgConnectOptions};

/// The environment's name for it, where the configuration names none.
pub const URL_VARIABLE: &str = "DATABASE_URL";
/// What the server shows us as, unless the URL says otherwise.
const APPLICATION_NAME: (&str, &str) = ("application_name", "roadlake-api");

/// A file, or a URL. Shown without its password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum DatabaseLocation {
    /// A file of SQLite.
    File(PathBuf),
    /// `postgres://user@host:port/name`, also with a password, and `?sslmode=` and the like.
    Postgres(Secret),
}

impl From<String> for DatabaseLocation {
    fn from(text: String) -> Self {
        if text.contains("://") { Self::Postgres(Secret::from(text)) } else { Self::File(text.into()) }
    }
}

impl From<PathBuf> for DatabaseLocation {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&Path> for DatabaseLocation {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<&PathBuf> for DatabaseLocation {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl DatabaseLocation {
    /// The one in `DATABASE_URL`, if that is set.
    pub fn from_environment() -> Option<Self> {
        std::env::var(URL_VARIABLE).ok().filter(|text| !text.is_empty()).map(Self::from)
    }

    /// The same with this password, or why it is no place.
    pub(crate) fn checked(self, password: Option<&Secret>) -> Result<Self, String> {
        let url = match self {
            Self::File(_) if password.is_some() => {
                return Err("is a file, which has no password; remove database_password_file".to_owned());
            }
            Self::File(_) => return Ok(self),
            Self::Postgres(url) => url,
        };
        let told = "write one such as \"postgres://user@host:5432/name\"";
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.expose().starts_with(scheme)) {
            return Err(format!("is neither a file nor the URL of a PostgreSQL server; {told}"));
        }
        // What the parser says may quote the URL, and with it a password.
        PgConnectOptions::from_str(url.expose()).map_err(|_| format!("is no URL of PostgreSQL; {told}"))?;
        let Some(password) = password else { return Ok(Self::Postgres(url)) };
        let mut with = AnyConnectOptions::from_str(url.expose()).map_err(|_| told.to_owned())?.database_url;
        with.set_password(Some(password.expose()))
            .map_err(|()| "needs a host when its password is in a file; write it into the URL".to_owned())?;
        Ok(Self::Postgres(Secret::from(with.to_string())))
    }

    /// How sqlx connects there.
    pub(super) fn options(&self) -> Result<AnyConnectOptions, sqlx::Error> {
        match self {
            Self::File(path) => {
                let path = percent_encoded(&path.to_string_lossy());
                AnyConnectOptions::from_str(&format!("sqlite://{path}?mode=rwc"))
            }
            Self::Postgres(url) => {
                let mut options = AnyConnectOptions::from_str(url.expose())?;
                let url = &mut options.database_url;
                if !url.query_pairs().any(|(key, _)| key == APPLICATION_NAME.0) {
                    url.query_pairs_mut().append_pair(APPLICATION_NAME.0, APPLICATION_NAME.1);
                }
                Ok(options)
            }
        }
    }
}

impl fmt::Display for DatabaseLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Postgres(url) => match PgConnectOptions::from_str(url.expose()) {
                Ok(options) => {
                    let user = options.get_username();
                    let name = options.get_database().unwrap_or(user);
                    match options.get_socket() {
                        Some(socket) => write!(f, "postgres://{user}@{}/{name}", socket.display()),
                        None => {
                            let (host, port) = (options.get_host(), options.get_port());
                            write!(f, "postgres://{user}@{host}:{port}/{name}")
                        }
                    }
                }
                Err(_) => f.write_str("postgres://***"),
            },
        }
    }
}

impl fmt::Debug for DatabaseLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A path as the part of a URL: everything but plain characters as `%XX`.
pub(super) fn percent_encoded(path: &str) -> String {
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

    fn location(text: &str) -> DatabaseLocation {
        DatabaseLocation::from(text.to_owned())
    }

    #[test]
    fn a_url_is_shown_without_its_password_and_gets_one_from_a_file() {
        let url = location("postgres://fleet:s3cret@db.example:6432/roadlake?sslmode=require");
        assert_eq!(format!("{url} {url:?}"), format!("{0} {0}", "postgres://fleet@db.example:6432/roadlake"));
        let file = Secret::from("p@ss w/rd".to_owned());
        let DatabaseLocation::Postgres(with) =
            location("postgres://fleet@db/x").checked(Some(&file)).unwrap()
        else {
            panic!("still a URL");
        };
        assert_eq!(with.expose(), "postgres://fleet:p%40ss%20w%2Frd@db/x");
        assert_eq!(location("data/api.db").to_string(), "data/api.db");
    }

    #[test]
    fn what_is_no_place_is_told_without_quoting_it() {
        for bad in ["mysql://u:s3cret@h/x", "postgres://u:s3cret@h:port/x", "postgres://u:s3cret@h/x?port=y"]
        {
            let message = location(bad).checked(None).unwrap_err();
            assert!(message.contains("postgres://user@host:5432/name"), "{message}");
            assert!(!message.contains("s3cret") && !format!("{:?}", location(bad)).contains("s3cret"));
        }
        let file = Secret::from("p".to_owned());
        assert!(location("data/api.db").checked(Some(&file)).unwrap_err().contains("no password"));
    }
}
