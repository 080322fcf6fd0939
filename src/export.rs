//! `roadlake export`: the tracks of trips as a file.

use std::io::{BufWriter, Write};

use analytics::{
    sql_cli::{Session, SqlCliError},
    tracks::{Chosen, TrackFormat, write_tracks},
};
use serde_json::json;
use service::clock::SystemClock;
use wire::{ids::VehicleId, time::Timestamp};

use crate::{place::PlaceArguments, progress::Progress};

/// What `roadlake export` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: PlaceArguments,
    /// gpx or geojson
    #[arg(long, default_value = "gpx")]
    format: TrackFormat,
    /// This trip alone, trp_…
    #[arg(long)]
    trip: Option<String>,
    /// Trips of this vehicle alone
    #[arg(long)]
    vehicle: Option<VehicleId>,
    /// Trips that start then or later, RFC 3339
    #[arg(long, value_parser = Timestamp::parse)]
    from: Option<Timestamp>,
    /// Trips that start before
    #[arg(long, value_parser = Timestamp::parse)]
    to: Option<Timestamp>,
    /// Tell what was written in JSON, on standard error
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let session = Session::open(&arguments.place.lake()?, SystemClock::shared()).await?;
    let chosen = Chosen {
        trip_id: arguments.trip,
        vehicle_id: arguments.vehicle,
        from: arguments.from,
        to: arguments.to,
    };
    let progress = Progress::of("writing trips", arguments.json);
    let mut out = BufWriter::new(std::io::stdout());
    let written = write_tracks(&session, &chosen, arguments.format, &mut out).await;
    let flushed = written.and_then(|count| out.flush().map(|()| count).map_err(SqlCliError::Write));
    let written = match flushed {
        // `roadlake export … | head` is a quiet end.
        Err(SqlCliError::Write(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
        other => other?,
    };
    drop(progress);
    if arguments.json {
        eprintln!("{}", json!({ "trips": written.trip_count, "points": written.point_count }));
    } else {
        eprintln!("{} trips, {} points", written.trip_count, written.point_count);
    }
    Ok(())
}
