use lake::LakeSettings;
use service::clock::ManualClock;

use super::*;
use crate::{
    SqlErrorKind,
    engine::Limits,
    row::{CorrectionKind, CorrectionRow, CorrectionStatus, Purpose},
    testing::{TestLake, run},
    trips::Reading,
};

const START_S: i64 = 1_714_550_400;
const NOW: Timestamp = Timestamp((START_S + 100_000) * 1_000_000);

fn at(seconds: i64) -> Timestamp {
    Timestamp((START_S + seconds) * 1_000_000)
}

async fn opened(lake: &TestLake) -> Analytics {
    let settings = LakeSettings::folder(lake.dir.path());
    Analytics::create(&settings, Limits::default(), ManualClock::at(NOW.0)).await.unwrap()
}

fn rule(query: &str, quiet_s: u64) -> Rule {
    Rule {
        query: query.to_owned(),
        look_back: Duration::ZERO,
        look_ahead: Duration::ZERO,
        quiet: Duration::from_secs(quiet_s),
    }
}

const FAST: &str = "SELECT vehicle_id, ts, speed_kmh AS value, 'fast' AS message, latitude, ignition_on
                    FROM readings WHERE speed_kmh > 100";

/// Of each episode the vehicle and the seconds of its first and last moment.
fn spans(found: &Found) -> Vec<(String, i64, i64)> {
    let second = |ts: Timestamp| ts.0 / 1_000_000 - START_S;
    found.episodes.iter().map(|e| (e.vehicle_id.to_string(), second(e.start), second(e.end))).collect()
}

/// An hour at 1 Hz: fast from 600 to 659 and from 700 to 719, and from 2,000 to 2,099.
fn drive() -> Vec<Reading> {
    let mut readings = run(START_S, 3_600, 50.0);
    for second in (600..660).chain(700..720).chain(2_000..2_100) {
        readings[second].speed_kmh = Some(120.0);
    }
    readings
}

#[tokio::test]
async fn moments_near_each_other_are_an_episode() {
    let mut lake = TestLake::new().await;
    lake.append_of("car-1", &drive(), NOW).await;
    lake.append_of("car-2", &drive(), NOW).await;
    let analytics = opened(&lake).await;
    let ask = async |quiet_s, whose: Option<&Whose>, until: &BTreeMap<VehicleId, Timestamp>, (from, to)| {
        analytics.rule_episodes(&rule(FAST, quiet_s), (whose, until), (at(from), at(to))).await.unwrap()
    };
    let own = |from, to| ("car-1".to_owned(), from, to);
    let one = Whose::one("car-1".parse().unwrap());
    let nothing = BTreeMap::new();
    let found = ask(60, Some(&one), &nothing, (0, 3_600)).await;
    assert_eq!(spans(&found), [own(600, 719), own(2_000, 2_099)]);
    let first = &found.episodes[0];
    assert_eq!((first.value, first.message.as_deref()), (Some(120.0), Some("fast")));
    assert_eq!(first.details["latitude"], 50.0);
    assert_eq!(first.details.len(), 2);
    assert_eq!(ask(40, None, &nothing, (0, 3_600)).await.episodes.len(), 6);
    // Each key has its own.
    let keyed = rule(
        "SELECT vehicle_id, ts, CAST(extract(minute FROM ts) AS INT) % 2 AS key FROM readings WHERE speed_kmh > 100",
        60,
    );
    let found = analytics.rule_episodes(&keyed, (Some(&one), &nothing), (at(0), at(3_600))).await.unwrap();
    assert_eq!(spans(&found), [own(600, 659), own(2_040, 2_099), own(700, 719), own(2_000, 2_039)]);
    assert_eq!(
        found.episodes.iter().map(|e| e.key.as_deref()).collect::<Vec<_>>(),
        ["0", "0", "1", "1"].map(Some)
    );
    // What is asked of is cut, both ends included.
    let found = ask(60, Some(&one), &nothing, (610, 2_000)).await;
    assert_eq!(spans(&found), [own(610, 719), own(2_000, 2_000)]);
    // Moments of which it is not sure are held back.
    let until = BTreeMap::from([("car-1".parse().unwrap(), at(705))]);
    let found = ask(60, Some(&one), &until, (0, 3_600)).await;
    assert_eq!(spans(&found), [own(600, 705)]);
    assert_eq!(found.held_back, BTreeMap::from([("car-1".parse().unwrap(), at(706))]));
}

/// What is asked piece by piece is what is asked at once: of buckets, of what was before, of joins.
#[tokio::test]
async fn the_answer_for_a_moment_does_not_depend_on_what_else_is_asked() {
    let mut lake = TestLake::new().await;
    lake.append_of("car-1", &drive(), NOW).await;
    lake.append_of("car-2", &run(START_S + 500, 600, 70.0), NOW).await;
    let analytics = opened(&lake).await;
    let queries = [
        "SELECT vehicle_id, ts, avg(speed_kmh) AS value FROM (
           SELECT vehicle_id, time_bucket(INTERVAL '5 minutes', ts) AS ts, speed_kmh FROM readings)
         GROUP BY vehicle_id, ts HAVING avg(speed_kmh) > 60",
        "SELECT vehicle_id, ts, speed_kmh - before AS value FROM (
           SELECT vehicle_id, ts, speed_kmh, lag(speed_kmh) OVER (PARTITION BY vehicle_id ORDER BY ts) AS before
           FROM readings) WHERE abs(speed_kmh - before) > 30",
        "SELECT a.vehicle_id, a.ts, count(*) AS value FROM readings a JOIN readings b
           ON a.vehicle_id = b.vehicle_id AND b.ts <= a.ts AND b.ts > a.ts - INTERVAL '20 seconds'
         WHERE b.speed_kmh > 100 GROUP BY a.vehicle_id, a.ts HAVING count(*) >= 20",
    ];
    for query in queries {
        let rule = Rule {
            look_back: Duration::from_secs(300),
            look_ahead: Duration::from_secs(300),
            ..rule(query, 0)
        };
        let nothing = BTreeMap::new();
        let ask = async |from, to| {
            analytics.rule_episodes(&rule, (None, &nothing), (at(from), at(to))).await.unwrap()
        };
        let whole = spans(&ask(0, 3_600).await);
        assert!(whole.len() > 2, "{query}: {whole:?}");
        let mut pieces = Vec::new();
        for from in (0..3_600).step_by(450) {
            pieces.extend(spans(&ask(from, from + 449).await));
        }
        pieces.sort();
        let mut sorted = whole.clone();
        sorted.sort();
        assert_eq!(pieces, sorted, "{query}");
    }
}

#[tokio::test]
async fn a_rule_keeps_vehicles_apart_and_does_not_depend_on_when_it_is_asked() {
    let mut lake = TestLake::new().await;
    lake.append_of("car-1", &drive(), NOW).await;
    let analytics = opened(&lake).await;
    let good: [(&str, &[&str]); 14] = [
        (FAST, &["readings"]),
        ("SELECT * FROM readings WHERE fuel_level_pct < 10", &["readings"]),
        (
            "SELECT DISTINCT vehicle_id, ts FROM signals WHERE signal LIKE 'Vehicle.Body%' ORDER BY ts",
            &["signals"],
        ),
        ("SELECT vehicle_id, start_time AS ts, distance_m / 1000.0 AS value FROM latest_trips", &["trips"]),
        ("SELECT vehicle_id, ts, code AS key FROM diagnostics WHERE event = 'seen'", &["diagnostics"]),
        ("SELECT vehicle_id, ts, value FROM signal('Vehicle.Speed') WHERE value > 3", &["readings"]),
        ("SELECT vehicle_id, ts, value FROM signal('Vehicle.Body.Hood.Position')", &["signals"]),
        (
            "SELECT vehicle_id, enter_time AS ts, geofence FROM geofence_visits('{\"type\":\"Feature\",\"properties\":\
          {\"name\":\"x\"},\"geometry\":{\"type\":\"Polygon\",\"coordinates\":[[[9,49],[11,49],[11,51],[9,51],[9,49]]]}}')",
            &["readings"],
        ),
        (
            "WITH s AS (SELECT vehicle_id AS who, min(ts) AS ts FROM readings GROUP BY vehicle_id, date)
          SELECT r.vehicle_id, r.ts FROM readings r JOIN s ON s.who = r.vehicle_id AND s.ts = r.ts",
            &["readings"],
        ),
        (
            "SELECT t.vehicle_id, e.start_time AS ts FROM latest_trips t, latest_driving_events e
          WHERE t.vehicle_id = e.vehicle_id AND e.trip_id = t.trip_id",
            &["trips", "driving_events"],
        ),
        (
            "SELECT vehicle_id, ts FROM readings UNION ALL SELECT vehicle_id, ts FROM signals",
            &["readings", "signals"],
        ),
        (
            "SELECT vehicle_id, CAST(date AS TIMESTAMP) AS ts, idle_share AS value FROM vehicle_day WHERE idle_share > 0.4",
            &["trips", "driving_events"],
        ),
        (
            "SELECT t.vehicle_id, s.start_time AS ts FROM latest_stops s JOIN latest_trips t ON s.trip_id = t.trip_id",
            &["trips", "stops"],
        ),
        (
            "SELECT s.vehicle_id, s.ts, c.unit FROM signals s JOIN signal_catalogue c ON c.signal = s.signal",
            &["signals"],
        ),
    ];
    for (query, reads) in good {
        match analytics.check_rule(query).await {
            Ok(shape) => {
                let mut found: Vec<&str> = shape.reads.iter().map(String::as_str).collect();
                let mut reads = reads.to_vec();
                found.sort_unstable();
                reads.sort_unstable();
                assert_eq!(found, reads, "{query}");
            }
            Err(error) => panic!("{query}: {error}"),
        }
        let rule = rule(query, 60);
        let asked = analytics.rule_episodes(&rule, (None, &BTreeMap::new()), (at(0), at(3_600))).await;
        asked.unwrap_or_else(|error| panic!("{query}: {error}"));
    }
    let bad = [
        ("SELECT ts, speed_kmh FROM readings", "column vehicle_id"),
        ("SELECT vehicle_id, speed_kmh FROM readings", "column ts"),
        ("SELECT vehicle_id, date AS ts FROM readings", "time as ts"),
        ("SELECT 'car-1' AS vehicle_id, ts FROM readings", "unchanged"),
        ("SELECT trip_id AS vehicle_id, start_time AS ts FROM trips", "unchanged"),
        ("SELECT upper(vehicle_id) AS vehicle_id, ts FROM readings", "unchanged"),
        ("SELECT max(vehicle_id) AS vehicle_id, ts FROM readings GROUP BY ts", "GROUP BY vehicle_id"),
        ("SELECT vehicle_id, max(ts) AS ts FROM readings GROUP BY ROLLUP (vehicle_id)", "ROLLUP"),
        ("SELECT vehicle_id, ts FROM readings LIMIT 5", "LIMIT"),
        ("SELECT vehicle_id, ts FROM readings ORDER BY speed_kmh DESC LIMIT 5", "LIMIT"),
        (
            "SELECT vehicle_id, ts, rank() OVER (ORDER BY speed_kmh) AS value FROM readings",
            "PARTITION BY vehicle_id",
        ),
        ("SELECT a.vehicle_id, a.ts FROM readings a JOIN readings b ON a.ts = b.ts", "join by vehicle_id"),
        ("SELECT a.vehicle_id, a.ts FROM readings a CROSS JOIN readings b", "join by vehicle_id"),
        (
            "SELECT b.vehicle_id, a.ts FROM readings a LEFT JOIN readings b ON a.vehicle_id = b.vehicle_id",
            "unchanged",
        ),
        (
            "SELECT vehicle_id, ts FROM readings WHERE speed_kmh > (SELECT avg(speed_kmh) FROM readings)",
            "JOIN it",
        ),
        ("SELECT vehicle_id, ts FROM readings WHERE vehicle_id IN (SELECT vehicle_id FROM trips)", "JOIN it"),
        ("SELECT vehicle_id, ts FROM readings WHERE ts > now() - INTERVAL '1 hour'", "now()"),
        ("SELECT vehicle_id, ts, random() AS value FROM readings", "random()"),
        ("SELECT vehicle_id, ts FROM quarantine", "cannot read quarantine"),
        ("SELECT vehicle_id, ts FROM lake_at('readings', 0)", "cannot read"),
        ("SELECT 'car-1' AS vehicle_id, to_timestamp(0) AS ts", "no table of what vehicles sent"),
        ("SELECT vehicle_id, ts FROM readings WHERE speed_kmh > $1", "place for a value"),
        ("SELECT vehicle_id, ts, spead FROM readings", "spead"),
        ("EXPLAIN SELECT vehicle_id, ts FROM readings", "must be a SELECT"),
        ("DROP TABLE readings", "only reads"),
        ("SELECT", "EOF"),
    ];
    for (query, why) in bad {
        let Err(error) = analytics.check_rule(query).await else { panic!("taken: {query}") };
        assert_eq!(error.kind, SqlErrorKind::Invalid, "{query}: {error}");
        assert!(error.message.contains(why), "{query}: {error}");
        // It is looked at again whenever it is asked.
        let rule = rule(query, 60);
        let asked = analytics.rule_episodes(&rule, (None, &BTreeMap::new()), (at(0), at(3_600))).await;
        assert!(asked.is_err(), "{query}");
    }
}

#[tokio::test]
async fn what_is_new_is_found_by_version_vehicle_and_time() {
    let mut lake = TestLake::new().await;
    lake.append_of("car-1", &run(START_S, 100, 50.0), NOW).await;
    let analytics = opened(&lake).await;
    let tables = ["readings".to_owned()];
    let start = analytics.versions_of(&tables).await.unwrap();
    assert_eq!(start, Versions::from([("readings".to_owned(), 1), ("trip_corrections".to_owned(), -1)]));
    let changes = async |after: &Versions| analytics.rule_changes(&tables, (after, at(0))).await.unwrap();
    let none = changes(&start).await;
    assert_eq!((&none.versions, none.touched.len(), none.has_more), (&start, 0, false));
    lake.append_of("car-1", &run(START_S + 100, 10, 50.0), NOW).await;
    lake.append_of("car-1", &run(START_S - 500, 10, 50.0), NOW).await;
    lake.append_of("car-2", &run(START_S + 7, 2, 50.0), NOW).await;
    let some = changes(&start).await;
    let car = |n: usize| format!("car-{n}").parse::<VehicleId>().unwrap();
    assert_eq!(some.touched, Spans::from([(car(1), (at(-500), at(109))), (car(2), (at(7), at(8)))]));
    assert_eq!(some.versions["readings"], 4);
    assert_eq!(changes(&some.versions).await.touched, Spans::new());
    // Of a table that was not there all is new: here what is said of a trip.
    let said = CorrectionRow {
        correction_id: "tco_1".to_owned(),
        revision: 1,
        vehicle_id: car(1),
        status: CorrectionStatus::Active,
        kind: CorrectionKind::Mark,
        from_time: at(20),
        to_time: at(30),
        purpose: Some(Purpose::Private),
        made_by: "local".to_owned(),
        made_at: NOW,
        recorded_at: NOW,
    };
    analytics.record_correction(said).await.unwrap();
    assert_eq!(changes(&some.versions).await.touched, Spans::from([(car(1), (at(20), at(30)))]));
    // And what is private is not told.
    let query = rule("SELECT vehicle_id, ts, latitude FROM readings WHERE latitude IS NOT NULL", 1);
    let asked = analytics.rule_episodes(&query, (None, &BTreeMap::new()), (at(0), at(60))).await.unwrap();
    assert_eq!(spans(&asked)[..2], [("car-1".to_owned(), 0, 19), ("car-1".to_owned(), 31, 60)]);
    // A version whose log is gone: what speaks of a time or later is new.
    let log = lake.dir.path().join("readings/_delta_log");
    for version in 0..=3 {
        std::fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    let gone = analytics.rule_changes(&tables, (&start, at(105))).await.unwrap();
    assert_eq!(gone.versions["readings"], 4);
    assert_eq!(gone.touched[&car(1)].1, at(109));
    assert!(!gone.touched.contains_key(&car(2)));
}

/// What the page shows can be asked as it stands there.
#[tokio::test]
async fn every_example_of_the_page_is_a_rule() {
    let mut lake = TestLake::new().await;
    lake.append_of("car-1", &drive(), NOW).await;
    let analytics = opened(&lake).await;
    let page = include_str!("../../../docs/alert-rules.md");
    let examples = page.split("```sql").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let queries: Vec<&str> = examples.split(';').filter(|query| !query.trim().is_empty()).collect();
    assert!(queries.len() >= 8, "{queries:?}");
    for query in queries {
        analytics.check_rule(query).await.unwrap_or_else(|error| panic!("{query}: {error}"));
        let asked =
            analytics.rule_episodes(&rule(query, 60), (None, &BTreeMap::new()), (at(0), at(3_600))).await;
        asked.unwrap_or_else(|error| panic!("{query}: {error}"));
    }
}
