//! Live sources: buses by SocketCAN, and beside them a GNSS receiver and the unit's own state.

use std::{path::Path, sync::Arc, time::Duration};

use service::SharedClock;

use super::{NamedBytes, StartError};
use crate::{
    clock::{ClockSettings, keeper::TimeKeeper},
    decode::Decoder,
    source::{
        Source,
        gnss::{GnssSource, Receiver},
        merge::{Merge, SideSource},
        own,
        unit::UnitSource,
    },
};

/// Buses and what is beside them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSettings {
    /// CAN interfaces, `can0`; none for a unit that has only a receiver.
    pub interfaces: Vec<String>,
    /// Whether the kernel passes only frames of the DBC files, and answers to diagnostics.
    pub filter: FrameFilter,
    /// A GNSS receiver.
    pub gnss: Option<Receiver>,
    /// Time between two looks at the unit's own state.
    pub unit_interval: Option<Duration>,
    /// How time becomes known.
    pub clock: ClockSettings,
}

/// What the kernel lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FrameFilter {
    /// Every frame.
    #[default]
    All,
    /// Frames of the DBC files, and what diagnostics by ISO 15765-4 and J1939 answer with.
    Known,
}

/// DBC files and maps that come with the agent.
#[derive(Debug, Default)]
pub(super) struct OwnFiles {
    pub(super) dbcs: Vec<NamedBytes>,
    pub(super) maps: Vec<NamedBytes>,
}

impl LiveSettings {
    /// What says the meaning of the agent's own frames.
    pub(super) fn own_files(&self) -> OwnFiles {
        let mut maps = Vec::new();
        maps.extend(self.gnss.as_ref().map(|_| own::gnss_map()));
        maps.extend(self.unit_interval.map(|_| own::unit_map()));
        let dbcs = if maps.is_empty() { Vec::new() } else { vec![own::dbc()] };
        OwnFiles { dbcs, maps }
    }

    /// Opens the sources; what is not there yet is tried again and again.
    pub(super) fn open(
        &self,
        decoder: &Decoder,
        spool_folder: &Path,
        (clock, time): (&SharedClock, &Arc<TimeKeeper>),
    ) -> Result<Box<dyn Source + Send>, StartError> {
        let bus = self.open_buses(decoder, clock)?;
        let mut sides: Vec<Box<dyn SideSource>> = Vec::new();
        if let Some(receiver) = &self.gnss {
            sides.push(Box::new(GnssSource::new(receiver.clone(), clock.clone())?.telling(Arc::clone(time))));
        }
        if let Some(interval) = self.unit_interval {
            sides.push(Box::new(UnitSource::new(interval, spool_folder, clock.clone())?));
        }
        if sides.is_empty() {
            return Ok(bus);
        }
        Ok(Box::new(Merge::new(bus, sides).map_err(StartError::Live)?))
    }

    #[cfg(target_os = "linux")]
    #[allow(clippy::unnecessary_wraps, reason = "there is no SocketCAN on other systems")]
    fn open_buses(
        &self,
        decoder: &Decoder,
        clock: &SharedClock,
    ) -> Result<Box<dyn Source + Send>, StartError> {
        use crate::source::socketcan::{SocketCanSource, filters_of};
        let filters = match self.filter {
            FrameFilter::All => None,
            FrameFilter::Known => filters_of(decoder),
        };
        Ok(Box::new(SocketCanSource::new(&self.interfaces, filters, clock.clone())))
    }

    #[cfg(not(target_os = "linux"))]
    fn open_buses(&self, _: &Decoder, _: &SharedClock) -> Result<Box<dyn Source + Send>, StartError> {
        let error = std::io::Error::new(std::io::ErrorKind::Unsupported, "SocketCAN exists on Linux only");
        Err(StartError::Live(error))
    }
}
