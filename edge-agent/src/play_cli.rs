//! `edge-agent play`: a recorded log onto a CAN interface, as it was recorded or faster.
//!
//! For tests and benches on `vcan`. It is the one command that sends whatever a file says; the
//! agent itself sends nothing but polls that are configured and enabled.

use std::{io, path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use service::{
    SharedClock,
    clock::SystemClock,
    exit,
    logs::{self, LogFormat, chain},
};
use tracing::info;

use crate::{
    frame::{Frame, FrameKind},
    source::{
        BusWriter, Source, SourceError,
        log::LogReader,
        replay::{Pace, PaceError, Pacer},
    },
};

/// Waits that are worth it.
const WAIT_MIN: Duration = Duration::from_micros(200);
/// Wait for the interface's queue to have room, and how often.
const QUEUE_WAIT: Duration = Duration::from_millis(1);
const QUEUE_TRIES_MAX: u32 = 5000;

/// Arguments of `edge-agent play`.
#[derive(Debug, Clone, Args)]
pub struct PlayArgs {
    /// The log: candump, ASC or BLF, plain or gzip.
    #[arg(value_name = "LOG")]
    pub log: PathBuf,
    /// The interface all frames are sent on.
    #[arg(long, value_name = "IFACE")]
    pub can: String,
    /// Times faster than recorded: 1, 60, or flat.
    #[arg(long, value_name = "SPEED", default_value = "1")]
    pub speed: String,
}

/// Why a log was not played to its end.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The speed.
    #[error(transparent)]
    Pace(#[from] PaceError),
    /// A log that cannot be opened or read on.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The interface cannot be opened.
    #[error("cannot open CAN interface {interface}; see `ip link`")]
    Open {
        /// Which.
        interface: String,
        /// Why.
        source: io::Error,
    },
    /// A frame cannot be sent.
    #[error("cannot send frame {number} on {interface}")]
    Send {
        /// Which interface.
        interface: String,
        /// Which frame, from 1.
        number: u64,
        /// Why.
        source: io::Error,
    },
}

impl PlayError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Pace(_) => exit::CONFIG,
            Self::Source(SourceError::Open { .. }) | Self::Open { .. } | Self::Send { .. } => {
                exit::UNAVAILABLE
            }
            Self::Source(_) => exit::DATA,
        }
    }
}

/// Plays the log to its end.
pub fn main(args: &PlayArgs) -> ExitCode {
    logs::init("info", LogFormat::Text);
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("edge-agent play: {}", chain(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(args: &PlayArgs) -> Result<(), PlayError> {
    let pace: Pace = args.speed.parse()?;
    let source = LogReader::open(&args.log)?;
    let opened = open_writer(&args.can);
    let writer = opened.map_err(|source| PlayError::Open { interface: args.can.clone(), source })?;
    let clock = SystemClock::shared();
    let count = play(source, writer, &args.can, pace, &clock)?;
    info!(count, interface = args.can, "log played");
    Ok(())
}

/// Sends every frame of the log but error frames and damaged lines; how many.
fn play(
    mut source: impl Source,
    mut writer: impl BusWriter,
    interface: &str,
    pace: Pace,
    clock: &SharedClock,
) -> Result<u64, PlayError> {
    let mut pacer = Pacer::new(pace);
    let mut count = 0;
    loop {
        let frame = match source.next() {
            Ok(Some(frame)) if frame.kind == FrameKind::Error => continue,
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(count),
            Err(error) if error.is_passing() => continue,
            Err(error) => return Err(error.into()),
        };
        let wait = pacer.wait(frame.time, clock.monotonic_us());
        if wait > WAIT_MIN {
            std::thread::sleep(wait);
        }
        count += 1;
        send(&mut writer, &frame).map_err(|source| PlayError::Send {
            interface: interface.to_owned(),
            number: count,
            source,
        })?;
    }
}

/// Sends one frame; while the interface's queue is full it waits.
fn send(writer: &mut impl BusWriter, frame: &Frame) -> io::Result<()> {
    let is_full = |error: &io::Error| {
        error.kind() == io::ErrorKind::WouldBlock
            || error.raw_os_error() == Some(nix::errno::Errno::ENOBUFS as i32)
    };
    for _ in 0..QUEUE_TRIES_MAX {
        match writer.send(frame) {
            Err(error) if is_full(&error) => std::thread::sleep(QUEUE_WAIT),
            sent => return sent,
        }
    }
    writer.send(frame)
}

#[cfg(target_os = "linux")]
fn open_writer(interface: &str) -> io::Result<impl BusWriter + use<>> {
    crate::source::socketcan::open_writer(interface)
}

#[cfg(not(target_os = "linux"))]
fn open_writer(_: &str) -> io::Result<Box<dyn BusWriter>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "SocketCAN exists on Linux only"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

    use std::sync::{Arc, Mutex};

    use service::clock::ManualClock;

    use super::*;
    use crate::source::CandumpReader;

    /// Has no room every other time.
    struct Half(Arc<Mutex<(bool, Vec<Frame>)>>);

    impl BusWriter for Half {
        fn send(&mut self, frame: &Frame) -> io::Result<()> {
            let mut state = self.0.lock().unwrap();
            state.0 = !state.0;
            if state.0 {
                return Err(io::Error::from(io::ErrorKind::WouldBlock));
            }
            state.1.push(frame.clone());
            Ok(())
        }
    }

    #[test]
    fn every_frame_but_error_frames_is_sent_once_in_order_though_the_queue_is_full_at_times() {
        let log = "(1.0) can0 123#01\n(1.0) can0 20000040#0000000000000000\n(1.1) can0 no\n\
            (1.2) can0 18FEF100##1AABB\n(1.3) can0 7FF#R\n";
        let source = CandumpReader::new("t", std::io::Cursor::new(log)).unwrap();
        let sent = Arc::new(Mutex::new((false, Vec::new())));
        let clock: SharedClock = ManualClock::at(0);
        let count = play(source, Half(Arc::clone(&sent)), "vcan0", Pace::FlatOut, &clock).unwrap();
        let ids: Vec<u32> = sent.lock().unwrap().1.iter().map(|f| f.id.raw).collect();
        assert_eq!((count, ids), (3, vec![0x123, 0x18FE_F100, 0x7FF]));
    }
}
