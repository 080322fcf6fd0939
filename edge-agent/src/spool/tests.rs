//! The spool against a model in memory, with a crash at every write.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    reason = "small test numbers"
)]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;
use std::time::Duration;

use uuid::Uuid;
use wire::batch::Gap;

use super::*;

/// A disk writes a sector whole or not at all.
const SECTOR: usize = 512;

#[derive(Debug, Default, Clone)]
struct MemoryFile {
    bytes: Vec<u8>,
    synced: usize,
}

#[derive(Debug, Default)]
struct Disk {
    files: BTreeMap<String, MemoryFile>,
    /// Writes left before the machine stops.
    writes_left: Option<u64>,
    bytes_max: Option<usize>,
    is_stopped: bool,
}

/// A disk in memory that survives its spool.
#[derive(Debug, Clone, Default)]
struct MemoryStorage(Arc<Mutex<Disk>>);

impl MemoryStorage {
    /// The machine stopped. Of every file the synced part stays. Of the rest each 512-byte sector
    /// is there or is zeros, whichever order it was written in, and the file ends somewhere.
    fn crash(&self, seed: u64) {
        let mut disk = self.0.lock().unwrap();
        disk.is_stopped = false;
        disk.writes_left = None;
        let mut state = seed | 1;
        let mut chance = move |of: u64| {
            // Marsaglia's xorshift64.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % of
        };
        for file in disk.files.values_mut() {
            let unsynced = (file.bytes.len() - file.synced) as u64;
            let end = match chance(3) {
                0 => file.bytes.len(),
                _ => file.synced + chance(unsynced + 1) as usize,
            };
            file.bytes.truncate(end);
            let mut from = file.synced;
            while from < end {
                let to = ((from / SECTOR + 1) * SECTOR).min(end);
                if chance(2) == 0 {
                    file.bytes[from..to].fill(0);
                }
                from = to;
            }
            file.synced = end;
        }
    }
    fn stop_after(&self, writes: u64) {
        self.0.lock().unwrap().writes_left = Some(writes);
    }
    fn is_stopped(&self) -> bool {
        self.0.lock().unwrap().is_stopped
    }
}

impl Disk {
    /// Whether this write happens whole, in part, or the machine is already off.
    fn write(&mut self) -> io::Result<bool> {
        if self.is_stopped {
            return Err(io::Error::other("stopped"));
        }
        match &mut self.writes_left {
            Some(0) => {
                self.is_stopped = true;
                Ok(false)
            }
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None => Ok(true),
        }
    }
}

impl Storage for MemoryStorage {
    fn list(&mut self) -> io::Result<Vec<(String, u64)>> {
        let disk = self.0.lock().unwrap();
        Ok(disk.files.iter().map(|(name, f)| (name.clone(), f.bytes.len() as u64)).collect())
    }
    fn read_at(&mut self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let disk = self.0.lock().unwrap();
        let file = disk.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        let from = (offset as usize).min(file.bytes.len());
        let to = from.saturating_add(len).min(file.bytes.len());
        Ok(file.bytes[from..to].to_vec())
    }
    fn create(&mut self, name: &str) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        if disk.write()? {
            disk.files.insert(name.to_owned(), MemoryFile::default());
            return Ok(());
        }
        Err(io::Error::other("stopped"))
    }
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        let is_whole = disk.write()?;
        let used: usize = disk.files.values().map(|f| f.bytes.len()).sum();
        let room = disk.bytes_max.map_or(usize::MAX, |max| max.saturating_sub(used));
        let file = disk.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        if !is_whole {
            file.bytes.extend_from_slice(&bytes[..bytes.len() / 2]);
            return Err(io::Error::other("stopped"));
        }
        if bytes.len() > room {
            file.bytes.extend_from_slice(&bytes[..room]);
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.bytes.extend_from_slice(bytes);
        Ok(())
    }
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        if !disk.write()? {
            return Err(io::Error::other("stopped"));
        }
        let file = disk.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        file.bytes.truncate(len as usize);
        file.synced = file.bytes.len();
        Ok(())
    }
    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        if !disk.write()? {
            return Err(io::Error::other("stopped"));
        }
        let file = disk.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        file.synced = file.bytes.len();
        Ok(())
    }
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        if !disk.write()? {
            return Err(io::Error::other("stopped"));
        }
        let used: usize = disk.files.values().map(|f| f.bytes.len()).sum();
        if disk.bytes_max.is_some_and(|max| used + bytes.len() > max) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = MemoryFile { bytes: bytes.to_vec(), synced: bytes.len() };
        disk.files.insert(name.to_owned(), file);
        Ok(())
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        if !disk.write()? {
            return Err(io::Error::other("stopped"));
        }
        disk.files.remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }
}

fn stream(n: u128) -> StreamId {
    StreamId(Uuid::from_u128(n))
}

fn catalog() -> CatalogHash {
    CatalogHash(Uuid::from_u128(77))
}

fn settings() -> SpoolSettings {
    SpoolSettings {
        sync: SyncPolicy::Always,
        segment_bytes: 400,
        bytes_max: 6000,
        age_max: Duration::from_secs(3600),
        ..SpoolSettings::default()
    }
}

fn open(storage: &MemoryStorage, settings: SpoolSettings) -> Result<Spool, SpoolError> {
    Spool::open(Box::new(storage.clone()), settings)
}

/// Appends the next batch of a stream; its body repeats its sequence.
fn put(spool: &mut Spool, lane: Lane, id: StreamId, samples: u32) -> Result<u64, SpoolError> {
    let next = spool.next_batch(lane, id);
    let time = Timestamp(next.sequence as i64 * 1000);
    let meta = RecordMeta {
        sequence: next.sequence,
        oldest_sequence: next.oldest_sequence,
        first_time: time,
        last_time: time,
        sample_count: samples,
        gap_ids: next.gaps.iter().map(|(id, _)| *id).collect(),
    };
    spool.append(lane, (id, catalog()), &meta, &[next.sequence as u8; 60], 0)?;
    Ok(next.sequence)
}

fn waiting(spool: &mut Spool) -> Vec<(StreamId, u64)> {
    let batches = spool.next_batches(&HashMap::new(), usize::MAX).unwrap();
    batches.iter().map(|b| (b.stream_id, b.meta.sequence)).collect()
}

fn gap_total(spool: &Spool) -> u64 {
    spool.state.gaps.values().map(|g| g.sample_count).sum()
}

#[test]
fn batches_come_back_by_lane_then_age_and_an_ack_lets_them_go() {
    let disk = MemoryStorage::default();
    let mut spool = open(&disk, settings()).unwrap();
    for _ in 0..3 {
        put(&mut spool, Lane::Signals, stream(2), 5).unwrap();
        put(&mut spool, Lane::Readings, stream(1), 5).unwrap();
    }
    let (r, s) = (stream(1), stream(2));
    assert_eq!(waiting(&mut spool), [(r, 1), (r, 2), (r, 3), (s, 1), (s, 2), (s, 3)]);
    let sent = HashMap::from([(r, 3), (s, 1)]);
    let more = spool.next_batches(&sent, 1).unwrap();
    assert_eq!((more[0].stream_id, more[0].meta.sequence, more[0].body.as_slice()), (s, 2, &[2_u8; 60][..]));
    assert_eq!(spool.ack(r, 2).unwrap(), 2);
    assert_eq!(spool.ack(r, 1).unwrap(), 0);
    assert_eq!(waiting(&mut spool), [(r, 3), (s, 1), (s, 2), (s, 3)]);
    assert_eq!((spool.counts().batches, spool.counts().samples, spool.counts().acked_samples), (4, 20, 10));
    assert_eq!(spool.next_batch(Lane::Readings, r).oldest_sequence, 3);
}

#[test]
fn a_torn_tail_is_cut_at_the_last_whole_record() {
    let disk = MemoryStorage::default();
    let mut spool = open(&disk, settings()).unwrap();
    put(&mut spool, Lane::Readings, stream(1), 5).unwrap();
    put(&mut spool, Lane::Readings, stream(1), 5).unwrap();
    let name = spool.lanes[1][0].name.clone();
    drop(spool);
    disk.0.lock().unwrap().files.get_mut(&name).unwrap().bytes.extend_from_slice(&[9, 0, 0, 0, 1, 2]);
    let mut spool = open(&disk, settings()).unwrap();
    assert_eq!(spool.counts().torn_tails, 1);
    assert_eq!(waiting(&mut spool), [(stream(1), 1), (stream(1), 2)]);
    assert_eq!(put(&mut spool, Lane::Readings, stream(1), 5).unwrap(), 3);
    assert_eq!(spool.last_time(Lane::Readings), Some(Timestamp(3000)));
}

#[test]
fn over_the_cap_the_oldest_of_the_least_valuable_lane_goes_and_is_told_after_a_restart() {
    let disk = MemoryStorage::default();
    let mut spool = open(&disk, settings()).unwrap();
    for _ in 0..10 {
        put(&mut spool, Lane::Readings, stream(1), 3).unwrap();
        put(&mut spool, Lane::Signals, stream(2), 7).unwrap();
    }
    let mut taken = 10;
    while spool.counts().dropped_batches == 0 {
        put(&mut spool, Lane::Readings, stream(1), 3).unwrap();
        taken += 1;
    }
    let dropped = spool.counts().dropped_samples;
    assert_eq!(dropped[DropReason::SpoolFull as usize], gap_total(&spool));
    assert!(waiting(&mut spool).iter().filter(|(id, _)| *id == stream(1)).count() == taken);
    drop(spool);

    let mut spool = open(&disk, settings()).unwrap();
    let told = spool.next_batch(Lane::Readings, stream(1)).gaps;
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].1.stream_id, told[0].1.from_sequence, told[0].1.reason.as_str()),
        (stream(2), 1, "spool_full")
    );
    assert_eq!(told[0].1.sample_count, 7 * (told[0].1.to_sequence));
    // Once a batch tells it, the next one does not; once that is acknowledged it is forgotten.
    let at = put(&mut spool, Lane::Readings, stream(1), 3).unwrap();
    let further = spool.next_batch(Lane::Readings, stream(1)).gaps;
    assert!(further.iter().all(|(id, _)| *id != told[0].0));
    spool.ack(stream(1), at).unwrap();
    assert!(!spool.state.gaps.contains_key(&told[0].0));
    // What is left of the other stream says that nothing older comes.
    let rest = spool.next_batches(&HashMap::new(), 1).unwrap();
    assert_eq!(rest[0].floor, Some(rest[0].meta.sequence));
}

#[test]
fn a_gap_told_by_a_batch_that_is_dropped_itself_is_told_again() {
    let disk = MemoryStorage::default();
    let mut spool = open(&disk, SpoolSettings { bytes_max: 1200, ..settings() }).unwrap();
    for _ in 0..60 {
        put(&mut spool, Lane::Signals, stream(2), 7).unwrap();
    }
    let held: u64 = spool.counts().samples;
    assert_eq!(held + gap_total(&spool), 60 * 7);
}

#[test]
fn a_full_disk_drops_the_oldest_and_never_fails() {
    let disk = MemoryStorage::default();
    let mut spool = open(&disk, settings()).unwrap();
    disk.0.lock().unwrap().bytes_max = Some(2500);
    for _ in 0..60 {
        put(&mut spool, Lane::Readings, stream(1), 1).unwrap();
        put(&mut spool, Lane::Signals, stream(2), 1).unwrap();
    }
    let counts = spool.counts();
    assert_eq!(counts.samples + counts.dropped_samples[0], 120);
    assert!(counts.batches > 5, "{counts:?}");
    let (batches, waits) = (counts.batches as usize, waiting(&mut spool).len());
    assert_eq!(batches, waits);
}

#[test]
fn a_segment_past_its_age_goes() {
    let disk = MemoryStorage::default();
    let mut spool = open(&disk, settings()).unwrap();
    put(&mut spool, Lane::Readings, stream(1), 4).unwrap();
    spool.maintain(3_599_000_000, 0).unwrap();
    assert_eq!(spool.counts().batches, 1);
    spool.maintain(3_601_000_000, 0).unwrap();
    assert_eq!((spool.counts().batches, spool.counts().dropped_samples), (0, [0, 4, 0, 0]));
}

/// More than is read at once, in more than one segment: the first read ends within a segment, and
/// a batch of the next one must not be given before the rest of it.
#[test]
fn a_read_cut_by_its_size_goes_on_where_it_ended() {
    let big = SpoolSettings { segment_bytes: 2 << 20, bytes_max: 64 << 20, ..settings() };
    let mut spool = open(&MemoryStorage::default(), big).unwrap();
    let body = vec![7; 100 * 1024];
    for sequence in 1..=30 {
        let (first_time, last_time) = (Timestamp(1), Timestamp(2));
        let meta = RecordMeta {
            sequence,
            oldest_sequence: 1,
            first_time,
            last_time,
            sample_count: 1,
            gap_ids: Vec::new(),
        };
        spool.append(Lane::Signals, (stream(1), catalog()), &meta, &body, 0).unwrap();
    }
    let (mut sent, mut read) = (HashMap::new(), Vec::new());
    loop {
        let batches = spool.next_batches(&sent, 64).unwrap();
        let Some(last) = batches.last() else { break };
        sent.insert(stream(1), last.meta.sequence);
        read.extend(batches.iter().map(|b| b.meta.sequence));
    }
    assert_eq!(read, (1..=30).collect::<Vec<_>>());
}

#[test]
fn bytes_that_rot_are_a_gap_and_the_rest_is_sent() {
    let disk = MemoryStorage::default();
    let mut spool = open(&disk, settings()).unwrap();
    for _ in 0..12 {
        put(&mut spool, Lane::Readings, stream(1), 1).unwrap();
    }
    let name = spool.lanes[1][0].name.clone();
    disk.0.lock().unwrap().files.get_mut(&name).unwrap().bytes[200] ^= 1;
    drop(waiting(&mut spool));
    let left = waiting(&mut spool);
    assert!(!left.is_empty() && left[0].1 > 1, "{left:?}");
    assert_eq!(spool.counts().dropped_samples[DropReason::Corrupt as usize] + left.len() as u64, 12);
}

#[test]
fn a_rejected_batch_alone_goes_and_is_told_and_never_comes_back() {
    let disk = MemoryStorage::default();
    let mut spool = open(&disk, settings()).unwrap();
    for samples in 1..=5 {
        put(&mut spool, Lane::Readings, stream(1), samples).unwrap();
    }
    assert!(spool.reject(stream(1), 3).unwrap());
    assert!(!spool.reject(stream(1), 3).unwrap(), "only once");
    assert!(!spool.reject(stream(9), 1).unwrap() && !spool.reject(stream(1), 6).unwrap());
    let r = stream(1);
    assert_eq!(waiting(&mut spool), [(r, 1), (r, 2), (r, 4), (r, 5)]);
    let counts = spool.counts();
    assert_eq!((counts.batches, counts.samples, counts.dropped_samples), (4, 12, [0, 0, 0, 3]));
    let told = spool.next_batch(Lane::Readings, r).gaps;
    assert_eq!((told[0].1.from_sequence, told[0].1.to_sequence, told[0].1.sample_count), (3, 3, 3));
    assert_eq!(told[0].1.reason, "rejected");
    // A lane of its own tells it for good; then the spool is opened anew with 3 on its disk.
    put(&mut spool, Lane::Signals, stream(2), 1).unwrap();
    spool.ack(stream(2), 1).unwrap();
    assert!(spool.state.gaps.is_empty());
    drop(spool);
    let mut spool = open(&disk, settings()).unwrap();
    assert_eq!(waiting(&mut spool), [(r, 1), (r, 2), (r, 4), (r, 5)]);
    // Ingest cannot pass the hole by itself: the next batch says that nothing older comes.
    spool.ack(r, 2).unwrap();
    assert_eq!(spool.next_batches(&HashMap::new(), 9).unwrap()[0].floor, Some(4));
    spool.ack(r, 5).unwrap();
    let counts = spool.counts();
    assert_eq!((counts.batches, counts.samples, counts.acked_samples), (0, 0, 12));
}

#[test]
fn a_rejected_last_batch_leaves_nothing_waiting_and_tells_again_what_it_told() {
    let disk = MemoryStorage::default();
    let mut spool = open(&disk, settings()).unwrap();
    put(&mut spool, Lane::Signals, stream(2), 7).unwrap();
    put(&mut spool, Lane::Signals, stream(2), 1).unwrap();
    spool.reject(stream(2), 1).unwrap();
    // Sequence 3 tells the gap of 1, and is given up itself.
    put(&mut spool, Lane::Signals, stream(2), 1).unwrap();
    assert!(spool.next_batch(Lane::Signals, stream(2)).gaps.is_empty());
    spool.reject(stream(2), 3).unwrap();
    spool.reject(stream(2), 2).unwrap();
    assert_eq!((waiting(&mut spool), spool.counts().batches), (vec![], 0));
    let next = spool.next_batch(Lane::Signals, stream(2));
    assert_eq!((next.sequence, next.oldest_sequence), (4, 4));
    assert_eq!(next.gaps.iter().map(|(_, g)| g.sample_count).sum::<u64>(), 9);
    assert_eq!(spool.position(stream(2)).unwrap().acked, 3);
}

#[test]
fn a_second_agent_on_the_same_folder_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let first = DiskStorage::open(folder.path()).unwrap();
    let message = DiskStorage::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("in use") && message.contains("spool_folder"), "{message}");
    drop(first);
    DiskStorage::open(folder.path()).unwrap();
}

#[test]
fn a_real_folder_keeps_batches_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let disk = || Box::new(DiskStorage::open(folder.path()).unwrap());
    let mut spool = Spool::open(disk(), settings()).unwrap();
    for _ in 0..20 {
        put(&mut spool, Lane::Readings, stream(1), 2).unwrap();
    }
    spool.ack(stream(1), 8).unwrap();
    drop(spool);
    let mut spool = Spool::open(disk(), settings()).unwrap();
    assert_eq!(waiting(&mut spool), (9..=20).map(|s| (stream(1), s)).collect::<Vec<_>>());
    assert_eq!(put(&mut spool, Lane::Readings, stream(1), 2).unwrap(), 21);
}

fn sealed(key: u8) -> SpoolSettings {
    SpoolSettings { key: Some(SpoolKey::new([key; 32])), ..settings() }
}

#[test]
fn sealed_batches_come_back_by_their_key_alone_and_show_nothing() {
    let disk = MemoryStorage::default();
    let mut spool = open(&disk, sealed(1)).unwrap();
    for _ in 0..9 {
        put(&mut spool, Lane::Readings, stream(1), 2).unwrap();
    }
    drop(spool);
    let bytes: Vec<u8> = disk.0.lock().unwrap().files.values().flat_map(|f| f.bytes.clone()).collect();
    assert!(!bytes.windows(20).any(|w| (1..=9).any(|s| w == [s; 20])), "a body lies in plain");
    // Neither without a key nor with another is anything cut away.
    for other in [settings(), sealed(2)] {
        let message = open(&disk, other).unwrap_err().to_string();
        assert!(message.contains("spool.key_file"), "{message}");
    }
    let mut spool = open(&disk, sealed(1)).unwrap();
    assert_eq!(waiting(&mut spool).len(), 9);
    let batches = spool.next_batches(&HashMap::new(), 9).unwrap();
    assert!(batches.iter().all(|b| b.body == [b.meta.sequence as u8; 60]));
}

#[test]
fn plain_batches_of_before_are_still_sent_once_a_key_is_set() {
    let disk = MemoryStorage::default();
    let mut spool = open(&disk, settings()).unwrap();
    put(&mut spool, Lane::Readings, stream(1), 2).unwrap();
    drop(spool);
    let mut spool = open(&disk, sealed(1)).unwrap();
    put(&mut spool, Lane::Readings, stream(1), 2).unwrap();
    assert_eq!(waiting(&mut spool), [(stream(1), 1), (stream(1), 2)]);
}

#[test]
fn a_sealed_record_moved_or_changed_is_a_gap() {
    let disk = MemoryStorage::default();
    let mut spool = open(&disk, sealed(1)).unwrap();
    for _ in 0..6 {
        put(&mut spool, Lane::Readings, stream(1), 1).unwrap();
    }
    let names: Vec<String> = spool.lanes[1].iter().map(|s| s.name.clone()).collect();
    assert!(names.len() >= 2);
    // The records of the second segment under the header of the first: checksums are right.
    let mut files = disk.0.lock().unwrap();
    let second = files.files[&names[1]].bytes.clone();
    let first = files.files.get_mut(&names[0]).unwrap();
    let header = spool.lanes[1][0].header.encode().len();
    let len = first.bytes.len();
    first.bytes.truncate(header);
    first.bytes.extend_from_slice(&second[header..]);
    first.bytes.resize(len, 0);
    drop(files);
    drop(waiting(&mut spool));
    assert!(spool.counts().dropped_samples[DropReason::Corrupt as usize] > 0);
    assert!(waiting(&mut spool).iter().all(|(_, sequence)| *sequence > 1));
}

#[test]
fn latest_first_sends_the_newest_stream_first_and_each_from_its_start() {
    let disk = MemoryStorage::default();
    let settings = SpoolSettings { catch_up: CatchUp::LatestFirst, segment_bytes: 200, ..settings() };
    let mut spool = open(&disk, settings).unwrap();
    for id in [1, 2] {
        for _ in 0..3 {
            put(&mut spool, Lane::Signals, stream(id), 1).unwrap();
        }
    }
    put(&mut spool, Lane::Readings, stream(7), 1).unwrap();
    let (old, new) = (stream(1), stream(2));
    let expected = [(stream(7), 1), (new, 1), (new, 2), (new, 3), (old, 1), (old, 2), (old, 3)];
    assert_eq!(waiting(&mut spool), expected);
}

#[test]
fn wear_is_counted_by_day_over_restarts() {
    let disk = MemoryStorage::default();
    // Nothing is given up for its age meanwhile, which would be written too.
    let settings = || SpoolSettings { age_max: Duration::from_hours(24 * 365), ..settings() };
    let mut spool = open(&disk, settings()).unwrap();
    put(&mut spool, Lane::Readings, stream(1), 1).unwrap();
    spool.maintain(5 * wire::time::DAY_US, 0).unwrap();
    let first = spool.counts().written_today_bytes;
    let on_disk: usize = disk.0.lock().unwrap().files.values().map(|f| f.bytes.len()).sum();
    assert!(first >= on_disk as u64 && first < 1000, "{first} for {on_disk}");
    spool.maintain(6 * wire::time::DAY_US, 0).unwrap();
    assert_eq!(spool.counts().written_today_bytes, 0);
    let big = SpoolSettings { bytes_max: 1 << 30, segment_bytes: 1 << 20, ..settings() };
    drop(spool);
    let mut spool = open(&disk, big).unwrap();
    while spool.wear().get(&7).is_none_or(|bytes| *bytes < 3 * WEAR_NOTE_BYTES) {
        put(&mut spool, Lane::Readings, stream(1), 1).unwrap();
        spool.maintain(7 * wire::time::DAY_US, 0).unwrap();
    }
    let written = spool.wear()[&7];
    drop(spool);
    let known = open(&disk, big).unwrap().wear()[&7];
    assert!(written - known < WEAR_NOTE_BYTES + 1000, "{written} {known}");
}

#[derive(Debug, Clone)]
enum Op {
    Put(Lane, u32),
    Ack(Lane, u64),
    /// The batch so many after the oldest that waits.
    Reject(Lane, u64),
    Reopen,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let lane = prop_oneof![Just(Lane::Diagnostics), Just(Lane::Readings), Just(Lane::Signals)];
    let op = prop_oneof![
        6 => (lane.clone(), 1_u32..20).prop_map(|(l, n)| Op::Put(l, n)),
        2 => (lane.clone(), 1_u64..4).prop_map(|(l, n)| Op::Ack(l, n)),
        1 => (lane, 0_u64..4).prop_map(|(l, n)| Op::Reject(l, n)),
        1 => Just(Op::Reopen),
    ];
    proptest::collection::vec(op, 1..60)
}

/// What a caller was told about each batch.
#[derive(Debug, Default)]
struct Model {
    kept: BTreeMap<(StreamId, u64), u32>,
    acked: BTreeSet<(StreamId, u64)>,
    /// Told by a batch that the cloud has.
    told_for_good: BTreeSet<(StreamId, u64)>,
    /// The gaps in each batch's body, as they were when it was made.
    told_by: BTreeMap<(StreamId, u64), Vec<Gap>>,
    rejected: BTreeSet<(StreamId, u64)>,
}

impl Model {
    /// Everything taken and not acknowledged is on disk or in a gap, nothing else is.
    fn check(&self, spool: &mut Spool) -> Result<(), TestCaseError> {
        let batches = spool.next_batches(&HashMap::new(), usize::MAX).unwrap();
        for batch in &batches {
            prop_assert!(batch.body == [batch.meta.sequence as u8; 60], "another body came back");
        }
        let waits: BTreeSet<_> = batches.iter().map(|b| (b.stream_id, b.meta.sequence)).collect();
        let in_gap = |id: StreamId, s: u64| {
            spool
                .state
                .gaps
                .values()
                .any(|g| g.stream_id == id && (g.from_sequence..=g.to_sequence).contains(&s))
        };
        for key in self.kept.keys() {
            let (id, s) = *key;
            let is_safe = waits.contains(key)
                || self.acked.contains(key)
                || in_gap(id, s)
                || self.told_for_good.contains(key);
            prop_assert!(is_safe, "lost {id} {s}");
        }
        prop_assert_eq!(spool.counts().batches, waits.len() as u64);
        prop_assert!(waits.is_disjoint(&self.rejected), "a rejected batch is to be sent again");
        Ok(())
    }
}

/// Runs the operations until the machine stops; `None` when it stopped.
fn run(
    disk: &MemoryStorage,
    settings: SpoolSettings,
    ops: &[Op],
    model: &mut Model,
) -> Result<Option<Spool>, TestCaseError> {
    let stopped = |e: SpoolError| {
        if disk.is_stopped() { Ok(None) } else { Err(TestCaseError::fail(format!("{e:?}"))) }
    };
    let id = |lane: Lane| stream(lane.index() as u128 + 1);
    let mut spool = match open(disk, settings) {
        Ok(spool) => spool,
        Err(e) => return stopped(e),
    };
    for op in ops {
        let result = match op {
            Op::Put(lane, samples) => {
                let told = spool.next_batch(*lane, id(*lane));
                model
                    .told_by
                    .insert((id(*lane), told.sequence), told.gaps.into_iter().map(|(_, gap)| gap).collect());
                let result = put(&mut spool, *lane, id(*lane), *samples);
                // What a stopped machine answers nobody has heard.
                if let Ok(sequence) = &result
                    && !disk.is_stopped()
                {
                    model.kept.insert((id(*lane), *sequence), *samples);
                }
                result.map(drop)
            }
            Op::Ack(lane, count) => {
                let oldest = spool.oldest_waiting(*lane, id(*lane)).unwrap_or(1);
                let up_to = oldest + count - 1;
                for s in 1..=up_to {
                    model.acked.insert((id(*lane), s));
                }
                // What waits and is covered the cloud has, and so what it tells.
                let waits = waiting(&mut spool);
                for key in waits.into_iter().filter(|(stream, s)| *stream == id(*lane) && *s <= up_to) {
                    for gap in model.told_by.get(&key).into_iter().flatten() {
                        let lost = gap.from_sequence..=gap.to_sequence;
                        model.told_for_good.extend(lost.map(|s| (gap.stream_id, s)));
                    }
                }
                let result = spool.ack(id(*lane), up_to);
                result.map(drop)
            }
            Op::Reject(lane, after) => {
                let sequence = spool.oldest_waiting(*lane, id(*lane)).unwrap_or(1) + after;
                let result = spool.reject(id(*lane), sequence);
                if matches!(result, Ok(true)) && !disk.is_stopped() {
                    model.rejected.insert((id(*lane), sequence));
                }
                result.map(drop)
            }
            Op::Reopen => {
                drop(spool);
                match open(disk, settings) {
                    Ok(again) => {
                        spool = again;
                        Ok(())
                    }
                    Err(e) => return stopped(e),
                }
            }
        };
        if let Err(e) = result {
            return stopped(e);
        }
        if disk.is_stopped() {
            return Ok(None);
        }
        model.check(&mut spool)?;
    }
    Ok(Some(spool))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn a_crash_at_any_write_or_sync_loses_nothing_that_was_taken(
        ops in ops(),
        seed in any::<u64>(),
        is_sealed in any::<bool>(),
        catch_up in prop_oneof![Just(CatchUp::OldestFirst), Just(CatchUp::LatestFirst)],
    ) {
        let key = is_sealed.then(|| SpoolKey::new([3; 32]));
        let settings = SpoolSettings { bytes_max: 2400, key, catch_up, ..settings() };
        for crash_at in 0.. {
            let disk = MemoryStorage::default();
            let mut model = Model::default();
            disk.stop_after(crash_at);
            let finished = run(&disk, settings, &ops, &mut model)?.is_some();
            disk.crash(seed ^ crash_at);
            let mut spool = open(&disk, settings).map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
            model.check(&mut spool)?;
            if finished {
                break;
            }
        }
    }

    #[test]
    fn a_crash_without_syncs_may_lose_the_end_and_never_makes_up_a_batch(ops in ops(), seed in any::<u64>()) {
        let settings = SpoolSettings { bytes_max: 2400, sync: SyncPolicy::Never, ..settings() };
        for crash_at in 0.. {
            let disk = MemoryStorage::default();
            disk.stop_after(crash_at);
            let finished = run(&disk, settings, &ops, &mut Model::default())?.is_some();
            disk.crash(seed ^ crash_at);
            let mut spool = open(&disk, settings).map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
            // What is there is what was written, and the spool goes on from it.
            Model::default().check(&mut spool)?;
            let sequence = put(&mut spool, Lane::Readings, stream(9), 1).unwrap();
            prop_assert_eq!(sequence, 1);
            if finished {
                break;
            }
        }
    }
}
