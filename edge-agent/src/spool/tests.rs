//! The spool on a disk in memory.

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
use disk::MemoryStorage;

mod disk;
mod model;
mod sealed;

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
        put(&mut spool, Lane::SIGNALS, stream(2), 5).unwrap();
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
        put(&mut spool, Lane::SIGNALS, stream(2), 7).unwrap();
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
        put(&mut spool, Lane::SIGNALS, stream(2), 7).unwrap();
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
        put(&mut spool, Lane::SIGNALS, stream(2), 1).unwrap();
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
        spool.append(Lane::SIGNALS, (stream(1), catalog()), &meta, &body, 0).unwrap();
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
    put(&mut spool, Lane::SIGNALS, stream(2), 1).unwrap();
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
    put(&mut spool, Lane::SIGNALS, stream(2), 7).unwrap();
    put(&mut spool, Lane::SIGNALS, stream(2), 1).unwrap();
    spool.reject(stream(2), 1).unwrap();
    // Sequence 3 tells the gap of 1, and is given up itself.
    put(&mut spool, Lane::SIGNALS, stream(2), 1).unwrap();
    assert!(spool.next_batch(Lane::SIGNALS, stream(2)).gaps.is_empty());
    spool.reject(stream(2), 3).unwrap();
    spool.reject(stream(2), 2).unwrap();
    assert_eq!((waiting(&mut spool), spool.counts().batches), (vec![], 0));
    let next = spool.next_batch(Lane::SIGNALS, stream(2));
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

#[test]
fn a_sequence_that_was_given_up_is_not_used_again_after_its_gap_is_told() {
    let disk = MemoryStorage::default();
    let mut spool = open(&disk, settings()).unwrap();
    put(&mut spool, Lane::SIGNALS, stream(1), 1).unwrap();
    drop(spool);
    let mut spool = open(&disk, settings()).unwrap();
    put(&mut spool, Lane::SIGNALS, stream(1), 1).unwrap();
    assert!(spool.reject(stream(1), 2).unwrap());
    // It tells of the gap.
    put(&mut spool, Lane::Readings, stream(2), 1).unwrap();
    drop(spool);
    let mut spool = open(&disk, settings()).unwrap();
    spool.ack(stream(2), 1).unwrap();
    drop(spool);
    let mut spool = open(&disk, settings()).unwrap();
    assert_eq!(put(&mut spool, Lane::SIGNALS, stream(1), 1).unwrap(), 3);
}

/// All a stream ever had was dropped, and nothing but the gap is left of it on the disk.
#[test]
fn a_stream_that_was_dropped_whole_goes_on_after_its_gap() {
    let disk = MemoryStorage::default();
    let settings = SpoolSettings { bytes_max: 1200, ..settings() };
    let mut spool = open(&disk, settings).unwrap();
    for _ in 0..2 {
        put(&mut spool, Lane::SIGNALS, stream(1), 1).unwrap();
    }
    while waiting(&mut spool).iter().any(|(id, _)| *id == stream(1)) {
        put(&mut spool, Lane::Readings, stream(2), 1).unwrap();
    }
    drop(spool);
    let mut spool = open(&disk, settings).unwrap();
    assert_eq!(gap_total(&spool), 2);
    assert_eq!(put(&mut spool, Lane::SIGNALS, stream(1), 1).unwrap(), 3);
}

#[test]
fn latest_first_sends_the_newest_stream_first_and_each_from_its_start() {
    let disk = MemoryStorage::default();
    let settings = SpoolSettings { catch_up: CatchUp::LatestFirst, segment_bytes: 200, ..settings() };
    let mut spool = open(&disk, settings).unwrap();
    for id in [1, 2] {
        for _ in 0..3 {
            put(&mut spool, Lane::Readings, stream(id), 1).unwrap();
        }
    }
    put(&mut spool, Lane::Diagnostics, stream(7), 1).unwrap();
    let (old, new) = (stream(1), stream(2));
    let expected = [(stream(7), 1), (new, 1), (new, 2), (new, 3), (old, 1), (old, 2), (old, 3)];
    assert_eq!(waiting(&mut spool), expected);
}

#[test]
fn each_campaign_s_samples_go_by_its_own_priority_and_order() {
    let disk = MemoryStorage::default();
    let mut spool = open(&disk, SpoolSettings { segment_bytes: 200, ..settings() }).unwrap();
    let latest = |priority| Lane::Signals(priority, CatchUp::LatestFirst);
    // An outage: streams 1 to 4. After it, what goes latest first has streams of its own.
    put(&mut spool, Lane::Signals(Priority::Low, CatchUp::OldestFirst), stream(1), 1).unwrap();
    put(&mut spool, latest(Priority::Normal), stream(2), 1).unwrap();
    put(&mut spool, Lane::SIGNALS, stream(3), 1).unwrap();
    put(&mut spool, latest(Priority::High), stream(4), 1).unwrap();
    assert!(spool.has_waiting(CatchUp::LatestFirst));
    put(&mut spool, latest(Priority::High), stream(14), 1).unwrap();
    put(&mut spool, Lane::SIGNALS, stream(3), 1).unwrap();
    put(&mut spool, latest(Priority::Normal), stream(12), 1).unwrap();
    put(&mut spool, latest(Priority::Normal), stream(12), 1).unwrap();
    let expected = [(14, 1), (4, 1), (12, 1), (12, 2), (3, 1), (3, 2), (2, 1), (1, 1)];
    assert_eq!(waiting(&mut spool), expected.map(|(id, s)| (stream(id), s)));
    // The same after a restart: the lanes are on the disk.
    drop(spool);
    let mut spool = open(&disk, settings()).unwrap();
    assert_eq!(waiting(&mut spool), expected.map(|(id, s)| (stream(id), s)));
    for id in [2, 4, 12, 14] {
        spool.ack(stream(id), 2).unwrap();
    }
    assert!(!spool.has_waiting(CatchUp::LatestFirst) && spool.has_waiting(CatchUp::OldestFirst));
}

#[test]
fn a_full_disk_takes_the_least_priority_first_and_of_equal_ones_the_oldest() {
    let disk = MemoryStorage::default();
    let small = SpoolSettings { bytes_max: 1 << 20, segment_bytes: 1, ..settings() };
    let mut spool = open(&disk, small).unwrap();
    let lane = Lane::Signals;
    let lanes = [
        lane(Priority::High, CatchUp::OldestFirst),
        lane(Priority::Normal, CatchUp::LatestFirst),
        Lane::SIGNALS,
        lane(Priority::Low, CatchUp::OldestFirst),
        lane(Priority::Low, CatchUp::LatestFirst),
    ];
    for (i, lane) in lanes.into_iter().enumerate() {
        put(&mut spool, lane, stream(i as u128), 1).unwrap();
    }
    let mut gone = Vec::new();
    while spool.evict_for(lanes[0]).unwrap() {
        let waits: BTreeSet<_> = waiting(&mut spool).into_iter().map(|(id, _)| id).collect();
        gone.extend((0..5).find(|i| !waits.contains(&stream(*i)) && !gone.contains(i)));
    }
    assert_eq!(gone, [3, 4, 1, 2, 0]);
    // Nothing more valuable goes for what is less.
    put(&mut spool, Lane::Readings, stream(9), 1).unwrap();
    assert!(!spool.evict_for(lanes[4]).unwrap());
}

#[test]
fn every_lane_has_a_place_and_a_code_of_its_own() {
    for (i, lane) in Lane::ALL.into_iter().enumerate() {
        assert_eq!((lane.index(), Lane::from_code(lane.code())), (i, Some(lane)));
    }
    assert!(Lane::ALL.is_sorted_by_key(|lane| lane.rank()));
    // As spools have been written since the first release.
    assert_eq!(Lane::from_code(2), Some(Lane::SIGNALS));
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
