//! `POST /v1/sql`: a read-only query on the lake. That it only reads is seen to by analytics.

use std::collections::BTreeMap;

use analytics::{Whose, row::QueryResult};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::ApiJson,
    fault::DomainError,
    lake_port::LakeErrorKind,
    vehicles,
};

const ROWS_DEFAULT: usize = 1_000;
/// Longest query text.
const QUERY_BYTES_MAX: usize = 100_000;

/// A query.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlRequest {
    /// One SELECT, EXPLAIN, SHOW or DESCRIBE.
    #[schema(example = "SELECT vehicle_id, count(*) AS trips FROM trips GROUP BY vehicle_id")]
    pub(crate) query: String,
    /// At most so many rows (default 1000).
    #[serde(default)]
    pub(crate) max_rows: Option<usize>,
    /// `json` (default) or `csv`.
    #[serde(default)]
    pub(crate) format: SqlFormat,
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SqlFormat {
    /// A [`SqlAnswer`].
    #[default]
    Json,
    /// A header line and a line a row.
    Csv,
}

/// A column of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct SqlColumn {
    /// Name.
    pub(crate) name: String,
    /// Arrow data type.
    pub(crate) data_type: String,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct SqlAnswer {
    /// The columns, in order.
    pub(crate) columns: Vec<SqlColumn>,
    /// The rows: a value a column; times are RFC 3339.
    #[schema(value_type = Vec<Vec<Object>>)]
    pub(crate) rows: Vec<Vec<Value>>,
    /// Whether rows were left off at the cap.
    pub(crate) is_truncated: bool,
    /// The version of each lake table that was read.
    pub(crate) lake_versions: BTreeMap<String, i64>,
    /// How long it took.
    pub(crate) elapsed_ms: u64,
}

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(run))
}

/// Runs a read-only query on the lake's tables; a key of an organization sees the rows of its
/// vehicles alone.
#[utoipa::path(post, path = "/v1/sql", tag = "platform", request_body = SqlRequest,
    responses((status = 200, body = SqlAnswer), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn run(
    State(app): State<App>,
    caller: Caller,
    ApiJson(request): ApiJson<SqlRequest>,
) -> Result<Response, ApiError> {
    let rows_max = app.settings().sql_rows_max;
    let max_rows = request.max_rows.unwrap_or(ROWS_DEFAULT.min(rows_max));
    if !(1..=rows_max).contains(&max_rows) {
        return Err(DomainError::invalid("the query", "max_rows", format!("must be 1 to {rows_max}")).into());
    }
    if request.query.trim().is_empty() || request.query.len() > QUERY_BYTES_MAX {
        let message = format!("must be 1 to {QUERY_BYTES_MAX} bytes of SQL");
        return Err(DomainError::invalid("the query", "query", message).into());
    }
    let whose = match caller.organization() {
        None => None,
        Some(own) => {
            let mut conn = app.db().read().await?;
            Some(Whose::of(vehicles::names(&mut conn, Some(own)).await?.into_keys()))
        }
    };
    let found = app.lake().sql(whose.as_ref(), &request.query, max_rows).await.map_err(|e| match e.kind {
        LakeErrorKind::Invalid => {
            ApiError::of(StatusCode::UNPROCESSABLE_ENTITY, "sql", e.message, Vec::new())
        }
        _ => DomainError::from(e).into(),
    })?;
    Ok(match request.format {
        SqlFormat::Json => Json(answer(found)).into_response(),
        SqlFormat::Csv => {
            let truncated = if found.is_truncated { "true" } else { "false" };
            let headers = [
                (header::CONTENT_TYPE.as_str(), "text/csv; charset=utf-8"),
                ("roadlake-truncated", truncated),
            ];
            (headers, csv(&found)).into_response()
        }
    })
}

fn answer(found: QueryResult) -> SqlAnswer {
    let columns = found.columns.into_iter().map(|c| SqlColumn { name: c.name, data_type: c.data_type });
    SqlAnswer {
        columns: columns.collect(),
        rows: found.rows,
        is_truncated: found.is_truncated,
        lake_versions: found.lake_versions,
        elapsed_ms: found.elapsed_ms,
    }
}

/// RFC 4180.
fn csv(found: &QueryResult) -> String {
    let mut text = String::new();
    let mut line = |cells: Vec<String>| {
        text.push_str(&cells.iter().map(|c| quoted(c)).collect::<Vec<_>>().join(","));
        text.push_str("\r\n");
    };
    line(found.columns.iter().map(|c| c.name.clone()).collect());
    for row in &found.rows {
        line(row.iter().map(cell).collect());
    }
    text
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_quotes_what_must_be_quoted() {
        assert_eq!(quoted("plain"), "plain");
        assert_eq!(quoted("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
        assert_eq!(cell(&Value::Null), "");
        assert_eq!(cell(&serde_json::json!(1.5)), "1.5");
    }
}
