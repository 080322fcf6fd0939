//! `edge-agent top`: a running agent in the terminal, from its loopback responder.
//!
//! [`table`] draws a state beside the one before it; the rest fetches and redraws. Plain ANSI
//! sequences, no screen library.

pub mod table;

use std::{
    io::{self, IsTerminal, Read, Write},
    net::{SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use service::{exit, logs::chain};

use crate::unit::state::UnitState;
use table::Size;

/// Time to connect, and between two bytes of an answer.
const TIME_MAX: Duration = Duration::from_secs(3);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// Home, then what is below is cleared once drawn: no flicker.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K\n";
const CLEAR_BELOW: &str = "\x1b[J";

/// Arguments of `edge-agent top`.
#[derive(Debug, Clone, Args)]
pub struct TopArgs {
    /// Where the agent listens: `[unit] listen` of its configuration.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9464")]
    pub address: SocketAddr,
    /// Time between two looks, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub interval: f64,
    /// Print the table once, with rates over one interval, and end.
    #[arg(long)]
    pub once: bool,
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    /// Nobody listens, or the connection broke.
    #[error("no agent answers at {address}; is `listen` set under [unit] of its configuration?")]
    Connection {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Something else listens there.
    #[error("what listens at {address} is no agent of this release")]
    Answer {
        /// Where.
        address: SocketAddr,
        /// What was wrong, where the JSON was.
        source: Option<serde_json::Error>,
    },
    /// An interval that cannot be waited.
    #[error("--interval {0} must be from 0.1 to 3600 seconds")]
    Interval(f64),
    /// The terminal is gone.
    #[error("cannot print")]
    Print(#[source] io::Error),
}

/// Shows a running agent until interrupted, or once.
pub fn main(args: &TopArgs) -> ExitCode {
    match run(args, &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        // `edge-agent top --once | head` ends so.
        Err(TopError::Print(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("edge-agent: {}", chain(&error));
            ExitCode::from(exit::UNAVAILABLE)
        }
    }
}

/// The same, onto `out`.
pub fn run(args: &TopArgs, out: &mut impl Write) -> Result<(), TopError> {
    if !(0.1..=3600.0).contains(&args.interval) {
        return Err(TopError::Interval(args.interval));
    }
    let interval = Duration::from_secs_f64(args.interval);
    let mut before = fetch(args.address)?;
    if args.once {
        std::thread::sleep(interval);
        let now = fetch(args.address)?;
        let text = table::draw(&now, Some(&before), Size::UNBOUNDED);
        return out.write_all(text.as_bytes()).map_err(TopError::Print);
    }
    let mut shown = table::draw(&before, None, size());
    loop {
        let page = format!("{HOME}{}{CLEAR_BELOW}", shown.replace('\n', CLEAR_LINE));
        out.write_all(page.as_bytes()).and_then(|()| out.flush()).map_err(TopError::Print)?;
        std::thread::sleep(interval);
        shown = match fetch(args.address) {
            Ok(now) => {
                let text = table::draw(&now, Some(&before), size());
                before = now;
                text
            }
            // It is being restarted, perhaps: keep looking.
            Err(error) => format!("{}\n", chain(&error)),
        };
    }
}

fn size() -> Size {
    let known = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    known.map_or(Size::UNBOUNDED, |(width, height)| Size {
        columns: usize::from(width.0),
        rows: usize::from(height.0),
    })
}

/// The state of the agent at an address.
pub fn fetch(address: SocketAddr) -> Result<UnitState, TopError> {
    let failed = |source| TopError::Connection { address, source };
    let mut socket = TcpStream::connect_timeout(&address, TIME_MAX).map_err(failed)?;
    socket.set_read_timeout(Some(TIME_MAX)).map_err(failed)?;
    let request = format!("GET /v1/state HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    socket.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).map_err(failed)?;
    let text = String::from_utf8_lossy(&answer);
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => {
            serde_json::from_str(body).map_err(|e| TopError::Answer { address, source: Some(e) })
        }
        _ => Err(TopError::Answer { address, source: None }),
    }
}
