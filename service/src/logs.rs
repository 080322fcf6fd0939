//! Logs: `tracing`, constant messages, facts as fields.

use std::{
    collections::VecDeque,
    error::Error,
    fmt,
    io::{self, IsTerminal, Write},
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Mutex, OnceLock, PoisonError},
};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    filter::Targets,
    fmt::{FmtContext, FormatEvent, FormatFields, format},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

mod journal;

use journal::Journal;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What a server logs: our own life cycle, and of the libraries below only what went wrong.
pub const DEFAULT_FILTER: &str = "info,rumqttd=warn,rumqttc=warn,buoyant_kernel=warn,\
    buoyant_kernel_engine=warn,deltalake_core=warn,datafusion=warn,sqlx=warn";

/// Starts logging to standard error. `ROADLAKE_LOG` overrides `default_filter`: as `RUST_LOG`, levels by target, without
/// spans and their fields, for which the agent would carry an engine of regular expressions.
/// A second call does nothing. Where standard error is the journal of systemd, events are records
/// with their fields (`journal.rs`); where its socket is not to be found, every line begins with its
/// priority (`<3>`, sd-daemon(3)) and has neither time nor colour: the journal has both.
pub fn init(default_filter: &str, format: LogFormat) {
    let filter = filter(std::env::var("ROADLAKE_LOG").ok().as_deref(), default_filter);
    let is_for_journal = format == LogFormat::Text && is_journal();
    if is_for_journal && let Ok(journal) = Journal::open(Path::new(journal::SOCKET), Box::new(io::stderr())) {
        // A test process starts it more than once.
        drop(journaled(journal, filter).try_init());
        return;
    }
    let has_colour = io::stderr().is_terminal() && RECENT.get().is_none();
    let lines = tracing_subscriber::fmt::layer().with_ansi(has_colour).with_writer(|| Output);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match format {
        LogFormat::Text if is_for_journal => {
            let plain = format::Format::default().without_time().with_level(false);
            registry.with(lines.event_format(Prioritized(plain))).try_init()
        }
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json()).try_init(),
    };
    drop(started);
}

/// What is logged: as asked for, where that can be read.
fn filter(asked: Option<&str>, default_filter: &str) -> Targets {
    let asked = asked.filter(|text| !text.trim().is_empty()).and_then(|text| text.parse().ok());
    asked.or_else(|| default_filter.parse().ok()).unwrap_or_else(|| Targets::new().with_default(Level::INFO))
}

/// Events to the journal, and as lines into what is kept.
fn journaled(journal: Journal, filter: Targets) -> impl Subscriber + Send + Sync {
    let kept = RECENT
        .get()
        .map(|recent| tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || recent));
    tracing_subscriber::registry().with(filter).with(journal).with(kept)
}

/// Whether standard error is the journal's own stream: the variable names its device and inode
/// (systemd.exec(5)), which a redirected child does not share.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|m| stream == format!("{}:{}", m.dev(), m.ino()))
}

/// Lines with the priority of syslog(3) in front.
struct Prioritized<F>(F);

impl<S, N, F> FormatEvent<S, N> for Prioritized<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: format::Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// LOG_ERR is 3, LOG_WARNING 4, LOG_INFO 6, LOG_DEBUG 7.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// The last lines logged, for one who cannot come to the machine.
struct Recent {
    bytes_max: usize,
    bytes: Mutex<VecDeque<u8>>,
}

static RECENT: OnceLock<Recent> = OnceLock::new();

impl Write for &Recent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(bytes);
        let excess = kept.len().saturating_sub(self.bytes_max);
        kept.drain(..excess);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps the last `bytes_max` bytes of the log in memory for [`recent`]. Call before [`init`].
pub fn keep_recent(bytes_max: usize) {
    RECENT.get_or_init(|| Recent { bytes_max, bytes: Mutex::default() });
}

/// At most the last `bytes_max` bytes of the log, from the start of a line; empty unless
/// [`keep_recent`] was called.
pub fn recent(bytes_max: usize) -> String {
    let Some(recent) = RECENT.get() else { return String::new() };
    let bytes = recent.bytes.lock().unwrap_or_else(PoisonError::into_inner);
    tail(bytes.iter().copied(), bytes.len(), bytes_max)
}

fn tail(bytes: impl Iterator<Item = u8>, len: usize, bytes_max: usize) -> String {
    let skip = len.saturating_sub(bytes_max);
    let bytes: Vec<u8> = bytes.skip(skip).collect();
    let text = String::from_utf8_lossy(&bytes);
    match text.split_once('\n') {
        // The first line may have lost its start.
        Some((_, rest)) if skip > 0 => rest.to_owned(),
        _ => text.into_owned(),
    }
}

/// Standard error, and what is kept of it.
struct Output;

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(mut recent) = RECENT.get() {
            recent.write_all(bytes)?;
        }
        // A log that cannot be written must not stop what is logged.
        drop(io::stderr().write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Shows an error with its causes, `a: b: c`.
pub fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl fmt::Display + 'a {
    Chain(error)
}

struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_the_log_begins_with_a_whole_line() {
        let log = b"first line\nsecond line\nthird\n";
        assert_eq!(tail(log.iter().copied(), log.len(), 12), "third\n");
        assert_eq!(tail(log.iter().copied(), log.len(), 1000), "first line\nsecond line\nthird\n");
        assert_eq!(tail(std::iter::empty(), 0, 10), "");
    }

    #[test]
    fn what_is_asked_for_is_logged_and_the_default_otherwise() {
        let asked = filter(Some("warn,ingest::commit=trace,rumqttc=off"), DEFAULT_FILTER);
        assert!(asked.would_enable("ingest::commit", &Level::TRACE));
        assert!(!asked.would_enable("ingest", &Level::INFO) && !asked.would_enable("rumqttc", &Level::ERROR));
        for asked in [None, Some(""), Some(" "), Some("ingest=loud")] {
            let filter = filter(asked, DEFAULT_FILTER);
            assert!(
                filter.would_enable("ingest", &Level::INFO) && !filter.would_enable("ingest", &Level::DEBUG)
            );
            assert!(filter.would_enable("sqlx", &Level::WARN) && !filter.would_enable("sqlx", &Level::INFO));
        }
    }

    #[test]
    fn a_journal_line_says_its_priority() {
        #[derive(Clone, Default)]
        struct Lines(std::sync::Arc<Mutex<Vec<u8>>>);
        impl Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let format = Prioritized(format::Format::default().without_time().with_level(false));
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .event_format(format)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(bytes = 7, "it broke");
            tracing::info!("it runs");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let mut lines = text.lines();
        let first = lines.next().unwrap();
        assert!(
            first.starts_with("<3>") && first.contains("it broke") && first.contains("bytes=7"),
            "{first}"
        );
        assert!(lines.next().unwrap().starts_with("<6>"));
    }
}
