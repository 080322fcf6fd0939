//! Where frames come from.
//!
//! A [`Source`] is pulled, one frame at a time, on a thread of its own; it neither paces nor
//! skips. [`log`] reads recorded logs ([`candump`], [`asc`], [`blf`]), [`replay`] says when their
//! frames are due; [`socketcan`] reads live buses, [`gnss`] and `unit` what is beside them, and
//! `merge` makes one stream of them.

use std::{io, time::Duration};

use crate::frame::Frame;

pub mod asc;
pub mod blf;
pub mod candump;
pub mod gnss;
mod lines;
pub mod log;
pub(crate) mod merge;
pub(crate) mod own;
pub mod replay;
#[cfg(target_os = "linux")]
pub mod socketcan;
pub(crate) mod unit;
pub mod virtual_bus;

pub use asc::AscReader;
pub use blf::BlfReader;
pub use candump::CandumpReader;
pub use log::LogReader;
pub use own::OwnFramesError;

/// Something that yields frames in the order of the bus.
pub trait Source {
    /// The next frame, `None` at the end. Blocks while there is none yet. After an error the
    /// caller may call again: a bad line is passed over, a broken file is at its end.
    fn next(&mut self) -> Result<Option<Frame>, SourceError>;

    /// The next frame, if one comes within `wait`. A recorded log never waits; a live source must
    /// override this, so that polling and stopping go on while its bus is quiet.
    fn next_within(&mut self, _wait: Duration) -> Result<Polled, SourceError> {
        Ok(self.next()?.map_or(Polled::End, |frame| Polled::Frame(Box::new(frame))))
    }

    /// What went wrong so far, that no frame tells.
    fn counts(&self) -> SourceCounts {
        SourceCounts::default()
    }

    /// The way back onto the bus of that interface, where there is one.
    fn bus_writer(&mut self, _interface: &str) -> Option<Box<dyn BusWriter>> {
        None
    }
}

/// What went wrong in a source since it was opened, and how it is now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Frames the kernel dropped for want of room.
    pub lost_in_kernel: u64,
    /// Times a controller lost a frame for want of room; at least one each.
    pub lost_in_controller: u64,
    /// Frames shed because they were not taken fast enough.
    pub shed: u64,
    /// Frames of a bus under an id of the agent's own, not believed.
    pub refused: u64,
    /// Messages and sentences that could not be read.
    pub damaged: u64,
    /// Error frames of controllers.
    pub error_frames: u64,
    /// Times a controller went bus-off.
    pub bus_offs: u64,
    /// Times a controller became error-passive.
    pub error_passives: u64,
    /// Times a controller was restarted after a bus-off.
    pub restarts: u64,
    /// Times an interface, a receiver or a connection was lost.
    pub interface_losses: u64,
    /// Interfaces that give nothing now: down, gone or bus-off.
    pub interfaces_out: u64,
}

impl SourceCounts {
    /// Frames that were on a bus and did not arrive, as far as it is known.
    pub fn frames_lost(&self) -> u64 {
        self.lost_in_kernel + self.lost_in_controller + self.shed
    }

    /// The counts of two sources together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            lost_in_kernel: self.lost_in_kernel + other.lost_in_kernel,
            lost_in_controller: self.lost_in_controller + other.lost_in_controller,
            shed: self.shed + other.shed,
            refused: self.refused + other.refused,
            damaged: self.damaged + other.damaged,
            error_frames: self.error_frames + other.error_frames,
            bus_offs: self.bus_offs + other.bus_offs,
            error_passives: self.error_passives + other.error_passives,
            restarts: self.restarts + other.restarts,
            interface_losses: self.interface_losses + other.interface_losses,
            interfaces_out: self.interfaces_out + other.interfaces_out,
        }
    }
}

/// What a wait for a frame gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    /// A frame.
    Frame(Box<Frame>),
    /// Nothing within the time.
    Quiet,
    /// The source has ended.
    End,
}

/// Puts frames on a bus. Only polling that is configured and allowed does.
pub trait BusWriter: Send {
    /// Sends one frame; its time and interface are not looked at.
    fn send(&mut self, frame: &Frame) -> io::Result<()>;
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        (**self).next()
    }

    fn next_within(&mut self, wait: Duration) -> Result<Polled, SourceError> {
        (**self).next_within(wait)
    }

    fn counts(&self) -> SourceCounts {
        (**self).counts()
    }

    fn bus_writer(&mut self, interface: &str) -> Option<Box<dyn BusWriter>> {
        (**self).bus_writer(interface)
    }
}

/// Why a source did not yield a frame.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A log that cannot be opened.
    #[error("cannot open log {path}")]
    Open {
        /// Which file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The bytes end or cannot be read or unpacked; nothing follows.
    #[error(
        "{log}:{line}: cannot read on from here; the file may be cut short or damaged, so fetch it again"
    )]
    Read {
        /// Name of the log.
        log: String,
        /// The last line that was read, or in a BLF log the last object.
        line: u64,
        /// Why.
        source: std::io::Error,
    },
    /// One line that is no frame; the next line may be one.
    #[error("{log}:{line}: {fault}; a line is `(seconds.micros) interface id#data`")]
    Line {
        /// Name of the log.
        log: String,
        /// Its line, from 1.
        line: u64,
        /// What is wrong with it.
        fault: LineFault,
    },
    /// One line or object of an ASC or BLF log that is no frame; the next may be one.
    #[error("{log}:{place}: {fault}; it is passed over")]
    Entry {
        /// Name of the log.
        log: String,
        /// Its line, or in a BLF log its object, from 1.
        place: u64,
        /// What is wrong with it.
        fault: EntryFault,
    },
}

/// What is wrong with a line of an ASC log or an object of a BLF log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// An id that has more than 29, or without mark more than 11 bits, or is none.
    #[error("the id is none of 11 or 29 bits")]
    Id,
    /// Data that are no numbers of a byte.
    #[error("the data are no bytes in the file's number base")]
    Data,
    /// More or fewer bytes than it says.
    #[error("the data are not as long as it says")]
    Length,
    /// Longer than any event.
    #[error("the line is longer than any event")]
    TooLong,
    /// No object, or one with impossible sizes.
    #[error("the object is damaged")]
    Object,
}

impl SourceError {
    /// Whether only one line is lost and the source goes on.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Line { .. } | Self::Entry { .. })
    }
}

/// What is wrong with a line of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// No `(1627274455.012500)` in front.
    #[error("no time in parentheses")]
    Time,
    /// No interface name after the time.
    #[error("no interface name")]
    Interface,
    /// No `#` after the id.
    #[error("no `#` between id and data")]
    Separator,
    /// Neither 3 nor 8 hex digits, or more than 29 bits.
    #[error("the id is neither 3 nor 8 hex digits of an 11 or 29 bit id")]
    Id,
    /// Not pairs of hex digits.
    #[error("the data is not pairs of hex digits")]
    Data,
    /// More bytes than the kind of frame can have.
    #[error("the data has a length that no frame can have")]
    Length,
    /// Something after the frame that is no direction.
    #[error("unknown text after the frame")]
    Trailing,
    /// Longer than any frame.
    #[error("the line is longer than any frame")]
    TooLong,
}
