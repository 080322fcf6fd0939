//! What there is: catalogue, schema, tables, types and what this server can do.

use arrow::array::RecordBatch;
use arrow_flight::{
    error::FlightError,
    sql::{
        CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
        CommandGetXdbcTypeInfo, Nullable, Searchable, SqlInfo, SqlSupportedTransaction, XdbcDataType,
        metadata::{SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoDataBuilder},
    },
};
use tonic::Status;

use crate::engine::{CATALOG, Listed, SCHEMA};

const TABLE: &str = "TABLE";
const VIEW: &str = "VIEW";

fn failed(error: FlightError) -> Status {
    error.into()
}

pub(super) fn catalogs(query: CommandGetCatalogs) -> Result<RecordBatch, Status> {
    let mut builder = query.into_builder();
    builder.append(CATALOG);
    builder.build().map_err(failed)
}

pub(super) fn schemas(query: CommandGetDbSchemas) -> Result<RecordBatch, Status> {
    let mut builder = query.into_builder();
    builder.append(CATALOG, SCHEMA);
    builder.build().map_err(failed)
}

pub(super) fn tables(query: CommandGetTables, listed: &[Listed]) -> Result<RecordBatch, Status> {
    let mut builder = query.into_builder();
    for table in listed {
        let kind = if table.is_view { VIEW } else { TABLE };
        builder.append(CATALOG, SCHEMA, &table.name, kind, &table.schema).map_err(failed)?;
    }
    builder.build().map_err(failed)
}

pub(super) fn table_types(query: CommandGetTableTypes) -> Result<RecordBatch, Status> {
    let mut builder = query.into_builder();
    builder.append(TABLE);
    builder.append(VIEW);
    builder.build().map_err(failed)
}

pub(super) fn sql_info(query: CommandGetSqlInfo) -> Result<RecordBatch, Status> {
    let mut infos = SqlInfoDataBuilder::new();
    infos.append(SqlInfo::FlightSqlServerName, "Roadlake");
    infos.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    infos.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    infos.append(SqlInfo::FlightSqlServerReadOnly, true);
    infos.append(SqlInfo::FlightSqlServerSql, true);
    infos.append(SqlInfo::FlightSqlServerSubstrait, false);
    infos.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    infos.append(SqlInfo::FlightSqlServerCancel, false);
    infos.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    infos.append(SqlInfo::SqlDdlCatalog, false);
    infos.append(SqlInfo::SqlDdlSchema, false);
    infos.append(SqlInfo::SqlDdlTable, false);
    infos.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    let infos = infos.build().map_err(failed)?;
    query.into_builder(&infos).build().map_err(failed)
}

pub(super) fn types(query: CommandGetXdbcTypeInfo) -> Result<RecordBatch, Status> {
    let quoted = Some("'".to_owned());
    let mut types = XdbcTypeInfoDataBuilder::new();
    for (name, kind, size, is_quoted) in [
        ("BOOLEAN", XdbcDataType::XdbcBit, 1, false),
        ("BIGINT", XdbcDataType::XdbcBigint, 19, false),
        ("INTEGER", XdbcDataType::XdbcInteger, 10, false),
        ("DECIMAL", XdbcDataType::XdbcDecimal, 38, false),
        ("DOUBLE", XdbcDataType::XdbcDouble, 15, false),
        ("VARCHAR", XdbcDataType::XdbcVarchar, i32::MAX, true),
        ("DATE", XdbcDataType::XdbcDate, 10, true),
        ("TIMESTAMP", XdbcDataType::XdbcTimestamp, 26, true),
    ] {
        let is_number = !is_quoted && name != "BOOLEAN";
        types.append(XdbcTypeInfo {
            type_name: name.to_owned(),
            data_type: kind,
            column_size: Some(size),
            literal_prefix: quoted.clone().filter(|_| is_quoted),
            literal_suffix: quoted.clone().filter(|_| is_quoted),
            nullable: Nullable::NullabilityNullable,
            case_sensitive: name == "VARCHAR",
            searchable: Searchable::Full,
            unsigned_attribute: is_number.then_some(false),
            local_type_name: Some(name.to_owned()),
            sql_data_type: kind,
            num_prec_radix: is_number.then_some(10),
            ..XdbcTypeInfo::default()
        });
    }
    let types = types.build().map_err(failed)?;
    query.into_builder(&types).build().map_err(failed)
}
