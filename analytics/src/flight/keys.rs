//! Keys of tables, of which a lake has none: answers without rows, as Flight SQL describes them.

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema},
};

fn nothing(columns: &[(&str, DataType, bool)]) -> RecordBatch {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, kind, is_nullable)| Field::new(*name, kind.clone(), *is_nullable))
        .collect();
    RecordBatch::new_empty(Arc::new(Schema::new(fields)))
}

/// `CommandGetPrimaryKeys` in FlightSql.proto.
pub(super) fn primary() -> RecordBatch {
    nothing(&[
        ("catalog_name", DataType::Utf8, true),
        ("db_schema_name", DataType::Utf8, true),
        ("table_name", DataType::Utf8, false),
        ("column_name", DataType::Utf8, false),
        ("key_name", DataType::Utf8, true),
        ("key_sequence", DataType::Int32, false),
    ])
}

/// `CommandGetExportedKeys`, `CommandGetImportedKeys` and `CommandGetCrossReference` in FlightSql.proto.
pub(super) fn foreign() -> RecordBatch {
    nothing(&[
        ("pk_catalog_name", DataType::Utf8, true),
        ("pk_db_schema_name", DataType::Utf8, true),
        ("pk_table_name", DataType::Utf8, false),
        ("pk_column_name", DataType::Utf8, false),
        ("fk_catalog_name", DataType::Utf8, true),
        ("fk_db_schema_name", DataType::Utf8, true),
        ("fk_table_name", DataType::Utf8, false),
        ("fk_column_name", DataType::Utf8, false),
        ("key_sequence", DataType::Int32, false),
        ("fk_key_name", DataType::Utf8, true),
        ("pk_key_name", DataType::Utf8, true),
        ("update_rule", DataType::UInt8, false),
        ("delete_rule", DataType::UInt8, false),
    ])
}
