#![allow(clippy::unwrap_used, reason = "a test: a failure is the message")]

use uuid::Uuid;
use wire::{
    batch::{Batch, ClockState},
    catalog::{Catalog, ValueKind},
    ids::{BootId, StreamId},
    time::Timestamp,
};

use super::*;

const SPEED: u32 = 0;
const IGNITION: u32 = 1;
const DISTANCE: u32 = 2;
const LATITUDE: u32 = 3;
const BASE: Timestamp = Timestamp(1_760_000_000_000_000);

fn catalog() -> Arc<Catalog> {
    let column = |column_id, signal: &str, unit: &str, scale, kind| ColumnDef {
        column_id,
        table: Table::Readings,
        signal: signal.to_owned(),
        unit: unit.to_owned(),
        scale,
        offset: 0.0,
        kind,
        labels: Vec::new(),
    };
    let columns = vec![
        column(SPEED, "Vehicle.Speed", "km/h", 0.5, ValueKind::Raw),
        column(IGNITION, "Vehicle.IsIgnitionOn", "", 1.0, ValueKind::Raw),
        column(DISTANCE, "Vehicle.TraveledDistance", "m", 1.0, ValueKind::Number),
        column(LATITUDE, "Vehicle.CurrentLocation.Latitude", "degrees", 1.0, ValueKind::Number),
    ];
    Arc::new(Catalog { vss_release: "6.0".to_owned(), columns })
}

fn batch(base: Timestamp, groups: Vec<Group>) -> Verified {
    let batch = Batch {
        vehicle_id: "car-1".parse().unwrap(),
        boot_id: BootId(Uuid::nil()),
        stream_id: StreamId(Uuid::from_u128(7)),
        sequence: 1,
        oldest_sequence: 1,
        catalog_hash: catalog().hash(),
        base_time: base,
        monotonic_base_us: 0,
        groups,
        gaps: Vec::new(),
        clock: ClockState::Synchronized,
    };
    Verified { batch, catalog: catalog(), received_at: base.plus_us(1_000_000), payload_bytes: 100 }
}

fn readings(times_us: &[i64], columns: Vec<Column>) -> Group {
    Group { table: Table::Readings, times_us: times_us.to_vec(), columns }
}

fn told(states: &mut LastStates, batch: &Verified) -> Option<LastState> {
    let mut changes = states.changes().subscribe();
    states.note(batch);
    changes.try_recv().ok().map(|state| state.as_ref().clone())
}

#[test]
fn each_column_has_its_newest_value_in_the_unit_of_the_table() {
    let sparse = Column {
        column_id: SPEED,
        // The value of the last row is missing.
        present: [true, true, false].into_iter().collect(),
        values: Values::Raw(vec![10, 90]),
    };
    let groups = vec![
        readings(
            &[0, 1_000_000, 2_000_000],
            vec![sparse, Column::dense(DISTANCE, Values::Number(vec![1000.0, 1020.0, 1045.0]))],
        ),
        // Of another message, older in part: its speed does not count, its ignition does.
        readings(
            &[500_000],
            vec![
                Column::dense(SPEED, Values::Raw(vec![2])),
                Column::dense(IGNITION, Values::Raw(vec![3])),
                Column::dense(LATITUDE, Values::Number(vec![f64::NAN])),
            ],
        ),
    ];
    let state = told(&mut LastStates::new(), &batch(BASE, groups)).unwrap();
    assert_eq!(state.ts, BASE.plus_us(2_000_000));
    assert_eq!(state.number("speed_kmh"), Some(45.0));
    assert_eq!(state.number("odometer_km"), Some(1.045));
    assert_eq!(state.number("ignition_on"), Some(1.0));
    assert_eq!(state.number("latitude"), None);
}

#[test]
fn what_comes_late_or_twice_changes_nothing_and_what_is_new_is_completed() {
    let of = |us, column| batch(BASE.plus_us(us), vec![readings(&[0], vec![column])]);
    let mut states = LastStates::new();
    let first = of(10, Column::dense(SPEED, Values::Raw(vec![100])));
    assert!(told(&mut states, &first).is_some());
    assert_eq!(told(&mut states, &first), None);
    assert_eq!(told(&mut states, &of(5, Column::dense(SPEED, Values::Raw(vec![7])))), None);
    let next = told(&mut states, &of(20, Column::dense(DISTANCE, Values::Number(vec![5.0])))).unwrap();
    assert_eq!((next.number("speed_kmh"), next.number("odometer_km")), (Some(50.0), Some(0.005)));
}

#[test]
fn a_batch_without_readings_is_no_state() {
    let signals = Group {
        table: Table::Signals,
        times_us: vec![0],
        columns: vec![Column::dense(SPEED, Values::Raw(vec![1]))],
    };
    assert_eq!(told(&mut LastStates::new(), &batch(BASE, vec![signals])), None);
    assert_eq!(told(&mut LastStates::new(), &batch(BASE, Vec::new())), None);
}

#[test]
fn a_queue_that_is_full_holds_nobody_up() {
    let (queue, mut waiting) = mpsc::channel(1);
    let mut states = LastStates::new().with_shared(Vec::new(), queue);
    for second in 0..3 {
        let speed = Column::dense(SPEED, Values::Raw(vec![second]));
        states.note(&batch(BASE.plus_us(second * 1_000_000), vec![readings(&[0], vec![speed])]));
    }
    assert_eq!(waiting.try_recv().unwrap().ts, BASE);
    assert!(waiting.try_recv().is_err());
}
