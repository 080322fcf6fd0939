use std::collections::HashMap;

use wire::{
    batch::Values,
    catalog::{Catalog, ColumnDef, ValueKind},
};

use super::*;

const SPEED: u32 = 0;
const FUEL: u32 = 1;
const THROTTLE: u32 = 2;
const GEAR: u32 = 3;
const START_US: i64 = 1_700_000_000_000_000;

fn catalog() -> Catalog {
    let column = |column_id, table, signal: &str| ColumnDef {
        column_id,
        table,
        signal: signal.to_owned(),
        unit: String::new(),
        scale: 1.0,
        offset: 0.0,
        kind: ValueKind::Raw,
        labels: Vec::new(),
    };
    Catalog {
        vss_release: wire::catalogue::VSS_RELEASE.to_owned(),
        columns: vec![
            column(SPEED, Table::Readings, "Vehicle.Speed"),
            column(FUEL, Table::Readings, "Vehicle.Powertrain.FuelSystem.RelativeLevel"),
            column(THROTTLE, Table::Signals, "Vehicle.Powertrain.CombustionEngine.TPS"),
            column(GEAR, Table::Signals, "Vehicle.Powertrain.Transmission.CurrentGear"),
        ],
    }
}

fn collector(resume_after: [Option<Timestamp>; Lane::COUNT]) -> Collector {
    Collector::new(&catalog(), CollectSettings::default(), |_| None, resume_after)
}

fn at(ms: i64) -> Timestamp {
    Timestamp(START_US + ms * 1000)
}

fn raw(column_id: u32, value: i64) -> MappedSample {
    MappedSample { column_id, value: RawValue::Raw(value) }
}

/// (time, message, samples)
type Frames = Vec<(Timestamp, u32, Vec<MappedSample>)>;

fn run(mut collector: Collector, frames: &Frames) -> Vec<Cut> {
    let mut out = Vec::new();
    for (time, message, samples) in frames {
        collector.observe(*time, *message, samples, &mut out);
    }
    collector.finish(&mut out);
    out
}

/// A minute of speed at 10 Hz that starts off the whole second, and a throttle that changes
/// every 250 ms.
fn a_minute() -> Frames {
    let mut frames = Vec::new();
    for i in 0..600_i64 {
        frames.push((at(37 + i * 100), 1, vec![raw(SPEED, 50 + i % 7)]));
        frames.push((at(39 + i * 100), 2, vec![raw(THROTTLE, i * 100 / 250), raw(GEAR, 3)]));
    }
    frames
}

fn times(cuts: &[Cut], lane: Lane) -> Vec<i64> {
    let of_lane = cuts.iter().filter(|c| c.lane == lane);
    of_lane.flat_map(|c| c.groups.iter().flat_map(|g| g.times_us.iter().map(|t| c.base_time.0 + t))).collect()
}

#[test]
fn readings_are_the_state_at_each_whole_second() {
    let cuts = run(collector([None; Lane::COUNT]), &a_minute());
    let times = times(&cuts, Lane::Readings);
    assert_eq!(times.len(), 59);
    assert!(times.iter().all(|t| t % 1_000_000 == 0));
    assert_eq!(times[0], START_US + 1_000_000);
    // The state at second 1 is what the last frame before it said: number 9, at 937 ms.
    let first = &cuts.iter().find(|c| c.lane == Lane::Readings).unwrap().groups[0].columns[0];
    assert_eq!(
        (first.column_id, &first.values),
        (SPEED, &Values::Raw((0..9).map(|s| 50 + (9 + s * 10) % 7).collect()))
    );
}

#[test]
fn signals_are_kept_when_they_change_and_share_their_frame_s_clock() {
    let cuts = run(collector([None; Lane::COUNT]), &a_minute());
    let signals: Vec<&Cut> = cuts.iter().filter(|c| c.lane == Lane::SIGNALS).collect();
    let of = |id: u32| -> Vec<i64> {
        let columns = signals.iter().flat_map(|c| &c.groups[0].columns).filter(|c| c.column_id == id);
        columns
            .flat_map(|c| match &c.values {
                Values::Raw(v) => v.clone(),
                _ => Vec::new(),
            })
            .collect()
    };
    assert_eq!(of(GEAR), [3]);
    assert_eq!(of(THROTTLE), (0..240).collect::<Vec<_>>());
    assert!(signals.iter().all(|c| c.groups.len() == 1));
}

#[test]
fn batches_end_at_multiples_of_the_interval_and_count_their_samples() {
    let cuts = run(collector([None; Lane::COUNT]), &a_minute());
    for lane in [Lane::Readings, Lane::SIGNALS] {
        let of_lane: Vec<&Cut> = cuts.iter().filter(|c| c.lane == lane).collect();
        assert_eq!(of_lane.len(), 6, "{lane:?}");
        for cut in of_lane {
            assert_eq!(cut.base_time.0.div_euclid(10_000_000), cut.last_time.0.div_euclid(10_000_000));
            let values: usize = cut.groups.iter().flat_map(|g| &g.columns).map(|c| c.values.len()).sum();
            assert_eq!(cut.sample_count, values as u64);
        }
    }
}

#[test]
fn the_same_frames_make_the_same_batches() {
    assert_eq!(
        run(collector([None; Lane::COUNT]), &a_minute()),
        run(collector([None; Lane::COUNT]), &a_minute())
    );
}

#[test]
fn what_the_spool_had_is_not_collected_again() {
    let whole = run(collector([None; Lane::COUNT]), &a_minute());
    let after = at(20_300);
    let rest = run(collector([Some(after); Lane::COUNT]), &a_minute());
    for lane in [Lane::Readings, Lane::SIGNALS] {
        let expected: Vec<i64> = times(&whole, lane).into_iter().filter(|t| *t > after.0).collect();
        assert_eq!(times(&rest, lane), expected, "{lane:?}");
    }
}

#[test]
fn old_values_are_not_part_of_a_reading_but_slow_ones_are() {
    let mut frames: Frames = vec![(at(0), 1, vec![raw(SPEED, 80), raw(FUEL, 40)])];
    frames.extend((1..40).map(|i| (at(i * 1000 + 500), 2, vec![raw(THROTTLE, i)])));
    let cuts = run(collector([None; Lane::COUNT]), &frames);
    let mut count: HashMap<u32, usize> = HashMap::new();
    for column in cuts.iter().filter(|c| c.lane == Lane::Readings).flat_map(|c| &c.groups[0].columns) {
        *count.entry(column.column_id).or_default() += column.values.len();
    }
    assert_eq!(count[&SPEED], 6);
    assert_eq!(count[&FUEL], 40);
}

#[test]
fn a_parked_vehicle_is_read_every_half_minute() {
    let frames: Frames =
        (0..600).map(|i| (at(i * 1000 + 10), 1, vec![raw(SPEED, 0), raw(FUEL, 40)])).collect();
    let times = times(&run(collector([None; Lane::COUNT]), &frames), Lane::Readings);
    let late: Vec<i64> = times.into_iter().filter(|t| *t > START_US + 125_000_000).collect();
    assert!(late.iter().all(|t| t % 30_000_000 == 0), "{late:?}");
    assert_eq!(late.len(), 16);
}

#[test]
fn silence_is_not_filled_and_a_clock_that_goes_back_ends_the_batch() {
    let mut frames = a_minute();
    frames.push((at(3_600_000), 1, vec![raw(SPEED, 10)]));
    frames.push((at(3_601_500), 1, vec![raw(SPEED, 10)]));
    frames.push((at(-7_200_000), 1, vec![raw(SPEED, 20)]));
    frames.push((at(-7_198_500), 1, vec![raw(SPEED, 20)]));
    let times = times(&run(collector([None; Lane::COUNT]), &frames), Lane::Readings);
    // A minute, five seconds of silence, two readings an hour later, one or two before it all.
    assert!(times.len() <= 59 + 5 + 3 + 2, "{}", times.len());
    assert_eq!(*times.last().unwrap() / 1_000_000, (START_US - 7_199_000_000) / 1_000_000);
}

#[test]
fn no_batch_is_larger_than_the_wire_lets_through() {
    let mut frames = Frames::new();
    for i in 0..40_000_i64 {
        let value = i.wrapping_mul(0x5851_F42D_4C95_7F2D);
        frames.push((Timestamp(START_US + i * 200), 2, vec![raw(THROTTLE, value), raw(GEAR, !value)]));
    }
    let settings = CollectSettings { signal_interval: Duration::ZERO, ..CollectSettings::default() };
    let cuts = run(Collector::new(&catalog(), settings, |_| None, [None; Lane::COUNT]), &frames);
    assert_eq!(cuts.iter().map(|c| c.sample_count).sum::<u64>(), 80_000);
    assert!(cuts.len() >= 8);
    for cut in cuts {
        assert!(cut.sample_count <= SAMPLES_PER_BATCH_MAX + 64);
        let batch = wire::batch::Batch {
            vehicle_id: "v".parse().unwrap(),
            boot_id: wire::ids::BootId(uuid::Uuid::nil()),
            stream_id: wire::ids::StreamId(uuid::Uuid::nil()),
            sequence: 1,
            oldest_sequence: 1,
            catalog_hash: catalog().hash(),
            base_time: cut.base_time,
            monotonic_base_us: 0,
            groups: cut.groups,
            gaps: Vec::new(),
            clock: wire::batch::ClockState::Synchronized,
        };
        let body = batch.encode_body().unwrap();
        assert!(body.len() < wire::batch::PAYLOAD_BYTES_MAX - 8192, "{}", body.len());
    }
}
