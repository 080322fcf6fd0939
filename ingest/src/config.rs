//! Configuration of ingest.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use lake::{LakeLocation, LakeSettings, S3Config};
use mqtt::{Broker, BrokerKeys};
use serde::{Deserialize, Serialize};
use service::{
    config::{ByteSize, ConfigError, DurationText, Faults, Loaded, Secret},
    responder::{HttpConfig, HttpSettings},
};
use wire::ids::SHARD_COUNT;

use crate::{broker, share::Share};

mod maintenance;

pub use maintenance::{MaintenanceConfig, MaintenanceSettings, RetentionOf, RetentionOfConfig};

use crate::pressure::WaitPolicy;

/// As written in `configs/ingest.toml`, which explains every key.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the lake is: a folder, or `s3://bucket/prefix`.
    pub lake: LakeLocation,
    /// How the bucket of such a lake is reached.
    pub s3: S3Config,
    /// This instance's number, from 0.
    pub instance: u32,
    /// How many instances share the shards.
    pub instances: u32,
    /// The broker.
    pub broker: BrokerConfig,
    /// Longest time a batch waits for its commit.
    pub flush_interval: DurationText,
    /// Payload bytes that make a commit before the interval is over.
    pub flush_bytes: ByteSize,
    /// Payload bytes that may wait while the lake refuses.
    pub buffer_bytes_max: ByteSize,
    /// Messages that may wait between the broker and the buffer.
    pub intake_queue_len_max: usize,
    /// Once a commit has taken so long, vehicles are told to wait.
    pub wait_after: DurationText,
    /// The longest wait they are told at once.
    pub wait_max: DurationText,
    /// How far a vehicle's clock may be ahead of ours.
    pub clock_ahead_max: DurationText,
    /// `required`, `enrolled` (verify those vehicles that have a key) or `off`.
    pub signatures: SignaturePolicy,
    /// Folder of enrolled public keys, `{vehicle_id}.pub`, 64 hex digits each.
    pub device_keys_dir: Option<PathBuf>,
    /// File with the URL of the Redis that last states are shared by.
    pub redis_url_file: Option<PathBuf>,
    /// Health and metrics by HTTP.
    pub http: HttpConfig,
    /// Keeping the lake in order.
    pub maintenance: MaintenanceConfig,
}

/// Which broker.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrokerConfig {
    /// Address of the embedded broker; empty to use an external one.
    pub embedded_listen: String,
    /// Messages the embedded broker keeps of one subscription that are not taken yet.
    pub embedded_memory_max: ByteSize,
    /// `host:port` of an external broker.
    pub external: Option<String>,
    /// Parts of the shards that have connections of their own to the external broker.
    pub connections: u32,
    /// User name at the external broker.
    pub user: Option<String>,
    /// File with the password.
    pub password_file: Option<PathBuf>,
    /// PEM file of the authority that signed the external broker's certificate: turns TLS on.
    pub ca_file: Option<PathBuf>,
    /// PEM file of our client certificate.
    pub cert_file: Option<PathBuf>,
    /// PEM file of its key.
    pub key_file: Option<PathBuf>,
}

/// Whether batches must be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignaturePolicy {
    /// Every batch, by an enrolled key.
    Required,
    /// Batches of vehicles that have an enrolled key.
    Enrolled,
    /// None.
    Off,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lake: LakeLocation::Folder("roadlake-data/lake".into()),
            s3: S3Config::default(),
            instance: 0,
            instances: 1,
            broker: BrokerConfig::default(),
            flush_interval: DurationText(Duration::from_secs(1)),
            flush_bytes: ByteSize(16 << 20),
            buffer_bytes_max: ByteSize(64 << 20),
            intake_queue_len_max: 1024,
            clock_ahead_max: DurationText(Duration::from_secs(86_400)),
            wait_after: DurationText(Duration::from_secs(10)),
            wait_max: DurationText(Duration::from_secs(60)),
            signatures: SignaturePolicy::Enrolled,
            device_keys_dir: None,
            redis_url_file: None,
            http: HttpConfig::default(),
            maintenance: MaintenanceConfig::default(),
        }
    }
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            embedded_listen: "127.0.0.1:1883".to_owned(),
            embedded_memory_max: ByteSize(256 << 20),
            external: None,
            connections: 4,
            user: None,
            password_file: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
        }
    }
}

/// Checked and ready to use.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the lake is.
    pub lake: LakeSettings,
    /// Its part of the shards.
    pub share: Share,
    /// The broker.
    pub broker: BrokerSettings,
    /// See [`Config::flush_interval`].
    pub flush_interval: Duration,
    /// See [`Config::flush_bytes`].
    pub flush_bytes: usize,
    /// See [`Config::buffer_bytes_max`].
    pub buffer_bytes_max: usize,
    /// See [`Config::intake_queue_len_max`].
    pub intake_queue_len_max: usize,
    /// See [`Config::wait_after`].
    pub wait: WaitPolicy,
    /// See [`Config::clock_ahead_max`].
    pub clock_ahead_max: Duration,
    /// See [`Config::signatures`].
    pub signatures: SignaturePolicy,
    /// See [`Config::device_keys_dir`].
    pub device_keys_dir: Option<PathBuf>,
    /// The URL in [`Config::redis_url_file`], or `REDIS_URL` of the environment.
    pub last_state_url: Option<Secret>,
    /// See [`Config::http`]; `None` for none.
    pub http: Option<HttpSettings>,
    /// See [`Config::maintenance`].
    pub maintenance: MaintenanceSettings,
}

/// Which broker, checked.
#[derive(Debug, Clone)]
pub enum BrokerSettings {
    /// rumqttd in this process; port 0 picks a free one.
    Embedded {
        /// Where it listens.
        listen: SocketAddr,
        /// See [`BrokerConfig::embedded_memory_max`].
        memory_bytes_max: usize,
    },
    /// Any MQTT 3.1.1 or 5 broker.
    External(ExternalBroker),
}

/// An external broker. Each part of the shards has two connections to it: one takes ([`crate::intake`]), one
/// tells ([`crate::telling`]). Brokers that go round their connections and read a packet of each (mosquitto) give
/// one connection no more than any vehicle's, too little for what a whole fleet brings; and
/// acks that share a connection with what comes in wait behind it just when vehicles need them most.
#[derive(Debug, Clone)]
pub struct ExternalBroker {
    /// How it is reached.
    pub broker: Broker,
    /// See [`BrokerConfig::connections`].
    pub connections: u32,
}

impl Settings {
    /// Checks a configuration; all faults at once.
    pub fn check(loaded: Loaded<Config>) -> Result<Self, ConfigError> {
        let Loaded { config, origin } = loaded;
        let mut faults = Faults::of(&origin);
        if config.instances == 0 || config.instances > SHARD_COUNT {
            faults.add("instances", "must be 1 to 256");
        } else if config.instance >= config.instances {
            faults.add(
                "instance",
                format!("is {}, but instances are numbered 0 to {}", config.instance, config.instances - 1),
            );
        }
        if config.flush_interval.0.is_zero() {
            faults.add("flush_interval", "must be longer than 0; write one like \"1s\"");
        }
        if config.wait_max.0 < Duration::from_secs(1) {
            faults.add("wait_max", "must be at least 1 s");
        }
        if config.intake_queue_len_max == 0 {
            faults.add("intake_queue_len_max", "must be at least 1");
        }
        if config.buffer_bytes_max < config.flush_bytes {
            faults.add("buffer_bytes_max", "must not be smaller than flush_bytes");
        }
        if config.signatures == SignaturePolicy::Required && config.device_keys_dir.is_none() {
            faults.add("device_keys_dir", "must be set when signatures = \"required\"");
        }
        let broker = broker_settings(&config.broker, &mut faults);
        let last_state_url = faults
            .check("redis_url_file", Secret::from_file_or_env(config.redis_url_file.as_deref(), "REDIS_URL"));
        let http = config.http.check(&mut faults);
        let maintenance = config.maintenance.check(&mut faults);
        let lake = match LakeSettings::check(config.lake, &config.s3) {
            Ok(lake) => Some(lake),
            Err(found) => {
                found.iter().for_each(|fault| faults.add(fault.key, &fault.what));
                None
            }
        };
        // `None` has been told above.
        let share = Share::new(config.instance, config.instances);
        let parts = broker.zip(maintenance).zip(lake.zip(share));
        let settings = parts.map(|((broker, maintenance), (lake, share))| Self {
            lake,
            share,
            broker,
            flush_interval: config.flush_interval.0,
            flush_bytes: to_usize(config.flush_bytes),
            buffer_bytes_max: to_usize(config.buffer_bytes_max),
            intake_queue_len_max: config.intake_queue_len_max,
            wait: WaitPolicy { after: config.wait_after.0, max: config.wait_max.0 },
            clock_ahead_max: config.clock_ahead_max.0,
            signatures: config.signatures,
            device_keys_dir: config.device_keys_dir,
            last_state_url: last_state_url.flatten(),
            http,
            maintenance,
        });
        faults.finish(settings)
    }
}

fn to_usize(size: ByteSize) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}

fn broker_settings(config: &BrokerConfig, faults: &mut Faults) -> Option<BrokerSettings> {
    let Some(external) = &config.external else {
        let listen: SocketAddr = faults.check(
            "broker.embedded_listen",
            config.embedded_listen.parse().map_err(|_| {
                format!("{:?} is no address; write one like \"127.0.0.1:1883\"", config.embedded_listen)
            }),
        )?;
        let memory_bytes_max = to_usize(config.embedded_memory_max);
        if memory_bytes_max < broker::MEMORY_BYTES_MIN {
            faults.add("broker.embedded_memory_max", "must be at least \"4KiB\"; a fleet wants megabytes");
        }
        return Some(BrokerSettings::Embedded { listen, memory_bytes_max });
    };
    if config.connections == 0 || config.connections > SHARD_COUNT {
        faults.add("broker.connections", "must be 1 to 256; each has one to take and one to tell");
    }
    let keys = BrokerKeys {
        section: "broker.",
        address_key: "external",
        address: external,
        user: config.user.as_deref(),
        password_file: config.password_file.as_deref(),
        ca_file: config.ca_file.as_deref(),
        cert_file: config.cert_file.as_deref(),
        key_file: config.key_file.as_deref(),
    };
    let broker = Broker::check(keys, faults)?;
    Some(BrokerSettings::External(ExternalBroker { broker, connections: config.connections }))
}
