//! The spool against a model in memory, with a crash at every write.

use super::*;

#[derive(Debug, Clone)]
enum Op {
    Put(Lane, u32),
    Ack(Lane, u64),
    /// The batch so many after the oldest that waits.
    Reject(Lane, u64),
    Reopen,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let urgent = Lane::Signals(Priority::High, CatchUp::LatestFirst);
    let lanes = [Lane::Diagnostics, Lane::Readings, Lane::SIGNALS, urgent];
    let lane = proptest::sample::select(lanes.to_vec());
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
                    let is_new = model.kept.insert((id(*lane), *sequence), *samples).is_none();
                    prop_assert!(is_new, "sequence {} of {:?} is given a second time", sequence, lane);
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
