//! A recorded log of any format there is a reader for, told apart by its content.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;

use super::{AscReader, BlfReader, CandumpReader, Source, SourceError, blf};
use crate::frame::Frame;

const BUFFER_BYTES: usize = 64 * 1024;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Bytes looked at to know a format.
const HEAD_BYTES: usize = 512;

/// Bytes of a log, unpacked.
pub(crate) type LogInput = Box<dyn BufRead + Send>;

/// Reads a log.
#[derive(Debug)]
pub enum LogReader {
    /// candump's text.
    Candump(CandumpReader),
    /// Vector's text.
    Asc(AscReader),
    /// Vector's binary format.
    Blf(BlfReader),
}

/// A file that is no folder.
pub(super) fn open_file(path: &Path) -> Result<File, SourceError> {
    let failed = |source| SourceError::Open { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(failed(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    Ok(file)
}

impl LogReader {
    /// Opens a file, packed by gzip or not.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        Self::new(path.display().to_string(), open_file(path)?)
    }

    /// Reads from `input`; `name` is what errors call it.
    pub fn new(name: impl Into<String>, input: impl Read + Send + 'static) -> Result<Self, SourceError> {
        let name = name.into();
        let failed = |source| SourceError::Read { log: name.clone(), line: 0, source };
        let mut input = unpacked(input).map_err(failed)?;
        let mut head = Vec::with_capacity(HEAD_BYTES);
        let limit = u64::try_from(HEAD_BYTES).unwrap_or(u64::MAX);
        input.by_ref().take(limit).read_to_end(&mut head).map_err(failed)?;
        let (is_blf, is_asc) = (head.starts_with(&blf::FILE_MAGIC), is_asc(&head));
        let input: LogInput =
            Box::new(BufReader::with_capacity(BUFFER_BYTES, Cursor::new(head).chain(input)));
        Ok(if is_blf {
            Self::Blf(BlfReader::of_input(name, input)?)
        } else if is_asc {
            Self::Asc(AscReader::of_input(name, input))
        } else {
            Self::Candump(CandumpReader::of_input(name, input))
        })
    }

    /// The line, or in a binary log the object, that the last frame or error came from, from 1.
    pub fn place(&self) -> u64 {
        match self {
            Self::Candump(reader) => reader.line_number(),
            Self::Asc(reader) => reader.line_number(),
            Self::Blf(reader) => reader.object_number(),
        }
    }
}

impl Source for LogReader {
    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        match self {
            Self::Candump(reader) => reader.next(),
            Self::Asc(reader) => reader.next(),
            Self::Blf(reader) => reader.next(),
        }
    }
}

/// The bytes of a log, whether gzip packs them or not.
pub(crate) fn unpacked(input: impl Read + Send + 'static) -> io::Result<LogInput> {
    let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
    Ok(if input.fill_buf()?.starts_with(&GZIP_MAGIC) {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(input)))
    } else {
        Box::new(input)
    })
}

/// ASC files begin with `date`, perhaps after comments; candump's lines with a parenthesis.
fn is_asc(head: &[u8]) -> bool {
    let mut lines = head.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    lines.find(|line| !line.starts_with(b"//")).is_some_and(|line| {
        let word = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        word.eq_ignore_ascii_case(b"date") || word.eq_ignore_ascii_case(b"base")
    })
}
