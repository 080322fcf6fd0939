//! A table of `diagnostics` as an earlier release made it.

#![allow(dead_code, missing_docs, unreachable_pub, reason = "shared by several test targets")]
#![allow(clippy::unwrap_used, reason = "a failed test is the message")]

use std::{path::Path, sync::Arc};

use arrow::{
    array::{RecordBatch, StringArray, new_null_array},
    compute::cast,
    datatypes::{Schema, SchemaRef},
};
use deltalake::{
    DeltaTableBuilder,
    kernel::{StructType, engine::arrow_conversion::TryIntoKernel},
};
use lake::{
    TableKind,
    schema::{PARTITION, timestamp_type},
};

pub const KIND: TableKind = TableKind::Diagnostics;

/// The schema as it was before `list` and `clock`.
fn earlier() -> SchemaRef {
    let schema = KIND.schema();
    let fields: Vec<_> =
        schema.fields().iter().filter(|f| !["list", "clock"].contains(&f.name().as_str())).cloned().collect();
    Arc::new(Schema::new(fields))
}

/// One row with `text` in every text column.
pub fn row(schema: &SchemaRef, text: &str) -> RecordBatch {
    let columns = schema.fields().iter().map(|field| {
        let value = match field.data_type() {
            kind if *kind == timestamp_type() => "2026-11-23T10:00:00Z",
            _ if field.name() == PARTITION => "2026-11-23",
            _ if field.name() == "sequence" => "7",
            arrow::datatypes::DataType::Utf8 => text,
            kind => return new_null_array(kind, 1),
        };
        cast(&StringArray::from(vec![value]), field.data_type()).unwrap()
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap()
}

/// In the folder of a lake, with one row.
pub async fn table(root: &Path) {
    let folder = root.join(KIND.name());
    std::fs::create_dir_all(&folder).unwrap();
    let url = deltalake::ensure_table_uri(folder.to_string_lossy()).unwrap();
    let schema: StructType = earlier().as_ref().try_into_kernel().unwrap();
    let table = DeltaTableBuilder::from_url(url).unwrap().build().unwrap();
    let created = table
        .create()
        .with_columns(schema.fields().cloned())
        .with_partition_columns([PARTITION])
        .await
        .unwrap();
    created.write([row(&earlier(), "old")]).await.unwrap();
}
