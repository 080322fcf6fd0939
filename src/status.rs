//! `roadlake status`: the fleet on one screen, without a server.

use analytics::sql_cli::{Format, Session};
use serde_json::Value;
use service::clock::SystemClock;
use wire::time::Timestamp;

use crate::{place::PlaceArguments, terminal};

/// A vehicle heard of within this is counted as there.
const HEARD_S: i64 = 600;

/// What `roadlake status` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: PlaceArguments,
    /// One JSON array, for programs
    #[arg(long)]
    json: bool,
}

/// Each vehicle: what it said last, its open faults and its trips of the last day.
fn query(now: Timestamp) -> String {
    let since = now.plus_us(-86_400_000_000);
    format!(
        "SELECT l.vehicle_id, l.ts, l.speed_kmh, l.odometer_km, l.fuel_level_pct, l.soc_pct, l.latitude, l.longitude,
                coalesce(f.open_faults, 0) AS open_fault_count, coalesce(t.trips, 0) AS trip_count_24h,
                coalesce(t.distance_km, 0.0) AS distance_km_24h
         FROM last_reading l
         LEFT JOIN (SELECT vehicle_id, count(*) AS open_faults FROM fault_episodes WHERE end_time IS NULL
                    GROUP BY vehicle_id) f ON f.vehicle_id = l.vehicle_id
         LEFT JOIN (SELECT vehicle_id, count(*) AS trips, sum(distance_m) / 1000.0 AS distance_km
                    FROM latest_trips
                    WHERE end_time >= TIMESTAMP '{since}' AND date >= CAST(TIMESTAMP '{since}' AS DATE) - INTERVAL '7 days'
                    GROUP BY vehicle_id) t ON t.vehicle_id = l.vehicle_id
         ORDER BY l.ts DESC, l.vehicle_id"
    )
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let clock = SystemClock::shared();
    let now = Timestamp(clock.now_us());
    let session = Session::open(&arguments.place.lake()?, clock).await?;
    if arguments.json {
        return terminal::text(&session.run(&query(now), Format::Json).await?);
    }
    let result = session.query(&query(now)).await?;
    if result.rows.is_empty() {
        return terminal::text("no vehicle has been heard of yet\n");
    }
    let place = |name: &str| result.columns.iter().position(|c| c.name == name);
    let of = |row: &[Value], name: &str| place(name).and_then(|i| row.get(i).cloned()).unwrap_or_default();
    let mut lines = vec![
        [
            "vehicle",
            "heard",
            "km/h",
            "odometer km",
            "fuel %",
            "charge %",
            "latitude",
            "longitude",
            "faults",
            "trips",
            "km",
        ]
        .map(str::to_owned),
    ];
    let (mut heard_count, mut fault_count, mut trip_count, mut distance_km) = (0, 0, 0, 0.0);
    for row in &result.rows {
        let number = |name: &str, decimals: usize| {
            of(row, name).as_f64().map_or("-".to_owned(), |value| format!("{value:.decimals$}"))
        };
        let count = |name: &str| of(row, name).as_i64().unwrap_or_default();
        let last = of(row, "ts").as_str().and_then(|text| Timestamp::parse(text).ok());
        let age_s = last.map(|last| now.since_us(last) / 1_000_000);
        heard_count += i64::from(age_s.is_some_and(|age_s| age_s <= HEARD_S));
        fault_count += count("open_fault_count");
        trip_count += count("trip_count_24h");
        distance_km += of(row, "distance_km_24h").as_f64().unwrap_or_default();
        lines.push([
            of(row, "vehicle_id").as_str().unwrap_or_default().to_owned(),
            age_s.map_or("-".to_owned(), |age_s| format!("{} ago", terminal::duration(age_s))),
            number("speed_kmh", 0),
            number("odometer_km", 1),
            number("fuel_level_pct", 0),
            number("soc_pct", 0),
            number("latitude", 5),
            number("longitude", 5),
            count("open_fault_count").to_string(),
            count("trip_count_24h").to_string(),
            number("distance_km_24h", 1),
        ]);
    }
    terminal::text(&format!(
        "{} {}, {heard_count} heard of within {} min; {fault_count} open faults; in the last 24 h {trip_count} trips, \
         {distance_km:.1} km\n\n{}",
        result.rows.len(),
        if result.rows.len() == 1 { "vehicle" } else { "vehicles" },
        HEARD_S / 60,
        terminal::aligned(&lines)
    ))
}
