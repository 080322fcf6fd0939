//! Batches sealed at rest.

use super::*;

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
