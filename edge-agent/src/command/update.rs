//! Running the updater of the unit: a program of its owner's, such as `rauc` or `swupdate`.
//!
//! It is called with its configured arguments and the version behind them, without a shell. What it
//! writes goes to a file in the spool's folder, whose end the reply carries.

use std::{
    fs::{self, File},
    io,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use service::{Clock, clock::micros};

use super::Next;

/// The exit code by which an updater asks for the agent to be started again.
pub const RESTART_CODE: i32 = 10;
/// Most of what it wrote that a reply carries.
const LOG_BYTES_MAX: usize = 16 * 1024;
/// How often a running one is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What brings the unit to another version of its software.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updater {
    /// The program.
    pub program: PathBuf,
    /// What comes before the version on its command line.
    pub arguments: Vec<String>,
    /// Longest it may take.
    pub time_max: Duration,
    /// Where what it writes goes.
    pub log_file: PathBuf,
}

/// Why an update was not applied.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// It could not be started.
    #[error("cannot run updater {program}")]
    Start {
        /// Which.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended otherwise than with 0 or [`RESTART_CODE`].
    #[error("the updater ended with {how}")]
    Ended {
        /// Its exit code, or the signal that ended it.
        how: String,
        /// The end of what it wrote.
        log: String,
    },
    /// It took too long and was killed.
    #[error("the updater was ended after {} s (`commands.update_time_max`)", .time_max.as_secs())]
    TooLong {
        /// The most.
        time_max: Duration,
        /// The end of what it wrote.
        log: String,
    },
}

impl UpdateError {
    /// The end of what the updater wrote.
    pub fn log(&self) -> &str {
        match self {
            Self::Start { .. } => "",
            Self::Ended { log, .. } | Self::TooLong { log, .. } => log,
        }
    }
}

impl Updater {
    /// Runs it to its end; blocks. Gives the end of what it wrote.
    pub(super) fn run(&self, version: &str, clock: &dyn Clock) -> Result<(String, Next), UpdateError> {
        let start = |source| UpdateError::Start { program: self.program.clone(), source };
        let log = File::create(&self.log_file).map_err(start)?;
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .arg(version)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(start)?)
            .stderr(log)
            // A group of its own, so that what it starts can be ended with it.
            .process_group(0)
            .spawn()
            .map_err(start)?;
        let status = self.wait(&mut child, clock).map_err(start)?;
        let log = end_of(&self.log_file);
        match status {
            None => Err(UpdateError::TooLong { time_max: self.time_max, log }),
            Some(status) if status.success() => Ok((log, Next::GoOn)),
            Some(status) if status.code() == Some(RESTART_CODE) => Ok((log, Next::Restart)),
            Some(status) => Err(UpdateError::Ended { how: told(status), log }),
        }
    }

    /// Its status; `None` when it had to be killed.
    fn wait(&self, child: &mut Child, clock: &dyn Clock) -> io::Result<Option<ExitStatus>> {
        let until_us = clock.monotonic_us().saturating_add(micros(self.time_max));
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            if clock.monotonic_us() >= until_us {
                end_group(child)?;
                child.wait()?;
                return Ok(None);
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
}

fn end_group(child: &Child) -> io::Result<()> {
    let group = i32::try_from(child.id()).map_err(io::Error::other)?;
    Ok(killpg(Pid::from_raw(group), Signal::SIGKILL)?)
}

fn told(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

fn end_of(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let from = bytes.len().saturating_sub(LOG_BYTES_MAX);
    String::from_utf8_lossy(&bytes[from..]).into_owned()
}
