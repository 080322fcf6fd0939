//! One line a signal: `timestamp,interface,frame_id,signal,raw,value,unit,label`.

use std::{
    fmt,
    io::{self, Write},
};

use wire::time::Timestamp;

use crate::{
    decode::{Decoder, Raw, Sample, SignalDef},
    frame::{Frame, FrameId},
    j1939::Message,
};

const HEADER: &[u8] = b"timestamp,interface,frame_id,signal,raw,value,unit,label\n";

/// Writes the lines; the texts of each signal are quoted once, before the first frame.
pub(super) struct Printer<'a, W: Write> {
    signals: Vec<Quoted<'a>>,
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
    pub(super) fn new(decoder: &'a Decoder, out: W) -> Self {
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
        Self { signals, out, has_header: false, head: Vec::new() }
    }

    /// Prints the signals of a frame and says how many; `None` when the decoder does not have it.
    pub(super) fn frame(&mut self, decoder: &Decoder, frame: &Frame) -> io::Result<Option<u64>> {
        self.head(frame.time, &frame.interface, frame.id)?;
        let mut row = Row { out: &mut self.out, head: &self.head, count: 0, written: Ok(()) };
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
        let mut row = Row { out: &mut self.out, head: &self.head, count: 0, written: Ok(()) };
        decoder.decode_payload(index, &message.data, &mut |sample| row.write(&self.signals, sample));
        let Row { written, count, .. } = row;
        written.map(|()| count)
    }

    /// Puts together what the lines of a frame have in common.
    fn head(&mut self, time: Timestamp, interface: &str, id: FrameId) -> io::Result<()> {
        self.header()?;
        let (us_per_s, Timestamp(us)) = (1_000_000, time);
        self.head.clear();
        write!(
            self.head,
            "{}.{:06},{},{},",
            us.div_euclid(us_per_s),
            us.rem_euclid(us_per_s),
            quoted(interface),
            FrameIdText(id)
        )
    }

    /// Writes what is still buffered, and the header of an empty log.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.header()?;
        self.out.flush()
    }

    fn header(&mut self) -> io::Result<()> {
        if !self.has_header {
            self.has_header = true;
            self.out.write_all(HEADER)?;
        }
        Ok(())
    }
}

/// The lines of one frame on their way out.
struct Row<'a, W> {
    out: &'a mut W,
    head: &'a [u8],
    count: u64,
    written: io::Result<()>,
}

impl<W: Write> Row<'_, W> {
    fn write(&mut self, signals: &[Quoted], sample: Sample) {
        if self.written.is_ok() {
            self.count += 1;
            self.written = signals[sample.signal.as_usize()].write(self.out, self.head, sample.raw);
        }
    }
}

impl Quoted<'_> {
    fn write(&self, out: &mut impl Write, head: &[u8], raw: Raw) -> io::Result<()> {
        let label = raw
            .as_i64()
            .and_then(|raw| self.def.labels.binary_search_by_key(&raw, |label| label.0).ok())
            .map_or("", |i| &self.labels[i]);
        out.write_all(head)?;
        writeln!(out, "{},{raw},{},{},{label}", self.name, self.def.physical(raw), self.unit)
    }
}

/// An id as candump writes it: three digits, or eight for an extended one.
pub(super) struct FrameIdText(pub(super) FrameId);

impl fmt::Display for FrameIdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_extended { write!(f, "{:08X}", self.0.raw) } else { write!(f, "{:03X}", self.0.raw) }
    }
}

/// A field as CSV wants it (RFC 4180).
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
