//! candump's log format, `candump -l`: one frame a line, plain or gzip.
//!
//! `(1627274455.023950) can1 7E8#03412F8C00000000`, CAN FD `123##1AABB`, remote `123#R8`, error
//! frames by bit 29 of the id; three digits are a standard id, eight an extended one. A trailing
//! direction letter (`R`, `T`) and the raw length code of classic frames (`_9`) are accepted.

use std::{io::Read, path::Path, sync::Arc};

use wire::time::Timestamp;

use super::{
    LineFault, Source, SourceError,
    lines::{LineRead, Lines},
    log::{LogInput, open_file, unpacked},
};
use crate::frame::{FRAME_BYTES_MAX, Frame, FrameId, FrameKind};

/// Longest line that is looked at: a CAN FD frame takes under 200 bytes.
const LINE_BYTES_MAX: usize = 512;
/// Most interface names remembered; a log has a handful.
const INTERFACE_COUNT_MAX: usize = 64;
const ERROR_FLAG: u32 = 0x2000_0000;

/// Reads a candump log from anything that yields bytes.
pub struct CandumpReader {
    name: String,
    lines: Lines,
    is_at_end: bool,
    interfaces: Vec<Arc<str>>,
}

impl std::fmt::Debug for CandumpReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CandumpReader").field("name", &self.name).field("line", &self.lines.number).finish()
    }
}

impl CandumpReader {
    /// Opens a file, `.log` or `.log.gz` by its first bytes.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        Self::new(path.display().to_string(), open_file(path)?)
    }

    /// Reads from `input`; `name` is what errors call it.
    pub fn new(name: impl Into<String>, input: impl Read + Send + 'static) -> Result<Self, SourceError> {
        let name = name.into();
        match unpacked(input) {
            Ok(input) => Ok(Self::of_input(name, input)),
            Err(source) => Err(SourceError::Read { log: name, line: 0, source }),
        }
    }

    pub(super) fn of_input(name: String, input: LogInput) -> Self {
        let lines = Lines::new(input, LINE_BYTES_MAX);
        Self { name, lines, is_at_end: false, interfaces: Vec::new() }
    }

    /// The number of the line the last frame or error came from, from 1.
    pub fn line_number(&self) -> u64 {
        self.lines.number
    }

    fn interface(&mut self, from: usize, to: usize) -> Result<Arc<str>, LineFault> {
        let bytes = &self.lines.line[from..to];
        if let Some(known) = self.interfaces.iter().find(|name| name.as_bytes() == bytes) {
            return Ok(known.clone());
        }
        let name: Arc<str> = std::str::from_utf8(bytes).map_err(|_| LineFault::Interface)?.into();
        if self.interfaces.len() == INTERFACE_COUNT_MAX {
            self.interfaces.clear();
        }
        self.interfaces.push(name.clone());
        Ok(name)
    }

    /// The frame in `self.line`; `None` for an empty line.
    fn parse(&mut self) -> Result<Option<Frame>, LineFault> {
        let mut fields = Fields { line: &self.lines.line, at: 0 };
        let Some(time) = fields.next() else { return Ok(None) };
        let time = parse_time(&self.lines.line[time.0..time.1]).ok_or(LineFault::Time)?;
        let name = fields.next().ok_or(LineFault::Interface)?;
        let frame = fields.next().ok_or(LineFault::Separator)?;
        match fields.next().map(|(from, to)| &self.lines.line[from..to]) {
            None | Some(b"R" | b"T") => {}
            Some(_) => return Err(LineFault::Trailing),
        }
        let body = parse_frame(&self.lines.line[frame.0..frame.1])?;
        let interface = self.interface(name.0, name.1)?;
        Frame::new(time, interface, body.id, body.kind, &body.data[..body.len])
            .map(Some)
            .ok_or(LineFault::Length)
    }
}

impl Source for CandumpReader {
    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        while !self.is_at_end {
            let parsed = match self.lines.read() {
                Ok(LineRead::End) => break,
                Ok(LineRead::Line) => self.parse(),
                Ok(LineRead::TooLong) => Err(LineFault::TooLong),
                Err(source) => {
                    self.is_at_end = true;
                    return Err(SourceError::Read {
                        log: self.name.clone(),
                        line: self.lines.number,
                        source,
                    });
                }
            };
            match parsed {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) => {}
                Err(fault) => {
                    return Err(SourceError::Line { log: self.name.clone(), line: self.lines.number, fault });
                }
            }
        }
        self.is_at_end = true;
        Ok(None)
    }
}

/// Blank-separated parts of a line, as positions.
struct Fields<'a> {
    line: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    fn next(&mut self) -> Option<(usize, usize)> {
        while self.line.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        let from = self.at;
        while self.line.get(self.at).is_some_and(|b| !b.is_ascii_whitespace()) {
            self.at += 1;
        }
        Some((from, self.at))
    }
}

/// `(1627274455.012500)`; digits beyond microseconds are cut.
fn parse_time(field: &[u8]) -> Option<Timestamp> {
    let text = field.strip_prefix(b"(")?.strip_suffix(b")")?;
    let dot = text.iter().position(|b| *b == b'.').unwrap_or(text.len());
    let (whole, fraction) = (&text[..dot], text.get(dot + 1..).unwrap_or_default());
    // Twelve digits of seconds reach far past year 9999 and cannot overflow as microseconds.
    if whole.is_empty() || whole.len() > 12 || fraction.len() > 9 || (fraction.is_empty() && dot < text.len())
    {
        return None;
    }
    let mut us = 0_i64;
    for byte in whole {
        us = us * 10 + digit(*byte)?;
    }
    for place in 0..6 {
        us = us * 10 + fraction.get(place).map_or(Some(0), |b| digit(*b))?;
    }
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(Timestamp(us))
}

fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

/// What stands in the third field.
struct Body {
    id: FrameId,
    kind: FrameKind,
    data: [u8; FRAME_BYTES_MAX],
    len: usize,
}

fn parse_frame(field: &[u8]) -> Result<Body, LineFault> {
    let hash = field.iter().position(|b| *b == b'#').ok_or(LineFault::Separator)?;
    let (id, is_error) = parse_id(&field[..hash]).ok_or(LineFault::Id)?;
    let rest = &field[hash + 1..];
    let mut body = Body { id, kind: FrameKind::Data, data: [0; FRAME_BYTES_MAX], len: 0 };
    if let Some(fd) = rest.strip_prefix(b"#") {
        let (flags, data) = fd.split_first().ok_or(LineFault::Data)?;
        nibble(*flags).ok_or(LineFault::Data)?;
        body.kind = FrameKind::Fd;
        body.len = parse_data(data, &mut body.data)?;
        if !matches!(body.len, 0..=8 | 12 | 16 | 20 | 24 | 32 | 48 | 64) {
            return Err(LineFault::Length);
        }
        return Ok(body);
    }
    let rest = without_length_code(rest)?;
    if let Some(len) = rest.strip_prefix(b"R") {
        body.kind = FrameKind::Remote;
        return match len {
            [] | [b'0'..=b'8'] => Ok(body),
            _ => Err(LineFault::Length),
        };
    }
    if is_error {
        body.kind = FrameKind::Error;
    }
    body.len = parse_data(rest, &mut body.data)?;
    if body.len > 8 { Err(LineFault::Length) } else { Ok(body) }
}

/// Drops `_9` to `_F`, the raw length code of an 8-byte classic frame.
fn without_length_code(rest: &[u8]) -> Result<&[u8], LineFault> {
    match rest.iter().position(|b| *b == b'_') {
        None => Ok(rest),
        Some(i) => match &rest[i + 1..] {
            [b'9' | b'A'..=b'F' | b'a'..=b'f'] => Ok(&rest[..i]),
            _ => Err(LineFault::Length),
        },
    }
}

/// The id, and whether the frame is the controller's error report.
fn parse_id(digits: &[u8]) -> Option<(FrameId, bool)> {
    let mut raw = 0_u32;
    if digits.len() != 3 && digits.len() != 8 {
        return None;
    }
    for byte in digits {
        raw = (raw << 4) | u32::from(nibble(*byte)?);
    }
    if digits.len() == 3 {
        return (raw <= 0x7FF).then_some((FrameId { raw, is_extended: false }, false));
    }
    if raw & ERROR_FLAG != 0 {
        let raw = raw & !ERROR_FLAG;
        return (raw < ERROR_FLAG).then_some((FrameId { raw, is_extended: false }, true));
    }
    (raw < ERROR_FLAG).then_some((FrameId { raw, is_extended: true }, false))
}

fn parse_data(digits: &[u8], data: &mut [u8; FRAME_BYTES_MAX]) -> Result<usize, LineFault> {
    if !digits.len().is_multiple_of(2) {
        return Err(LineFault::Data);
    }
    let len = digits.len() / 2;
    let bytes = data.get_mut(..len).ok_or(LineFault::Length)?;
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (nibble(pair[0]), nibble(pair[1]));
        *byte = (high.ok_or(LineFault::Data)? << 4) | low.ok_or(LineFault::Data)?;
    }
    Ok(len)
}

fn nibble(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
