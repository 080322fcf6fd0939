//! `roadlake admin rebuild`: rows of the api's database made anew from its event log.

use anyhow::{Context, ensure};
use api::{
    Projection,
    db::{DatabaseLocation, Db},
};
use service::config::Loaded;

use crate::{place::PlaceArguments, progress::Progress, terminal};

/// What `roadlake admin rebuild` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: PlaceArguments,
    /// Only these rows; can be given more than once: organizations, vehicles, geofences, groups,
    /// trips, planned-trips, tariffs, invoices, wallets, bookings, dunning, campaigns, commands, devices, maintenance,
    /// drivers, alert-rules
    #[arg(long, value_name = "ROWS")]
    only: Vec<Projection>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Loaded { config, origin } = arguments.place.load()?;
    let settings = api::Settings::check(Loaded { config: config.api, origin: format!("{origin} [api]") })?;
    if let DatabaseLocation::File(path) = &settings.database {
        ensure!(path.exists(), "there is no database {}; name its folder with --data", path.display());
    }
    let db = Db::open(settings.database).await?;
    let progress = Progress::of("reading the event log", arguments.json);
    let made = api::rebuild(&db, &arguments.only).await;
    drop(progress);
    db.close().await;
    let made = made.context("nothing was changed")?;
    if arguments.json {
        let counts = made.iter().map(|(rows, count)| (rows.to_string(), (*count).into()));
        return terminal::json(&counts.collect::<serde_json::Map<_, _>>());
    }
    let lines: Vec<String> =
        made.iter().map(|(rows, count)| format!("{rows}: made anew from {count} events\n")).collect();
    terminal::text(&lines.concat())
}
