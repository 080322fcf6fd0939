//! The vehicles of the demo: one real car by its log, the rest computed.

use std::{net::SocketAddr, path::PathBuf, sync::LazyLock, time::Duration};

use edge_agent::{
    agent::{NamedBytes, ReplaySettings, Settings, SourceSettings},
    campaign::desk::CampaignSettings,
    command::CommandSettings,
    simulate::{self, Powertrain, SimulateSettings},
    source::replay::Pace,
    uplink::UplinkSettings,
};
use wire::{ids::VehicleId, time::Timestamp};

use super::keys;

/// The simulation begins so long before the first start and then catches up.
pub(super) const HISTORY_US: i64 = 24 * 3_600_000_000;
/// How much of it `--exit-when-done` waits for.
const HOUR_US: i64 = 3_600_000_000;

/// The car of `tests/data/css-car-obd-gnss`.
#[allow(clippy::expect_used, reason = "a constant that the tests read")]
pub(super) static REAL_CAR: LazyLock<VehicleId> =
    LazyLock::new(|| "car-3ba199e2".parse().expect("the id is well formed"));

const LOG: &[u8] = include_bytes!("../../tests/data/css-car-obd-gnss/00000164.candump.log.gz");
const DBC_OBD: &[u8] = include_bytes!("../../tests/data/css-car-obd-gnss/OBD-v4.4.dbc");
const DBC_GNSS: &[u8] = include_bytes!("../../tests/data/css-car-obd-gnss/canmod-gps.dbc");
const MAP: &[u8] = include_bytes!("../../configs/maps/css-car-obd-gnss.toml");

/// Where and how the vehicles run.
pub(super) struct Plan {
    pub(super) data_dir: PathBuf,
    pub(super) broker: SocketAddr,
    pub(super) simulation_start: Timestamp,
    pub(super) speed: f64,
    pub(super) has_end: bool,
}

/// Every vehicle and what people call it, the real car first.
pub(super) fn names(simulated_count: usize) -> Vec<(VehicleId, String)> {
    let simulated = (1..=simulated_count).filter_map(|i| {
        let kind = if powertrain(i) == Powertrain::Battery { "EV" } else { "Van" };
        Some((format!("sim-{i:02}").parse().ok()?, format!("{kind} {i:02} (simulated)")))
    });
    std::iter::once((REAL_CAR.clone(), "Car 3BA199E2 (recorded)".to_owned())).chain(simulated).collect()
}

/// Every fourth simulated vehicle is electric.
fn powertrain(i: usize) -> Powertrain {
    if i.is_multiple_of(4) { Powertrain::Battery } else { Powertrain::Combustion }
}

/// The agents' settings, in the order of `names`.
pub(super) fn settings(plan: &Plan, names: &[(VehicleId, String)]) -> anyhow::Result<Vec<Settings>> {
    let tracks = simulate::tracks();
    anyhow::ensure!(plan.speed.is_finite() && plan.speed > 0.0, "--speed must be a number above 0");
    let verifier = keys::verifier(&plan.data_dir)?;
    let all = names.iter().enumerate().map(|(i, (vehicle_id, _))| {
        let (source, dbcs, maps) = if i == 0 { real_car(plan) } else { simulated(plan, i, &tracks) };
        let spool = plan.data_dir.join("spool").join(vehicle_id.as_str());
        let settings = Settings::new(vehicle_id.clone(), spool, source, (dbcs, maps));
        let uplink = UplinkSettings {
            host: plan.broker.ip().to_string(),
            port: plan.broker.port(),
            resend_after: Duration::from_secs(20),
            ..settings.uplink
        };
        let campaigns = CampaignSettings {
            public_key_file: Some(keys::public(&keys::campaigns(&plan.data_dir))),
            ..settings.campaigns
        };
        let commands = CommandSettings { verifier: Some(verifier.clone()), ..settings.commands };
        Settings { uplink, campaigns, commands, ..settings }
    });
    Ok(all.collect())
}

type Parts = (SourceSettings, Vec<NamedBytes>, Vec<NamedBytes>);

fn real_car(plan: &Plan) -> Parts {
    let log = NamedBytes::new("00000164.candump.log.gz", LOG);
    let replay = ReplaySettings { log: log.into(), pace: Pace::Recorded(plan.speed), shift_to: None };
    let dbcs = vec![NamedBytes::new("OBD-v4.4.dbc", DBC_OBD), NamedBytes::new("canmod-gps.dbc", DBC_GNSS)];
    (SourceSettings::Replay(replay), dbcs, vec![NamedBytes::new("css-car-obd-gnss.toml", MAP)])
}

fn simulated(plan: &Plan, i: usize, tracks: &[NamedBytes]) -> Parts {
    let powertrain = powertrain(i);
    let track = tracks.get(i % tracks.len().max(1)).cloned();
    let simulate = SimulateSettings {
        track: track.unwrap_or_else(|| NamedBytes::new("none", Vec::new())),
        powertrain,
        seed: i as u64,
        start_time: plan.simulation_start,
        speed: plan.speed,
        until: plan.has_end.then(|| plan.simulation_start.plus_us(HOUR_US)),
    };
    (SourceSettings::Simulate(simulate), vec![simulate::dbc()], vec![simulate::map(powertrain)])
}
