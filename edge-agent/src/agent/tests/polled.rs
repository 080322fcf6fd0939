//! A whole agent that asks a simulated vehicle.

use std::collections::BTreeSet;

use super::*;
use crate::poll::PidPoll;
use wire::batch::Values;

/// Texts of a column in all batches.
fn texts(batches: &[Batch], column_id: u32) -> Vec<String> {
    let columns = batches.iter().flat_map(|b| &b.groups).flat_map(|g| &g.columns);
    let texts = columns.filter(|c| c.column_id == column_id).map(|c| match &c.values {
        Values::Text(texts) => texts.clone(),
        other => panic!("{other:?}"),
    });
    texts.flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn values_faults_and_the_vin_of_a_vehicle_that_is_asked_are_collected() {
    let start = Timestamp(1_760_000_000_000_000);
    let clock = ManualClock::at(start.0 + 86_400_000_000);
    let folder = tempfile::tempdir().unwrap();
    let mut settings = simulation(folder.path(), start, 30);
    let (coolant, oil) = (0x05, 0x5C);
    settings.poll = Some(PollSettings {
        interface: Arc::from("sim0"),
        bitrate: 500_000,
        bus_share_max: 0.02,
        addressing: crate::obd::Addressing::Standard,
        quiet_after: Duration::from_secs(5),
        tester_pause: Duration::from_secs(10),
        pids: [coolant, oil].map(|pid| PidPoll { pid, period: Duration::from_secs(5) }).into(),
        obd_faults_every: Some(Duration::from_secs(20)),
        ecus: Vec::new(),
        dids: Vec::new(),
        j1939: None,
    });
    let catalog = decoder(&settings).unwrap().catalog().clone();
    let id = |signal: &str| catalog.columns.iter().find(|c| c.signal == signal).unwrap().column_id;
    let (batches, stats) = spooled(settings, clock).await;
    let batches = decoded(&batches);

    // Told once, however often the vehicle was started.
    assert_eq!(texts(&batches, id("Vehicle.VehicleIdentification.VIN")), ["WRLZZZSVH00000001"]);
    let lists: BTreeSet<String> = texts(&batches, id("list")).into_iter().collect();
    assert!(lists.contains("confirmed") && lists.contains("pending"), "{lists:?}");
    assert!(texts(&batches, id("protocol")).iter().all(|p| p == "obd"));
    assert_eq!(stats.samples_collected_total(), stats.samples_in_spool);
}
