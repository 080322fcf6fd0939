//! The agent's configuration file: raw [`Config`], checked into [`Settings`], and nothing else.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use service::{
    config::{ByteSize, ConfigError, DurationText, Faults, Loaded},
    logs::chain,
};
use std::time::Duration;
use wire::{signature::BatchVerifier, time::Timestamp};

mod faults;

pub use faults::{FaultsConfig, J1939Config, ListenName};

use crate::{
    agent::{self, FrameFilter, LiveSettings, NamedBytes, ReplaySettings, Settings, SourceSettings},
    campaign::{Bounds, desk::CampaignSettings},
    collect::CollectSettings,
    command::CommandSettings,
    poll::config::PollConfig,
    simulate::{self, Powertrain, SimulateSettings},
    source::{gnss::Receiver, replay::Pace},
    spool::{CatchUp, SpoolKey, SpoolSettings, SyncPolicy},
    unit::UnitSettings,
    uplink::{ClientCertificate, TlsSettings, UplinkSettings},
};

/// Most CAN interfaces of one agent.
const INTERFACE_COUNT_MAX: usize = 32;

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
    /// What the vehicle is asked.
    pub poll: PollConfig,
    /// How samples are collected.
    pub collect: CollectConfig,
    /// How J1939 is listened to.
    pub j1939: J1939Config,
    /// How faults are followed.
    pub faults: FaultsConfig,
    /// Campaigns beside the default collection.
    pub campaigns: CampaignsConfig,
    /// Bounds of the spool.
    pub spool: SpoolConfig,
    /// Where batches go.
    pub uplink: UplinkConfig,
    /// What is shown on the unit.
    pub unit: UnitConfig,
    /// What the cloud may ask of it.
    pub commands: CommandConfig,
}

/// `[commands]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommandConfig {
    /// The key that signs commands; none is taken without it.
    pub public_key_file: Option<PathBuf>,
    /// Whether a command may clear faults.
    pub allow_clear_dtcs: bool,
}

/// `[unit]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnitConfig {
    /// Loopback address of the HTTP responder; none when absent.
    pub listen: Option<SocketAddr>,
}

/// `[source]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceConfig {
    /// `socketcan`, `replay` or `simulate`.
    pub kind: SourceKind,
    /// Live: CAN interfaces.
    pub interfaces: Vec<String>,
    /// Live: whether the kernel passes only what the DBC files and diagnostics have.
    pub filter: bool,
    /// Live: a GNSS receiver, `gpsd://host:port`, `tcp://host:port` or a device.
    pub gnss: Option<String>,
    /// Live: bits a second of a receiver's serial device.
    pub gnss_baud: u32,
    /// Live: time between two looks at the unit's own state; `0s` for none.
    pub unit_interval: DurationText,
    /// Replay: the log, candump, ASC or BLF.
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
    /// Live buses.
    #[serde(rename = "socketcan")]
    SocketCan,
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
    /// The key that seals what is written.
    pub key_file: Option<PathBuf>,
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
    /// What is sent first after an outage.
    pub catch_up: CatchUpName,
    /// Authority of the broker's certificate: turns TLS on.
    pub ca_file: Option<PathBuf>,
    /// The vehicle's certificate.
    pub cert_file: Option<PathBuf>,
    /// Its private key.
    pub key_file: Option<PathBuf>,
    /// The vehicle's signing key.
    pub signing_key_file: Option<PathBuf>,
}

/// What is sent first after an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUpName {
    /// What waits longest.
    OldestFirst,
    /// What is collected now.
    LatestFirst,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            vehicle_id: String::new(),
            spool_folder: PathBuf::from("spool"),
            dbc_files: Vec::new(),
            map_files: Vec::new(),
            source: SourceConfig::default(),
            poll: PollConfig::default(),
            collect: CollectConfig::default(),
            j1939: J1939Config::default(),
            faults: FaultsConfig::default(),
            campaigns: CampaignsConfig::default(),
            spool: SpoolConfig::default(),
            uplink: UplinkConfig::default(),
            unit: UnitConfig::default(),
            commands: CommandConfig::default(),
        }
    }
}

impl Default for SourceConfig {
    fn default() -> Self {
        Self {
            kind: SourceKind::Replay,
            interfaces: Vec::new(),
            filter: false,
            gnss: None,
            gnss_baud: 9600,
            unit_interval: DurationText(Duration::from_secs(10)),
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
            key_file: None,
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
            catch_up: CatchUpName::OldestFirst,
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
        (Some(SourceSettings::Live(live)), _) if live.interfaces.is_empty() => {}
        (_, SourceKind::Replay | SourceKind::SocketCan) => {
            for (key, files) in [("dbc_files", &config.dbc_files), ("map_files", &config.map_files)] {
                if files.is_empty() {
                    faults.add(key, "is empty; name at least one file, or nothing can be decoded");
                }
            }
        }
        _ => {}
    }
    let poll = crate::poll::config::check(&mut faults, &config.poll);
    let sync = faults.check("spool.sync", parse_sync(&config.spool.sync));
    let catch_up = match config.uplink.catch_up {
        CatchUpName::OldestFirst => CatchUp::OldestFirst,
        CatchUpName::LatestFirst => CatchUp::LatestFirst,
    };
    let spool_key = config.spool.key_file.as_ref().and_then(|path| {
        let key = agent::read_key(path).map_err(|e| chain(&e).to_string());
        faults.check("spool.key_file", key).map(SpoolKey::new)
    });
    let uplink = check_uplink(&mut faults, config.uplink);
    let j1939 = config.j1939.check(&mut faults);
    let followed = config.faults.check(&mut faults);
    let unit = check_unit(&mut faults, &config.unit);
    let commands = check_commands(&mut faults, &config.commands);
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
            poll,
            collect: CollectSettings {
                batch_interval: config.collect.batch_interval.0,
                signal_interval: config.collect.signal_interval.0,
            },
            j1939: j1939?,
            faults: followed?,
            campaigns: config.campaigns.settings(),
            spool: SpoolSettings {
                sync: sync?,
                segment_bytes: config.spool.segment_bytes.0,
                bytes_max: config.spool.spool_bytes_max.0,
                age_max: config.spool.spool_age_max.0,
                catch_up,
                key: spool_key,
            },
            uplink: uplink?,
            unit,
            commands,
        })
    })();
    faults.finish(settings)
}

fn check_source(faults: &mut Faults, source: &SourceConfig, now: Timestamp) -> Option<SourceSettings> {
    let pace = faults.check("source.speed", source.speed.parse::<Pace>());
    match source.kind {
        SourceKind::SocketCan => check_live(faults, source).map(SourceSettings::Live),
        SourceKind::Replay => {
            let Some(path) = &source.log_file else {
                faults.add("source.log_file", "is missing; name the log to replay");
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

fn check_live(faults: &mut Faults, source: &SourceConfig) -> Option<LiveSettings> {
    // IFNAMSIZ of Linux is 16, with the end.
    let is_name = |name: &String| {
        (1..16).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
    };
    if !source.interfaces.iter().all(is_name) || source.interfaces.len() > INTERFACE_COUNT_MAX {
        faults.add("source.interfaces", "must be at most 32 names of interfaces, such as \"can0\"");
        return None;
    }
    let gnss = source.gnss.as_deref().map(|text| Receiver::parse(text, source.gnss_baud));
    let gnss = faults.check("source.gnss", gnss.transpose())?;
    if !Receiver::is_rate(source.gnss_baud) {
        faults.add(
            "source.gnss_baud",
            "is no rate of receivers; write 4800, 9600, 19200, 38400, 57600, 115200 or 230400",
        );
    }
    if source.interfaces.is_empty() && gnss.is_none() {
        faults.add("source.interfaces", "is empty; name a CAN interface, such as [\"can0\"]");
        return None;
    }
    let interval = source.unit_interval.0;
    if !interval.is_zero() && interval < Duration::from_secs(1) {
        faults.add("source.unit_interval", "is too short; write at least \"1s\", or \"0s\" for none");
    }
    Some(LiveSettings {
        interfaces: source.interfaces.clone(),
        filter: if source.filter { FrameFilter::Known } else { FrameFilter::All },
        gnss,
        unit_interval: (!interval.is_zero()).then_some(interval),
    })
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

fn check_unit(faults: &mut Faults, unit: &UnitConfig) -> UnitSettings {
    if unit.listen.is_some_and(|address| !address.ip().is_loopback()) {
        faults.add(
            "unit.listen",
            "must be a loopback address such as \"127.0.0.1:9464\"; it asks nobody who they are",
        );
    }
    UnitSettings { listen: unit.listen }
}

fn check_commands(faults: &mut Faults, commands: &CommandConfig) -> CommandSettings {
    let key = "commands.public_key_file";
    let verifier = commands.public_key_file.as_ref().and_then(|path| {
        let key_bytes = faults.check(key, agent::read_key(path).map_err(|e| chain(&e).to_string()))?;
        faults.check(key, BatchVerifier::from_public(&key_bytes))
    });
    if commands.allow_clear_dtcs && commands.public_key_file.is_none() {
        faults.add(key, "is missing; without it no command is taken, allowed or not");
    }
    CommandSettings { verifier, allow_clear_dtcs: commands.allow_clear_dtcs }
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
        assert_eq!(settings.j1939, crate::j1939::J1939Settings::default());
        assert_eq!(settings.faults, crate::faults::FaultSettings::default());
    }

    #[test]
    fn every_fault_is_told_at_once_by_key_and_remedy() {
        let mut loaded = sample();
        loaded.config.vehicle_id = "Car 7".to_owned();
        loaded.config.source.speed = "fast".to_owned();
        loaded.config.source.log_file = Some(PathBuf::from("no/such.log"));
        loaded.config.spool.sync = "sometimes".to_owned();
        loaded.config.uplink.broker = "localhost".to_owned();
        loaded.config.unit.listen = Some("0.0.0.0:9464".parse().unwrap());
        loaded.config.uplink.cert_file = Some(PathBuf::from("a.pem"));
        loaded.config.j1939.spn_conversion = 7;
        loaded.config.faults.absent_broadcasts = 0;
        let message = check(loaded, Timestamp(0)).unwrap_err().to_string();
        for key in [
            "vehicle_id",
            "source.speed",
            "no/such.log",
            "spool.sync",
            "uplink.broker",
            "uplink.cert_file",
            "unit.listen",
            "j1939.spn_conversion",
            "faults.absent_broadcasts",
        ] {
            assert!(message.contains(key), "{key} in {message}");
        }
    }

    #[test]
    fn live_buses_need_an_interface_and_their_receiver_an_address() {
        let live = |interfaces: &[&str], gnss: Option<&str>| {
            let source = SourceConfig {
                kind: SourceKind::SocketCan,
                interfaces: interfaces.iter().map(|&name| name.to_owned()).collect(),
                gnss: gnss.map(str::to_owned),
                ..SourceConfig::default()
            };
            let mut loaded = sample();
            loaded.config.source = source;
            check(loaded, Timestamp(0)).map(|settings| settings.source)
        };
        let SourceSettings::Live(settings) = live(&["can0", "can1"], Some("gpsd://127.0.0.1")).unwrap()
        else {
            panic!("not live")
        };
        assert_eq!((settings.interfaces.len(), settings.filter), (2, FrameFilter::All));
        assert_eq!(settings.unit_interval, Some(Duration::from_secs(10)));
        for (interfaces, gnss, key) in [
            (&[][..], None, "source.interfaces"),
            (&["can0/../x"][..], None, "source.interfaces"),
            (&["can0"][..], Some("gps"), ""),
            (&["can0"][..], Some("udp://x:1"), "source.gnss"),
        ] {
            match live(interfaces, gnss) {
                Ok(_) => assert_eq!(key, "", "{interfaces:?} {gnss:?}"),
                Err(error) => assert!(!key.is_empty() && error.to_string().contains(key), "{error}"),
            }
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
