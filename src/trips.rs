//! `roadlake trips`: the newest trips, a line each.

use analytics::{
    sql_cli::{Format, Session, bar},
    tracks::{Chosen, trips_query},
};
use serde_json::Value;
use service::clock::SystemClock;
use wire::{ids::VehicleId, time::Timestamp};

use crate::{place::PlaceArguments, terminal};

/// What `roadlake trips` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: PlaceArguments,
    /// Trips of this vehicle alone
    #[arg(long)]
    vehicle: Option<VehicleId>,
    /// Trips that start then or later, RFC 3339
    #[arg(long, value_parser = Timestamp::parse)]
    from: Option<Timestamp>,
    /// Trips that start before
    #[arg(long, value_parser = Timestamp::parse)]
    to: Option<Timestamp>,
    /// At most so many, the newest first
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// One JSON array, for programs
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { place, vehicle, from, to, limit, json } = arguments;
    let session = Session::open(&place.lake()?, SystemClock::shared()).await?;
    let chosen = Chosen { trip_id: None, vehicle_id: vehicle, from, to };
    let query = format!(
        "SELECT trip_id, vehicle_id, start_time, end_time, distance_m, duration_s, idle_s, speed_max_kmh, \
         fuel_used_l, energy_used_kwh FROM ({}) ORDER BY start_time DESC, trip_id LIMIT {limit}",
        trips_query(&chosen)?
    );
    if json {
        return terminal::text(&session.run(&query, Format::Json).await?);
    }
    let result = session.query(&query).await?;
    if result.rows.is_empty() {
        return terminal::text("no trips; a trip is there some minutes after it has ended\n");
    }
    let place = |name: &str| result.columns.iter().position(|c| c.name == name);
    let of = |row: &[Value], name: &str| place(name).and_then(|i| row.get(i).cloned()).unwrap_or_default();
    let longest = result.rows.iter().filter_map(|row| of(row, "distance_m").as_f64()).fold(0.0, f64::max);
    let mut lines = vec![
        ["vehicle", "start (UTC)", "time", "idle", "km", "max km/h", "used", "trip", ""].map(str::to_owned),
    ];
    for row in &result.rows {
        let text = |name: &str| of(row, name).as_str().unwrap_or_default().to_owned();
        let number = |name: &str| of(row, name).as_f64();
        let seconds = |name: &str| terminal::duration(of(row, name).as_i64().unwrap_or_default());
        let metres = number("distance_m").unwrap_or_default();
        let used = match (number("fuel_used_l"), number("energy_used_kwh")) {
            (Some(fuel), _) => format!("{fuel:.1} l"),
            (None, Some(energy)) => format!("{energy:.1} kWh"),
            (None, None) => "-".to_owned(),
        };
        lines.push([
            text("vehicle_id"),
            minute(&text("start_time")),
            seconds("duration_s"),
            seconds("idle_s"),
            format!("{:.1}", metres / 1000.0),
            number("speed_max_kmh").map_or("-".to_owned(), |speed| format!("{speed:.0}")),
            used,
            text("trip_id"),
            // A quarter of the bar's length is enough beside so many columns.
            bar(metres, longest * 4.0),
        ]);
    }
    terminal::text(&left_bars(lines))
}

/// A time of the lake without its seconds.
fn minute(time: &str) -> String {
    time.chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// Aligned columns whose last, the bar, begins at one edge.
fn left_bars<const N: usize>(mut lines: Vec<[String; N]>) -> String {
    let width = lines.iter().filter_map(|line| line.last()).map(|bar| bar.chars().count()).max().unwrap_or(0);
    for bar in lines.iter_mut().filter_map(|line| line.last_mut()) {
        bar.push_str(&" ".repeat(width - bar.chars().count()));
    }
    terminal::aligned(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_begin_below_each_other() {
        let lines = vec![["a".to_owned(), "██".to_owned()], ["bc".to_owned(), "█".to_owned()]];
        assert_eq!(left_bars(lines), "a   ██\nbc  █\n");
        assert_eq!(minute("2026-11-28T10:12:13.5Z"), "2026-11-28 10:12");
    }
}
