//! `roadlake import`: the history of a vehicle from a file.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use service::clock::SystemClock;
use wire::ids::VehicleId;

use crate::place::PlaceArguments;

/// What `roadlake import` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: PlaceArguments,
    /// The vehicle: 1 to 64 of a-z, 0-9 and '-'
    #[arg(long)]
    vehicle: VehicleId,
    /// CSV or Parquet: `ts` (RFC 3339 or epoch) and columns named as in `readings`
    file: PathBuf,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} rows, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let lake = arguments.place.lake()?;
    let progress = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    };
    let imported =
        ingest::import::import(&lake, &arguments.vehicle, &arguments.file, SystemClock::shared(), progress)
            .await?;
    bar.finish_and_clear();
    println!(
        "{} rows of {}: {} values stored, {} were there already",
        imported.row_count,
        arguments.file.display(),
        imported.samples_stored,
        imported.samples_duplicate
    );
    Ok(())
}
