//! DBC files: text in, checked messages and signals out, each with the line it stands on.
//!
//! `can-dbc` parses; this module gives its answer the form the decoder compiles, with value
//! tables, floats, long names and multiplexing attached to their signals. A syntax error refuses
//! the file; a construct that cannot be honoured leaves out its signal and is a [`DbcWarning`].

use std::{fmt, fs, path::Path};

use crate::{decode::layout::Layout, frame::FrameId};

mod build;
mod dangling;
mod facts;
mod lines;
mod syntax;
mod text;

/// Largest file that is read: the largest published ones are below 2 MiB.
pub const DBC_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// The checked content of one DBC file.
#[derive(Debug, Clone, PartialEq)]
pub struct Dbc {
    /// What messages call the file.
    pub file: String,
    /// Its messages, in the file's order.
    pub messages: Vec<DbcMessage>,
    /// What had to be left out.
    pub warnings: Vec<DbcWarning>,
}

/// One `BO_`.
#[derive(Debug, Clone, PartialEq)]
pub struct DbcMessage {
    /// Line of its `BO_`.
    pub line: usize,
    /// The id its frames have.
    pub id: FrameId,
    /// Its name, the long one if it has one.
    pub name: String,
    /// Bytes a frame has by the file.
    pub byte_count: u64,
    /// Whether other priorities and source addresses of the id's PGN are this message too.
    pub is_j1939: bool,
    /// Its signals, sorted by their first bit along the frame.
    pub signals: Vec<DbcSignal>,
}

/// One `SG_`.
#[derive(Debug, Clone, PartialEq)]
pub struct DbcSignal {
    /// Line of its `SG_`.
    pub line: usize,
    /// Its name, the long one if it has one.
    pub name: String,
    /// Where its bits are and what they mean.
    pub layout: Layout,
    /// `physical = raw * scale + offset`.
    pub scale: f64,
    /// `physical = raw * scale + offset`.
    pub offset: f64,
    /// Least physical value by the file.
    pub min: f64,
    /// Greatest physical value by the file.
    pub max: f64,
    /// Unit as the file spells it.
    pub unit: String,
    /// Names of raw values, sorted by value, each once.
    pub labels: Vec<(i64, String)>,
    /// Whether other signals depend on its value.
    pub is_multiplexer: bool,
    /// When it is in the frame; `None` for always.
    pub present_when: Option<Switch>,
}

/// The condition of a multiplexed signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// Index in the message's signals of the multiplexer.
    pub multiplexer: usize,
    /// Raw values of the multiplexer, both ends included, sorted.
    pub ranges: Vec<(u64, u64)>,
}

/// A part of a file that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbcWarning {
    /// The file.
    pub file: String,
    /// Its line, from 1; 0 when it is about the whole file.
    pub line: usize,
    /// What was left out, why, and what to do.
    pub message: String,
}

impl fmt::Display for DbcWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}

/// Why a DBC file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DbcError {
    /// Not there or not readable.
    #[error("cannot read DBC file {path}")]
    Open {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Over [`DBC_BYTES_MAX`].
    #[error("{file} has {bytes} bytes, over the limit of {DBC_BYTES_MAX}; is it a DBC file?")]
    TooLarge {
        /// Which file.
        file: String,
        /// Its size.
        bytes: u64,
    },
    /// Not the DBC grammar.
    #[error("{file}:{line}: not valid DBC: {problem}; correct that line or export the file again")]
    Syntax {
        /// Which file.
        file: String,
        /// Its line, from 1.
        line: usize,
        /// What the parser stumbled over.
        problem: String,
    },
}

impl Dbc {
    /// Reads a file from disk.
    pub fn open(path: &Path) -> Result<Self, DbcError> {
        let file = path.display().to_string();
        let opened = |source| DbcError::Open { path: file.clone(), source };
        let bytes = fs::metadata(path).map_err(opened)?.len();
        if bytes > DBC_BYTES_MAX {
            return Err(DbcError::TooLarge { file, bytes });
        }
        let bytes = fs::read(path).map_err(opened)?;
        Self::from_bytes(&file, &bytes)
    }

    /// Reads the bytes of a file: UTF-8, or Windows-1252 where they are not.
    pub fn from_bytes(file: &str, bytes: &[u8]) -> Result<Self, DbcError> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size > DBC_BYTES_MAX {
            return Err(DbcError::TooLarge { file: file.to_owned(), bytes: size });
        }
        build::build(file, &text::decode(bytes))
    }
}

#[cfg(test)]
mod tests;
