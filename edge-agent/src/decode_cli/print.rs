//! One line a signal, of `timestamp`, `interface`, `frame_id`, `signal`, `raw`, `value`, `unit` and `label`:
//! as CSV with a header, or as one JSON object each.

use std::{
    fmt,
    io::{self, Write},
};

use wire::time::Timestamp;

use super::Format;
use crate::{
    decode::{Decoder, Raw, Sample, SignalDef},
    frame::{Frame, FrameId},
    j1939::Message,
};

const HEADER: &[u8] = b"timestamp,interface,frame_id,signal,raw,value,unit,label\n";

/// Writes the lines; the texts of each signal are quoted once, before the first frame.
pub(super) struct Printer<'a, W: Write> {
    signals: Vec<Quoted<'a>>,
    format: Format,
    out: W,
    has_header: bool,
    /// The first three fields of the frame at hand.
    head: Vec<u8>,
}

struct Quoted<'a> {
    def: &'a SignalDef,
    name: String,
    unit: String,
    labels: Vec<String>,
}

impl<'a, W: Write> Printer<'a, W> {
    pub(super) fn new(decoder: &'a Decoder, format: Format, out: W) -> Self {
        let quoted = |text: &str| quoted(text, format);
        let signals = decoder
            .signals()
            .iter()
            .map(|def| Quoted {
                def,
                name: quoted(&def.name),
                unit: quoted(&def.unit),
                labels: def.labels.iter().map(|(_, text)| quoted(text)).collect(),
            })
            .collect();
        Self { signals, format, out, has_header: false, head: Vec::new() }
    }

    /// Prints the signals of a frame and says how many; `None` when the decoder does not have it.
    pub(super) fn frame(&mut self, decoder: &Decoder, frame: &Frame) -> io::Result<Option<u64>> {
        self.head(frame.time, &frame.interface, frame.id)?;
        let mut row =
            Row { out: &mut self.out, format: self.format, head: &self.head, count: 0, written: Ok(()) };
        let found = decoder.decode(frame, &mut |sample| row.write(&self.signals, sample));
        let Row { written, count, .. } = row;
        written.map(|()| found.map(|_| count))
    }

    /// Prints the signals of a message of many frames and says how many.
    pub(super) fn message(
        &mut self,
        decoder: &Decoder,
        interface: &str,
        message: &Message,
    ) -> io::Result<u64> {
        let Some(index) = decoder.message_of_long(message) else { return Ok(0) };
        self.head(message.time, interface, message.id())?;
        let mut row =
            Row { out: &mut self.out, format: self.format, head: &self.head, count: 0, written: Ok(()) };
        decoder.decode_payload(index, &message.data, &mut |sample| row.write(&self.signals, sample));
        let Row { written, count, .. } = row;
        written.map(|()| count)
    }

    /// Puts together what the lines of a frame have in common.
    fn head(&mut self, time: Timestamp, interface: &str, id: FrameId) -> io::Result<()> {
        self.header()?;
        let (us_per_s, Timestamp(us)) = (1_000_000, time);
        let (s, us) = (us.div_euclid(us_per_s), us.rem_euclid(us_per_s));
        let (interface, id) = (quoted(interface, self.format), FrameIdText(id));
        self.head.clear();
        match self.format {
            Format::Csv => write!(self.head, "{s}.{us:06},{interface},{id},"),
            Format::Jsonl => write!(
                self.head,
                r#"{{"timestamp":{s}.{us:06},"interface":{interface},"frame_id":"{id}","signal":"#
            ),
        }
    }

    /// Writes what is still buffered, and the header of an empty log.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.header()?;
        self.out.flush()
    }

    fn header(&mut self) -> io::Result<()> {
        if self.format == Format::Csv && !self.has_header {
            self.has_header = true;
            self.out.write_all(HEADER)?;
        }
        Ok(())
    }
}

/// The lines of one frame on their way out.
struct Row<'a, W> {
    out: &'a mut W,
    format: Format,
    head: &'a [u8],
    count: u64,
    written: io::Result<()>,
}

impl<W: Write> Row<'_, W> {
    fn write(&mut self, signals: &[Quoted], sample: Sample) {
        if self.written.is_ok() {
            self.count += 1;
            self.written =
                signals[sample.signal.as_usize()].write(self.out, self.format, self.head, sample.raw);
        }
    }
}

impl Quoted<'_> {
    fn write(&self, out: &mut impl Write, format: Format, head: &[u8], raw: Raw) -> io::Result<()> {
        let label = raw
            .as_i64()
            .and_then(|raw| self.def.labels.binary_search_by_key(&raw, |label| label.0).ok())
            .map(|i| self.labels[i].as_str());
        let (name, unit, value) = (&self.name, &self.unit, self.def.physical(raw));
        out.write_all(head)?;
        match format {
            Format::Csv => writeln!(out, "{name},{raw},{value},{unit},{}", label.unwrap_or_default()),
            Format::Jsonl => writeln!(
                out,
                r#"{name},"raw":{},"value":{},"unit":{unit},"label":{}}}"#,
                json_number(raw.to_string()),
                json_number(value.to_string()),
                label.unwrap_or("null")
            ),
        }
    }
}

/// A number as JSON has it, which knows neither infinity nor NaN.
pub(super) fn json_number(text: String) -> String {
    let is_finite = text.ends_with(|last: char| last.is_ascii_digit());
    if is_finite { text } else { "null".to_owned() }
}

/// An id as candump writes it: three digits, or eight for an extended one.
pub(super) struct FrameIdText(pub(super) FrameId);

impl fmt::Display for FrameIdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_extended { write!(f, "{:08X}", self.0.raw) } else { write!(f, "{:03X}", self.0.raw) }
    }
}

/// A text as CSV (RFC 4180) or JSON wants it.
fn quoted(text: &str, format: Format) -> String {
    match format {
        Format::Jsonl => serde_json::Value::from(text).to_string(),
        Format::Csv if text.contains([',', '"', '\n', '\r']) => format!("\"{}\"", text.replace('"', "\"\"")),
        Format::Csv => text.to_owned(),
    }
}
