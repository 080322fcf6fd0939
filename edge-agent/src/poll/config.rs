//! `[poll]` of the configuration, as written and as checked.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use service::config::{DurationText, Faults};

use super::{DidPoll, EXCHANGES_MAX, EcuFrames, EcuPoll, J1939Poll, PidPoll, PollSettings};
use crate::{
    frame::{FRAME_BYTES_MAX, FrameId},
    isotp::Address,
    j1939::{Name, SourceAddress, SpnConversion},
    obd::{Addressing, ValueReader},
    uds,
};

/// Ids of frames made of answers to data identifiers: the agent's own, and not those of GNSS, of
/// the unit and of OBD.
const DID_FRAME_IDS: std::ops::RangeInclusive<u32> = 0x1FFF_F101..=0x1FFF_FEFF;
/// The shortest period there is a use for.
const PERIOD_MIN: Duration = Duration::from_millis(50);
/// `programmingSession`, ISO 14229-1 9.2.2.2: a telemetry unit has no business in it.
const PROGRAMMING_SESSION: u8 = 0x02;

/// `[poll]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PollConfig {
    /// Whether anything is transmitted at all.
    pub enabled: bool,
    /// The interface asked on.
    pub interface: String,
    /// Its bit rate.
    pub bitrate: u32,
    /// Most of the bus that requests and answers may take.
    pub bus_share_max: f64,
    /// 11 or 29: how OBD is addressed.
    pub obd_id_bits: u8,
    /// Quiet time after which the vehicle counts as asleep.
    pub quiet_after: DurationText,
    /// Silence after another tester's request.
    pub tester_pause: DurationText,
    /// How often OBD codes are read.
    pub obd_faults_every: Option<DurationText>,
    /// PIDs and their periods.
    pub obd: Vec<ObdConfig>,
    /// Control units of UDS.
    pub ecu: Vec<EcuConfig>,
    /// Data identifiers.
    pub did: Vec<DidConfig>,
    /// Units of J1939.
    pub j1939: Option<J1939Config>,
}

/// `[poll.j1939]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct J1939Config {
    /// The agent's own source address.
    #[serde(default = "default_address")]
    pub address: u8,
    /// Its manufacturer code.
    #[serde(default)]
    pub manufacturer_code: u16,
    /// Its identity number; made of the vehicle's id by default.
    pub identity_number: Option<u32>,
    /// How often the faults that units had are read.
    pub faults_every: Option<DurationText>,
}

/// Preferred address of an off-vehicle gateway (J1939-81, table B2).
fn default_address() -> u8 {
    37
}

/// `[[poll.obd]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObdConfig {
    /// PIDs of service 01.
    pub pids: Vec<u8>,
    /// How often each is asked.
    pub period: DurationText,
}

/// `[[poll.ecu]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EcuConfig {
    /// What reports call it.
    pub name: String,
    /// Where it listens; above 7FF it is a 29-bit id.
    pub request_id: u32,
    /// Where it answers.
    pub response_id: u32,
    /// Whether it is asked in frames of CAN FD.
    #[serde(default)]
    pub fd: bool,
    /// Whether those have their data at the faster rate.
    #[serde(default)]
    pub fd_rate_switch: bool,
    /// How often its codes are read.
    pub faults_every: Option<DurationText>,
    /// Status bits of codes that are read.
    #[serde(default = "default_status_mask")]
    pub status_mask: u8,
    /// The session they are read in.
    pub session: Option<u8>,
}

/// `[[poll.did]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DidConfig {
    /// Name of a `[[poll.ecu]]`.
    pub ecu: String,
    /// The identifier.
    pub did: u16,
    /// Id of the frame made of the answer, as the DBC has the message.
    pub frame_id: u32,
    /// Frames of 64 bytes made of one answer, on ids that follow.
    #[serde(default = "default_frames")]
    pub frames: u8,
    /// How often it is read.
    pub period: DurationText,
}

fn default_status_mask() -> u8 {
    uds::STATUS_FAILED | uds::STATUS_PENDING | uds::STATUS_CONFIRMED
}

fn default_frames() -> u8 {
    1
}

impl Default for PollConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            interface: "can0".to_owned(),
            bitrate: 500_000,
            bus_share_max: 0.02,
            obd_id_bits: 11,
            quiet_after: DurationText(Duration::from_secs(5)),
            tester_pause: DurationText(Duration::from_secs(10)),
            obd_faults_every: None,
            obd: Vec::new(),
            ecu: Vec::new(),
            did: Vec::new(),
            j1939: None,
        }
    }
}

/// Checks the section for a vehicle; `None` when polling is not enabled, or is faulty.
pub fn check(faults: &mut Faults, config: &PollConfig, vehicle_id: &str) -> Option<PollSettings> {
    if !(10_000..=1_000_000).contains(&config.bitrate) {
        faults.add("poll.bitrate", "must be between 10000 and 1000000 bits a second");
    }
    if !(config.bus_share_max > 0.0 && config.bus_share_max <= 0.5) {
        faults.add("poll.bus_share_max", "must be above 0 and at most 0.5; 0.02 is a good share");
    }
    if config.interface.is_empty() {
        faults.add("poll.interface", "is empty; name the CAN interface, as in \"can0\"");
    }
    let addressing = match config.obd_id_bits {
        11 => Addressing::Standard,
        29 => Addressing::Extended,
        _ => {
            faults.add("poll.obd_id_bits", "must be 11 or 29");
            Addressing::Standard
        }
    };
    for (key, wait) in [("poll.quiet_after", config.quiet_after), ("poll.tester_pause", config.tester_pause)]
    {
        if wait.0 < Duration::from_secs(1) {
            faults.add(key, "is too short; write at least \"1s\"");
        }
    }
    let settings = PollSettings {
        interface: Arc::from(config.interface.as_str()),
        bitrate: config.bitrate,
        bus_share_max: config.bus_share_max,
        addressing,
        quiet_after: config.quiet_after.0,
        tester_pause: config.tester_pause.0,
        pids: check_pids(faults, &config.obd),
        obd_faults_every: config.obd_faults_every.map(|every| period(faults, "poll.obd_faults_every", every)),
        ecus: check_ecus(faults, &config.ecu),
        dids: check_dids(faults, &config.did, &config.ecu),
        j1939: config.j1939.as_ref().map(|j1939| check_j1939(faults, j1939, vehicle_id)),
    };
    config.enabled.then_some(settings)
}

fn period(faults: &mut Faults, key: &str, text: DurationText) -> Duration {
    if text.0 < PERIOD_MIN {
        faults.add(key, "is too short; write at least \"50ms\"");
    }
    text.0
}

fn check_j1939(faults: &mut Faults, config: &J1939Config, vehicle_id: &str) -> J1939Poll {
    const MANUFACTURER_CODE_MAX: u16 = 0x7FF;
    const IDENTITY_NUMBER_MAX: u32 = 0x1F_FFFF;
    if config.address >= SourceAddress::NULL.0 {
        faults.add("poll.j1939.address", "must be 0 to 253; 37 is that of an off-vehicle gateway");
    }
    if config.manufacturer_code > MANUFACTURER_CODE_MAX {
        faults.add("poll.j1939.manufacturer_code", "has 11 bits: 0 to 2047, as the SAE gave it");
    }
    if config.identity_number.is_some_and(|number| number > IDENTITY_NUMBER_MAX) {
        faults.add("poll.j1939.identity_number", "has 21 bits: 0 to 2097151");
    }
    let of_vehicle = || crc32fast::hash(vehicle_id.as_bytes()) & IDENTITY_NUMBER_MAX;
    let identity = config.identity_number.unwrap_or_else(of_vehicle);
    J1939Poll {
        address: SourceAddress(config.address),
        name: Name::off_vehicle_gateway(config.manufacturer_code, identity),
        faults_every: config.faults_every.map(|every| {
            if every.0 < Duration::from_secs(1) {
                faults.add("poll.j1939.faults_every", "is too short; write at least \"1s\"");
            }
            every.0
        }),
        spn_conversion: SpnConversion::default(),
    }
}

fn check_pids(faults: &mut Faults, config: &[ObdConfig]) -> Vec<PidPoll> {
    let reader = faults.check("poll.obd", ValueReader::new());
    let mut pids: Vec<PidPoll> = Vec::new();
    for entry in config {
        let period = period(faults, "poll.obd.period", entry.period);
        for pid in &entry.pids {
            if reader.as_ref().is_some_and(|reader| !reader.knows(*pid)) {
                let fault =
                    format!("has PID {pid:#04X}, which roadlake-obd.dbc does not describe; leave it out");
                faults.add("poll.obd.pids", fault);
            }
            if pids.iter().any(|known| known.pid == *pid) {
                faults.add("poll.obd.pids", format!("has PID {pid:#04X} twice; keep one of them"));
            }
            pids.push(PidPoll { pid: *pid, period });
        }
    }
    pids
}

fn check_ecus(faults: &mut Faults, config: &[EcuConfig]) -> Vec<EcuPoll> {
    if config.len() > EXCHANGES_MAX {
        faults.add("poll.ecu", format!("has more than {EXCHANGES_MAX} control units; leave some out"));
    }
    let mut ecus: Vec<EcuPoll> = Vec::new();
    for entry in config {
        let name = &entry.name;
        let ids = [entry.request_id, entry.response_id];
        if ids.iter().any(|raw| *raw == 0 || *raw > 0x1FFF_FFFF || id(*raw).is_own()) || ids[0] == ids[1] {
            faults.add("poll.ecu.request_id", format!("or response_id of {name:?} is no id of a bus"));
        }
        let address = Address::normal(id(entry.request_id), id(entry.response_id));
        let is_known =
            |other: &EcuPoll| other.name == *name || other.address.receive_id == address.receive_id;
        if name.is_empty() || ecus.iter().any(is_known) {
            faults.add("poll.ecu.name", format!("or response_id of {name:?} is empty or there twice"));
        }
        if entry.session.is_some_and(|kind| kind == PROGRAMMING_SESSION || !(1..=0x7E).contains(&kind)) {
            faults.add("poll.ecu.session", "must be 1 to 126 and not 2, the programming session");
        }
        if entry.status_mask == 0 {
            faults.add(
                "poll.ecu.status_mask",
                "is 0, which matches no code; 13 reads failed, pending and confirmed",
            );
        }
        let frames = match (entry.fd, entry.fd_rate_switch) {
            (true, true) => EcuFrames::FdRateSwitched,
            (true, false) => EcuFrames::Fd,
            (false, is_switched) => {
                if is_switched {
                    faults.add("poll.ecu.fd_rate_switch", format!("of {name:?} needs `fd = true`"));
                }
                EcuFrames::Classic
            }
        };
        ecus.push(EcuPoll {
            name: name.clone(),
            address,
            frames,
            faults_every: entry.faults_every.map(|every| period(faults, "poll.ecu.faults_every", every)),
            status_mask: entry.status_mask,
            session: entry.session,
        });
    }
    ecus
}

fn check_dids(faults: &mut Faults, config: &[DidConfig], ecus: &[EcuConfig]) -> Vec<DidPoll> {
    let mut dids: Vec<DidPoll> = Vec::new();
    for entry in config {
        let name = format!("{:#06X} of {:?}", entry.did, entry.ecu);
        let Some(ecu) = ecus.iter().position(|ecu| ecu.name == entry.ecu) else {
            faults.add("poll.did.ecu", format!("{:?} is no name of a [[poll.ecu]]", entry.ecu));
            continue;
        };
        let last = entry.frame_id.saturating_add(u32::from(entry.frames.max(1)) - 1);
        if entry.frames == 0 || !DID_FRAME_IDS.contains(&entry.frame_id) || !DID_FRAME_IDS.contains(&last) {
            let fault = format!(
                "and the {} frames of {FRAME_BYTES_MAX} bytes of {name} must lie in 0x1FFFF101 to 0x1FFFFEFF",
                entry.frames
            );
            faults.add("poll.did.frame_id", fault);
        }
        let is_shared = dids.iter().any(|other| {
            let other_last = other.frame_id.raw + u32::from(other.frames_max.max(1)) - 1;
            entry.frame_id <= other_last && other.frame_id.raw <= last
        });
        if is_shared {
            faults.add("poll.did.frame_id", format!("of {name} is another's; give each its own"));
        }
        dids.push(DidPoll {
            ecu,
            identifier: entry.did,
            frame_id: FrameId { raw: entry.frame_id, is_extended: true },
            frames_max: entry.frames,
            period: period(faults, "poll.did.period", entry.period),
        });
    }
    dids
}

fn id(raw: u32) -> FrameId {
    FrameId { raw, is_extended: raw > 0x7FF }
}
