//! Lines from a receiver, wherever it is; never longer without an answer than a quarter second.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::Path,
    time::Duration,
};

use nix::{
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::termios::{self, BaudRate, ControlFlags, SetArg, Termios},
};
use service::SharedClock;

use super::{Receiver, gpsd};

/// Longest wait for bytes at a time.
const READ_WAIT: Duration = Duration::from_millis(250);
const READ_WAIT_MS: u16 = 250;
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// A receiver that says nothing for so long is connected anew.
const SILENCE_US: i64 = 30_000_000;
/// Longest line: gpsd's list of satellites has some ten thousand bytes.
const LINE_BYTES_MAX: usize = 16 * 1024;
const CHUNK_BYTES: usize = 4096;

/// What a wait for a line gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LineEvent {
    /// A line, without its end.
    Line(Vec<u8>),
    /// Nothing for now.
    Quiet,
    /// The other side has closed, or the file has ended.
    End,
}

#[derive(Debug)]
enum Input {
    Tcp(TcpStream),
    File { file: File, is_regular: bool },
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    input: Input,
    clock: SharedClock,
    heard_at_us: i64,
    buffer: Vec<u8>,
    /// Where in the buffer no line end was found yet.
    searched: usize,
    has_read: bool,
    has_ended: bool,
}

impl Connection {
    /// Connects or opens.
    pub(crate) fn open(receiver: &Receiver, clock: &SharedClock) -> io::Result<Self> {
        let input = match receiver {
            Receiver::Gpsd(address) => {
                let mut stream = connect(address)?;
                stream.write_all(gpsd::WATCH)?;
                Input::Tcp(stream)
            }
            Receiver::NmeaTcp(address) => Input::Tcp(connect(address)?),
            Receiver::NmeaFile { path, baud } => open_file(path, *baud)?,
        };
        Ok(Self {
            input,
            clock: clock.clone(),
            heard_at_us: clock.monotonic_us(),
            buffer: Vec::with_capacity(CHUNK_BYTES),
            searched: 0,
            has_read: false,
            has_ended: false,
        })
    }

    /// Whether it is a plain file, which has an end.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self.input, Input::File { is_regular: true, .. })
    }

    /// Whether anything came.
    pub(crate) fn has_read(&self) -> bool {
        self.has_read
    }

    /// The next line. One over the limit is cut into pieces, which no reader believes.
    pub(crate) fn next_line(&mut self) -> io::Result<LineEvent> {
        if let Some(line) = self.take_line() {
            return Ok(LineEvent::Line(line));
        }
        if self.has_ended {
            return Ok(LineEvent::End);
        }
        let mut chunk = [0_u8; CHUNK_BYTES];
        let count = match self.input.read(&mut chunk) {
            Ok(count) => count,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                ) =>
            {
                if self.clock.monotonic_us().saturating_sub(self.heard_at_us) > SILENCE_US {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "silent for 30 s"));
                }
                return Ok(LineEvent::Quiet);
            }
            Err(error) => return Err(error),
        };
        self.heard_at_us = self.clock.monotonic_us();
        self.has_ended = count == 0;
        self.has_read |= count > 0;
        self.buffer.extend_from_slice(&chunk[..count]);
        Ok(self
            .take_line()
            .map_or(if self.has_ended { LineEvent::End } else { LineEvent::Quiet }, LineEvent::Line))
    }

    fn take_line(&mut self) -> Option<Vec<u8>> {
        let end = self.buffer[self.searched..].iter().position(|b| *b == b'\n').map(|i| self.searched + i);
        let (line, used) = match end {
            Some(end) => (self.buffer[..end].to_vec(), end + 1),
            None if self.buffer.len() > LINE_BYTES_MAX || (self.has_ended && !self.buffer.is_empty()) => {
                (self.buffer.clone(), self.buffer.len())
            }
            None => {
                self.searched = self.buffer.len();
                return None;
            }
        };
        self.buffer.drain(..used);
        self.searched = 0;
        Some(line)
    }
}

impl Read for Input {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(bytes),
            Self::File { file, is_regular } => {
                if !*is_regular {
                    let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
                    if poll(&mut fds, PollTimeout::from(READ_WAIT_MS))? == 0 {
                        return Err(io::Error::from(io::ErrorKind::WouldBlock));
                    }
                }
                file.read(bytes)
            }
        }
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_WAIT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(READ_WAIT))?;
                stream.set_write_timeout(Some(CONNECT_WAIT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn open_file(path: &Path, baud: u32) -> io::Result<Input> {
    let flags = OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    // A pipe or a file is no terminal; a serial device is set to raw bytes at its rate.
    if let Ok(mut settings) = termios::tcgetattr(&file) {
        termios::cfmakeraw(&mut settings);
        set_rate(&mut settings, rate(baud)?);
        termios::tcsetattr(&file, SetArg::TCSANOW, &settings)?;
    }
    let is_regular = file.metadata()?.is_file();
    Ok(Input::File { file, is_regular })
}

/// Sets both rates where Linux has them, in the control flags. libc's functions for it cannot be
/// linked into a static program: the `libc` crate names them with a version of glibc's.
fn set_rate(settings: &mut Termios, rate: BaudRate) {
    settings.control_flags.remove(ControlFlags::CBAUD);
    settings.control_flags.insert(ControlFlags::from_bits_retain(rate as u32));
}

/// Rates that receivers have.
pub(crate) fn rate(baud: u32) -> io::Result<BaudRate> {
    Ok(match baud {
        4800 => BaudRate::B4800,
        9600 => BaudRate::B9600,
        19_200 => BaudRate::B19200,
        38_400 => BaudRate::B38400,
        57_600 => BaudRate::B57600,
        115_200 => BaudRate::B115200,
        230_400 => BaudRate::B230400,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "no rate of a receiver")),
    })
}

#[cfg(test)]
mod tests {
    use nix::{pty::openpty, sys::termios::cfgetospeed, unistd::ttyname};

    use super::*;

    #[test]
    #[allow(clippy::unwrap_used, reason = "a test: a failure is the message")]
    fn a_serial_device_is_set_to_raw_bytes_at_its_rate() {
        let terminal = openpty(None, None).unwrap();
        for baud in [4800, 115_200] {
            drop(open_file(&ttyname(&terminal.slave).unwrap(), baud).unwrap());
            let settings = termios::tcgetattr(&terminal.slave).unwrap();
            assert_eq!(cfgetospeed(&settings), rate(baud).unwrap());
            assert!(!settings.local_flags.contains(termios::LocalFlags::ICANON));
        }
    }
}
