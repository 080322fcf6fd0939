//! How Parquet files of the lake are written.

use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    file::properties::WriterProperties,
    schema::types::ColumnPath,
};

use crate::schema::TableKind;

/// Columns that rise steadily within a vehicle: delta-coded rather than dictionary-coded.
const RISING: [&str; 3] = ["ts", "received_at", "sequence"];

/// Writer settings of a table: zstd 3; deltas for rising columns; dictionaries for the rest,
/// which beat byte-stream split on quantised values.
pub fn properties(kind: TableKind) -> WriterProperties {
    let level = ZstdLevel::try_new(3).unwrap_or_default();
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_created_by(format!("roadlake {}", env!("CARGO_PKG_VERSION")));
    for name in RISING {
        if kind.schema().field_with_name(name).is_ok() {
            let path = ColumnPath::from(name);
            builder = builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
    }
    builder.build()
}
