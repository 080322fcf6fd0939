//! Rows in types that every reader of Arrow knows: no views of text, no dictionaries that change on the way.

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef},
    error::ArrowError,
};

use super::Versions;

/// Key of the versions in the metadata of an Arrow schema.
const VERSIONS_KEY: &str = "roadlake.lake_versions";

/// The schema in such types; its metadata names the versions the rows are of.
pub(crate) fn schema(schema: &Schema, versions: &Versions) -> SchemaRef {
    let mut metadata = schema.metadata().clone();
    metadata.insert(VERSIONS_KEY.to_owned(), serde_json::to_string(versions).unwrap_or_default());
    Arc::new(Schema::new_with_metadata(plain_fields(schema.fields()), metadata))
}

/// The rows, by a schema made above.
pub(crate) fn rows(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()));
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<Vec<_>, _>>()?)
}

fn plain_fields(fields: &Fields) -> Fields {
    fields.iter().map(plain_field).collect()
}

fn plain_field(field: &FieldRef) -> FieldRef {
    let data_type = data_type(field.data_type());
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()).with_metadata(field.metadata().clone()))
}

/// The type without what only some readers know: views of text, and dictionaries that change on the way.
pub(crate) fn data_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, value) => self::data_type(value),
        DataType::List(item) => DataType::List(plain_field(item)),
        DataType::LargeList(item) => DataType::LargeList(plain_field(item)),
        DataType::Struct(fields) => DataType::Struct(plain_fields(fields)),
        other => other.clone(),
    }
}
