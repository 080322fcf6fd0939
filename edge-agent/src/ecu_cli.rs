//! `edge-agent ecu`: a control unit that answers OBD-II and UDS on a CAN interface.
//!
//! For tests of whoever asks, on `vcan` or a bench. It answers what `SimulatedEcu` answers to a
//! whole agent in this project's own tests.

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
    simulate::ecu::{EcuSettings, SimulatedEcu},
    source::{BusWriter, Polled, Source, SourceError},
    uds::DtcCode,
};

/// Longest wait between two looks at what is due: well below the 50 ms there are to answer.
const STEP: Duration = Duration::from_millis(2);

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
    /// Its vehicle identification number.
    #[arg(long, value_name = "VIN")]
    pub vin: Option<String>,
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
    let mut ecu = ecu(args);
    info!(interface = args.can, faults = args.faults.len(), "answering");
    loop {
        step(&mut ecu, source.as_mut(), writer.as_mut(), clock.as_ref())?;
    }
}

fn ecu(args: &EcuArgs) -> SimulatedEcu {
    let mut settings = EcuSettings::engine(Arc::from(args.can.as_str()));
    if let Some(vin) = &args.vin {
        settings.vin.clone_from(vin);
    }
    let mut ecu = SimulatedEcu::new(settings);
    for (pid, bytes) in &args.pids {
        ecu.set_pid(*pid, bytes);
    }
    for code in &args.faults {
        ecu.raise(*code);
    }
    ecu
}

/// Takes what came and sends what is due.
fn step(
    ecu: &mut SimulatedEcu,
    source: &mut dyn Source,
    writer: &mut dyn BusWriter,
    clock: &dyn Clock,
) -> Result<(), SourceError> {
    match source.next_within(STEP) {
        Ok(Polled::Frame(frame)) => ecu.observe(&frame),
        Ok(Polled::Quiet | Polled::End) => {}
        Err(error) if error.is_passing() => {}
        Err(error) => return Err(error),
    }
    let now = Timestamp(clock.now_us());
    ecu.tick(now);
    while let Some(frame) = ecu.take_frame(now) {
        // An answer that the queue has no room for is lost, as on a bus; whoever asked asks again.
        if let Err(error) = writer.send(&frame) {
            info!(error = %chain(&error), "answer could not be sent");
        }
    }
    Ok(())
}

fn parse_pid(text: &str) -> Result<(u8, Vec<u8>), String> {
    let wrong = || format!("{text:?} is no value; write one like 0C=1AF8, with one to four bytes");
    let (pid, digits) = text.split_once('=').ok_or_else(wrong)?;
    let pid = u8::from_str_radix(pid, 16).map_err(|_| wrong())?;
    if digits.len() % 2 != 0 || !(2..=8).contains(&digits.len()) || !digits.is_ascii() {
        return Err(wrong());
    }
    let byte = |at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    Ok((pid, bytes.ok_or_else(wrong)?))
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
        frame::{Frame, FrameId, FrameKind},
        source::virtual_bus::{VirtualBus, VirtualBusSettings},
    };

    #[test]
    fn a_request_on_the_bus_is_answered_with_what_the_arguments_say() {
        let args = EcuArgs {
            can: "vbus0".to_owned(),
            faults: vec![DtcCode::parse("P0171").unwrap()],
            pids: vec![parse_pid("0C=1AF8").unwrap()],
            vin: None,
        };
        let mut ecu = ecu(&args);
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
    fn arguments_that_are_none_are_told() {
        for text in ["0C", "0C=", "0C=1", "0C=1G", "XX=00", "0C=0011223344", "0C=é"] {
            assert!(parse_pid(text).unwrap_err().contains("0C=1AF8"), "{text}");
        }
    }
}
