//! Logs: `tracing`, constant messages, facts as fields.

use std::{error::Error, fmt};

use tracing_subscriber::EnvFilter;

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

/// Starts logging to standard error. `ROADLAKE_LOG` (as `RUST_LOG`) overrides `default_filter`.
/// A second call does nothing.
pub fn init(default_filter: &str, format: LogFormat) {
    let filter = EnvFilter::try_from_env("ROADLAKE_LOG").unwrap_or_else(|_| EnvFilter::new(default_filter));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    // A test process starts it more than once.
    drop(started);
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
