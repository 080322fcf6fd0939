//! The schema, as the migrations that make it. A migration once released is never edited: its text
//! is remembered by every database by its checksum.

use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// Number, name and text of each, in order.
const MIGRATIONS: [(i64, &str, &str); 19] = [
    (1, "first", include_str!("../../migrations/0001_first.sql")),
    (2, "access", include_str!("../../migrations/0002_access.sql")),
    (3, "notes", include_str!("../../migrations/0003_notes.sql")),
    (4, "tiers", include_str!("../../migrations/0004_tiers.sql")),
    (5, "wallets", include_str!("../../migrations/0005_wallets.sql")),
    (6, "payments", include_str!("../../migrations/0006_payments.sql")),
    (7, "bookings", include_str!("../../migrations/0007_bookings.sql")),
    (8, "charges", include_str!("../../migrations/0008_charges.sql")),
    (9, "ages", include_str!("../../migrations/0009_ages.sql")),
    (10, "webhooks", include_str!("../../migrations/0010_webhooks.sql")),
    (11, "geofences", include_str!("../../migrations/0011_geofences.sql")),
    (12, "dunning", include_str!("../../migrations/0012_dunning.sql")),
    (13, "agents", include_str!("../../migrations/0013_agents.sql")),
    (14, "devices", include_str!("../../migrations/0014_devices.sql")),
    (15, "maintenance", include_str!("../../migrations/0015_maintenance.sql")),
    (16, "sign_in", include_str!("../../migrations/0016_sign_in.sql")),
    (17, "drivers", include_str!("../../migrations/0017_drivers.sql")),
    (18, "trip_corrections", include_str!("../../migrations/0018_trip_corrections.sql")),
    (19, "alerts", include_str!("../../migrations/0019_alerts.sql")),
];

/// The number of the newest.
pub(super) const NEWEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

pub(super) fn migrator() -> Migrator {
    let migrations = MIGRATIONS.iter().map(|&(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_listed_in_order() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let listed: Vec<String> =
            MIGRATIONS.iter().map(|(version, name, _)| format!("{version:04}_{name}.sql")).collect();
        assert_eq!(listed, files);
    }
}
