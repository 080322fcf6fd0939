//! Lines of a log, each bounded.

use std::io::{self, BufRead};

use super::log::LogInput;

/// Reads one line after the other.
pub(super) struct Lines {
    input: LogInput,
    bytes_max: usize,
    /// The line at hand, without its end.
    pub(super) line: Vec<u8>,
    /// Its number, from 1.
    pub(super) number: u64,
}

/// What a read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineRead {
    /// A line.
    Line,
    /// A line over the limit; it was passed over whole.
    TooLong,
    /// There is none left.
    End,
}

impl Lines {
    pub(super) fn new(input: LogInput, bytes_max: usize) -> Self {
        Self { input, bytes_max, line: Vec::with_capacity(bytes_max), number: 0 }
    }

    /// Reads the next line into `line`.
    pub(super) fn read(&mut self) -> io::Result<LineRead> {
        self.line.clear();
        let mut is_too_long = false;
        let mut has_read = false;
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                break;
            }
            has_read = true;
            let end = available.iter().position(|b| *b == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            if self.line.len() + part.len() > self.bytes_max {
                is_too_long = true;
            } else {
                self.line.extend_from_slice(part);
            }
            let used = end.map_or(available.len(), |i| i + 1);
            self.input.consume(used);
            if end.is_some() {
                break;
            }
        }
        if !has_read {
            return Ok(LineRead::End);
        }
        self.number += 1;
        Ok(if is_too_long { LineRead::TooLong } else { LineRead::Line })
    }
}
