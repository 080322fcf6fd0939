//! Vector's text format, `.asc`: a header with date and number base, then one event a line.
//!
//! CAN and CAN FD messages, remote and error frames; other events are passed over. Times count
//! from the beginning of the measurement, or from the event before (`timestamps relative`). The
//! date has no zone and is taken as UTC. Channel 1 is `can0`, as in candump's logs.

use std::{path::Path, sync::Arc};

use wire::time::Timestamp;

use super::{
    EntryFault, Source, SourceError,
    lines::{LineRead, Lines},
    log::{LogInput, LogReader},
};
use crate::frame::{FRAME_BYTES_MAX, Frame, FrameId, FrameKind};

/// Longest line that is looked at: a CAN FD event with all its trailing facts takes some 400.
const LINE_BYTES_MAX: usize = 2048;
/// Most words of a line that are looked at.
const WORD_COUNT_MAX: usize = 128;
/// Most channels remembered by name.
const CHANNEL_COUNT_MAX: usize = 256;
/// `EDL` of the flags of a CANFD event: it is an FD frame.
const FLAG_EDL: u32 = 1 << 12;
/// `RTR` of the same.
const FLAG_REMOTE: u32 = 1 << 4;

/// Reads an ASC log.
pub struct AscReader {
    name: String,
    lines: Lines,
    radix: u32,
    is_relative: bool,
    /// The measurement's beginning, by the last header line that had a date.
    began: Timestamp,
    /// Time of the last event, after `began`.
    last_us: i64,
    interfaces: Vec<Arc<str>>,
    is_at_end: bool,
}

impl std::fmt::Debug for AscReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AscReader").field("name", &self.name).field("line", &self.lines.number).finish()
    }
}

impl AscReader {
    /// Opens a file, packed by gzip or not; one that is no ASC log has no frames.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        match LogReader::open(path)? {
            LogReader::Asc(reader) => Ok(reader),
            LogReader::Candump(_) | LogReader::Blf(_) => Err(SourceError::Open {
                path: path.to_owned(),
                source: std::io::Error::new(std::io::ErrorKind::InvalidData, "no ASC log"),
            }),
        }
    }

    pub(super) fn of_input(name: String, input: LogInput) -> Self {
        Self {
            name,
            lines: Lines::new(input, LINE_BYTES_MAX),
            radix: 16,
            is_relative: false,
            began: Timestamp(0),
            last_us: 0,
            interfaces: Vec::new(),
            is_at_end: false,
        }
    }

    /// The number of the line the last frame or error came from, from 1.
    pub fn line_number(&self) -> u64 {
        self.lines.number
    }

    /// The frame in the line at hand; `None` for a line that is something else.
    fn parse(&mut self) -> Result<Option<Frame>, EntryFault> {
        let line = std::mem::take(&mut self.lines.line);
        let parsed = self.parse_line(&line);
        self.lines.line = line;
        parsed
    }

    fn parse_line(&mut self, line: &[u8]) -> Result<Option<Frame>, EntryFault> {
        // Other bytes than ASCII are in comments and names only.
        let text = String::from_utf8_lossy(line);
        let words: Vec<&str> = text.split_ascii_whitespace().take(WORD_COUNT_MAX).collect();
        let Some(first) = words.first().copied() else { return Ok(None) };
        if !first.starts_with(|c: char| c.is_ascii_digit()) {
            self.read_header(&words);
            return Ok(None);
        }
        let Some(time_us) = parse_seconds(first) else { return Ok(None) };
        self.last_us = if self.is_relative { self.last_us.saturating_add(time_us) } else { time_us };
        let time = self.began.plus_us(self.last_us);
        let Some(event) = (match words.get(1) {
            Some(&"CANFD") => self.fd_event(&words)?,
            _ => self.classic_event(&words)?,
        }) else {
            return Ok(None);
        };
        let interface = self.interface(event.channel);
        let frame = Frame::new(time, interface, event.id, event.kind, &event.data);
        frame.map(Some).ok_or(EntryFault::Length)
    }

    fn read_header(&mut self, words: &[&str]) {
        let is = |i: usize, word: &str| words.get(i).is_some_and(|w| w.eq_ignore_ascii_case(word));
        if is(0, "date") {
            self.began = parse_date(words.get(1..).unwrap_or_default()).unwrap_or(self.began);
        } else if is(0, "begin") && is(1, "triggerblock") {
            self.began = parse_date(words.get(2..).unwrap_or_default()).unwrap_or(self.began);
            self.last_us = 0;
        } else if is(0, "base") {
            self.radix = if is(1, "dec") { 10 } else { 16 };
            self.is_relative = is(2, "timestamps") && is(3, "relative");
        }
    }

    /// `time channel id[x] Rx d 8 bytes...`, `time channel id Rx r`, `time channel ErrorFrame`
    fn classic_event(&self, words: &[&str]) -> Result<Option<Event>, EntryFault> {
        let Some(channel) = words.get(1).and_then(|word| word.parse::<u16>().ok()) else { return Ok(None) };
        if words.get(2).is_some_and(|word| word.eq_ignore_ascii_case("ErrorFrame")) {
            return Ok(Some(Event::error(channel)));
        }
        // `TxRq` is a wish; the frame is told again when it was sent.
        let (Some(id), true) = (words.get(2), matches!(words.get(3), Some(&("Rx" | "Tx")))) else {
            return Ok(None);
        };
        let kind = match words.get(4) {
            Some(&("d" | "D")) => FrameKind::Data,
            Some(&("r" | "R")) => FrameKind::Remote,
            _ => return Ok(None),
        };
        let id = self.id(id, words)?;
        let mut data = Vec::new();
        if kind == FrameKind::Data {
            let count = words.get(5).and_then(|word| usize::from_str_radix(word, 16).ok());
            // A length code over 8 means 8.
            let count = count.filter(|count| *count <= 15).ok_or(EntryFault::Length)?.min(8);
            data = self.bytes(words.get(6..6 + count).ok_or(EntryFault::Length)?)?;
        }
        Ok(Some(Event { channel, id, kind, data }))
    }

    /// `time CANFD channel Rx id[x] [name] brs esi dlc length bytes... duration bits flags ...`
    fn fd_event(&self, words: &[&str]) -> Result<Option<Event>, EntryFault> {
        let Some(channel) = words.get(2).and_then(|word| word.parse::<u16>().ok()) else { return Ok(None) };
        if !matches!(words.get(3), Some(&("Rx" | "Tx"))) {
            return Ok(None);
        }
        let id = words.get(4).ok_or(EntryFault::Id)?;
        if id.eq_ignore_ascii_case("ErrorFrame") {
            return Ok(Some(Event::error(channel)));
        }
        let id = self.id(id, words)?;
        // A name may stand before the switch bit; no name is a single digit.
        let has_name = words.get(5).is_some_and(|word| !matches!(*word, "0" | "1"));
        let at = 5 + usize::from(has_name);
        let count = words.get(at + 3).and_then(|word| word.parse::<usize>().ok());
        let count = count.filter(|count| *count <= FRAME_BYTES_MAX).ok_or(EntryFault::Length)?;
        let data = self.bytes(words.get(at + 4..at + 4 + count).ok_or(EntryFault::Length)?)?;
        let flags = words.get(at + 6 + count).and_then(|word| u32::from_str_radix(word, 16).ok());
        let kind = match flags {
            Some(flags) if flags & FLAG_REMOTE != 0 && flags & FLAG_EDL == 0 => FrameKind::Remote,
            Some(flags) if flags & FLAG_EDL == 0 && count <= 8 => FrameKind::Data,
            _ => FrameKind::Fd,
        };
        Ok(Some(Event { channel, id, kind, data }))
    }

    /// An id in the file's base, `x` behind one of 29 bits; for a name the `ID =` behind the data.
    fn id(&self, word: &str, words: &[&str]) -> Result<FrameId, EntryFault> {
        let parse = |word: &str, radix: u32| {
            let (digits, is_extended) = match word.strip_suffix(['x', 'X']) {
                Some(digits) => (digits, true),
                None => (word, false),
            };
            let raw = u32::from_str_radix(digits, radix).ok()?;
            let max = if is_extended { 0x1FFF_FFFF } else { 0x7FF };
            (raw <= max).then_some(FrameId { raw, is_extended })
        };
        let behind = || {
            let at = words.windows(2).position(|pair| pair == ["ID", "="])?;
            parse(words.get(at + 2)?, 10)
        };
        parse(word, self.radix).or_else(behind).ok_or(EntryFault::Id)
    }

    fn bytes(&self, words: &[&str]) -> Result<Vec<u8>, EntryFault> {
        let bytes = words.iter().map(|word| u8::from_str_radix(word, self.radix));
        bytes.collect::<Result<_, _>>().map_err(|_| EntryFault::Data)
    }

    fn interface(&mut self, channel: u16) -> Arc<str> {
        let name = format!("can{}", channel.saturating_sub(1));
        if let Some(known) = self.interfaces.iter().find(|known| ***known == *name) {
            return Arc::clone(known);
        }
        if self.interfaces.len() == CHANNEL_COUNT_MAX {
            self.interfaces.clear();
        }
        let name: Arc<str> = name.into();
        self.interfaces.push(Arc::clone(&name));
        name
    }
}

/// A frame, not yet on an interface.
struct Event {
    channel: u16,
    id: FrameId,
    kind: FrameKind,
    data: Vec<u8>,
}

impl Event {
    fn error(channel: u16) -> Self {
        let id = FrameId { raw: 0, is_extended: false };
        Self { channel, id, kind: FrameKind::Error, data: Vec::new() }
    }
}

impl Source for AscReader {
    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        while !self.is_at_end {
            let parsed = match self.lines.read() {
                Ok(LineRead::End) => break,
                Ok(LineRead::Line) => self.parse(),
                Ok(LineRead::TooLong) => Err(EntryFault::TooLong),
                Err(source) => {
                    self.is_at_end = true;
                    let line = self.lines.number;
                    return Err(SourceError::Read { log: self.name.clone(), line, source });
                }
            };
            match parsed {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) => {}
                Err(fault) => {
                    return Err(SourceError::Entry {
                        log: self.name.clone(),
                        place: self.lines.number,
                        fault,
                    });
                }
            }
        }
        self.is_at_end = true;
        Ok(None)
    }
}

/// `12.345678` in microseconds.
fn parse_seconds(word: &str) -> Option<i64> {
    let (whole, fraction) = word.split_once('.').unwrap_or((word, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) || whole.len() > 11 {
        return None;
    }
    let mut us: i64 = whole.parse::<i64>().ok().filter(|seconds| *seconds >= 0)? * 1_000_000;
    let mut place = 100_000;
    for digit in fraction.bytes().take(6) {
        us += i64::from(digit - b'0') * place;
        place /= 10;
    }
    Some(us)
}

/// Months by their first letters, in English and German.
const MONTHS: [&[&str]; 12] = [
    &["jan"],
    &["feb"],
    &["mar", "mär", "mrz"],
    &["apr"],
    &["may", "mai"],
    &["jun"],
    &["jul"],
    &["aug"],
    &["sep"],
    &["oct", "okt"],
    &["nov"],
    &["dec", "dez"],
];

/// `Mon Jul 26 04:40:55.012 2021`, `Mon Jul 26 04:40:55 pm 2021`, `Thu, 09 Nov 2023 20:21:36 GMT`.
fn parse_date(words: &[&str]) -> Option<Timestamp> {
    let (mut month, mut day, mut year, mut clock, mut half) = (None, None, None, None, 0);
    for word in words.iter().take(8) {
        let lower = word.trim_end_matches([',', '.']).to_lowercase();
        let named = MONTHS.iter().position(|names| names.iter().any(|name| lower.starts_with(name)));
        if lower.contains(':') {
            clock = Some(lower);
        } else if lower == "pm" || lower == "am" {
            half = if lower == "pm" { 2 } else { 1 };
        } else if let Ok(number) = lower.parse::<u32>() {
            if number > 31 { year = Some(number) } else { day = Some(number) }
        } else if let Some(index) = named {
            month = Some(index + 1);
        }
    }
    let (clock, year) = (clock?, year.filter(|year| (1970..=9999).contains(year))?);
    let mut parts = clock.splitn(3, ':');
    let (hour, minute) = (parts.next()?.parse::<u32>().ok()?, parts.next()?.parse::<u32>().ok()?);
    let second_us = parse_seconds(parts.next().unwrap_or("0")).filter(|us| *us < 61_000_000)?;
    let hour = match half {
        1 => hour % 12,
        2 => hour % 12 + 12,
        _ => hour,
    };
    let text = format!("{year:04}-{:02}-{:02}T{hour:02}:{minute:02}:00Z", month?, day?);
    Some(Timestamp::parse(&text).ok()?.plus_us(second_us))
}

#[cfg(test)]
mod tests;
