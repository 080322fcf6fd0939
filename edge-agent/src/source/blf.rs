//! Vector's binary format, `.blf`: a file header, then objects, mostly packed in containers.
//!
//! Objects are little-endian: `LOBJ`, the size of the header, its version, the size of the whole,
//! the type; then flags (the unit of time), and the time since the beginning of the measurement.
//! Messages of CAN and CAN FD and error frames are read, others passed over. The date has no zone
//! and is taken as UTC. Channel 1 is `can0`, as in candump's logs.
//!
//! Bounds: a container of 64 MiB unpacked; writers make them of 128 KiB.

use std::{
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use flate2::read::ZlibDecoder;
use wire::time::Timestamp;

use super::{
    EntryFault, Source, SourceError,
    log::{LogInput, LogReader},
};
use crate::frame::{FRAME_BYTES_MAX, Frame, FrameId, FrameKind};

/// What a file begins with.
pub(crate) const FILE_MAGIC: [u8; 4] = *b"LOGG";
const OBJECT_MAGIC: [u8; 4] = *b"LOBJ";
/// Bytes of the file header that mean something here; it says itself how long it is.
const FILE_HEADER_BYTES: usize = 56;
const FILE_HEADER_BYTES_MAX: usize = 4096;
/// Signature, two sizes, version and type.
const BASE_BYTES: usize = 16;
/// With flags and time.
const HEADER_BYTES: usize = 32;
/// Method, size unpacked, and reserved bytes before a container's content.
const CONTAINER_HEADER_BYTES: usize = 16;
/// Most bytes of an object or a container.
const CONTAINER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Objects are padded to multiples of four, by some writers of eight.
const PADDING_BYTES_MAX: usize = 8;

const TYPE_CAN_MESSAGE: u32 = 1;
const TYPE_CAN_ERROR: u32 = 2;
const TYPE_CONTAINER: u32 = 10;
const TYPE_CAN_ERROR_EXT: u32 = 73;
const TYPE_CAN_MESSAGE2: u32 = 86;
const TYPE_CAN_FD_MESSAGE: u32 = 100;
const TYPE_CAN_FD_MESSAGE_64: u32 = 101;

/// Times are in units of 10 µs; otherwise of 1 ns.
const TIME_TEN_MICROS: u32 = 1;
/// The remote bit of a message's flags.
const FLAG_REMOTE: u8 = 0x80;
/// `EDL` of a CAN FD message's own flags.
const FD_FLAG_EDL: u8 = 0x1;
/// `EDL` and the remote bit of the longer CAN FD message's flags.
const FD64_FLAG_EDL: u32 = 0x1000;
const FD64_FLAG_REMOTE: u32 = 0x10;
const ID_EXTENDED: u32 = 0x8000_0000;
const ID_MASK: u32 = 0x1FFF_FFFF;

/// Reads a BLF log.
pub struct BlfReader {
    name: String,
    input: LogInput,
    began: Timestamp,
    /// Objects, unpacked; an object may go on in the next container.
    data: Vec<u8>,
    at: usize,
    number: u64,
    interfaces: Vec<Option<Arc<str>>>,
    is_at_end: bool,
}

impl std::fmt::Debug for BlfReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlfReader").field("name", &self.name).field("object", &self.number).finish()
    }
}

/// What looking for an object gave.
enum Step {
    Frame(Frame),
    Other,
    NeedMore,
}

impl BlfReader {
    /// Opens a file, packed by gzip or not.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        match LogReader::open(path)? {
            LogReader::Blf(reader) => Ok(reader),
            LogReader::Candump(_) | LogReader::Asc(_) => Err(SourceError::Open {
                path: path.to_owned(),
                source: io::Error::new(io::ErrorKind::InvalidData, "no BLF log"),
            }),
        }
    }

    pub(super) fn of_input(name: String, mut input: LogInput) -> Result<Self, SourceError> {
        let began = match read_file_header(&mut input) {
            Ok(began) => began,
            Err(source) => return Err(SourceError::Read { log: name, line: 0, source }),
        };
        let (data, interfaces) = (Vec::new(), Vec::new());
        Ok(Self { name, input, began, data, at: 0, number: 0, interfaces, is_at_end: false })
    }

    /// The number of the object the last frame or error came from, from 1.
    pub fn object_number(&self) -> u64 {
        self.number
    }

    /// Takes the next object off the unpacked data.
    fn step(&mut self) -> Result<Step, EntryFault> {
        let rest = self.data.get(self.at..).unwrap_or_default();
        let window = rest.get(..rest.len().min(PADDING_BYTES_MAX + 4)).unwrap_or_default();
        let Some(padding) = find(window) else {
            if rest.len() < PADDING_BYTES_MAX + 4 {
                return Ok(Step::NeedMore);
            }
            // Lost: on from where the next object seems to begin.
            self.number += 1;
            let kept = OBJECT_MAGIC.len() - 1;
            self.at += find(rest).unwrap_or(rest.len() - kept);
            return Err(EntryFault::Object);
        };
        let object = rest.get(padding..).unwrap_or_default();
        let Some(size) = u32_at(object, 8).and_then(|size| usize::try_from(size).ok()) else {
            return Ok(Step::NeedMore);
        };
        if !(BASE_BYTES..=CONTAINER_BYTES_MAX).contains(&size) {
            self.number += 1;
            self.at += padding + OBJECT_MAGIC.len();
            return Err(EntryFault::Object);
        }
        let Some(object) = object.get(..size) else { return Ok(Step::NeedMore) };
        self.number += 1;
        let parsed = parse_object(object);
        self.at += padding + size;
        let Some(event) = parsed? else { return Ok(Step::Other) };
        let time = self.began.plus_us(event.time_us);
        let interface = self.interface(event.channel);
        let bytes = event.data.get(..event.len).ok_or(EntryFault::Length)?;
        Frame::new(time, interface, event.id, event.kind, bytes).map(Step::Frame).ok_or(EntryFault::Length)
    }

    fn interface(&mut self, channel: u16) -> Arc<str> {
        let index = channel.saturating_sub(1);
        let place = usize::from(index);
        // No writer has more channels than a byte counts.
        if place >= 256 {
            return format!("can{index}").into();
        }
        if self.interfaces.len() <= place {
            self.interfaces.resize(place + 1, None);
        }
        let name = &mut self.interfaces[place];
        Arc::clone(name.get_or_insert_with(|| format!("can{index}").into()))
    }

    /// Reads the next object of the file; a container's content is unpacked. `false` at the end.
    fn read_more(&mut self) -> io::Result<bool> {
        self.data.drain(..self.at.min(self.data.len()));
        self.at = 0;
        let mut base = [0_u8; BASE_BYTES];
        let mut have = 0;
        loop {
            let count = read_some(&mut self.input, &mut base[have..])?;
            have += count;
            if have < BASE_BYTES {
                if count == 0 {
                    // Up to eight bytes of padding end a file.
                    return if have <= PADDING_BYTES_MAX { Ok(false) } else { Err(cut_short()) };
                }
                continue;
            }
            match find(&base) {
                Some(0) => break,
                // Padding, or damage: on by what is none of an object.
                found => {
                    let skip = found.unwrap_or(BASE_BYTES - OBJECT_MAGIC.len() + 1);
                    base.copy_within(skip.., 0);
                    have = BASE_BYTES - skip;
                }
            }
        }
        let size = u32_at(&base, 8).and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
        if !(BASE_BYTES..=CONTAINER_BYTES_MAX).contains(&size) {
            return Err(invalid("an object has no possible size"));
        }
        let mut body = Vec::new();
        let wanted = size - BASE_BYTES;
        self.input.by_ref().take(u64::try_from(wanted).unwrap_or(0)).read_to_end(&mut body)?;
        if body.len() < wanted {
            return Err(cut_short());
        }
        if u32_at(&base, 12) != Some(TYPE_CONTAINER) {
            self.data.extend_from_slice(&base);
            self.data.append(&mut body);
            return Ok(true);
        }
        let (Some(method), Some(content)) = (u16_at(&body, 0), body.get(CONTAINER_HEADER_BYTES..)) else {
            return Err(cut_short());
        };
        let room = u64::try_from(CONTAINER_BYTES_MAX.saturating_sub(self.data.len())).unwrap_or(0);
        match method {
            0 => self.data.extend_from_slice(content),
            2 => {
                ZlibDecoder::new(content).take(room).read_to_end(&mut self.data)?;
            }
            _ => return Err(invalid("a container is packed in an unknown way")),
        }
        if self.data.len() >= CONTAINER_BYTES_MAX {
            return Err(invalid("a container is larger than 64 MiB"));
        }
        Ok(true)
    }
}

impl Source for BlfReader {
    fn next(&mut self) -> Result<Option<Frame>, SourceError> {
        while !self.is_at_end {
            match self.step() {
                Ok(Step::Frame(frame)) => return Ok(Some(frame)),
                Ok(Step::Other) => {}
                Ok(Step::NeedMore) => match self.read_more() {
                    Ok(true) => {}
                    Ok(false) => {
                        self.is_at_end = true;
                        if self.data.len().saturating_sub(self.at) > PADDING_BYTES_MAX {
                            let (log, line) = (self.name.clone(), self.number);
                            return Err(SourceError::Read { log, line, source: cut_short() });
                        }
                    }
                    Err(source) => {
                        self.is_at_end = true;
                        let (log, line) = (self.name.clone(), self.number);
                        return Err(SourceError::Read { log, line, source });
                    }
                },
                Err(fault) => {
                    return Err(SourceError::Entry { log: self.name.clone(), place: self.number, fault });
                }
            }
        }
        Ok(None)
    }
}

/// A frame, not yet on an interface.
struct Event {
    time_us: i64,
    channel: u16,
    id: FrameId,
    kind: FrameKind,
    data: [u8; FRAME_BYTES_MAX],
    len: usize,
}

/// The frame in an object; `None` when it is something else.
fn parse_object(object: &[u8]) -> Result<Option<Event>, EntryFault> {
    let kind = u32_at(object, 12).ok_or(EntryFault::Object)?;
    if !matches!(
        kind,
        TYPE_CAN_MESSAGE
            | TYPE_CAN_MESSAGE2
            | TYPE_CAN_ERROR
            | TYPE_CAN_ERROR_EXT
            | TYPE_CAN_FD_MESSAGE
            | TYPE_CAN_FD_MESSAGE_64
    ) {
        return Ok(None);
    }
    let header_bytes = usize::from(u16_at(object, 4).ok_or(EntryFault::Object)?);
    if header_bytes < HEADER_BYTES {
        return Err(EntryFault::Object);
    }
    let (flags, ticks) = (u32_at(object, 16), u64_at(object, 24));
    let (flags, ticks) = flags.zip(ticks).ok_or(EntryFault::Object)?;
    let ticks = i64::try_from(ticks).map_err(|_| EntryFault::Object)?;
    // Some writers compute nanoseconds with floats, so that they end in 499,999: rounded.
    let time_us = if flags & TIME_TEN_MICROS == 0 {
        ticks.saturating_add(500) / 1000
    } else {
        ticks.saturating_mul(10)
    };
    let body = object.get(header_bytes..).ok_or(EntryFault::Object)?;
    let parsed = match kind {
        TYPE_CAN_MESSAGE | TYPE_CAN_MESSAGE2 => parse_message(body),
        TYPE_CAN_FD_MESSAGE => parse_fd_message(body),
        TYPE_CAN_FD_MESSAGE_64 => parse_fd_message_64(body),
        _ => u16_at(body, 0).map(|channel| event(channel, Some(0), FrameKind::Error, &[])),
    };
    let mut event = parsed.ok_or(EntryFault::Object)??;
    event.time_us = time_us;
    Ok(Some(event))
}

/// Channel 2, flags 1, length code 1, id 4, data 8.
fn parse_message(body: &[u8]) -> Option<Result<Event, EntryFault>> {
    let (channel, flags, code) = (u16_at(body, 0)?, *body.get(2)?, *body.get(3)?);
    let id = u32_at(body, 4)?;
    if flags & FLAG_REMOTE != 0 {
        return Some(event(channel, Some(id), FrameKind::Remote, &[]));
    }
    let data = body.get(8..8 + usize::from(code.min(8)))?;
    Some(event(channel, Some(id), FrameKind::Data, data))
}

/// Channel 2, flags 1, length code 1, id 4, duration 4, bits 1, FD flags 1, length 1, reserved 5,
/// data 64.
fn parse_fd_message(body: &[u8]) -> Option<Result<Event, EntryFault>> {
    let (channel, id) = (u16_at(body, 0)?, u32_at(body, 4)?);
    let (fd_flags, len) = (*body.get(13)?, usize::from(*body.get(14)?));
    let is_fd = fd_flags & FD_FLAG_EDL != 0;
    if !is_fd && *body.get(2)? & FLAG_REMOTE != 0 {
        return Some(event(channel, Some(id), FrameKind::Remote, &[]));
    }
    let kind = if is_fd || len > 8 { FrameKind::Fd } else { FrameKind::Data };
    Some(event(channel, Some(id), kind, body.get(20..20 + len)?))
}

/// Channel 1, length code 1, length 1, count 1, id 4, duration 4, flags 4, rates and offsets 16,
/// bits 2, direction 1, offset 1, checksum 4, data.
fn parse_fd_message_64(body: &[u8]) -> Option<Result<Event, EntryFault>> {
    let (channel, len) = (u16::from(*body.first()?), usize::from(*body.get(2)?));
    let (id, flags) = (u32_at(body, 4)?, u32_at(body, 12)?);
    let is_fd = flags & FD64_FLAG_EDL != 0;
    if !is_fd && flags & FD64_FLAG_REMOTE != 0 {
        return Some(event(channel, Some(id), FrameKind::Remote, &[]));
    }
    let kind = if is_fd || len > 8 { FrameKind::Fd } else { FrameKind::Data };
    Some(event(channel, Some(id), kind, body.get(40..40 + len)?))
}

fn event(channel: u16, id: Option<u32>, kind: FrameKind, bytes: &[u8]) -> Result<Event, EntryFault> {
    let id = id.ok_or(EntryFault::Id)?;
    let (raw, is_extended) = (id & ID_MASK, id & ID_EXTENDED != 0);
    if !is_extended && raw > 0x7FF {
        return Err(EntryFault::Id);
    }
    let mut data = [0_u8; FRAME_BYTES_MAX];
    data.get_mut(..bytes.len()).ok_or(EntryFault::Length)?.copy_from_slice(bytes);
    Ok(Event { time_us: 0, channel, id: FrameId { raw, is_extended }, kind, data, len: bytes.len() })
}

/// The file header, to its end; when the measurement began.
fn read_file_header(input: &mut impl Read) -> io::Result<Timestamp> {
    let mut head = [0_u8; FILE_HEADER_BYTES];
    input.read_exact(&mut head)?;
    let size = u32_at(&head, 4).and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
    if !head.starts_with(&FILE_MAGIC) || !(FILE_HEADER_BYTES..=FILE_HEADER_BYTES_MAX).contains(&size) {
        return Err(invalid("no file header of a BLF log"));
    }
    let rest = u64::try_from(size - FILE_HEADER_BYTES).unwrap_or(0);
    if io::copy(&mut input.take(rest), &mut io::sink())? < rest {
        return Err(cut_short());
    }
    // Windows' SYSTEMTIME: year, month, day of week, day, hour, minute, second, millisecond.
    let part = |i: usize| u16_at(&head, 40 + 2 * i).unwrap_or(0);
    let text = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        part(0),
        part(1),
        part(3),
        part(4),
        part(5),
        part(6),
        part(7)
    );
    // A writer that does not know the time leaves zeros.
    Ok(Timestamp::parse(&text).unwrap_or(Timestamp(0)))
}

/// Where an object seems to begin.
fn find(bytes: &[u8]) -> Option<usize> {
    bytes.windows(OBJECT_MAGIC.len()).position(|window| window == OBJECT_MAGIC)
}

fn read_some(input: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn cut_short() -> io::Error {
    io::Error::from(io::ErrorKind::UnexpectedEof)
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests;
