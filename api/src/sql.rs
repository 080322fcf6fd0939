//! `POST /v1/sql`: a read-only query on the lake. That it only reads is seen to by analytics.

mod accept;
mod streamed;

use std::collections::BTreeMap;

use analytics::{Whose, row::QueryResult};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
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
    lake_port::{LakeError, LakeErrorKind, StreamFormat},
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
    /// At most so many rows (default: 1000 of JSON, all of what is streamed).
    #[serde(default)]
    pub(crate) max_rows: Option<usize>,
    /// `json`, `csv`, `arrow` or `parquet`; left out, what `Accept` asks for, else JSON.
    #[serde(default)]
    pub(crate) format: Option<SqlFormat>,
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SqlFormat {
    /// A [`SqlAnswer`].
    Json,
    /// `text/csv`, streamed: a header line and a line a row.
    Csv,
    /// `application/vnd.apache.arrow.stream`, streamed: Arrow IPC.
    Arrow,
    /// `application/vnd.apache.parquet`, streamed: a Parquet file.
    Parquet,
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
/// vehicles alone. CSV, Arrow and Parquet are streamed, and an answer that cannot be finished ends without
/// the end of HTTP's body and as no valid file of its kind.
#[utoipa::path(post, path = "/v1/sql", tag = "platform", request_body = SqlRequest,
    responses(
        (status = 200, content(
            (SqlAnswer = "application/json"), (String = "text/csv"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"), (Vec<u8> = "application/vnd.apache.parquet"))),
        (status = 406, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn run(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(request): ApiJson<SqlRequest>,
) -> Result<Response, ApiError> {
    let format = request.format.or_else(|| accept::format(&headers)).ok_or_else(accept::nothing)?;
    let rows_max = app.settings().sql_rows_max;
    let most = if format == SqlFormat::Json { rows_max } else { usize::MAX };
    if request.max_rows.is_some_and(|rows| !(1..=most).contains(&rows)) {
        let message = if most == rows_max {
            format!("must be 1 to {rows_max}")
        } else {
            "must be 1 or more".to_owned()
        };
        return Err(DomainError::invalid("the query", "max_rows", message).into());
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
    let format = match format {
        SqlFormat::Json => {
            let max_rows = request.max_rows.unwrap_or(ROWS_DEFAULT.min(rows_max));
            let found = app.lake().sql(whose.as_ref(), &request.query, max_rows).await.map_err(told)?;
            return Ok(Json(answer(found)).into_response());
        }
        SqlFormat::Csv => StreamFormat::Csv,
        SqlFormat::Arrow => StreamFormat::Arrow,
        SqlFormat::Parquet => StreamFormat::Parquet,
    };
    let asked = (format, request.max_rows);
    let found = app.lake().sql_stream(whose.as_ref(), &request.query, asked).await.map_err(told)?;
    streamed::respond(found, format, app.stop_token()).await.map_err(told)
}

fn told(error: LakeError) -> ApiError {
    match error.kind {
        LakeErrorKind::Invalid => {
            ApiError::of(StatusCode::UNPROCESSABLE_ENTITY, "sql", error.message, Vec::new())
        }
        _ => DomainError::from(error).into(),
    }
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
