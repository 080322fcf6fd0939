//! Configuration of the api: `configs/api.toml`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use analytics::{LakeLocation, LakeSettings, S3Config};
use serde::Deserialize;
use service::config::{self, ByteSize, ConfigError, DurationText, Faults, Loaded, Secret};

mod agents;
mod billing;
mod console;
mod devices;
mod oidc;

pub use agents::{AgentsConfig, AgentsSettings};
pub use billing::{BillingConfig, BillingSettings, SellerConfig};
pub use console::{Basemap, ConsoleConfig, ConsoleSettings};
pub use devices::{DevicesConfig, DevicesSettings};
pub use oidc::{NewPeople, NewPeopleConfig, NewPersonConfig, OidcConfig, OidcSettings};

use crate::{
    db::{DatabaseLocation, URL_VARIABLE},
    trips::Registration,
};

/// The database where none is named.
const FILE_DEFAULT: &str = "data/api.db";

/// A shorter memory than this is a mistake.
const AUDIT_LOG_RETENTION_MIN: Duration = Duration::from_secs(86_400);

/// The configuration as written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port; port 0 takes any free one.
    pub listen: String,
    /// The api's own database: a file (SQLite) or `postgres://user@host/name`. Where none is named,
    /// that of `DATABASE_URL`, or else the file `data/api.db`.
    pub database: Option<DatabaseLocation>,
    /// File with the password of that server.
    pub database_password_file: Option<PathBuf>,
    /// Where the lake is, a folder or `s3://bucket/prefix`; the `api` program alone reads it.
    pub lake: LakeLocation,
    /// How the bucket of such a lake is reached.
    pub s3: S3Config,
    /// File whose first line is the operator's key; needed beyond loopback.
    pub api_key_file: Option<PathBuf>,
    /// File with the URL of the Redis that ingest shares last states by; the `api` program alone reads it.
    pub redis_url_file: Option<PathBuf>,
    /// How often the lake's `trips` is looked at.
    pub follow_interval: DurationText,
    /// Whether vehicles seen in the lake are registered by themselves.
    pub auto_register: bool,
    /// Without a reading for so long, a vehicle is offline.
    pub offline_after: DurationText,
    /// Longest time to an answer.
    pub request_timeout: DurationText,
    /// Largest request body.
    pub body_bytes_max: ByteSize,
    /// Most rows of one answer of `/v1/sql`.
    pub sql_rows_max: usize,
    /// Requests a second that one key may send, twice as many at once; 0 for no limit.
    pub requests_per_second_max: u32,
    /// How long rows of the audit log are kept; for ever when absent.
    pub audit_log_retention: Option<DurationText>,
    /// The basemap of the console's maps.
    pub console: ConsoleConfig,
    /// How agents are reached.
    pub agents: AgentsConfig,
    /// What the units' identities are made with.
    pub devices: DevicesConfig,
    /// The provider that people sign in at; with keys alone when absent.
    pub oidc: Option<OidcConfig>,
    /// What stands on invoices.
    pub billing: BillingConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            database: None,
            database_password_file: None,
            lake: LakeLocation::Folder("data/lake".into()),
            s3: S3Config::default(),
            api_key_file: None,
            redis_url_file: None,
            follow_interval: DurationText(Duration::from_secs(1)),
            auto_register: true,
            offline_after: DurationText(Duration::from_secs(300)),
            request_timeout: DurationText(Duration::from_secs(30)),
            body_bytes_max: ByteSize(1 << 20),
            sql_rows_max: 10_000,
            requests_per_second_max: 100,
            audit_log_retention: None,
            console: ConsoleConfig::default(),
            agents: AgentsConfig::default(),
            devices: DevicesConfig::default(),
            oidc: None,
            billing: BillingConfig::default(),
        }
    }
}

/// The configuration, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the database is, and its password.
    pub database: DatabaseLocation,
    /// Where the lake is.
    pub lake: LakeSettings,
    /// The key of `/v1`.
    pub api_key: Option<Secret>,
    /// The URL in [`Config::redis_url_file`], or `REDIS_URL` of the environment.
    pub last_state_url: Option<Secret>,
    /// How often trips are followed.
    pub follow_interval: Duration,
    /// Whether unknown vehicles are registered.
    pub registration: Registration,
    /// When a vehicle is offline.
    pub offline_after: Duration,
    /// Longest time to an answer.
    pub request_timeout: Duration,
    /// Largest request body.
    pub body_bytes_max: u64,
    /// Most rows of an SQL answer.
    pub sql_rows_max: usize,
    /// Requests a second of one key; 0 for no limit.
    pub requests_per_second_max: u32,
    /// How long rows of the audit log are kept; for ever when absent.
    pub audit_log_retention: Option<Duration>,
    /// The basemap of the console's maps.
    pub console: ConsoleSettings,
    /// How agents are reached.
    pub agents: AgentsSettings,
    /// What the units' identities are made with.
    pub devices: DevicesSettings,
    /// The provider that people sign in at.
    pub oidc: Option<OidcSettings>,
    /// What stands on invoices.
    pub billing: BillingSettings,
}

/// Loads `file` (or defaults) and `ROADLAKE_API__…`, and checks it.
pub fn load(file: Option<&Path>) -> Result<Settings, ConfigError> {
    Settings::check(config::load::<Config>("api", file)?)
}

impl Settings {
    /// Checks a configuration; all faults are told at once.
    pub fn check(loaded: Loaded<Config>) -> Result<Self, ConfigError> {
        let Loaded { config, origin } = loaded;
        let mut faults = Faults::of(&origin);
        let listen = config.listen.parse::<SocketAddr>().map_err(|_| {
            format!("{:?} is no address with a port; write one like \"127.0.0.1:8080\"", config.listen)
        });
        let listen = faults.check("listen", listen);
        let api_key = config
            .api_key_file
            .as_deref()
            .map(Secret::from_file)
            .and_then(|key| faults.check("api_key_file", key));
        let last_state_url = Secret::from_file_or_env(config.redis_url_file.as_deref(), "REDIS_URL");
        let last_state_url = faults.check("redis_url_file", last_state_url).flatten();
        if listen.is_some_and(|l| !l.ip().is_loopback()) && config.api_key_file.is_none() {
            faults.add(
                "listen",
                format!(
                    "{} is open to the network; set api_key_file too, or listen on 127.0.0.1",
                    config.listen
                ),
            );
        }
        for (key, duration) in [
            ("follow_interval", config.follow_interval),
            ("offline_after", config.offline_after),
            ("request_timeout", config.request_timeout),
        ] {
            if duration.0.is_zero() {
                faults.add(key, "must be above 0");
            }
        }
        if config.audit_log_retention.is_some_and(|kept| kept.0 < AUDIT_LOG_RETENTION_MIN) {
            faults.add("audit_log_retention", "must be at least a day, \"1d\"; leave it out to keep all");
        }
        if !(1..=1_000_000).contains(&config.sql_rows_max) {
            faults.add("sql_rows_max", "must be 1 to 1000000");
        }
        let database = config.database_password_file.as_deref().map(Secret::from_file).transpose();
        let database = faults.check("database_password_file", database).and_then(|password| {
            let (key, location) = match config.database {
                Some(location) => ("database", Some(location)),
                None => (URL_VARIABLE, DatabaseLocation::from_environment()),
            };
            let location = location.unwrap_or_else(|| DatabaseLocation::File(FILE_DEFAULT.into()));
            faults.check(key, location.checked(password.as_ref()))
        });
        let console = config.console.check(&mut faults).unwrap_or_default();
        let agents = config.agents.check(&mut faults);
        let devices = config.devices.check(&mut faults);
        let has_operators_key = config.api_key_file.is_some();
        let oidc = config.oidc.and_then(|oidc| oidc.check(&mut faults, has_operators_key));
        let billing = config.billing.check(&mut faults);
        let registration = if config.auto_register { Registration::Automatic } else { Registration::Manual };
        let lake = match LakeSettings::check(config.lake, &config.s3) {
            Ok(lake) => Some(lake),
            Err(found) => {
                found.iter().for_each(|fault| faults.add(fault.key, &fault.what));
                None
            }
        };
        let settings = listen.zip(lake).zip(database).map(|((listen, lake), database)| Settings {
            listen,
            database,
            lake,
            api_key,
            last_state_url,
            follow_interval: config.follow_interval.0,
            registration,
            offline_after: config.offline_after.0,
            request_timeout: config.request_timeout.0,
            body_bytes_max: config.body_bytes_max.0,
            sql_rows_max: config.sql_rows_max,
            requests_per_second_max: config.requests_per_second_max,
            audit_log_retention: config.audit_log_retention.map(|kept| kept.0),
            console,
            agents,
            devices,
            oidc,
            billing,
        });
        faults.finish(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_file_is_the_defaults() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/api.toml");
        let loaded = config::load::<Config>("api", Some(&path)).unwrap();
        assert_eq!(loaded.config, Config::default());
        Settings::check(loaded).unwrap();
    }

    #[test]
    fn the_network_needs_a_key_and_faults_are_told_together() {
        let config = Config { listen: "0.0.0.0:80".to_owned(), sql_rows_max: 0, ..Config::default() };
        let message =
            Settings::check(Loaded { config, origin: "x.toml".to_owned() }).unwrap_err().to_string();
        for part in ["x.toml", "listen: 0.0.0.0:80 is open to the network; set api_key_file", "sql_rows_max"]
        {
            assert!(message.contains(part), "{part} in {message}");
        }
    }
}
