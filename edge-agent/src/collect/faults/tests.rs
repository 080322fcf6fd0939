use wire::time::Timestamp;

use super::*;
use crate::faults::{EventKind, FaultCode, FaultList, Protocol};

fn event(ms: i64, kind: EventKind, code: Option<FaultCode>) -> FaultEvent {
    FaultEvent {
        time: Timestamp(ms * 1000),
        protocol: Protocol::J1939,
        ecu: "engine-1 (SA 0)".to_owned(),
        list: FaultList::Active,
        kind,
        code,
    }
}

fn code(freeze_frame: Option<String>) -> FaultCode {
    FaultCode {
        code: "SPN 100 FMI 1".to_owned(),
        spn: Some(100),
        fmi: Some(1),
        occurrences: None,
        status_bits: Some(0xFF40),
        freeze_frame,
    }
}

fn cut(events: &[FaultEvent]) -> Vec<Cut> {
    let mut out = Vec::new();
    FaultColumns::starting_at(7).cut(events, &mut out);
    out
}

#[test]
fn columns_are_those_of_the_lake_s_table_after_the_mapped_ones() {
    let definitions = FaultColumns::starting_at(7).definitions();
    let named: Vec<_> = definitions.iter().map(|d| (d.column_id, d.signal.as_str(), d.kind)).collect();
    assert_eq!(
        named,
        [
            (7, "protocol", ValueKind::Text),
            (8, "ecu", ValueKind::Text),
            (9, "code", ValueKind::Text),
            (10, "spn", ValueKind::Raw),
            (11, "fmi", ValueKind::Raw),
            (12, "occurrences", ValueKind::Raw),
            (13, "status_bits", ValueKind::Raw),
            (14, "event", ValueKind::Text),
            (15, "freeze_frame", ValueKind::Text),
            (16, "list", ValueKind::Text),
        ]
    );
    let catalog = Catalog { vss_release: "6.0".to_owned(), columns: definitions };
    assert_eq!(FaultColumns::of(&catalog), Some(FaultColumns::starting_at(7)));
    assert_eq!(Catalog::decode(&catalog.encode()).unwrap(), catalog);
}

#[test]
fn an_event_is_a_row_and_what_it_lacks_is_absent() {
    let mut second = event(1500, EventKind::Clear, Some(code(None)));
    second.list = FaultList::Previous;
    let cuts = cut(&[event(1000, EventKind::None, None), second]);
    let [cut] = cuts.as_slice() else { panic!("{cuts:?}") };
    assert_eq!(
        (cut.lane, cut.base_time, cut.last_time),
        (Lane::Diagnostics, Timestamp(1_000_000), Timestamp(1_500_000))
    );
    let group = &cut.groups[0];
    assert_eq!((group.table, group.times_us.as_slice()), (Table::Diagnostics, [0, 500_000].as_slice()));
    let of = |id: u32| group.columns.iter().find(|c| c.column_id == id);
    assert_eq!(of(14).unwrap().values, Values::Text(vec!["none".to_owned(), "clear".to_owned()]));
    assert_eq!(of(16).unwrap().values, Values::Text(vec!["active".to_owned(), "previous".to_owned()]));
    let spn = of(10).unwrap();
    assert_eq!((&spn.present, &spn.values), (&[false, true].into_iter().collect(), &Values::Raw(vec![100])));
    // Neither has a count or a freeze frame, so those columns do not travel.
    assert!(of(12).is_none() && of(15).is_none());
    assert_eq!(cut.sample_count, 2 + 2 + 1 + 1 + 1 + 1 + 2 + 2);
}

#[test]
fn many_events_and_long_freeze_frames_take_more_batches_and_each_fits_the_wire() {
    assert_eq!(cut(&[]), []);
    let many: Vec<FaultEvent> = (0..1100).map(|i| event(i, EventKind::Raise, Some(code(None)))).collect();
    let rows: Vec<usize> = cut(&many).iter().map(|c| c.groups[0].times_us.len()).collect();
    assert_eq!(rows, [512, 512, 76]);

    let long = |bytes: usize| event(0, EventKind::Raise, Some(code(Some("x".repeat(bytes)))));
    let cuts = cut(&[long(100_000), long(100_000), long(300_000), long(10)]);
    let frames: Vec<Vec<usize>> = cuts
        .iter()
        .map(|c| match &c.groups[0].columns.iter().find(|c| c.column_id == 15).unwrap().values {
            Values::Text(texts) => texts.iter().map(String::len).collect(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(frames, [vec![100_000], vec![100_000, "{\"left_out_bytes\":300000}".len(), 10]]);
}
