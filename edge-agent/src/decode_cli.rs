//! `edge-agent decode`: every signal of a log, one line each.
//!
//! Values go to standard output as they are decoded. Lines that are no frames and ids in no DBC
//! file are told on standard error and make the exit code [`exit::DATA`], unless `--lenient`.
//!
//! DBC files and the log may be in any order, since a name that ends in `.dbc` is a DBC file's: so
//! `edge-agent decode *.dbc drive.log` does what it seems to.
//!
//! With `--j1939` the signals of messages of many frames are printed too, at the time of the last
//! frame, under the 29-bit id a frame of that message would have.

use std::{
    collections::HashMap,
    error::Error,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use service::{exit, logs};

use crate::{
    dbc::{Dbc, DbcError},
    decode::{CompileDbcError, Decoder},
    frame::{Frame, FrameId, FrameKind},
    j1939::{Event, J1939Settings, Listener},
    source::{LogReader, Source, SourceError},
};

mod print;

const OUTPUT_BUFFER_BYTES: usize = 256 * 1024;
/// Most unknown ids remembered, and most told: a log of noise must not fill memory or screen.
const UNKNOWN_ID_COUNT_MAX: usize = 4096;
const UNKNOWN_ID_TOLD_MAX: usize = 20;
/// Most bad lines told one by one; the rest are counted.
const BAD_LINE_TOLD_MAX: u64 = 100;
/// The same before the first frame: a file of another format has none at all.
const BAD_LINE_TOLD_FIRST: u64 = 5;

/// How signals are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// `timestamp,interface,frame_id,signal,raw,value,unit,label` with a header.
    Csv,
    /// One JSON object a line, with the same names; `label` is null where there is none.
    Jsonl,
}

/// Arguments of `edge-agent decode`.
#[derive(Debug, Clone, Args)]
pub struct DecodeArgs {
    /// DBC file with the messages, whatever its name; may be given more than once.
    #[arg(long, value_name = "FILE.dbc")]
    pub dbc: Vec<PathBuf>,
    /// One log of candump, ASC or BLF, plain or gzip (`-` is standard input), and any DBC files, whose
    /// names end in .dbc; in any order.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How signals are printed.
    #[arg(long, value_enum, default_value = "csv")]
    pub format: Format,
    /// Succeed also when lines were no frames or ids were in no DBC file.
    #[arg(long)]
    pub lenient: bool,
    /// Put together J1939 messages of many frames, and print their signals.
    #[arg(long)]
    pub j1939: bool,
}

impl DecodeArgs {
    /// The DBC files, in the order they were given in, those of `--dbc` first; and the log.
    fn inputs(&self) -> Result<(Vec<&Path>, &Path), UsageError> {
        let is_dbc = |path: &&PathBuf| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("dbc"));
        let (named, logs): (Vec<&PathBuf>, Vec<&PathBuf>) = self.files.iter().partition(is_dbc);
        let dbcs: Vec<&Path> = self.dbc.iter().chain(named).map(PathBuf::as_path).collect();
        match (dbcs.is_empty(), logs.as_slice()) {
            (false, [log]) => Ok((dbcs, log.as_path())),
            (_, []) => Err(UsageError::NoLog),
            (true, [_]) => Err(UsageError::NoDbc),
            (_, [first, second, ..]) => Err(UsageError::Logs((*first).clone(), (*second).clone())),
        }
    }
}

/// Arguments that are not what there is to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// Nothing to decode with.
    #[error(
        "no DBC file is given; name one, as in `edge-agent decode car.dbc drive.log`, or with --dbc where it does not end in .dbc"
    )]
    NoDbc,
    /// Nothing to decode.
    #[error(
        "no log is given; name one, as in `edge-agent decode car.dbc drive.log`, or `-` for standard input"
    )]
    NoLog,
    /// More than can be decoded.
    #[error(
        "{0} and {1} are both taken for the log; decode one at a time, and give a DBC file that does not end in .dbc with --dbc"
    )]
    Logs(PathBuf, PathBuf),
}

/// Why a log was not decoded to its end.
#[derive(Debug, thiserror::Error)]
pub enum DecodeCliError {
    /// Arguments that make no sense together.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// A DBC file that cannot be used.
    #[error(transparent)]
    Dbc(#[from] DbcError),
    /// DBC files that cannot be used together.
    #[error(transparent)]
    Compile(#[from] CompileDbcError),
    /// A log that cannot be opened or read on.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The output is full or closed.
    #[error("cannot write to standard output")]
    Write(#[source] io::Error),
}

impl DecodeCliError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => exit::USAGE,
            Self::Dbc(DbcError::Open { .. }) | Self::Source(SourceError::Open { .. }) => exit::UNAVAILABLE,
            Self::Dbc(_) | Self::Compile(_) | Self::Source(_) => exit::DATA,
            Self::Write(_) => exit::FAILURE,
        }
    }
}

/// What a run met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Frames of messages the DBC files have, and with `--j1939` frames of the protocol itself.
    pub frames_decoded: u64,
    /// Data frames they do not have.
    pub frames_unknown: u64,
    /// Remote and error frames: they carry no signals.
    pub frames_without_data: u64,
    /// Signals printed.
    pub samples: u64,
    /// Lines that are no frames.
    pub lines_bad: u64,
}

impl Outcome {
    /// Whether everything in the log was decoded.
    pub fn is_whole(&self) -> bool {
        self.frames_unknown == 0 && self.lines_bad == 0
    }

    fn has_frames(&self) -> bool {
        self.frames_decoded + self.frames_unknown + self.frames_without_data > 0
    }
}

/// Runs the command on the process's own outputs.
pub fn main(args: &DecodeArgs) -> ExitCode {
    let result = run(args, io::stdout().lock(), &mut io::stderr().lock());
    ExitCode::from(match result {
        Ok(outcome) if outcome.is_whole() || args.lenient => 0,
        Ok(_) => exit::DATA,
        // Whoever read the output has seen enough.
        Err(DecodeCliError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            let shown = logs::chain(&error as &dyn Error).to_string();
            drop(writeln!(io::stderr(), "edge-agent decode: {shown}"));
            error.exit_code()
        }
    })
}

/// Decodes the log of `args` to `out`; what is wrong with it goes to `told`.
pub fn run(args: &DecodeArgs, out: impl Write, told: &mut impl Write) -> Result<Outcome, DecodeCliError> {
    let (dbcs, log_path) = args.inputs()?;
    let files = dbcs.into_iter().map(Dbc::open).collect::<Result<Vec<_>, _>>()?;
    let decoder = Decoder::compile(&files)?;
    // A message that cannot be told is no reason not to decode.
    for warning in decoder.warnings() {
        drop(writeln!(told, "warning: {warning}"));
    }
    let (log, source) = if log_path.as_os_str() == "-" {
        let log = "standard input".to_owned();
        (log.clone(), LogReader::new(log, io::stdin())?)
    } else {
        (log_path.display().to_string(), LogReader::open(log_path)?)
    };
    let out = BufWriter::with_capacity(OUTPUT_BUFFER_BYTES, out);
    let printer = print::Printer::new(&decoder, args.format, out);
    let mut pass = Pass {
        decoder: &decoder,
        listener: args.j1939.then(|| Listener::new(J1939Settings::default())),
        heard: Vec::new(),
        printer,
        told,
        lines_told: 0,
        outcome: Outcome::default(),
        unknown: Unknown::default(),
    };
    let read = pass.run(source);
    let Pass { printer, outcome, unknown, told, lines_told, .. } = pass;
    let flushed = printer.finish();
    unknown.tell(&log, told);
    if outcome.lines_bad > 0 && !outcome.has_frames() && read.is_ok() {
        let count = outcome.lines_bad;
        drop(writeln!(
            told,
            "error: {log}: none of its {count} lines is a frame; logs are read as `candump -l` writes them, \
             as ASC and as BLF, plain or packed by gzip"
        ));
    } else if outcome.lines_bad == 0 && !outcome.has_frames() && read.is_ok() {
        drop(writeln!(told, "warning: {log}: there is no frame in it"));
    } else if outcome.lines_bad > lines_told {
        drop(writeln!(told, "error: {} lines in all are no frames", outcome.lines_bad));
    }
    read?;
    flushed.map_err(DecodeCliError::Write)?;
    Ok(outcome)
}

/// One pass over a log.
struct Pass<'a, W: Write, T: Write> {
    decoder: &'a Decoder,
    listener: Option<Listener>,
    /// What the listener tells of the frame at hand.
    heard: Vec<Event>,
    printer: print::Printer<'a, W>,
    told: &'a mut T,
    /// Bad lines told one by one.
    lines_told: u64,
    outcome: Outcome,
    unknown: Unknown,
}

impl<W: Write, T: Write> Pass<'_, W, T> {
    fn run(&mut self, mut source: LogReader) -> Result<(), DecodeCliError> {
        loop {
            match source.next() {
                Ok(None) => return Ok(()),
                Ok(Some(frame)) => self.frame(&frame, source.place()).map_err(DecodeCliError::Write)?,
                Err(error) if error.is_passing() => {
                    self.outcome.lines_bad += 1;
                    let has_frames = self.outcome.has_frames();
                    let told_max = if has_frames { BAD_LINE_TOLD_MAX } else { BAD_LINE_TOLD_FIRST };
                    if self.lines_told < told_max {
                        self.lines_told += 1;
                        drop(writeln!(self.told, "error: {error}"));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn frame(&mut self, frame: &Frame, line: u64) -> io::Result<()> {
        let listener = self.listener.as_mut();
        let is_j1939 = listener.is_some_and(|listener| listener.receive(frame, &mut self.heard));
        match self.printer.frame(self.decoder, frame)? {
            Some(count) => {
                self.outcome.frames_decoded += 1;
                self.outcome.samples += count;
            }
            None if is_j1939 => self.outcome.frames_decoded += 1,
            None if matches!(frame.kind, FrameKind::Data | FrameKind::Fd) => {
                self.outcome.frames_unknown += 1;
                self.unknown.note(frame, line);
            }
            None => self.outcome.frames_without_data += 1,
        }
        for event in self.heard.drain(..) {
            if let Event::Message(message) = event {
                self.outcome.samples += self.printer.message(self.decoder, &frame.interface, &message)?;
            }
        }
        Ok(())
    }
}

/// Ids that no DBC file has: where each was first, and how often.
#[derive(Default)]
struct Unknown {
    ids: HashMap<FrameId, (u64, u64)>,
    frames_of_others: u64,
}

impl Unknown {
    fn note(&mut self, frame: &Frame, line: u64) {
        if self.ids.len() == UNKNOWN_ID_COUNT_MAX && !self.ids.contains_key(&frame.id) {
            self.frames_of_others += 1;
            return;
        }
        self.ids.entry(frame.id).or_insert((line, 0)).1 += 1;
    }

    fn tell(&self, log: &str, told: &mut impl Write) {
        let mut ids: Vec<_> = self.ids.iter().collect();
        ids.sort_by_key(|(_, (line, _))| *line);
        for (id, (line, count)) in ids.iter().take(UNKNOWN_ID_TOLD_MAX) {
            drop(writeln!(
                told,
                "error: {log}:{line}: id {} is in none of the DBC files ({count} frames); \
                 give the DBC file that has it as well, or --lenient to pass over it",
                print::FrameIdText(**id)
            ));
        }
        let rest = ids.iter().skip(UNKNOWN_ID_TOLD_MAX);
        let (more, frames) =
            rest.fold((0_u64, self.frames_of_others), |sum, (_, (_, count))| (sum.0 + 1, sum.1 + count));
        if frames > 0 {
            drop(writeln!(
                told,
                "error: {log}: {more} or more further ids, of {frames} frames, are in none either"
            ));
        }
    }
}

#[cfg(test)]
mod tests;
