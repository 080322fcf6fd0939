//! Whatever is in a spool's folder, it opens, reads, takes a batch and opens again, and asks for
//! no more memory than its files hold.
#![no_main]

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arbitrary::Arbitrary;
use edge_agent::spool::{Lane, RecordMeta, Spool, SpoolSettings, Storage};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;
use wire::{
    ids::{CatalogHash, StreamId},
    time::Timestamp,
};

/// A folder as the disk may give it back.
#[derive(Debug, Arbitrary)]
struct Input {
    segments: Vec<(u8, Vec<Part>)>,
    state: Vec<Part>,
    acks: Vec<(u8, u64)>,
    rejects: Vec<(u8, u64)>,
}

/// A part of a file: mostly with a checksum that fits, or the fuzzer would never get past it.
#[derive(Debug, Arbitrary)]
enum Part {
    Raw(Vec<u8>),
    Framed(Vec<u8>),
    Header { lane: u8, stream: u8, first_sequence: u64, created_us: i64 },
    Record { sequence: u64, first_time: i64, last_time: i64, samples: u32, gap_ids: Vec<u64> },
    Position { stream: u8, lane: u8, acked: u64, time: i64 },
    Gap { id: u64, stream: u8, from: u64, to: u64, samples: u64, is_rejected: bool },
    Rejected { stream: u8, sequence: u64 },
    Forget(u64),
    Next(u64),
}

fn stream(number: u8) -> StreamId {
    StreamId(Uuid::from_u128(u128::from(number % 3) + 1))
}

fn framed(content: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(content).to_le_bytes());
    out.extend_from_slice(content);
}

impl Part {
    fn write(&self, out: &mut Vec<u8>) {
        let mut content = Vec::new();
        let mut put = |bytes: &[u8]| content.extend_from_slice(bytes);
        match self {
            Part::Raw(bytes) => {
                out.extend_from_slice(bytes);
                return;
            }
            Part::Framed(bytes) => put(bytes),
            Part::Header { lane, stream: number, first_sequence, created_us } => {
                put(b"RLS1");
                put(&[lane % 4]);
                put(stream(*number).as_bytes());
                put(&[7; 16]);
                put(&first_sequence.to_le_bytes());
                put(&created_us.to_le_bytes());
            }
            Part::Record { sequence, first_time, last_time, samples, gap_ids } => {
                put(&sequence.to_le_bytes());
                put(&sequence.to_le_bytes());
                put(&first_time.to_le_bytes());
                put(&last_time.to_le_bytes());
                put(&samples.to_le_bytes());
                put(&[gap_ids.len().min(255) as u8]);
                for id in gap_ids.iter().take(255) {
                    put(&id.to_le_bytes());
                }
                put(b"body");
            }
            Part::Position { stream: number, lane, acked, time } => {
                put(b"P");
                put(stream(*number).as_bytes());
                put(&[lane % 4]);
                put(&acked.to_le_bytes());
                put(&time.to_le_bytes());
            }
            Part::Gap { id, stream: number, from, to, samples, is_rejected } => {
                put(b"G");
                put(&id.to_le_bytes());
                put(stream(*number).as_bytes());
                for value in [from, to, samples] {
                    put(&value.to_le_bytes());
                }
                put(&[0; 16]);
                put(if *is_rejected { b"rejected" } else { b"corrupt" });
            }
            Part::Rejected { stream: number, sequence } => {
                put(b"R");
                put(stream(*number).as_bytes());
                put(&sequence.to_le_bytes());
            }
            Part::Forget(id) => {
                put(b"F");
                put(&id.to_le_bytes());
            }
            Part::Next(id) => {
                put(b"N");
                put(&id.to_le_bytes());
            }
        }
        framed(&content, out);
    }
}

/// A folder in memory that outlives its spool.
#[derive(Debug, Clone, Default)]
struct Folder(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Folder {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn absent() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl Storage for Folder {
    fn list(&mut self) -> io::Result<Vec<(String, u64)>> {
        Ok(self.files().iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64)).collect())
    }
    fn read_at(&mut self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let files = self.files();
        let bytes = files.get(name).ok_or_else(absent)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        Ok(bytes[from..from.saturating_add(len).min(bytes.len())].to_vec())
    }
    fn create(&mut self, name: &str) -> io::Result<()> {
        self.files().insert(name.to_owned(), Vec::new());
        Ok(())
    }
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.files().get_mut(name).ok_or_else(absent)?.extend_from_slice(bytes);
        Ok(())
    }
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.files().get_mut(name).ok_or_else(absent)?.truncate(len);
        Ok(())
    }
    fn sync(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.files().insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.files().remove(name).map(drop).ok_or_else(absent)
    }
}

fn written(parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        part.write(&mut out);
    }
    out
}

fuzz_target!(|input: Input| {
    let folder = Folder::default();
    for (number, parts) in &input.segments {
        // The last name is the highest number there is.
        let number = if *number == 255 { u64::MAX } else { u64::from(*number) };
        folder.files().insert(format!("{number:016}.segment"), written(parts));
    }
    folder.files().insert("state".to_owned(), written(&input.state));

    let settings = SpoolSettings::default();
    let mut spool = Spool::open(Box::new(folder.clone()), settings).expect("memory does not fail");
    let _ = spool.next_batches(&HashMap::new(), 16).expect("memory does not fail");
    for (number, sequence) in &input.rejects {
        let _ = spool.reject(stream(*number), *sequence).expect("memory does not fail");
    }
    for (number, sequence) in &input.acks {
        let _ = spool.ack(stream(*number), *sequence).expect("memory does not fail");
    }
    let id = StreamId(Uuid::from_u128(9));
    let next = spool.next_batch(Lane::Readings, id);
    let meta = RecordMeta {
        sequence: next.sequence,
        oldest_sequence: next.oldest_sequence,
        first_time: Timestamp(1),
        last_time: Timestamp(2),
        sample_count: 3,
        gap_ids: next.gaps.iter().map(|(id, _)| *id).collect(),
    };
    let names = (id, CatalogHash(Uuid::from_u128(7)));
    spool.append(Lane::Readings, names, &meta, b"body", 0).expect("there is room");
    spool.maintain(0, i64::MAX).expect("memory does not fail");
    drop(spool);

    let mut again = Spool::open(Box::new(folder), settings).expect("memory does not fail");
    assert_eq!(again.counts().torn_tails, 0, "what was mended is whole");
    let sent = HashMap::from([1, 2, 3].map(|n| (StreamId(Uuid::from_u128(n)), u64::MAX - 1)));
    let waiting = again.next_batches(&sent, 64).expect("memory does not fail");
    assert!(waiting.iter().any(|b| b.stream_id == id && b.body == b"body"), "the appended batch waits");
});
