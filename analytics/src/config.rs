//! `configs/analytics.toml` and what is made of it.

use std::time::Duration;

use lake::{LakeLocation, LakeSettings, S3Config};
use serde::Deserialize;
use service::{
    config::{ByteSize, ConfigError, DurationText, Faults, Loaded},
    responder::{HttpConfig, HttpSettings},
};

use crate::{
    doors::{DoorConfig, DoorSettings},
    engine::Limits,
    trips::Parameters,
};

/// Versions taken at once at most, whatever the file says.
const VERSIONS_MAX: usize = 10_000;

/// The file as written. Every key is told in `configs/analytics.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the lake is: a folder, or `s3://bucket/prefix`.
    pub lake: LakeLocation,
    /// How the bucket of such a lake is reached.
    pub s3: S3Config,
    /// Pause between two looks for new readings.
    pub interval: DurationText,
    /// Versions of `readings` taken in one pass.
    pub versions_max: usize,
    /// How far back a vehicle without a finished trip is read.
    pub lookback: DurationText,
    /// Most recent days with readings from which last states are read at start.
    pub fleet_days_max: usize,
    /// Health and metrics by HTTP.
    pub http: HttpConfig,
    /// Bounds of queries.
    pub sql: SqlConfig,
    /// The door for Postgres' clients.
    pub postgres: DoorConfig,
    /// The door for clients of Arrow Flight SQL.
    pub flight: DoorConfig,
    /// Rules of trips.
    pub trips: TripsConfig,
}

/// Bounds of queries.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SqlConfig {
    /// Memory of all running queries.
    pub memory_max: ByteSize,
    /// Disk for what does not fit.
    pub spill_max: ByteSize,
    /// Queries at once.
    pub queries_max: usize,
    /// How long one waits for its turn.
    pub queue_wait: DurationText,
    /// How long one may run.
    pub statement_time: DurationText,
    /// Rows of one answer.
    pub rows_max: usize,
    /// Rows of one answer that is streamed.
    pub streamed_rows_max: usize,
    /// Parallel parts of one query.
    pub parallel_max: usize,
}

/// Rules of trips.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TripsConfig {
    /// Name of the set; raise it with any change of the others.
    pub parameters_version: i64,
    /// Drives, whatever the ignition says.
    pub start_speed_kmh: f64,
    /// Stands below.
    pub moving_speed_kmh: f64,
    /// Ignition off so long ends a trip.
    pub ignition_off: DurationText,
    /// Standing so long ends a trip.
    pub stationary: DurationText,
    /// No reading for so long ends a trip.
    pub gap: DurationText,
    /// Nothing received for so long ends the last trip.
    pub silence: DurationText,
    /// Dropped when shorter than this and than `duration_min`.
    pub distance_min_m: i64,
    /// Dropped when shorter than this and than `distance_min_m`.
    pub duration_min: DurationText,
    /// A step that implies more is a jump.
    pub jump_speed_kmh: f64,
    /// Shorter standing with the engine on is not idling.
    pub idle_min: DurationText,
    /// A coarser odometer does not measure trips.
    pub odometer_resolution_max_km: f64,
    /// Share of moving time with fixes that lets GNSS measure a trip.
    pub fix_share_min: f64,
    /// Litres in a full tank, where the fleet has one kind.
    pub tank_capacity_l: Option<f64>,
    /// Speeding up so hard is harsh: of low, medium and high severity.
    pub harsh_accelerating_mps2: [f64; 3],
    /// The same for braking.
    pub harsh_braking_mps2: [f64; 3],
    /// The same for cornering.
    pub harsh_cornering_mps2: [f64; 3],
    /// Shorter is not harsh.
    pub harsh_min: DurationText,
    /// Two harsh events of a kind so close are one.
    pub harsh_merge: DurationText,
    /// A smaller rise of the fuel level is no refuel.
    pub refuel_min_pct: f64,
    /// A smaller fall of it with the engine off is no theft.
    pub theft_min_pct: f64,
    /// A smaller rise of the state of charge is no charging session.
    pub charging_min_pct: f64,
}

/// Checked and ready.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the lake is.
    pub lake: LakeSettings,
    /// Pause between two looks for new readings.
    pub interval: Duration,
    /// Versions of `readings` taken in one pass.
    pub versions_max: usize,
    /// How far back a vehicle without a finished trip is read.
    pub lookback: Duration,
    /// Most recent days from which last states are read at start.
    pub fleet_days_max: usize,
    /// Health and metrics by HTTP, where they are.
    pub http: Option<HttpSettings>,
    /// Bounds of queries.
    pub limits: Limits,
    /// The door for Postgres' clients, where it is open.
    pub postgres: Option<DoorSettings>,
    /// The door for clients of Arrow Flight SQL, where it is open.
    pub flight: Option<DoorSettings>,
    /// Rules of trips.
    pub parameters: Parameters,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lake: LakeLocation::Folder("data/lake".into()),
            s3: S3Config::default(),
            interval: DurationText(Duration::from_secs(1)),
            versions_max: 256,
            lookback: DurationText(Duration::from_secs(7 * 86_400)),
            fleet_days_max: 40,
            http: HttpConfig::default(),
            sql: SqlConfig::default(),
            postgres: DoorConfig::default(),
            flight: DoorConfig::default(),
            trips: TripsConfig::default(),
        }
    }
}

impl Default for SqlConfig {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            memory_max: ByteSize(limits.memory_bytes_max as u64),
            spill_max: ByteSize(limits.spill_bytes_max),
            queries_max: limits.queries_max,
            queue_wait: DurationText(limits.queue_wait),
            statement_time: DurationText(limits.statement_time),
            rows_max: limits.rows_max,
            streamed_rows_max: limits.streamed_rows_max,
            parallel_max: limits.parallel_max,
        }
    }
}

impl Default for TripsConfig {
    fn default() -> Self {
        let p = Parameters::default();
        Self {
            parameters_version: p.version,
            start_speed_kmh: p.start_speed_kmh,
            moving_speed_kmh: p.moving_speed_kmh,
            ignition_off: DurationText(p.ignition_off),
            stationary: DurationText(p.stationary),
            gap: DurationText(p.gap),
            silence: DurationText(p.silence),
            distance_min_m: p.distance_min_m,
            duration_min: DurationText(p.duration_min),
            jump_speed_kmh: p.jump_speed_kmh,
            idle_min: DurationText(p.idle_min),
            odometer_resolution_max_km: p.odometer_resolution_max_km,
            fix_share_min: p.fix_share_min,
            tank_capacity_l: p.tank_capacity_l,
            harsh_accelerating_mps2: p.harsh_accelerating_mps2,
            harsh_braking_mps2: p.harsh_braking_mps2,
            harsh_cornering_mps2: p.harsh_cornering_mps2,
            harsh_min: DurationText(p.harsh_min),
            harsh_merge: DurationText(p.harsh_merge),
            refuel_min_pct: p.refuel_min_pct,
            theft_min_pct: p.theft_min_pct,
            charging_min_pct: p.charging_min_pct,
        }
    }
}

impl Settings {
    /// Of the defaults, for a lake.
    pub fn for_lake(lake: LakeSettings) -> Self {
        let config = Config::default();
        Self {
            lake,
            interval: config.interval.0,
            versions_max: config.versions_max,
            lookback: config.lookback.0,
            fleet_days_max: config.fleet_days_max,
            http: None,
            limits: Limits::default(),
            postgres: None,
            flight: None,
            parameters: Parameters::default(),
        }
    }

    /// Checks a configuration; tells every fault at once.
    pub fn check(loaded: &Loaded<Config>) -> Result<Self, ConfigError> {
        let config = &loaded.config;
        let mut faults = Faults::of(&loaded.origin);
        let mut positive = |key: &str, is_positive: bool| {
            if !is_positive {
                faults.add(key, "must be more than 0");
            }
        };
        positive("interval", !config.interval.0.is_zero());
        positive("versions_max", config.versions_max > 0);
        positive("fleet_days_max", config.fleet_days_max > 0);
        positive("sql.memory_max", config.sql.memory_max.0 > 0);
        positive("sql.queries_max", config.sql.queries_max > 0);
        positive("sql.statement_time", !config.sql.statement_time.0.is_zero());
        positive("sql.rows_max", config.sql.rows_max > 0);
        positive("sql.streamed_rows_max", config.sql.streamed_rows_max > 0);
        positive("sql.parallel_max", config.sql.parallel_max > 0);
        let trips = &config.trips;
        positive("trips.moving_speed_kmh", trips.moving_speed_kmh > 0.0);
        positive("trips.gap", !trips.gap.0.is_zero());
        positive("trips.silence", !trips.silence.0.is_zero());
        positive("trips.jump_speed_kmh", trips.jump_speed_kmh > 0.0);
        positive("trips.tank_capacity_l", trips.tank_capacity_l.is_none_or(|l| l > 0.0));
        positive("trips.refuel_min_pct", trips.refuel_min_pct > 0.0);
        positive("trips.theft_min_pct", trips.theft_min_pct > 0.0);
        positive("trips.charging_min_pct", trips.charging_min_pct > 0.0);
        for (key, [low, medium, high]) in [
            ("trips.harsh_accelerating_mps2", trips.harsh_accelerating_mps2),
            ("trips.harsh_braking_mps2", trips.harsh_braking_mps2),
            ("trips.harsh_cornering_mps2", trips.harsh_cornering_mps2),
        ] {
            if !(low > 0.0 && low <= medium && medium <= high) {
                faults.add(key, "is three limits over 0 that do not fall: write them like [4.4, 5.9, 7.3]");
            }
        }
        if config.versions_max > VERSIONS_MAX {
            faults.add("versions_max", format_args!("is at most {VERSIONS_MAX}"));
        }
        if trips.start_speed_kmh < trips.moving_speed_kmh {
            faults.add("trips.start_speed_kmh", "must not be less than trips.moving_speed_kmh");
        }
        if !(0.0..=1.0).contains(&trips.fix_share_min) {
            faults.add("trips.fix_share_min", "is a share: write one from 0 to 1");
        }
        if config.lookback.0 < trips.gap.0 + trips.stationary.0 {
            faults
                .add("lookback", "must reach over trips.gap and trips.stationary; write one like \"7days\"");
        }
        let memory_bytes_max = faults.check("sql.memory_max", usize::try_from(config.sql.memory_max.0));
        let lake = match LakeSettings::check(config.lake.clone(), &config.s3) {
            Ok(lake) => Some(lake),
            Err(found) => {
                found.iter().for_each(|fault| faults.add(fault.key, &fault.what));
                None
            }
        };
        let http = config.http.check(&mut faults);
        let postgres = config.postgres.check("postgres", &[], &mut faults);
        let flight = config.flight.check("flight", &config.postgres.users, &mut faults);
        let settings = memory_bytes_max.zip(lake).map(|(memory_bytes_max, lake)| Self {
            lake,
            interval: config.interval.0,
            versions_max: config.versions_max,
            lookback: config.lookback.0,
            fleet_days_max: config.fleet_days_max,
            http,
            limits: config.sql.limits(memory_bytes_max),
            postgres,
            flight,
            parameters: trips.parameters(),
        });
        faults.finish(settings)
    }
}

impl SqlConfig {
    fn limits(&self, memory_bytes_max: usize) -> Limits {
        Limits {
            memory_bytes_max,
            spill_bytes_max: self.spill_max.0,
            queries_max: self.queries_max,
            queue_wait: self.queue_wait.0,
            statement_time: self.statement_time.0,
            rows_max: self.rows_max,
            streamed_rows_max: self.streamed_rows_max,
            parallel_max: self.parallel_max,
            ..Limits::default()
        }
    }
}

impl TripsConfig {
    fn parameters(&self) -> Parameters {
        Parameters {
            version: self.parameters_version,
            start_speed_kmh: self.start_speed_kmh,
            moving_speed_kmh: self.moving_speed_kmh,
            ignition_off: self.ignition_off.0,
            stationary: self.stationary.0,
            gap: self.gap.0,
            silence: self.silence.0,
            distance_min_m: self.distance_min_m,
            duration_min: self.duration_min.0,
            jump_speed_kmh: self.jump_speed_kmh,
            idle_min: self.idle_min.0,
            odometer_resolution_max_km: self.odometer_resolution_max_km,
            fix_share_min: self.fix_share_min,
            tank_capacity_l: self.tank_capacity_l,
            harsh_accelerating_mps2: self.harsh_accelerating_mps2,
            harsh_braking_mps2: self.harsh_braking_mps2,
            harsh_cornering_mps2: self.harsh_cornering_mps2,
            harsh_min: self.harsh_min.0,
            harsh_merge: self.harsh_merge.0,
            refuel_min_pct: self.refuel_min_pct,
            theft_min_pct: self.theft_min_pct,
            charging_min_pct: self.charging_min_pct,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> std::path::PathBuf {
        std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../configs/analytics.toml")
    }

    #[test]
    fn the_sample_file_says_the_defaults() {
        let loaded: Loaded<Config> = service::config::load("analytics_sample", Some(&sample())).unwrap();
        let settings = Settings::check(&loaded).unwrap();
        assert_eq!(settings.parameters, Parameters::default());
        assert_eq!(settings.limits, Limits::default());
        let defaults = Settings::for_lake(settings.lake.clone());
        assert_eq!(settings.lookback, defaults.lookback);
        assert_eq!(settings.versions_max, defaults.versions_max);
    }

    #[test]
    fn faults_are_told_together_and_by_key() {
        let mut config = Config::default();
        config.sql.queries_max = 0;
        config.trips.fix_share_min = 3.0;
        config.trips.harsh_braking_mps2 = [4.4, 3.0, 7.3];
        let message =
            Settings::check(&Loaded { config, origin: "x.toml".to_owned() }).unwrap_err().to_string();
        for key in ["sql.queries_max", "trips.fix_share_min", "trips.harsh_braking_mps2"] {
            assert!(message.contains(key), "{message}");
        }
    }
}
