//! The agent's configuration file: raw [`Config`], checked into [`Settings`], and nothing else.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use service::config::{ConfigError, DurationText, Faults, Loaded};
use wire::time::Timestamp;

mod campaigns;
mod clock;
mod faults;
mod source;
mod spool;
mod unit;
mod uplink;

pub use campaigns::CampaignsConfig;
pub use clock::ClockConfig;
pub use faults::{FaultsConfig, J1939Config, ListenName};
pub use source::{PowertrainName, SourceConfig, SourceKind};
pub use spool::SpoolConfig;
pub use unit::{CommandConfig, UnitConfig};
pub use uplink::{ProtocolName, UplinkConfig, parse_address};

use crate::{
    agent::{FrameFilter, LiveSettings, NamedBytes, Settings, SourceSettings},
    collect::CollectSettings,
    j1939::{J1939Settings, Listen},
    poll::{PollSettings, config::PollConfig},
    simulate,
    spool::CatchUp,
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
    /// How time becomes known.
    pub clock: ClockConfig,
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

/// `[collect]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollectConfig {
    /// Event time in one batch.
    pub batch_interval: DurationText,
    /// Least time between two samples of a signal, where its map says nothing.
    pub signal_interval: DurationText,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            vehicle_id: String::new(),
            spool_folder: PathBuf::from("spool"),
            dbc_files: Vec::new(),
            map_files: Vec::new(),
            source: SourceConfig::default(),
            clock: ClockConfig::default(),
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

impl Default for CollectConfig {
    fn default() -> Self {
        let CollectSettings { batch_interval, signal_interval, .. } = CollectSettings::default();
        Self { batch_interval: DurationText(batch_interval), signal_interval: DurationText(signal_interval) }
    }
}

impl CollectConfig {
    fn check(self, faults: &mut Faults, catch_up: CatchUp) -> CollectSettings {
        if self.batch_interval.0 < Duration::from_millis(100) {
            faults.add("collect.batch_interval", "is too short; write at least \"100ms\"");
        }
        CollectSettings {
            batch_interval: self.batch_interval.0,
            signal_interval: self.signal_interval.0,
            catch_up,
        }
    }
}

/// Checks a configuration, telling every fault at once. `now` is when a simulation begins that
/// does not say when.
pub fn check(loaded: Loaded<Config>, now: Timestamp) -> Result<Settings, ConfigError> {
    let mut faults = Faults::of(&loaded.origin);
    let config = loaded.config;
    let vehicle_id = faults.check("vehicle_id", config.vehicle_id.parse());
    let mut source = config.source.check(&mut faults, now);
    if let Some(SourceSettings::Live(live)) = &mut source {
        live.clock = config.clock.check(&mut faults);
    }
    let (mut dbcs, mut maps) = (
        read_all(&mut faults, "dbc_files", &config.dbc_files),
        read_all(&mut faults, "map_files", &config.map_files),
    );
    match (&source, config.source.kind) {
        (Some(SourceSettings::Simulate(settings)), _) if dbcs.is_empty() && maps.is_empty() => {
            (dbcs, maps) = (vec![simulate::dbc()], vec![simulate::map(settings.powertrain)]);
        }
        (Some(SourceSettings::Live(live)), _) if live.interfaces.is_empty() => {}
        // What answers to OBD requests mean the agent knows by itself, and faults need no file.
        (_, SourceKind::SocketCan) if dbcs.is_empty() && maps.is_empty() && config.poll.enabled => {}
        (_, SourceKind::Replay | SourceKind::SocketCan) => {
            for (key, files) in [("dbc_files", &config.dbc_files), ("map_files", &config.map_files)] {
                if files.is_empty() {
                    let advice = "is empty; name at least one file, or nothing can be decoded (a vehicle that is \
                                  only asked, by [poll], needs neither DBC nor map)";
                    faults.add(key, advice);
                }
            }
        }
        _ => {}
    }
    let mut poll = crate::poll::config::check(&mut faults, &config.poll, &config.vehicle_id);
    let collect = config.collect.check(&mut faults, config.uplink.catch_up);
    let spool = config.spool.check(&mut faults, config.uplink.catch_up);
    let uplink = config.uplink.check(&mut faults);
    let mut j1939 = config.j1939.check(&mut faults);
    if let Some((asked, listened)) = poll.as_mut().zip(j1939.as_mut()) {
        ask_units(&mut faults, asked, listened, source.as_ref());
    }
    let followed = config.faults.check(&mut faults);
    let unit = config.unit.check(&mut faults);
    let commands = config.commands.check(&mut faults, &config.spool_folder);
    let settings = (|| {
        Some(Settings {
            vehicle_id: vehicle_id?,
            spool_folder: config.spool_folder,
            source: source?,
            dbcs,
            maps,
            poll,
            collect,
            j1939: j1939?,
            faults: followed?,
            campaigns: config.campaigns.settings(),
            spool: spool?,
            uplink: uplink?,
            unit,
            commands,
        })
    })();
    faults.finish(settings)
}

/// Whoever asks units of J1939 listens to what they answer, with every frame.
fn ask_units(
    faults: &mut Faults,
    poll: &mut PollSettings,
    j1939: &mut J1939Settings,
    source: Option<&SourceSettings>,
) {
    let Some(units) = &mut poll.j1939 else { return };
    units.spn_conversion = j1939.spn_conversion;
    match j1939.listen {
        Listen::Auto => j1939.listen = Listen::Always,
        Listen::Always => {}
        Listen::Never => {
            faults.add("j1939.listen", "is \"never\", and [poll.j1939] asks units; write \"auto\"")
        }
    }
    if !j1939.interfaces.is_empty() && !j1939.interfaces.iter().any(|name| **name == *poll.interface) {
        faults.add("j1939.interfaces", format!("lacks {:?}, where [poll.j1939] asks units", poll.interface));
    }
    if let Some(SourceSettings::Live(LiveSettings { filter: FrameFilter::Known, .. })) = source {
        faults.add("source.filter", "hides what other units ask the agent; with [poll.j1939] leave it off");
    }
}

fn read_all(faults: &mut Faults, key: &str, paths: &[PathBuf]) -> Vec<NamedBytes> {
    paths.iter().filter_map(|path| read(faults, key, path)).collect()
}

fn read(faults: &mut Faults, key: &str, path: &Path) -> Option<NamedBytes> {
    let result = NamedBytes::open(path);
    faults.check(key, result.map_err(|e| format!("cannot read {}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{poll::config::J1939Config as AskedConfig, spool::SpoolSettings};

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
    fn units_of_j1939_are_asked_only_where_they_are_listened_to_whole() {
        let asked = |listen, interfaces: &[&str], filter| {
            let mut loaded = sample();
            let config = &mut loaded.config;
            config.source = SourceConfig {
                kind: SourceKind::SocketCan,
                interfaces: vec!["can0".to_owned()],
                filter,
                ..SourceConfig::default()
            };
            config.j1939.listen = listen;
            config.j1939.interfaces = interfaces.iter().map(|&name| name.to_owned()).collect();
            config.j1939.spn_conversion = 1;
            config.poll.enabled = true;
            config.poll.j1939 = Some(AskedConfig {
                address: 37,
                manufacturer_code: 0,
                identity_number: None,
                faults_every: Some(DurationText(Duration::from_secs(60))),
            });
            check(loaded, Timestamp(0)).map_err(|error| error.to_string())
        };
        let settings = asked(ListenName::Auto, &[], false).unwrap();
        assert_eq!(settings.j1939.listen, Listen::Always);
        let units = settings.poll.unwrap().j1939.unwrap();
        assert_eq!(units.spn_conversion, crate::j1939::SpnConversion::Version1);
        assert!((units.name.function(), units.name.identity()) != (28, 0));
        for (refused, key) in [
            (asked(ListenName::Never, &[], false), "j1939.listen"),
            (asked(ListenName::Auto, &["can1"], false), "j1939.interfaces"),
            (asked(ListenName::Auto, &["can0"], true), "source.filter"),
        ] {
            assert!(refused.unwrap_err().contains(key), "{key}");
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
    fn a_vehicle_that_is_only_asked_needs_no_files() {
        let asked = |enabled| {
            let mut loaded = sample();
            let config = &mut loaded.config;
            (config.dbc_files, config.map_files) = (Vec::new(), Vec::new());
            config.source = SourceConfig {
                kind: SourceKind::SocketCan,
                interfaces: vec!["can0".to_owned()],
                ..SourceConfig::default()
            };
            config.poll.enabled = enabled;
            let period = DurationText(Duration::from_secs(1));
            config.poll.obd = vec![crate::poll::config::ObdConfig { pids: vec![0x0D], period }];
            check(loaded, Timestamp(0)).map_err(|error| error.to_string())
        };
        let settings = asked(true).unwrap();
        let decoder = crate::agent::decoder(&settings).unwrap();
        assert!(decoder.catalog().columns.iter().any(|column| column.signal == "Vehicle.Speed"));
        assert!(asked(false).unwrap_err().contains("[poll]"));
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
