//! From frames on a bus to rows of `diagnostics` in the spool, through the whole agent.

#![allow(clippy::cast_possible_truncation, reason = "counts of a test are small")]

use std::{collections::HashMap, fmt::Write};

use service::clock::SystemClock;
use wire::batch::{Batch, Group, Table, Values};

use crate::{
    agent::{
        NamedBytes, Settings,
        tests::{data, decoded, replay, spooled},
    },
    spool::{Lane, StoredBatch},
};

const MAP: &str = "version = 1\n\
    [[signal]]\ndbc = \"EEC1.EngineSpeed\"\nvss = \"Vehicle.Powertrain.CombustionEngine.Speed\"\n\
    table = \"signals\"\n\
    [[signal]]\ndbc = \"EC1.EngineSpeedAtPoint5\"\nvss = \"Vehicle.Powertrain.ElectricMotor.Speed\"\n";
/// The columns of `diagnostics` begin after the two mapped ones.
const FIRST_ID: u32 = 2;

fn truck(folder: &std::path::Path, log: NamedBytes) -> Settings {
    Settings {
        dbcs: vec![
            data("tests/data/css-truck-j1939/CSS-Electronics-SAE-J1939-DEMO.dbc"),
            data("tests/data/css-truck-j1939/tp_j1939.dbc"),
        ],
        maps: vec![NamedBytes::new("truck.toml", MAP.as_bytes())],
        ..replay(folder, log)
    }
}

fn cells(group: &Group, id: u32) -> Vec<Option<String>> {
    let Some(column) = group.columns.iter().find(|c| c.column_id == id) else {
        return vec![None; group.times_us.len()];
    };
    let mut values: Vec<String> = match &column.values {
        Values::Raw(v) => v.iter().map(i64::to_string).collect(),
        Values::Number(v) => v.iter().map(f64::to_string).collect(),
        Values::Text(v) => v.clone(),
    };
    values.reverse();
    {
        let present: Vec<usize> = column.present.present_rows().collect();
        (0..column.present.rows()).map(|row| present.contains(&row).then(|| values.pop().unwrap())).collect()
    }
}

/// Rows of `diagnostics`, as `seconds event ecu code spn fmi occurrences status_bits`.
fn rows(batches: &[Batch]) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in batches {
        for group in batch.groups.iter().filter(|g| g.table == Table::Diagnostics) {
            let columns: Vec<_> = [7, 1, 2, 3, 4, 5, 6].map(|i| cells(group, FIRST_ID + i)).to_vec();
            for (row, us) in group.times_us.iter().enumerate() {
                let mut text = format!("{:.3}", (batch.base_time.0 + us) as f64 / 1e6);
                for column in &columns {
                    write!(text, " {}", column[row].as_deref().unwrap_or("-")).unwrap();
                }
                rows.push(text);
            }
        }
    }
    rows
}

/// A log of one truck: each second engine speed, and a DM1 of the codes given for that second.
fn log(seconds: &[&[[u8; 4]]]) -> NamedBytes {
    let mut text = String::new();
    let mut frame = |ms: usize, id: &str, bytes: &[u8]| {
        let hex: String = bytes.iter().map(|b| format!("{b:02X}")).collect();
        writeln!(text, "({}.{:03}000) can0 {id}#{hex}", 1_000_000 + ms / 1000, ms % 1000).unwrap();
    };
    for (second, codes) in seconds.iter().enumerate() {
        let ms = second * 1000;
        frame(ms, "0CF00400", &[0xFF, 0xFF, 0xFF, second as u8, 0x20, 0xFF, 0xFF, 0xFF]);
        let mut dm1 = vec![if codes.is_empty() { 0x00 } else { 0x04 }, 0xFF];
        dm1.extend(codes.iter().flatten());
        match codes.len() {
            0 | 1 => {
                dm1.resize(6, 0);
                dm1.resize(8, 0xFF);
                frame(ms + 10, "18FECA03", &dm1);
            }
            _ => {
                let packets = dm1.len().div_ceil(7) as u8;
                frame(ms + 10, "1CECFF03", &[32, dm1.len() as u8, 0, packets, 0xFF, 0xCA, 0xFE, 0]);
                for (i, chunk) in dm1.chunks(7).enumerate() {
                    let mut packet = vec![i as u8 + 1];
                    packet.extend(chunk);
                    packet.resize(8, 0xFF);
                    frame(ms + 60 + 50 * i, "1CEBFF03", &packet);
                }
            }
        }
    }
    NamedBytes::new("truck.log", text.into_bytes())
}

async fn run(settings: Settings) -> (Vec<StoredBatch>, Vec<Batch>) {
    let (stored, stats) = spooled(settings, SystemClock::shared()).await;
    assert_eq!(stats.samples_collected_total() + stats.samples_recovered, stats.samples_in_spool);
    let batches = decoded(&stored);
    (stored, batches)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_many_frames_is_raised_changed_and_cleared_in_the_spool() {
    let oil = |count| [100, 0, 1, count];
    let coolant = [110, 0, 0, 1];
    let (one, both, worse) = ([oil(1)], [oil(1), coolant], [oil(2), coolant]);
    let folder = tempfile::tempdir().unwrap();
    let seconds: [&[[u8; 4]]; 11] = [&[], &one, &both, &[], &both, &worse, &one, &one, &one, &[], &[]];
    let log = log(&seconds);
    let (stored, batches) = run(truck(folder.path(), log.clone())).await;
    let ecu = "transmission-1 (SA 3)";
    let expected = [
        format!("1000000.010 none {ecu} - - - - -"),
        format!("1000001.010 raise {ecu} SPN 100 FMI 1 100 1 1 65284"),
        // The tenth byte is in the second packet. One list without it does not clear it.
        format!("1000002.110 raise {ecu} SPN 110 FMI 0 110 0 1 65284"),
        format!("1000005.110 change {ecu} SPN 100 FMI 1 100 1 2 65284"),
        format!("1000006.010 change {ecu} SPN 100 FMI 1 100 1 1 65284"),
        format!("1000008.010 clear {ecu} SPN 110 FMI 0 110 0 1 65284"),
    ];
    assert_eq!(rows(&batches), expected);

    // Again, from the same log: nothing is added.
    let (again, _) = run(truck(folder.path(), log)).await;
    assert_eq!(again, stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_truck_s_faults_and_long_messages_reach_the_spool() {
    let folder = tempfile::tempdir().unwrap();
    let log = data("tests/data/css-truck-j1939/11111111-00000012-00000001.candump.log.gz");
    let (_, batches) = run(truck(folder.path(), log)).await;
    let ecu = "engine-1 (SA 0)";
    let expected = [
        format!("1635188455.719 seen {ecu} SPN 980 FMI 9 980 9 126 65347"),
        format!("1635188455.719 seen {ecu} SPN 3216 FMI 20 3216 20 2 65347"),
        format!("1635188455.719 seen {ecu} SPN 609 FMI 9 609 9 1 65347"),
        format!("1635188455.719 seen {ecu} SPN 609 FMI 12 609 12 3 65347"),
    ];
    assert_eq!(rows(&batches), expected);
    // They are the first batch that goes: faults do not wait for the end of an interval.
    assert_eq!(batches.iter().position(|b| b.groups[0].table == Lane::Diagnostics.table()), Some(0));
    let mut values: HashMap<u32, Vec<i64>> = HashMap::new();
    for column in batches.iter().flat_map(|b| &b.groups).flat_map(|g| &g.columns) {
        if let Values::Raw(raw) = &column.values {
            values.entry(column.column_id).or_default().extend(raw);
        }
    }
    assert!(values[&0].len() > 100);
    // Bytes 13 and 14 of 39: 0x3458 is 1675 rpm, and does not change.
    assert_eq!(values[&1], [0x3458]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_j1939_in_its_files_a_bus_is_not_read_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = truck(folder.path(), log(&[&[], &[[100, 0, 1, 1]]]));
    settings.j1939.listen = crate::j1939::Listen::Never;
    let (_, batches) = run(settings).await;
    assert_eq!(rows(&batches), Vec::<String>::new());
}
