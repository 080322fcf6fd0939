//! The tracks of trips as GPX 1.1 or GeoJSON. One trip is in memory at a time.

use std::{
    fmt::Write as _,
    io::{self, Write},
    str::FromStr,
};

use serde_json::{Map, Value, json};
use wire::{ids::VehicleId, time::Timestamp};

use crate::{
    engine::{SqlError, timestamp_literal},
    sql_cli::{Session, SqlCliError},
};

/// A longer silence ends a segment: what is between is not known to be a straight line.
const SEGMENT_GAP_US: i64 = 120 * 1_000_000;

/// How tracks are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackFormat {
    /// GPX 1.1, a track a trip.
    Gpx,
    /// A collection of features, one a trip (RFC 7946).
    Geojson,
}

impl FromStr for TrackFormat {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "gpx" => Ok(Self::Gpx),
            "geojson" => Ok(Self::Geojson),
            other => Err(format!("{other:?} is no format of tracks; write gpx or geojson")),
        }
    }
}

/// Which trips.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// One alone.
    pub trip_id: Option<String>,
    /// One vehicle's.
    pub vehicle_id: Option<VehicleId>,
    /// That start then or later.
    pub from: Option<Timestamp>,
    /// That start before.
    pub to: Option<Timestamp>,
}

/// How much was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Trips.
    pub trip_count: u64,
    /// Their points.
    pub point_count: u64,
}

struct Point {
    ts: Timestamp,
    latitude: f64,
    longitude: f64,
    altitude_m: Option<f64>,
}

/// Writes the newest revisions of trips with where they went.
pub async fn write_tracks(
    session: &Session,
    chosen: &Chosen,
    format: TrackFormat,
    out: &mut impl Write,
) -> Result<Written, SqlCliError> {
    let trips = session.query(&trips_query(chosen)?).await?;
    if trips.is_truncated {
        let message = "these are more than a million trips; take a shorter time".to_owned();
        return Err(SqlError::invalid(message).into());
    }
    let mut written = Written::default();
    let broken = SqlCliError::Write;
    begin(format, out).map_err(broken)?;
    for row in trips.rows {
        let names = trips.columns.iter().map(|column| column.name.clone());
        let trip: Map<String, Value> = names.zip(row).collect();
        let points = points(session, &trip).await?;
        let is_first = written.trip_count == 0;
        match format {
            TrackFormat::Gpx => write_gpx(&trip, &points, out),
            TrackFormat::Geojson => write_geojson(trip, &points, is_first, out),
        }
        .map_err(broken)?;
        written.trip_count += 1;
        written.point_count += u64::try_from(points.len()).unwrap_or(u64::MAX);
    }
    end(format, out).map_err(broken)?;
    Ok(written)
}

/// The query for the newest revisions of trips, the first of them first.
pub fn trips_query(chosen: &Chosen) -> Result<String, SqlError> {
    let mut query =
        "SELECT trip_id, revision, vehicle_id, start_time, end_time, distance_m, distance_source, \
                     duration_s, moving_s, idle_s, speed_max_kmh, fuel_used_l, energy_used_kwh \
                     FROM latest_trips WHERE true"
            .to_owned();
    let mut and = |condition: String| {
        // Writing to a string does not fail.
        let _ = write!(query, " AND {condition}");
    };
    if let Some(trip_id) = &chosen.trip_id {
        if !trip_id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
            return Err(SqlError::invalid(format!("{trip_id:?} is no id of a trip, trp_…")));
        }
        and(format!("trip_id = '{trip_id}'"));
    }
    if let Some(vehicle_id) = &chosen.vehicle_id {
        // It is `[a-z0-9-]`.
        and(format!("vehicle_id = '{vehicle_id}'"));
    }
    for (time, is) in [(chosen.from, ">="), (chosen.to, "<")] {
        if let Some(time) = time {
            and(format!("start_time {is} {}", timestamp_literal(time)));
        }
    }
    if let Some(from) = chosen.from {
        and(format!("date >= CAST({} AS DATE)", timestamp_literal(from)));
    }
    Ok(query + " ORDER BY start_time, trip_id")
}

async fn points(session: &Session, trip: &Map<String, Value>) -> Result<Vec<Point>, SqlError> {
    let text = |name: &str| trip.get(name).and_then(Value::as_str).unwrap_or_default();
    let time = |name: &str| Timestamp::parse(text(name)).map_err(|e| SqlError::internal(&e));
    let query = format!(
        "SELECT ts, latitude, longitude, altitude_m FROM readings
         WHERE vehicle_id = '{vehicle}' AND ts >= {from} AND ts <= {to}
           AND date >= CAST({from} AS DATE) AND date <= CAST({to} AS DATE)
           AND latitude IS NOT NULL AND longitude IS NOT NULL
         ORDER BY ts",
        vehicle = text("vehicle_id"),
        from = timestamp_literal(time("start_time")?),
        to = timestamp_literal(time("end_time")?),
    );
    let found = session.query(&query).await?;
    if found.is_truncated {
        let message = format!("trip {} has more points than can be held", text("trip_id"));
        return Err(SqlError::invalid(message));
    }
    let point = |row: &Vec<Value>| match row.as_slice() {
        [ts, latitude, longitude, altitude_m] => Some(Point {
            ts: Timestamp::parse(ts.as_str()?).ok()?,
            latitude: latitude.as_f64()?,
            longitude: longitude.as_f64()?,
            altitude_m: altitude_m.as_f64(),
        }),
        _ => None,
    };
    Ok(found.rows.iter().filter_map(point).collect())
}

/// Stretches without a gap.
fn segments(points: &[Point]) -> impl Iterator<Item = &[Point]> {
    points.chunk_by(|before, after| after.ts.since_us(before.ts) <= SEGMENT_GAP_US)
}

fn begin(format: TrackFormat, out: &mut impl Write) -> io::Result<()> {
    match format {
        TrackFormat::Gpx => writeln!(
            out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <gpx version=\"1.1\" creator=\"Roadlake\" xmlns=\"http://www.topografix.com/GPX/1/1\">"
        ),
        TrackFormat::Geojson => write!(out, "{{\"type\":\"FeatureCollection\",\"features\":["),
    }
}

fn end(format: TrackFormat, out: &mut impl Write) -> io::Result<()> {
    match format {
        TrackFormat::Gpx => writeln!(out, "</gpx>"),
        TrackFormat::Geojson => writeln!(out, "\n]}}"),
    }
}

/// Ids and times need no escape: letters, digits, `-`, `_`, `:` and `.`.
fn write_gpx(trip: &Map<String, Value>, points: &[Point], out: &mut impl Write) -> io::Result<()> {
    let text = |name: &str| trip.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| trip.get(name).and_then(Value::as_i64).unwrap_or_default();
    writeln!(out, "<trk>\n<name>{} {}</name>", text("vehicle_id"), text("start_time"))?;
    writeln!(
        out,
        "<desc>{}, revision {}: {} m in {} s</desc>",
        text("trip_id"),
        number("revision"),
        number("distance_m"),
        number("duration_s"),
    )?;
    for segment in segments(points) {
        writeln!(out, "<trkseg>")?;
        for point in segment {
            write!(out, "<trkpt lat=\"{:.7}\" lon=\"{:.7}\">", point.latitude, point.longitude)?;
            if let Some(altitude_m) = point.altitude_m {
                write!(out, "<ele>{altitude_m}</ele>")?;
            }
            writeln!(out, "<time>{}</time></trkpt>", point.ts)?;
        }
        writeln!(out, "</trkseg>")?;
    }
    writeln!(out, "</trk>")
}

fn write_geojson(
    mut trip: Map<String, Value>,
    points: &[Point],
    is_first: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let place = |point: &Point| match point.altitude_m {
        Some(altitude_m) => json!([point.longitude, point.latitude, altitude_m]),
        None => json!([point.longitude, point.latitude]),
    };
    trip.insert("times".to_owned(), points.iter().map(|point| json!(point.ts.to_string())).collect());
    // One place is no line (RFC 7946, 3.1.4).
    let geometry = if points.len() > 1 {
        json!({ "type": "LineString", "coordinates": points.iter().map(place).collect::<Vec<_>>() })
    } else {
        Value::Null
    };
    let comma = if is_first { "" } else { "," };
    let feature =
        json!({ "type": "Feature", "id": trip.get("trip_id"), "properties": trip, "geometry": geometry });
    write!(out, "{comma}\n{feature}")
}

#[cfg(test)]
mod tests {
    use lake::{AppTransaction, Lake, LakeSettings, TableKind};
    use service::clock::ManualClock;

    use super::*;
    use crate::{
        row::{TripRow, TripStatus},
        testing::TestLake,
        trips::Reading,
    };

    const START_S: i64 = 1_714_550_400;

    fn at(s: i64) -> Timestamp {
        Timestamp((START_S + s) * 1_000_000)
    }

    fn trip(id: &str, vehicle: &str, (from_s, to_s): (i64, i64)) -> TripRow {
        TripRow {
            trip_id: id.to_owned(),
            revision: 2,
            vehicle_id: vehicle.parse().unwrap(),
            status: TripStatus::Completed,
            start_time: at(from_s),
            end_time: at(to_s),
            start_latitude: None,
            start_longitude: None,
            end_latitude: None,
            end_longitude: None,
            distance_m: 1234,
            distance_source: "gnss".to_owned(),
            odometer_start_km: None,
            odometer_end_km: None,
            gnss_distance_m: Some(1234),
            speed_distance_m: None,
            duration_s: to_s - from_s,
            moving_s: to_s - from_s,
            idle_s: 0,
            speed_max_kmh: None,
            fuel_used_l: None,
            fuel_source: None,
            energy_used_kwh: None,
            reading_count: 4,
            jump_count: 0,
            end_reason: "gap".to_owned(),
            algorithm_version: 1,
            parameters_version: 1,
            readings_version: 1,
            derived_at: at(to_s),
            purpose: None,
            merged_count: 1,
        }
    }

    async fn written(
        session: &Session,
        chosen: &Chosen,
        format: TrackFormat,
    ) -> Result<(String, Written), SqlCliError> {
        let mut out = Vec::new();
        let written = write_tracks(session, chosen, format, &mut out).await?;
        Ok((String::from_utf8(out).unwrap(), written))
    }

    async fn session(lake: &mut TestLake) -> Session {
        let point = |s: i64, longitude: Option<f64>| Reading {
            ts: at(s),
            latitude: Some(50.5),
            longitude,
            ..Reading::default()
        };
        // A gap of three minutes, one reading without a place, and one after the trip.
        let told = [(0, Some(10.0)), (10, Some(10.001)), (15, None), (190, Some(10.002)), (201, Some(11.0))];
        lake.append_of("van-1", &told.map(|(s, longitude)| point(s, longitude)), at(300)).await;
        let all = Lake::create(lake.dir.path()).unwrap();
        let mut trips = all.create_table(TableKind::Trips).await.unwrap();
        let rows = [trip("trp_1", "van-1", (0, 200)), trip("trp_2", "van-2", (500, 900))];
        let batch = crate::trip_table::to_batch(&rows).unwrap();
        trips.append(batch, &AppTransaction { app_id: "t".to_owned(), version: 1 }).await.unwrap();
        Session::open(&LakeSettings::folder(lake.dir.path()), ManualClock::at(at(1000).0)).await.unwrap()
    }

    #[tokio::test]
    async fn a_trip_is_a_track_with_a_segment_for_each_stretch() {
        let mut lake = TestLake::new().await;
        let session = session(&mut lake).await;
        let of_van = Chosen { vehicle_id: Some("van-1".parse().unwrap()), ..Chosen::default() };
        let (gpx, counts) = written(&session, &of_van, TrackFormat::Gpx).await.unwrap();
        let want = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<gpx version=\"1.1\" creator=\"Roadlake\" xmlns=\"http://www.topografix.com/GPX/1/1\">
<trk>
<name>van-1 2024-05-01T08:00:00Z</name>
<desc>trp_1, revision 2: 1234 m in 200 s</desc>
<trkseg>
<trkpt lat=\"50.5000000\" lon=\"10.0000000\"><time>2024-05-01T08:00:00Z</time></trkpt>
<trkpt lat=\"50.5000000\" lon=\"10.0010000\"><time>2024-05-01T08:00:10Z</time></trkpt>
</trkseg>
<trkseg>
<trkpt lat=\"50.5000000\" lon=\"10.0020000\"><time>2024-05-01T08:03:10Z</time></trkpt>
</trkseg>
</trk>
</gpx>
";
        assert_eq!((gpx.as_str(), counts), (want, Written { trip_count: 1, point_count: 3 }));
    }

    #[tokio::test]
    async fn trips_are_a_collection_of_lines() {
        let mut lake = TestLake::new().await;
        let session = session(&mut lake).await;
        let (text, counts) = written(&session, &Chosen::default(), TrackFormat::Geojson).await.unwrap();
        assert_eq!(counts, Written { trip_count: 2, point_count: 3 });
        let geojson::GeoJson::FeatureCollection(found) = text.parse().unwrap() else { panic!("{text}") };
        let [first, second] = found.features.as_slice() else { panic!("{text}") };
        let line = first.geometry.as_ref().map(|geometry| json!(geometry)["coordinates"].clone());
        assert_eq!(line, Some(json!([[10.0, 50.5], [10.001, 50.5], [10.002, 50.5]])));
        assert_eq!(first.property("distance_m"), Some(&json!(1234)));
        assert_eq!(first.property("times").unwrap()[2], "2024-05-01T08:03:10Z");
        // A trip that told no places is not left out.
        assert_eq!((second.property("trip_id"), &second.geometry), (Some(&json!("trp_2")), &None));

        let cases = [
            (Chosen { trip_id: Some("trp_2".to_owned()), ..Chosen::default() }, 1),
            (Chosen { from: Some(at(1)), to: Some(at(500)), ..Chosen::default() }, 0),
            (Chosen { from: Some(at(0)), to: Some(at(501)), ..Chosen::default() }, 2),
            (Chosen { trip_id: Some("trp_none".to_owned()), ..Chosen::default() }, 0),
        ];
        for (chosen, count) in cases {
            let (text, counts) = written(&session, &chosen, TrackFormat::Geojson).await.unwrap();
            assert_eq!(counts.trip_count, count, "{chosen:?}");
            assert!(text.parse::<geojson::GeoJson>().is_ok(), "{text}");
        }
        let bad = Chosen { trip_id: Some("x' OR 'a' = 'a".to_owned()), ..Chosen::default() };
        assert!(written(&session, &bad, TrackFormat::Gpx).await.is_err());
    }
}
