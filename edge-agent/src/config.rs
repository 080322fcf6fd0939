//! The agent's configuration file: raw [`Config`], checked into [`Settings`], and nothing else.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use service::config::{ByteSize, ConfigError, DurationText, Faults, Loaded};
use std::time::Duration;
use wire::time::Timestamp;

use crate::{
    agent::{NamedBytes, ReplaySettings, Settings, SourceSettings},
    campaign::{Bounds, desk::CampaignSettings},
    collect::CollectSettings,
    simulate::{self, Powertrain, SimulateSettings},
    source::replay::Pace,
    spool::{SpoolSettings, SyncPolicy},
    uplink::{ClientCertificate, TlsSettings, UplinkSettings},
};

/// `configs/edge-agent.toml`, as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The vehicle's id, the common name of its certificate.
    pub vehicle_id: String,
    /// Folder of the spool, of this agent alone.
    pub spool_folder: PathBuf,
    /// DBC files.
    pub dbc_files: Vec<PathBuf>,
    /// Map files.
    pub map_files: Vec<PathBuf>,
    /// Where frames come from.
    pub source: SourceConfig,
    /// How samples are collected.
    pub collect: CollectConfig,
    /// Campaigns beside the default collection.
    pub campaigns: CampaignsConfig,
    /// Bounds of the spool.
    pub spool: SpoolConfig,
    /// Where batches go.
    pub uplink: UplinkConfig,
}

/// `[source]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceConfig {
    /// `replay` or `simulate`.
    pub kind: SourceKind,
    /// Replay: the candump log.
    pub log_file: Option<PathBuf>,
    /// How fast: a number, or `flat`.
    pub speed: String,
    /// Replay: moves the log so that it begins here.
    pub shift_to: Option<Timestamp>,
    /// Simulate: the track; one that comes with the agent when absent.
    pub track_file: Option<PathBuf>,
    /// Simulate: `combustion` or `battery`.
    pub powertrain: PowertrainName,
    /// Simulate: where chance comes from.
    pub seed: u64,
    /// Simulate: when it begins.
    pub start_time: Option<Timestamp>,
    /// Simulate: when it ends.
    pub until: Option<Timestamp>,
}

/// A kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A recorded log.
    Replay,
    /// A computed vehicle.
    Simulate,
}

/// A kind of powertrain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowertrainName {
    /// Combustion engine.
    Combustion,
    /// Battery-electric.
    Battery,
}

/// `[collect]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollectConfig {
    /// Event time in one batch.
    pub batch_interval: DurationText,
    /// Least time between two samples of a signal, where its map says nothing.
    pub signal_interval: DurationText,
}

/// `[campaigns]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CampaignsConfig {
    /// A local campaign set.
    pub file: Option<PathBuf>,
    /// The key that signs sets: an unsigned one is refused then.
    pub public_key_file: Option<PathBuf>,
    /// Cap of the bytes of all campaigns in a day.
    pub bytes_per_day_max: ByteSize,
    /// Memory for what came before a trigger.
    pub ring_bytes_max: ByteSize,
}

/// `[spool]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolConfig {
    /// `always`, `never`, or an interval.
    pub sync: String,
    /// Length of a segment file.
    pub segment_bytes: ByteSize,
    /// Cap of all segment files.
    pub spool_bytes_max: ByteSize,
    /// Age at which data is given up.
    pub spool_age_max: DurationText,
}

/// `[uplink]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UplinkConfig {
    /// `host:port` of the broker.
    pub broker: String,
    /// Most batches without a durable ack.
    pub in_flight_max: usize,
    /// Time without an ack after which the window is sent again.
    pub resend_after: DurationText,
    /// Time between pings.
    pub keep_alive: DurationText,
    /// Authority of the broker's certificate: turns TLS on.
    pub ca_file: Option<PathBuf>,
    /// The vehicle's certificate.
    pub cert_file: Option<PathBuf>,
    /// Its private key.
    pub key_file: Option<PathBuf>,
    /// The vehicle's signing key.
    pub signing_key_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            vehicle_id: String::new(),
            spool_folder: PathBuf::from("spool"),
            dbc_files: Vec::new(),
            map_files: Vec::new(),
            source: SourceConfig::default(),
            collect: CollectConfig::default(),
            campaigns: CampaignsConfig::default(),
            spool: SpoolConfig::default(),
            uplink: UplinkConfig::default(),
        }
    }
}

impl Default for SourceConfig {
    fn default() -> Self {
        Self {
            kind: SourceKind::Replay,
            log_file: None,
            speed: "1".to_owned(),
            shift_to: None,
            track_file: None,
            powertrain: PowertrainName::Combustion,
            seed: 1,
            start_time: None,
            until: None,
        }
    }
}

impl Default for CollectConfig {
    fn default() -> Self {
        let CollectSettings { batch_interval, signal_interval } = CollectSettings::default();
        Self { batch_interval: DurationText(batch_interval), signal_interval: DurationText(signal_interval) }
    }
}

impl Default for CampaignsConfig {
    fn default() -> Self {
        let bounds = Bounds::default();
        Self {
            file: None,
            public_key_file: None,
            bytes_per_day_max: ByteSize(bounds.bytes_per_day_max),
            ring_bytes_max: ByteSize(bounds.ring_bytes_max),
        }
    }
}

impl CampaignsConfig {
    fn settings(self) -> CampaignSettings {
        let bounds =
            Bounds { ring_bytes_max: self.ring_bytes_max.0, bytes_per_day_max: self.bytes_per_day_max.0 };
        CampaignSettings { file: self.file, public_key_file: self.public_key_file, bounds }
    }
}

impl Default for SpoolConfig {
    fn default() -> Self {
        let settings = SpoolSettings::default();
        Self {
            sync: "1s".to_owned(),
            segment_bytes: ByteSize(settings.segment_bytes),
            spool_bytes_max: ByteSize(settings.bytes_max),
            spool_age_max: DurationText(settings.age_max),
        }
    }
}

impl Default for UplinkConfig {
    fn default() -> Self {
        let settings = UplinkSettings::default();
        Self {
            broker: format!("{}:{}", settings.host, settings.port),
            in_flight_max: settings.in_flight_max,
            resend_after: DurationText(settings.resend_after),
            keep_alive: DurationText(settings.keep_alive),
            ca_file: None,
            cert_file: None,
            key_file: None,
            signing_key_file: None,
        }
    }
}

/// Checks a configuration, telling every fault at once. `now` is when a simulation begins that
/// does not say when.
pub fn check(loaded: Loaded<Config>, now: Timestamp) -> Result<Settings, ConfigError> {
    let mut faults = Faults::of(&loaded.origin);
    let config = loaded.config;
    let vehicle_id = faults.check("vehicle_id", config.vehicle_id.parse());
    let source = check_source(&mut faults, &config.source, now);
    let (mut dbcs, mut maps) = (
        read_all(&mut faults, "dbc_files", &config.dbc_files),
        read_all(&mut faults, "map_files", &config.map_files),
    );
    match (&source, config.source.kind) {
        (Some(SourceSettings::Simulate(settings)), _) if dbcs.is_empty() && maps.is_empty() => {
            (dbcs, maps) = (vec![simulate::dbc()], vec![simulate::map(settings.powertrain)]);
        }
        (_, SourceKind::Replay) => {
            for (key, files) in [("dbc_files", &config.dbc_files), ("map_files", &config.map_files)] {
                if files.is_empty() {
                    faults.add(key, "is empty; name at least one file, or nothing can be decoded");
                }
            }
        }
        _ => {}
    }
    let sync = faults.check("spool.sync", parse_sync(&config.spool.sync));
    let uplink = check_uplink(&mut faults, config.uplink);
    for (key, duration) in [
        ("collect.batch_interval", config.collect.batch_interval.0),
        ("spool.spool_age_max", config.spool.spool_age_max.0),
    ] {
        if duration < Duration::from_millis(100) {
            faults.add(key, "is too short; write at least \"100ms\"");
        }
    }
    if config.spool.segment_bytes.0 < 4096
        || config.spool.spool_bytes_max.0 < 4 * config.spool.segment_bytes.0
    {
        faults.add(
            "spool.spool_bytes_max",
            "must be at least four segments (`segment_bytes`) of at least 4KiB",
        );
    }
    let settings = (|| {
        Some(Settings {
            vehicle_id: vehicle_id?,
            spool_folder: config.spool_folder,
            source: source?,
            dbcs,
            maps,
            collect: CollectSettings {
                batch_interval: config.collect.batch_interval.0,
                signal_interval: config.collect.signal_interval.0,
            },
            campaigns: config.campaigns.settings(),
            spool: SpoolSettings {
                sync: sync?,
                segment_bytes: config.spool.segment_bytes.0,
                bytes_max: config.spool.spool_bytes_max.0,
                age_max: config.spool.spool_age_max.0,
            },
            uplink: uplink?,
        })
    })();
    faults.finish(settings)
}

fn check_source(faults: &mut Faults, source: &SourceConfig, now: Timestamp) -> Option<SourceSettings> {
    let pace = faults.check("source.speed", source.speed.parse::<Pace>());
    match source.kind {
        SourceKind::Replay => {
            let Some(path) = &source.log_file else {
                faults.add("source.log_file", "is missing; name the candump log to replay");
                return None;
            };
            let log = read(faults, "source.log_file", path)?;
            Some(SourceSettings::Replay(ReplaySettings { log, pace: pace?, shift_to: source.shift_to }))
        }
        SourceKind::Simulate => {
            let track = match &source.track_file {
                Some(path) => read(faults, "source.track_file", path)?,
                None => {
                    let tracks = simulate::tracks();
                    let index = usize::try_from(source.seed).unwrap_or(0) % tracks.len().max(1);
                    tracks.into_iter().nth(index)?
                }
            };
            let speed = match pace? {
                Pace::Recorded(factor) => factor,
                // As fast as the clock lets it.
                Pace::FlatOut => 1e6,
            };
            Some(SourceSettings::Simulate(SimulateSettings {
                track,
                powertrain: match source.powertrain {
                    PowertrainName::Combustion => Powertrain::Combustion,
                    PowertrainName::Battery => Powertrain::Battery,
                },
                seed: source.seed,
                start_time: source.start_time.unwrap_or(now),
                speed,
                until: source.until,
            }))
        }
    }
}

fn check_uplink(faults: &mut Faults, uplink: UplinkConfig) -> Option<UplinkSettings> {
    let address = faults.check("uplink.broker", parse_address(&uplink.broker));
    if !(1..=10_000).contains(&uplink.in_flight_max) {
        faults.add("uplink.in_flight_max", "must be between 1 and 10000 batches");
    }
    if uplink.keep_alive.0 < Duration::from_secs(5) {
        faults.add("uplink.keep_alive", "is too short; write at least \"5s\"");
    }
    let client = match (uplink.cert_file, uplink.key_file) {
        (Some(cert_file), Some(key_file)) => Some(ClientCertificate { cert_file, key_file }),
        (None, None) => None,
        _ => {
            faults.add("uplink.cert_file", "and uplink.key_file go together; give both or none");
            None
        }
    };
    if uplink.ca_file.is_none() && client.is_some() {
        faults.add("uplink.ca_file", "is missing; a certificate is used with TLS only");
    }
    let (host, port) = address?;
    Some(UplinkSettings {
        host,
        port,
        tls: uplink.ca_file.map(|ca_file| TlsSettings { ca_file, client }),
        in_flight_max: uplink.in_flight_max,
        resend_after: uplink.resend_after.0,
        keep_alive: uplink.keep_alive.0,
        signing_key_file: uplink.signing_key_file,
    })
}

fn read_all(faults: &mut Faults, key: &str, paths: &[PathBuf]) -> Vec<NamedBytes> {
    paths.iter().filter_map(|path| read(faults, key, path)).collect()
}

fn read(faults: &mut Faults, key: &str, path: &Path) -> Option<NamedBytes> {
    let result = NamedBytes::open(path);
    faults.check(key, result.map_err(|e| format!("cannot read {}: {e}", path.display())))
}

fn parse_sync(text: &str) -> Result<SyncPolicy, String> {
    match text {
        "always" => Ok(SyncPolicy::Always),
        "never" => Ok(SyncPolicy::Never),
        interval => interval
            .parse::<DurationText>()
            .map(|d| SyncPolicy::Interval(d.0))
            .map_err(|_| format!("{text:?} is none of \"always\", \"never\" and an interval such as \"1s\"")),
    }
}

/// `host:port`, `[::1]:1883`.
pub fn parse_address(text: &str) -> Result<(String, u16), String> {
    let split = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    match split {
        Some((host, port)) if !host.is_empty() && port != 0 => {
            Ok((host.trim_start_matches('[').trim_end_matches(']').to_owned(), port))
        }
        _ => Err(format!("{text:?} is no address; write one like \"broker.example:1883\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Loaded<Config> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut loaded: Loaded<Config> =
            service::config::load("edge-agent", Some(&root.join("configs/edge-agent.toml"))).unwrap();
        // Paths in the file are from the project's root.
        let config = &mut loaded.config;
        for path in
            config.dbc_files.iter_mut().chain(&mut config.map_files).chain(&mut config.source.log_file)
        {
            *path = root.join(&*path);
        }
        loaded
    }

    #[test]
    fn the_sample_file_is_a_working_configuration() {
        let settings = check(sample(), Timestamp(0)).unwrap();
        assert_eq!(settings.vehicle_id.as_str(), "car-3ba199e2");
        assert_eq!(settings.spool.bytes_max, SpoolSettings::default().bytes_max);
        assert_eq!(settings.uplink.in_flight_max, 64);
        assert_eq!((settings.dbcs.len(), settings.maps.len()), (2, 1));
    }

    #[test]
    fn every_fault_is_told_at_once_by_key_and_remedy() {
        let mut loaded = sample();
        loaded.config.vehicle_id = "Car 7".to_owned();
        loaded.config.source.speed = "fast".to_owned();
        loaded.config.source.log_file = Some(PathBuf::from("no/such.log"));
        loaded.config.spool.sync = "sometimes".to_owned();
        loaded.config.uplink.broker = "localhost".to_owned();
        loaded.config.uplink.cert_file = Some(PathBuf::from("a.pem"));
        let message = check(loaded, Timestamp(0)).unwrap_err().to_string();
        for key in
            ["vehicle_id", "source.speed", "no/such.log", "spool.sync", "uplink.broker", "uplink.cert_file"]
        {
            assert!(message.contains(key), "{key} in {message}");
        }
    }

    #[test]
    fn a_simulation_needs_no_files() {
        let source =
            SourceConfig { kind: SourceKind::Simulate, speed: "60".to_owned(), ..SourceConfig::default() };
        let config = Config { vehicle_id: "sim-1".to_owned(), source, ..Config::default() };
        let settings = check(Loaded { config, origin: "test".to_owned() }, Timestamp(5)).unwrap();
        assert!(matches!(settings.source, SourceSettings::Simulate(s) if s.start_time == Timestamp(5)));
        assert_eq!(settings.dbcs.len(), 1);
    }
}
