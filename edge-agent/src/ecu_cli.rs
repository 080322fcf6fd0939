//! `edge-agent ecu`: a control unit that answers OBD-II and UDS, or J1939, on a CAN interface.
//!
//! For tests of whoever asks, on `vcan` or a bench. It answers what `SimulatedEcu` and
//! `SimulatedUnit` answer to a whole agent in this project's own tests.

use std::{io, process::ExitCode, sync::Arc, time::Duration};

use clap::Args;
use service::{
    Clock, SharedClock,
    clock::SystemClock,
    exit,
    logs::{self, LogFormat, chain},
};
use tracing::info;
use wire::time::Timestamp;

use crate::{
    frame::{FRAME_BYTES_MAX, Frame},
    j1939::{Name, NodeSettings, SourceAddress, Spn},
    simulate::{
        ecu::{EcuSettings, SimulatedEcu},
        unit::SimulatedUnit,
    },
    source::{BusWriter, Polled, Source, SourceError},
    uds::DtcCode,
};

/// Longest wait between two looks at what is due: well below the 50 ms there are to answer.
const STEP: Duration = Duration::from_millis(2);
/// Of a unit of J1939 that is given none.
const DEFAULT_VIN: &str = "WRLZZZSVH00000002";

/// Arguments of `edge-agent ecu`.
#[derive(Debug, Clone, Args)]
pub struct EcuArgs {
    /// The interface it is on.
    #[arg(long, value_name = "IFACE")]
    pub can: String,
    /// A fault it has, such as P0171 or U0100-87; may be given again.
    #[arg(long = "fault", value_name = "CODE", value_parser = DtcCode::parse)]
    pub faults: Vec<DtcCode>,
    /// A value of service 01, as PID=BYTES in hexadecimal, such as 0C=1AF8; may be given again.
    #[arg(long = "pid", value_name = "PID=BYTES", value_parser = parse_pid)]
    pub pids: Vec<(u8, Vec<u8>)>,
    /// A data identifier, as DID=BYTES in hexadecimal, such as F190=0102; may be given again.
    #[arg(long = "did", value_name = "DID=BYTES", value_parser = parse_did)]
    pub dids: Vec<(u16, Vec<u8>)>,
    /// Its vehicle identification number.
    #[arg(long, value_name = "VIN")]
    pub vin: Option<String>,
    /// ISO-TP: consecutive frames it takes in a row; 0 is without end.
    #[arg(long, value_name = "COUNT", default_value = "0")]
    pub block_size: u8,
    /// ISO-TP: least time between consecutive frames it takes, as the code of ISO 15765-2 table 20:
    /// 0 to 127 ms, or 241 to 249 for 100 to 900 µs.
    #[arg(long, value_name = "CODE", default_value = "0")]
    pub st_min: u8,
    /// ISO-TP: answers in CAN FD frames of up to 64 bytes.
    #[arg(long)]
    pub fd: bool,
    /// Speaks J1939 instead, at this source address, such as 0 for an engine.
    #[arg(long, value_name = "SA", value_parser = clap::value_parser!(u8).range(..=253), conflicts_with_all = ["faults", "pids", "dids", "fd"])]
    pub j1939: Option<u8>,
    /// J1939: a fault it has (DM1), as SPN-FMI such as 100-1; may be given again.
    #[arg(long = "spn", value_name = "SPN-FMI", value_parser = parse_spn, requires = "j1939")]
    pub spns: Vec<(Spn, u8)>,
    /// J1939: a fault it had (DM2); may be given again.
    #[arg(long = "previous-spn", value_name = "SPN-FMI", value_parser = parse_spn, requires = "j1939")]
    pub previous_spns: Vec<(Spn, u8)>,
}

/// Who answers.
#[derive(Debug)]
enum Answerer {
    Ecu(Box<SimulatedEcu>),
    Unit(Box<SimulatedUnit>),
}

impl Answerer {
    fn of(args: &EcuArgs) -> Self {
        match args.j1939 {
            Some(address) => Self::Unit(Box::new(unit(args, address))),
            None => Self::Ecu(Box::new(ecu(args))),
        }
    }

    fn observe(&mut self, frame: &Frame) {
        match self {
            Self::Ecu(ecu) => ecu.observe(frame),
            Self::Unit(unit) => unit.observe(frame),
        }
    }

    fn tick(&mut self, now: Timestamp) {
        match self {
            Self::Ecu(ecu) => ecu.tick(now),
            Self::Unit(unit) => unit.tick(now),
        }
    }

    fn take_frame(&mut self, now: Timestamp) -> Option<Frame> {
        match self {
            Self::Ecu(ecu) => ecu.take_frame(now),
            Self::Unit(unit) => unit.take_frame(now),
        }
    }
}

/// Why it does not go on.
#[derive(Debug, thiserror::Error)]
pub enum EcuError {
    /// The interface cannot be opened.
    #[error("cannot open CAN interface {interface}; see `ip link`")]
    Open {
        /// Which.
        interface: String,
        /// Why.
        source: io::Error,
    },
    /// The interface cannot be read on.
    #[error("cannot read from the interface")]
    Source(#[from] SourceError),
}

/// Answers until it is stopped.
pub fn main(args: &EcuArgs) -> ExitCode {
    logs::init("info", LogFormat::Text);
    let Err(error) = run(args);
    eprintln!("edge-agent ecu: {}", chain(&error));
    ExitCode::from(exit::UNAVAILABLE)
}

fn run(args: &EcuArgs) -> Result<std::convert::Infallible, EcuError> {
    let clock = SystemClock::shared();
    let failed = |source| EcuError::Open { interface: args.can.clone(), source };
    let (mut source, mut writer) = open(&args.can, &clock).map_err(failed)?;
    let mut answerer = Answerer::of(args);
    let count = args.faults.len() + args.spns.len();
    info!(interface = args.can, faults = count, "answering");
    loop {
        step(&mut answerer, source.as_mut(), writer.as_mut(), clock.as_ref())?;
    }
}

fn ecu(args: &EcuArgs) -> SimulatedEcu {
    let mut settings = EcuSettings::engine(Arc::from(args.can.as_str()));
    settings.link.block_size = args.block_size;
    settings.link.st_min_code = args.st_min;
    if args.fd {
        settings.link.frame_bytes = FRAME_BYTES_MAX;
    }
    if let Some(vin) = &args.vin {
        settings.vin.clone_from(vin);
    }
    let mut ecu = SimulatedEcu::new(settings);
    for (pid, bytes) in &args.pids {
        ecu.set_pid(*pid, bytes);
    }
    for (did, bytes) in &args.dids {
        ecu.set_did(*did, bytes);
    }
    for code in &args.faults {
        ecu.raise(*code);
    }
    ecu
}

fn unit(args: &EcuArgs, address: u8) -> SimulatedUnit {
    let node = NodeSettings {
        // One that gives way to nobody: a unit that is the same each time.
        name: Name(u64::from(address)),
        address: SourceAddress(address),
        interface: Arc::from(args.can.as_str()),
    };
    let mut unit = SimulatedUnit::new(node, args.vin.as_deref().unwrap_or(DEFAULT_VIN));
    for (spn, fmi) in &args.previous_spns {
        unit.raise(*spn, *fmi);
        unit.heal(*spn, *fmi);
    }
    for (spn, fmi) in &args.spns {
        unit.raise(*spn, *fmi);
    }
    unit
}

/// Takes what came and sends what is due.
fn step(
    answerer: &mut Answerer,
    source: &mut dyn Source,
    writer: &mut dyn BusWriter,
    clock: &dyn Clock,
) -> Result<(), SourceError> {
    match source.next_within(STEP) {
        Ok(Polled::Frame(frame)) => answerer.observe(&frame),
        Ok(Polled::Quiet | Polled::End) => {}
        Err(error) if error.is_passing() => {}
        Err(error) => return Err(error),
    }
    let now = Timestamp(clock.now_us());
    answerer.tick(now);
    while let Some(frame) = answerer.take_frame(now) {
        // An answer that the queue has no room for is lost, as on a bus; whoever asked asks again.
        if let Err(error) = writer.send(&frame) {
            info!(error = %chain(&error), "answer could not be sent");
        }
    }
    Ok(())
}

fn parse_spn(text: &str) -> Result<(Spn, u8), String> {
    const SPN_MAX: u32 = 0x7_FFFF;
    const FMI_MAX: u8 = 31;
    let parsed = text.split_once('-').and_then(|(spn, fmi)| Some((spn.parse().ok()?, fmi.parse().ok()?)));
    let within = parsed.filter(|(spn, fmi)| *spn <= SPN_MAX && *fmi <= FMI_MAX && (*spn, *fmi) != (0, 0));
    let (spn, fmi) = within.ok_or_else(|| {
        format!("{text:?} is no fault; write SPN-FMI like 100-1, up to {SPN_MAX}-{FMI_MAX}")
    })?;
    Ok((Spn(spn), fmi))
}

fn parse_pid(text: &str) -> Result<(u8, Vec<u8>), String> {
    let wrong = || format!("{text:?} is no value; write one like 0C=1AF8, with one to four bytes");
    let (pid, digits) = text.split_once('=').ok_or_else(wrong)?;
    let pid = u8::from_str_radix(pid, 16).map_err(|_| wrong())?;
    Ok((pid, parse_bytes(digits, 4).ok_or_else(wrong)?))
}

fn parse_did(text: &str) -> Result<(u16, Vec<u8>), String> {
    // What is left of the longest message, of 12 bits, beside service and identifier.
    const BYTES_MAX: usize = 4095 - 3;
    let wrong = || format!("{text:?} is no value; write one like F190=0102, with up to {BYTES_MAX} bytes");
    let (did, digits) = text.split_once('=').ok_or_else(wrong)?;
    let did = u16::from_str_radix(did, 16).map_err(|_| wrong())?;
    Ok((did, parse_bytes(digits, BYTES_MAX).ok_or_else(wrong)?))
}

fn parse_bytes(digits: &str, bytes_max: usize) -> Option<Vec<u8>> {
    let is_possible = digits.len().is_multiple_of(2) && (1..=bytes_max).contains(&(digits.len() / 2));
    // A sign would be taken for a digit.
    if !is_possible || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// Where frames come from and where they go.
type Ends = (Box<dyn Source>, Box<dyn BusWriter>);

#[cfg(target_os = "linux")]
fn open(interface: &str, clock: &SharedClock) -> io::Result<Ends> {
    use crate::source::socketcan::{SocketCanSource, open_writer};
    let writer = open_writer(interface)?;
    let source = SocketCanSource::new(&[interface.to_owned()], None, Arc::clone(clock));
    Ok((Box::new(source), Box::new(writer)))
}

#[cfg(not(target_os = "linux"))]
fn open(_: &str, _: &SharedClock) -> io::Result<Ends> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "SocketCAN exists on Linux only"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test: a failure is the message")]

    use service::clock::ManualClock;

    use super::*;
    use crate::{
        frame::{FrameId, FrameKind},
        j1939::{Event, J1939Settings, Listener},
        source::virtual_bus::{VirtualBus, VirtualBusSettings},
    };

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: EcuArgs,
    }

    fn args(more: &[&str]) -> EcuArgs {
        let words = ["ecu", "--can", "vbus0"].iter().chain(more);
        <Cli as clap::Parser>::try_parse_from(words).unwrap().args
    }

    #[test]
    fn a_request_on_the_bus_is_answered_with_what_the_arguments_say() {
        let args = args(&["--fault", "P0171", "--pid", "0C=1AF8"]);
        let mut ecu = Answerer::of(&args);
        let bus = VirtualBus::new(VirtualBusSettings::default(), Timestamp(0));
        let (mut tester, mut node) = (bus.endpoint(), bus.endpoint());
        let (mut ask, mut answer) = (tester.writer(), node.writer());
        let clock = ManualClock::at(0);
        let mut answers = Vec::new();
        for request in [[0x02, 0x01, 0x0C], [0x01, 0x03, 0x00]] {
            let id = FrameId { raw: 0x7DF, is_extended: false };
            let now = Timestamp(clock.now_us());
            ask.send(&Frame::new(now, "vbus0".into(), id, FrameKind::Data, &request).unwrap()).unwrap();
            for _ in 0..30 {
                clock.advance(Duration::from_millis(2));
                bus.advance_to(Timestamp(clock.now_us()));
                step(&mut ecu, &mut node, &mut answer, clock.as_ref()).unwrap();
            }
            while let Ok(Polled::Frame(frame)) = tester.next_within(Duration::ZERO) {
                answers.push(frame.data()[..6].to_vec());
            }
        }
        assert_eq!(answers, [[0x04, 0x41, 0x0C, 0x1A, 0xF8, 0xAA], [0x04, 0x43, 0x01, 0x01, 0x71, 0xAA]]);
    }

    #[test]
    fn a_unit_of_j1939_tells_the_faults_of_its_arguments() {
        let faults = ["--spn", "100-1", "--spn", "524287-31", "--previous-spn", "94-18"];
        let args = args(&[&["--j1939", "0"][..], &faults].concat());
        let mut unit = Answerer::of(&args);
        let bus = VirtualBus::new(VirtualBusSettings::default(), Timestamp(0));
        let (mut listens, mut node) = (bus.endpoint(), bus.endpoint());
        let mut writer = node.writer();
        let (clock, mut listener) = (ManualClock::at(0), Listener::new(J1939Settings::default()));
        let mut events = Vec::new();
        for _ in 0..500 {
            clock.advance(Duration::from_millis(2));
            bus.advance_to(Timestamp(clock.now_us()));
            step(&mut unit, &mut node, &mut writer, clock.as_ref()).unwrap();
            while let Ok(Polled::Frame(frame)) = listens.next_within(Duration::ZERO) {
                listener.receive(&frame, &mut events);
            }
        }
        let Some(Event::Faults(report)) = events.first() else { panic!("{events:?}") };
        let codes: Vec<&str> = report.codes.iter().map(|code| code.code.as_str()).collect();
        assert_eq!(codes, ["SPN 100 FMI 1", "SPN 524287 FMI 31"]);
    }

    #[test]
    fn arguments_that_are_none_are_told() {
        for text in ["100", "100-", "-1", "524288-1", "100-32", "0-0", "1-2-3"] {
            assert!(parse_spn(text).unwrap_err().contains("100-1"), "{text}");
        }
        for text in ["0C", "0C=", "0C=1", "0C=1G", "XX=00", "0C=0011223344", "0C=é"] {
            assert!(parse_pid(text).unwrap_err().contains("0C=1AF8"), "{text}");
        }
        for text in ["F190", "F190=", "F190=1", "1F190=00", "F190=+1", "F190=é", &format!("1={:08186}", 0)] {
            assert!(parse_did(text).unwrap_err().contains("F190=0102"), "{text}");
        }
        assert_eq!(parse_did(&format!("1={:08184}", 0)).unwrap(), (1, vec![0; 4092]));
    }
}
