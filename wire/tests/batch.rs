//! Batches come back as they were, nonsense is refused, and old bytes read for ever.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test: a failure is the message"
)]

use std::{fs, path::Path};

use proptest::prelude::*;
use uuid::Uuid;
use wire::{
    ack::{AckMessage, CampaignSetName, CampaignStatus, DurableAck, LinkState, VehicleStatus},
    batch::{
        Batch, ClockState, Column, DecodeBatchError, Envelope, Gap, Group, PAYLOAD_BYTES_MAX, Table, Values,
    },
    campaigns::SetHash,
    catalog::{Catalog, ColumnDef, ValueKind},
    ids::{BootId, CatalogHash, StreamId},
    time::Timestamp,
};

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

prop_compose! {
    fn column(rows: usize)(
        column_id in any::<u32>(),
        present in prop::collection::vec(any::<bool>(), rows),
        kind in 0..3,
        raw in prop::collection::vec(any::<i64>(), rows),
        number in prop::collection::vec(prop::num::f64::NORMAL | prop::num::f64::ZERO, rows),
        text in prop::collection::vec("[a-zA-Zäß ]{0,12}", rows),
    ) -> Column {
        let count = present.iter().filter(|&&p| p).count();
        let values = match kind {
            _ if count == 0 => Values::Raw(Vec::new()),
            0 => Values::Raw(raw[..count].to_vec()),
            1 => Values::Number(number[..count].to_vec()),
            _ => Values::Text(text[..count].to_vec()),
        };
        Column { column_id, present: present.into_iter().collect(), values }
    }
}

fn table() -> impl Strategy<Value = Table> {
    prop_oneof![Just(Table::Readings), Just(Table::Signals), Just(Table::Diagnostics)]
}

fn group(table: Table) -> impl Strategy<Value = Group> {
    (0_usize..20).prop_flat_map(move |rows| {
        (prop::collection::vec(any::<i64>(), rows), prop::collection::vec(column(rows), 0..6))
            .prop_map(move |(times_us, columns)| Group { table, times_us, columns })
    })
}

fn batch() -> impl Strategy<Value = Batch> {
    (table(), any::<u128>(), 1_u64..u64::MAX, any::<i64>()).prop_flat_map(|(table, n, sequence, base)| {
        (prop::collection::vec(group(table), 0..5), 1..=sequence).prop_map(move |(groups, oldest)| Batch {
            vehicle_id: "truck-7".parse().unwrap(),
            boot_id: BootId(id(n)),
            stream_id: StreamId(id(n ^ 1)),
            sequence,
            oldest_sequence: oldest,
            catalog_hash: CatalogHash(id(n ^ 2)),
            base_time: Timestamp(base),
            monotonic_base_us: base / 3,
            groups,
            gaps: vec![Gap {
                stream_id: StreamId(id(n)),
                from_sequence: 3,
                to_sequence: 9,
                sample_count: 12,
                first_time: Timestamp(base),
                last_time: Timestamp(base),
                reason: "spool_full".to_owned(),
            }],
            clock: [ClockState::Synchronized, ClockState::Unsynchronized, ClockState::Corrected]
                [n as usize % 3],
        })
    })
}

proptest! {
    #[test]
    fn any_batch_comes_back(batch in batch()) {
        let body = batch.encode_body().unwrap();
        let envelope = Envelope { body: &body, signature: &[1; 64] };
        let payload = envelope.encode().unwrap();
        let back = Envelope::decode(&payload).unwrap();
        prop_assert_eq!(&back, &envelope);
        prop_assert_eq!(Batch::decode_body(back.body).unwrap(), batch);
    }

    #[test]
    fn any_bytes_are_a_batch_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        // Neither panics nor hangs; what comes out is bounded by what went in.
        let _ = Envelope::decode(&bytes);
        let _ = Batch::decode_body(&bytes);
        let _ = Catalog::decode(&bytes);
        let _ = AckMessage::decode(&bytes);
        let _ = VehicleStatus::decode(&bytes);
    }

    #[test]
    fn a_batch_with_flipped_bits_is_a_batch_or_an_error(batch in batch(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut body = batch.encode_body().unwrap();
        let i = at.index(body.len());
        body[i] ^= 1_u8 << bit;
        let _ = Batch::decode_body(&body);
    }
}

#[test]
fn a_small_frame_that_unpacks_to_gigabytes_is_refused_before_it_does() {
    let bomb = zstd::bulk::compress(&vec![0_u8; 64 << 20], 19).unwrap();
    assert!(bomb.len() < 64 * 1024, "{}", bomb.len());
    assert!(matches!(Batch::decode_body(&bomb), Err(DecodeBatchError::Decompress(_))));
    assert!(matches!(
        Envelope::decode(&vec![0; PAYLOAD_BYTES_MAX + 1]),
        Err(DecodeBatchError::PayloadTooLarge(_))
    ));
}

#[test]
fn groups_for_two_tables_are_refused() {
    let group = |table| Group { table, times_us: vec![0], columns: vec![] };
    let mut batch = golden_batch();
    batch.groups = vec![group(Table::Readings), group(Table::Signals)];
    let error = Batch::decode_body(&batch.encode_body().unwrap()).unwrap_err();
    assert!(error.to_string().contains("more than one table"), "{error}");
}

fn golden_batch() -> Batch {
    Batch {
        vehicle_id: "car-3ba199e2".parse().unwrap(),
        boot_id: BootId(id(1)),
        stream_id: StreamId(id(2)),
        sequence: 42,
        oldest_sequence: 40,
        catalog_hash: golden_catalog().hash(),
        base_time: Timestamp(1_627_274_455_000_000),
        monotonic_base_us: 12_345_678,
        groups: vec![Group {
            table: Table::Readings,
            times_us: vec![0, 1_000_000, 2_000_000, 3_000_100],
            columns: vec![
                Column::dense(1, Values::Raw(vec![56_112_345, 56_112_350, 56_112_361, 56_112_370])),
                Column {
                    column_id: 2,
                    present: [true, false, true, false].into_iter().collect(),
                    values: Values::Number(vec![0.5, -1.25]),
                },
                Column {
                    column_id: 3,
                    present: [false, false, false, true].into_iter().collect(),
                    values: Values::Text(vec!["ON".to_owned()]),
                },
            ],
        }],
        gaps: Vec::new(),
        clock: ClockState::Synchronized,
    }
}

fn golden_catalog() -> Catalog {
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
    let mut state = column(3, "Vehicle.LowVoltageSystemState", "", 1.0, ValueKind::Text);
    state.labels = vec![(-1, "error".to_owned()), (4, "ON".to_owned())];
    Catalog {
        vss_release: "6.0".to_owned(),
        columns: vec![
            column(1, "Vehicle.CurrentLocation.Latitude", "degrees", 1e-6, ValueKind::Raw),
            column(2, "Vehicle.Acceleration.Longitudinal", "m/s^2", 1.0, ValueKind::Number),
            state,
        ],
    }
}

fn golden_ack() -> AckMessage {
    AckMessage {
        durable: vec![DurableAck { stream_id: StreamId(id(2)), up_to_sequence: 42 }],
        need_catalog: vec![golden_catalog().hash()],
        rejected: Vec::new(),
        wait_s: 0,
    }
}

fn golden_wait() -> AckMessage {
    AckMessage { wait_s: 90, ..AckMessage::default() }
}

fn golden_rejection() -> AckMessage {
    AckMessage { rejected: vec![0xCBF4_3926, 7], ..golden_ack() }
}

fn golden_status() -> VehicleStatus {
    VehicleStatus {
        is_online: true,
        agent_version: "0.1.0".to_owned(),
        boot_id: BootId(id(1)),
        catalog_hash: golden_catalog().hash(),
        since: Timestamp(1_627_274_455_000_000),
        // Its golden bytes are of before this field: an online vehicle reads as live.
        link: LinkState::Live,
        campaigns: CampaignStatus::default(),
    }
}

#[test]
fn a_status_tells_the_campaign_set_in_force_and_why_another_was_refused() {
    let campaigns = CampaignStatus {
        in_force: Some(CampaignSetName {
            set_id: "fleet".to_owned(),
            revision: 7,
            hash: SetHash::of("version = 1"),
        }),
        refusal: "revision 6 is older than 7".to_owned(),
    };
    let status = VehicleStatus { campaigns, ..golden_status() };
    assert_eq!(VehicleStatus::decode(&status.encode()).unwrap(), status);
}

/// The file's bytes. `ROADLAKE_WRITE_GOLDEN=1` writes those that are missing: once a version,
/// never again.
fn golden(name: &str, make: impl Fn() -> Vec<u8>) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if !path.exists() && std::env::var_os("ROADLAKE_WRITE_GOLDEN").is_some() {
        fs::write(&path, make()).unwrap();
    }
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn version_1_reads_for_ever() {
    let body = golden("batch-v1.zst", || golden_batch().encode_body().unwrap());
    assert_eq!(Batch::decode_body(&body).unwrap(), golden_batch());
    let catalog = golden("catalog-v1.pb", || golden_catalog().encode());
    assert_eq!(Catalog::decode(&catalog).unwrap(), golden_catalog());
    // Its hash names it in every batch: its bytes may not change either.
    assert_eq!(golden_catalog().encode(), catalog);
    let ack = golden("ack-v1.pb", || golden_ack().encode());
    assert_eq!(AckMessage::decode(&ack).unwrap(), golden_ack());
    let rejection = golden("ack-v1-rejected.pb", || golden_rejection().encode());
    assert_eq!(AckMessage::decode(&rejection).unwrap(), golden_rejection());
    let wait = golden("ack-v1-wait.pb", || golden_wait().encode());
    assert_eq!(AckMessage::decode(&wait).unwrap(), golden_wait());
    let status = golden("status-v1.pb", || golden_status().encode());
    assert_eq!(VehicleStatus::decode(&status).unwrap(), golden_status());
}

#[test]
fn a_payload_is_named_by_the_crc_32_of_ieee_802_3() {
    // The check value of CRC-32/ISO-HDLC in the RevEng catalogue.
    assert_eq!(wire::ack::payload_crc32(b"123456789"), 0xCBF4_3926);
}

#[test]
fn every_link_state_comes_back() {
    for link in LinkState::ALL {
        let status = VehicleStatus { link, ..golden_status() };
        assert_eq!(VehicleStatus::decode(&status.encode()).unwrap(), status);
    }
}
