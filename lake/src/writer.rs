//! How Parquet files of the lake are written, and in which order.

use arrow::datatypes::Schema;
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    file::{
        metadata::SortingColumn,
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::ColumnPath,
};

use crate::{
    schema::{PARTITION, TableKind},
    stored::is_decimal,
};

/// Columns that rise steadily within a vehicle: delta-coded rather than dictionary-coded.
const RISING: [&str; 3] = ["ts", "received_at", "sequence"];
/// Columns nobody can prune by: their statistics would only cost.
const WITHOUT_STATISTICS: [&str; 4] = ["text", "freeze_frame", "payload", "detail"];
/// zstd of files that are soon rewritten, and of those that are kept: above 6 a day's rewrite takes
/// twice the time for a twentieth of the bytes (docs/lake.md).
const ZSTD_APPENDED: i32 = 1;
const ZSTD_SORTED: i32 = 6;
/// Rows of a page in sorted files of `signals`, where one vehicle has many; elsewhere Parquet's 20,000.
const SIGNALS_PAGE_ROWS: usize = 65_536;
/// Rows of a row group in sorted files: few enough that a group is of few vehicles.
const SORTED_ROW_GROUP_ROWS: usize = 131_072;
/// And bytes, as a group is held in memory until it is written: payloads of `quarantine` are large.
const SORTED_ROW_GROUP_BYTES_MAX: usize = 32 << 20;

/// How the rows of a file lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// As a commit brought them.
    Appended,
    /// In the table's sort order, by maintenance.
    Sorted,
}

/// The order maintenance sorts a day by: one vehicle's rows lie together, in time.
pub fn sort_columns(kind: TableKind) -> &'static [&'static str] {
    match kind {
        TableKind::Readings | TableKind::Diagnostics | TableKind::Quarantine | TableKind::Gaps => {
            &["vehicle_id", "ts", "stream_id", "sequence"]
        }
        TableKind::Signals => &["vehicle_id", "ts", "stream_id", "sequence", "signal"],
        TableKind::Trips => &["vehicle_id", "start_time", "trip_id", "revision"],
        TableKind::Stops => &["vehicle_id", "start_time", "stop_id", "revision"],
        TableKind::DrivingEvents => &["vehicle_id", "start_time", "event_id", "revision"],
        TableKind::TripCorrections => &["vehicle_id", "from_time", "correction_id", "revision"],
    }
}

/// The columns whose least and greatest values stand in the log.
pub(crate) fn pruning_columns(kind: TableKind) -> &'static [&'static str] {
    match kind {
        TableKind::Trips | TableKind::Stops | TableKind::DrivingEvents => {
            &["vehicle_id", "start_time", "end_time", "readings_version"]
        }
        TableKind::Signals => &["vehicle_id", "ts", "received_at", "sequence", "signal"],
        TableKind::TripCorrections => &["vehicle_id", "from_time", "to_time"],
        _ => &["vehicle_id", "ts", "received_at", "sequence"],
    }
}

/// Writer settings of a table whose files have the schema `files`: zstd; deltas for rising columns and
/// for decimals; dictionaries for the rest, which beat byte-stream split on quantised values.
///
/// Sorted files say so (`sorting_columns`), have small row groups, and statistics of pages for
/// the columns they are sorted by. There are no bloom filters: in files sorted by vehicle, least
/// and greatest values leave them nothing to rule out, and every page has all signals.
pub fn properties(kind: TableKind, layout: Layout, files: &Schema) -> WriterProperties {
    let has = |name: &str| files.field_with_name(name).is_ok();
    let level = match layout {
        Layout::Appended => ZSTD_APPENDED,
        Layout::Sorted => ZSTD_SORTED,
    };
    let level = ZstdLevel::try_new(level).unwrap_or_default();
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_created_by(format!("roadlake {}", env!("CARGO_PKG_VERSION")))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    let decimals = files.fields().iter().filter(|field| is_decimal(field)).map(|field| field.name().as_str());
    for name in RISING.into_iter().filter(|name| has(name)).chain(decimals) {
        let path = ColumnPath::from(name);
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    for name in WITHOUT_STATISTICS.into_iter().filter(|name| has(name)) {
        builder = builder.set_column_statistics_enabled(ColumnPath::from(name), EnabledStatistics::None);
    }
    for name in pruning_columns(kind) {
        builder = builder.set_column_statistics_enabled(ColumnPath::from(*name), EnabledStatistics::Page);
    }
    if layout == Layout::Sorted {
        builder = builder
            .set_max_row_group_row_count(Some(SORTED_ROW_GROUP_ROWS))
            .set_max_row_group_bytes(Some(SORTED_ROW_GROUP_BYTES_MAX))
            .set_sorting_columns(Some(sorting_columns(kind)));
        if kind == TableKind::Signals {
            builder = builder.set_data_page_row_count_limit(SIGNALS_PAGE_ROWS);
        }
    }
    builder.build()
}

/// The sort order by place in the file, which lacks the partition column.
fn sorting_columns(kind: TableKind) -> Vec<SortingColumn> {
    let schema = kind.schema();
    let names: Vec<&String> = schema.fields().iter().map(|f| f.name()).filter(|n| *n != PARTITION).collect();
    let place = |column: &&str| names.iter().position(|n| n.as_str() == *column);
    sort_columns(kind)
        .iter()
        .filter_map(|column| i32::try_from(place(column)?).ok())
        .map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: false })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_named_here_is_one_of_the_table() {
        for kind in TableKind::ALL {
            for name in sort_columns(kind).iter().chain(pruning_columns(kind)) {
                assert!(kind.schema().field_with_name(name).is_ok(), "{} {name}", kind.name());
            }
            assert_eq!(sorting_columns(kind).len(), sort_columns(kind).len(), "{}", kind.name());
        }
    }

    #[test]
    fn the_partition_column_is_left_out_of_places() {
        let places: Vec<i32> = sorting_columns(TableKind::Readings).iter().map(|c| c.column_idx).collect();
        // vehicle_id, ts, (date), received_at, stream_id, sequence
        assert_eq!(places, [0, 1, 3, 4]);
    }
}
