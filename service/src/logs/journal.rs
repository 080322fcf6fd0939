//! Events as records of systemd's journal: each field is one of the record's, so that
//! `journalctl VEHICLE_ID=car-1` finds them.
//!
//! The native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL) is a datagram of `NAME=value` lines, or
//! of `NAME`, a length and the value where that has more than one line. `MESSAGE` is the line as
//! a person reads it, with its fields, since `journalctl` shows nothing else by itself; `EVENT` is
//! the constant message alone. A record the journal does not take (it is away, or the record is too
//! long for a datagram) goes as a line to its stream.

use std::{
    fmt::{self, Write as _},
    io::{self, Write},
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::{chain, priority};

/// Where the journal listens (systemd-journald.service(8)).
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// Longest wait for a journal that is behind; then the line goes to its stream.
const SEND_WAIT: Duration = Duration::from_secs(1);
/// Longest name of a field (systemd.journal-fields(7)).
const NAME_BYTES_MAX: usize = 64;
/// Names that mean something to the journal, to syslog or here.
const RESERVED: [&str; 11] = [
    "MESSAGE",
    "MESSAGE_ID",
    "PRIORITY",
    "ERRNO",
    "INVOCATION_ID",
    "USER_INVOCATION_ID",
    "DOCUMENTATION",
    "TID",
    "UNIT",
    "TARGET",
    "EVENT",
];
const RESERVED_BEGINNINGS: [&str; 4] = ["CODE_", "SYSLOG_", "OBJECT_", "COREDUMP_"];

/// A way into the journal.
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
    /// `SYSLOG_IDENTIFIER`: the name of the program.
    identifier: String,
    /// Where lines go that the socket does not take.
    stream: Mutex<Box<dyn Write + Send>>,
}

impl Journal {
    /// The journal at `path`, if one listens there.
    pub(super) fn open(path: &Path, stream: Box<dyn Write + Send>) -> io::Result<Self> {
        UnixDatagram::unbound()?.connect(path)?;
        // Not connected: a journal that is started anew is found at the same path.
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_WAIT))?;
        Ok(Self { socket, path: path.to_owned(), identifier: program(), stream: Mutex::new(stream) })
    }

    fn record(&self, metadata: &Metadata<'_>, fields: &Fields, of_spans: &[(String, String)]) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        put(&mut out, "MESSAGE", &fields.line());
        put(&mut out, "PRIORITY", &priority(*metadata.level()).to_string());
        put(&mut out, "SYSLOG_IDENTIFIER", &self.identifier);
        put(&mut out, "TARGET", metadata.target());
        put(&mut out, "EVENT", &fields.message);
        if let Some(file) = metadata.file() {
            put(&mut out, "CODE_FILE", file);
        }
        if let Some(line) = metadata.line() {
            put(&mut out, "CODE_LINE", &line.to_string());
        }
        for (name, value) in of_spans.iter().chain(&fields.named) {
            put(&mut out, name, value);
        }
        out
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Journal {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut of_spans = Vec::new();
        for span in
            context.event_scope(event).into_iter().flat_map(tracing_subscriber::registry::Scope::from_root)
        {
            if let Some(fields) = span.extensions().get::<Fields>() {
                of_spans.extend_from_slice(&fields.named);
            }
        }
        let record = self.record(event.metadata(), &fields, &of_spans);
        if self.socket.send_to(&record, &self.path).is_err() {
            let line = format!("<{}>{}\n", priority(*event.metadata().level()), fields.line());
            let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
            // A log that cannot be written must not stop what is logged.
            drop(stream.write_all(line.as_bytes()));
        }
    }
}

/// The file name of the program, as the journal itself has it of lines on its stream.
fn program() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    path.file_name().map_or_else(|| "roadlake".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// What an event or a span says.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    /// ` name=value` of each field.
    rest: String,
    /// The same as fields of a record.
    named: Vec<(String, String)>,
}

impl Fields {
    fn line(&self) -> String {
        format!("{}{}", self.message, self.rest).trim_start().to_owned()
    }

    /// `shown` is how the line has the value, quoted where that is needed.
    fn add(&mut self, field: &Field, value: String, shown: &dyn fmt::Display) {
        if field.name() == "message" {
            self.message = value;
            return;
        }
        // Into a string, which takes everything.
        let _ = write!(self.rest, " {}={shown}", field.name());
        if let Some(name) = record_name(field.name()) {
            self.named.push((name, value));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        let shown = value.clone();
        self.add(field, value, &shown);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned(), &format_args!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let value = chain(value).to_string();
        let shown = value.clone();
        self.add(field, value, &shown);
    }
}

/// The name of a field in a record: capitals, digits and underscores, with a letter in front; one
/// that is taken gets `F_`.
fn record_name(name: &str) -> Option<String> {
    let capitals = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    let name: String = capitals.skip_while(|c| !c.is_ascii_alphabetic()).take(NAME_BYTES_MAX - 2).collect();
    let is_taken =
        RESERVED.contains(&name.as_str()) || RESERVED_BEGINNINGS.iter().any(|head| name.starts_with(head));
    (!name.is_empty()).then(|| if is_taken { format!("F_{name}") } else { name })
}

/// Adds a field to a record.
fn put(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
