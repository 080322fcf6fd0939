//! `roadlake import`: the history of a vehicle from a file.

use std::path::PathBuf;

use serde_json::json;
use service::clock::SystemClock;
use wire::ids::VehicleId;

use crate::{place::PlaceArguments, progress::Progress, terminal};

/// What `roadlake import` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: PlaceArguments,
    /// The vehicle: 1 to 64 of a-z, 0-9 and '-'
    #[arg(long)]
    vehicle: VehicleId,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    /// CSV or Parquet: `ts` (RFC 3339 or epoch) and columns named as in `readings`
    file: PathBuf,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let lake = arguments.place.lake()?;
    let bar = Progress::rows(arguments.json);
    let progress = |done: usize, total: usize| bar.reach(done, total);
    let imported =
        ingest::import::import(&lake, &arguments.vehicle, &arguments.file, SystemClock::shared(), progress)
            .await?;
    drop(bar);
    if arguments.json {
        return terminal::json(&json!({
            "vehicle_id": arguments.vehicle,
            "rows": imported.row_count,
            "values_stored": imported.samples_stored,
            "values_there_already": imported.samples_duplicate,
        }));
    }
    terminal::text(&format!(
        "{} rows of {}: {} values stored, {} were there already\n",
        imported.row_count,
        arguments.file.display(),
        imported.samples_stored,
        imported.samples_duplicate
    ))
}
