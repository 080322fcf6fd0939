//! What was taken up before, on disk: a command is done once, whatever comes when.
//!
//! A small JSON file, replaced whole and synced at every step: *taken* before anything is done,
//! *replied* with the reply's bytes, *answered* once the broker has it. A command found *taken* at
//! the start was cut short by a crash; it is answered as failed and not done again.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tracing::warn;
use wire::{
    command::{Command, CommandOutcome, CommandReply},
    time::Timestamp,
};

/// Commands remembered; older ones are refused by their sequence.
const RECORD_COUNT_MAX: usize = 64;
/// Replies kept for the broker; beyond it the oldest is given up.
const UNANSWERED_COUNT_MAX: usize = 16;

/// The file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write command book {path}; the spool's folder must be writable")]
pub struct BookError {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// The commands taken up.
#[derive(Debug)]
pub struct Book {
    path: PathBuf,
    content: Content,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    version: u32,
    /// Every sequence up to here may have been done and forgotten.
    floor_sequence: u64,
    /// Everything issued before may have been done and forgotten.
    not_before: Option<Timestamp>,
    records: VecDeque<Record>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    command_id: String,
    sequence: u64,
    state: RecordState,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RecordState {
    Taken,
    /// The reply's bytes in hexadecimal.
    Replied(Hex),
    Answered,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Hex(Vec<u8>);

impl From<Hex> for String {
    fn from(hex: Hex) -> Self {
        hex.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TryFrom<String> for Hex {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        });
        pairs.collect::<Option<Vec<u8>>>().map(Self).ok_or("not hexadecimal")
    }
}

impl Book {
    /// Opens the book at `path`. One that cannot be read refuses everything issued before `now`.
    pub fn open(path: &Path, now: Timestamp) -> Result<Self, BookError> {
        let at = |source| BookError { path: path.to_owned(), source };
        let content = match fs::read(path) {
            Ok(bytes) => match serde_json::from_slice::<Content>(&bytes) {
                Ok(content) if content.version == 1 => content,
                _ => {
                    warn!("command book cannot be read, commands issued before now are refused");
                    Content { version: 1, not_before: Some(now), ..Content::default() }
                }
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => Content { version: 1, ..Content::default() },
            Err(e) => return Err(at(e)),
        };
        let mut book = Self { path: path.to_owned(), content };
        book.answer_cut_short(now)?;
        Ok(book)
    }

    fn answer_cut_short(&mut self, now: Timestamp) -> Result<(), BookError> {
        let mut is_changed = false;
        for record in &mut self.content.records {
            if matches!(record.state, RecordState::Taken) {
                let reply = CommandReply {
                    command_id: record.command_id.clone(),
                    outcome: CommandOutcome::Failed,
                    reason: "the agent ended while it was being done; it is not done again".to_owned(),
                    replied_at: now,
                    dtcs: Vec::new(),
                    log: String::new(),
                };
                record.state = RecordState::Replied(Hex(reply.encode()));
                is_changed = true;
            }
        }
        if is_changed { self.write() } else { Ok(()) }
    }

    /// Whether a command was taken up before.
    pub fn knows(&self, command_id: &str) -> bool {
        self.content.records.iter().any(|r| r.command_id == command_id)
    }

    /// Every sequence up to here may have been done and forgotten.
    pub fn floor_sequence(&self) -> u64 {
        self.content.floor_sequence
    }

    /// Everything issued before may have been done and forgotten.
    pub fn not_before(&self) -> Timestamp {
        self.content.not_before.unwrap_or(Timestamp(i64::MIN))
    }

    /// Notes that a command is being done. Durable before it returns.
    pub fn take(&mut self, command: &Command) -> Result<(), BookError> {
        self.content.records.push_back(Record {
            command_id: command.command_id.clone(),
            sequence: command.sequence,
            state: RecordState::Taken,
        });
        while self.content.records.len() > RECORD_COUNT_MAX {
            if let Some(oldest) = self.content.records.pop_front() {
                self.content.floor_sequence = self.content.floor_sequence.max(oldest.sequence);
            }
        }
        let written = self.write();
        if written.is_err() {
            self.content.records.pop_back();
        }
        written
    }

    /// Notes a reply. It is sent even where this cannot be written.
    pub fn replied(&mut self, command_id: &str, reply: Vec<u8>) -> Result<(), BookError> {
        self.put(command_id, RecordState::Replied(Hex(reply)));
        let unanswered = |r: &Record| matches!(r.state, RecordState::Replied(_));
        if self.content.records.iter().filter(|r| unanswered(r)).count() > UNANSWERED_COUNT_MAX
            && let Some(oldest) = self.content.records.iter_mut().find(|r| unanswered(r))
        {
            oldest.state = RecordState::Answered;
        }
        self.write()
    }

    /// Notes that the broker has the reply.
    pub fn answered(&mut self, command_id: &str) -> Result<(), BookError> {
        self.put(command_id, RecordState::Answered);
        self.write()
    }

    fn put(&mut self, command_id: &str, state: RecordState) {
        if let Some(record) = self.content.records.iter_mut().find(|r| r.command_id == command_id) {
            record.state = state;
        }
    }

    /// The replies the broker does not have, oldest first.
    pub fn unanswered(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.content.records.iter().filter_map(|record| match &record.state {
            RecordState::Replied(reply) => Some((record.command_id.as_str(), reply.0.as_slice())),
            _ => None,
        })
    }

    fn write(&self) -> Result<(), BookError> {
        let replace = || {
            let bytes = serde_json::to_vec(&self.content).map_err(io::Error::other)?;
            let beside = self.path.with_extension("new");
            let mut file = File::create(&beside)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&beside, &self.path)?;
            match self.path.parent() {
                Some(folder) => File::open(folder)?.sync_all(),
                None => Ok(()),
            }
        };
        replace().map_err(|source| BookError { path: self.path.clone(), source })
    }
}
