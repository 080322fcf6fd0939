//! Where frames come from.
//!
//! A [`Source`] is pulled, one frame at a time, on a thread of its own; it neither paces nor
//! skips. [`candump`] reads recorded logs, [`replay`] says when their frames are due.

use std::{io, time::Duration};

use crate::frame::Frame;

pub mod candump;
pub mod replay;
pub mod virtual_bus;

pub use candump::CandumpReader;

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

    /// The way back onto the bus of that interface, where there is one.
    fn bus_writer(&mut self, _interface: &str) -> Option<Box<dyn BusWriter>> {
        None
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
    #[error("{log}:{line}: cannot read on after this line; the file may be cut short, so fetch it again")]
    Read {
        /// Name of the log.
        log: String,
        /// The last line that was read.
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
}

impl SourceError {
    /// Whether only one line is lost and the source goes on.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Line { .. })
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
