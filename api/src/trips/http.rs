//! Routes of the trips domain.

use analytics::row::QueryResult;
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    corrections,
    types::{
        DriverSummary, Position, PositionQuery, Positions, Revisions, SummaryQuery, Trip, TripItem, TripQuery,
    },
};
use crate::{
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::{ApiPath, ApiQuery, tagged},
    fault::DomainError,
    ids::{DriverId, TripId},
    page::Page,
};

const POINTS_DEFAULT: i64 = 2_000;
const POINTS_MAX: i64 = 20_000;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(revisions))
        .routes(routes!(positions))
        .routes(routes!(summary))
        .merge(corrections::http::routes())
}

/// Trips that took place, newest start first, with who drove.
#[utoipa::path(get, path = "/v1/trips", tag = "trips", params(TripQuery),
    responses((status = 200, body = Page<TripItem>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<TripQuery>,
) -> Result<Json<Page<TripItem>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::list(&mut conn, &caller, &query).await?))
}

/// The latest revision of a trip, with who drove: that is not part of its ETag, so the whole answer is always sent.
#[utoipa::path(get, path = "/v1/trips/{id}", tag = "trips", params(("id" = String, Path)),
    responses((status = 200, body = TripItem), (status = 404, body = Problem)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    ApiPath(id): ApiPath<TripId>,
) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let trip = super::get(&mut conn, &id).await?;
    let revision = trip.revision;
    let item = super::with_drivers(&mut conn, &caller, vec![trip]).await?.pop();
    Ok(tagged(StatusCode::OK, revision, &item, &HeaderMap::new()))
}

/// What a driver drove in a period, by the trips that started in it.
#[utoipa::path(get, path = "/v1/drivers/{id}/summary", tag = "drivers", operation_id = "get_driver_summary",
    params(("id" = String, Path), SummaryQuery),
    responses((status = 200, body = DriverSummary), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn summary(
    State(app): State<App>,
    caller: Caller,
    ApiPath(id): ApiPath<DriverId>,
    ApiQuery(query): ApiQuery<SummaryQuery>,
) -> Result<Json<DriverSummary>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::summary(&mut conn, (app.now(), &caller), (&id, &query)).await?))
}

/// Every revision of a trip, oldest first; of one that is private, without places.
#[utoipa::path(get, path = "/v1/trips/{id}/revisions", tag = "trips", params(("id" = String, Path)),
    responses((status = 200, body = Revisions), (status = 404, body = Problem)))]
async fn revisions(
    State(app): State<App>,
    ApiPath(id): ApiPath<TripId>,
) -> Result<Json<Revisions>, ApiError> {
    let mut conn = app.db().read().await?;
    let mut data = super::revisions(&mut conn, &id).await?;
    if data.last().is_some_and(Trip::is_private) {
        data = data.into_iter().map(Trip::without_places).collect();
    }
    Ok(Json(Revisions { data }))
}

/// The track of a trip that is not private.
#[utoipa::path(get, path = "/v1/trips/{id}/positions", tag = "trips",
    params(("id" = String, Path), PositionQuery),
    responses((status = 200, body = Positions), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn positions(
    State(app): State<App>,
    ApiPath(id): ApiPath<TripId>,
    ApiQuery(query): ApiQuery<PositionQuery>,
) -> Result<Json<Positions>, ApiError> {
    let max_points = query.max_points.unwrap_or(POINTS_DEFAULT);
    if !(2..=POINTS_MAX).contains(&max_points) {
        let message = format!("must be 2 to {POINTS_MAX}");
        return Err(DomainError::invalid("the query", "max_points", message).into());
    }
    let trip = {
        let mut conn = app.db().read().await?;
        super::get(&mut conn, &id).await?
    };
    if trip.is_private() {
        return Err(
            DomainError::Conflict(format!("trip {id} is private: where it was is told to nobody")).into()
        );
    }
    // The end is excluded there, and the last reading belongs to the trip.
    let end = trip.end_time.plus_us(1);
    let max_points = usize::try_from(max_points).unwrap_or(usize::MAX);
    let found = app
        .lake()
        .positions(&trip.vehicle_id, trip.start_time, end, max_points)
        .await
        .map_err(DomainError::from)?;
    Ok(Json(Positions { data: track_of(&found) }))
}

/// The points of a result that have a position.
fn track_of(found: &QueryResult) -> Vec<Position> {
    let column = |name: &str| found.columns.iter().position(|c| c.name == name);
    let [ts, latitude, longitude] = ["ts", "latitude", "longitude"].map(column);
    let [speed, heading, altitude] = ["speed_kmh", "heading_deg", "altitude_m"].map(column);
    let number =
        |row: &[Value], column: Option<usize>| column.and_then(|c| row.get(c)).and_then(Value::as_f64);
    found
        .rows
        .iter()
        .filter_map(|row| {
            Some(Position {
                ts: row.get(ts?)?.as_str()?.to_owned(),
                latitude: number(row, latitude)?,
                longitude: number(row, longitude)?,
                speed_kmh: number(row, speed),
                heading_deg: number(row, heading),
                altitude_m: number(row, altitude),
            })
        })
        .collect()
}
