//! Routes of bookings.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    acts, saga,
    types::{AvailableQuery, Booking, BookingPrice, BookingQuery, Extension, NewBooking},
};
use crate::{
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::{ApiJson, ApiPath, ApiQuery, KeyedBody, read_json, tagged},
    fault::DomainError,
    idempotency,
    ids::BookingId,
    keyed::{answer_of, answered, once, replay_of},
    page::Page,
    vehicles::{groups, types::Vehicle},
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(available))
        .routes(routes!(list, create))
        .routes(routes!(quote))
        .routes(routes!(quote_extension))
        .routes(routes!(get))
        .routes(routes!(extend))
        .routes(routes!(cancel))
        .routes(routes!(start))
        .routes(routes!(finish))
}

/// Vehicles that nobody has booked in a period, by telemetry id.
#[utoipa::path(get, path = "/v1/vehicles/available", tag = "bookings", operation_id = "list_available_vehicles",
    params(AvailableQuery),
    responses((status = 200, body = Page<Vehicle>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn available(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(mut query): ApiQuery<AvailableQuery>,
) -> Result<Json<Page<Vehicle>>, ApiError> {
    query.organization_id = caller.narrowed(query.organization_id)?;
    let mut conn = app.db().read().await?;
    let mut page = super::available(&mut conn, app.now(), query).await?;
    groups::with_groups(&mut conn, &mut page.data).await?;
    Ok(Json(page))
}

/// Bookings, latest start first.
#[utoipa::path(get, path = "/v1/bookings", tag = "bookings", operation_id = "list_bookings", params(BookingQuery),
    responses((status = 200, body = Page<Booking>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(mut query): ApiQuery<BookingQuery>,
) -> Result<Json<Page<Booking>>, ApiError> {
    query.organization_id = caller.narrowed(query.organization_id)?;
    let mut conn = app.db().read().await?;
    Ok(Json(super::list(&mut conn, query).await?))
}

/// Books a vehicle: credit for the estimated price is held, the vehicle reserved, a trip planned, and the
/// person told. Where one of these cannot be, 409 says why, and nothing is held.
#[utoipa::path(post, path = "/v1/bookings", tag = "bookings", operation_id = "create_booking",
    request_body = NewBooking, params(("Idempotency-Key" = String, Header)),
    responses((status = 201, body = Booking), (status = 400, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn create(State(app): State<App>, caller: Caller, request: KeyedBody) -> Result<Response, ApiError> {
    let new: NewBooking = read_json(&request.body)?;
    let mut tx = app.db().write().await?;
    let now = app.now();
    if let Some(answer) = idempotency::recall(&mut tx, now, &request.key).await? {
        drop(tx);
        let stored = || DomainError::Stored { what: "answer", id: answer.body.chars().take(60).collect() };
        let begun: Booking = serde_json::from_str(&answer.body).map_err(|_| stored())?;
        // The process that began it may have died: it goes on at once.
        let booking = saga::run(app.db(), now, &begun.id).await?;
        return Ok(replay_of(told(&booking)));
    }
    let booking = super::begin(&mut tx, now, (&caller, new)).await?;
    // Kept before its steps are taken: whoever repeats the key meanwhile books nothing else.
    idempotency::keep(&mut tx, now, &request.key, &answer_of(StatusCode::CREATED, &booking)).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(told(&saga::run(app.db(), now, &booking.id).await?))
}

/// What a booking would cost, where it can be had as far as it says itself. Nothing is held, and whether a vehicle is free
/// is told by booking it.
#[utoipa::path(post, path = "/v1/bookings:quote", tag = "bookings", operation_id = "quote_booking",
    request_body = NewBooking,
    responses((status = 200, body = BookingPrice), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn quote(
    State(app): State<App>,
    caller: Caller,
    ApiJson(new): ApiJson<NewBooking>,
) -> Result<Json<BookingPrice>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::quote(&mut conn, app.now(), (&caller, &new)).await?))
}

/// What a booking would cost in all that lasted until another time. It stays as it is.
#[utoipa::path(post, path = "/v1/bookings/{id}/quote-extension", tag = "bookings",
    operation_id = "quote_booking_extension", request_body = Extension, params(("id" = String, Path)),
    responses((status = 200, body = BookingPrice), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn quote_extension(
    State(app): State<App>,
    ApiPath(id): ApiPath<BookingId>,
    ApiJson(extension): ApiJson<Extension>,
) -> Result<Json<BookingPrice>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::quote_extension(&mut conn, app.now(), (&id, &extension)).await?))
}

/// The answer about a booking: itself, or why it could not be had.
fn told(booking: &Booking) -> Response {
    match &booking.end_reason {
        Some(reason) if booking.confirmed_at.is_none() => {
            ApiError::from(DomainError::Conflict(reason.message.clone())).into_response()
        }
        _ => answered(answer_of(StatusCode::CREATED, booking)),
    }
}

/// A booking.
#[utoipa::path(get, path = "/v1/bookings/{id}", tag = "bookings", operation_id = "get_booking",
    params(("id" = String, Path)),
    responses((status = 200, body = Booking), (status = 404, body = Problem)))]
async fn get(
    State(app): State<App>,
    headers: HeaderMap,
    ApiPath(id): ApiPath<BookingId>,
) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let booking = super::get(&mut conn, &id).await?;
    Ok(tagged(StatusCode::OK, booking.version, &booking, &headers))
}

/// Lets a booking last longer; its price is that of the whole, and the credit for it is held.
#[utoipa::path(post, path = "/v1/bookings/{id}/extend", tag = "bookings", operation_id = "extend_booking",
    request_body = Extension, params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = Booking), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn extend(
    State(app): State<App>,
    ApiPath(id): ApiPath<BookingId>,
    request: KeyedBody,
) -> Result<Response, ApiError> {
    let extension: Extension = read_json(&request.body)?;
    once(&app, &request, StatusCode::OK, async |conn, now| acts::extend(conn, now, (&id, &extension)).await)
        .await
}

/// Gives a booking up: free before its start, afterwards the tariff may keep a share.
#[utoipa::path(post, path = "/v1/bookings/{id}/cancel", tag = "bookings", operation_id = "cancel_booking",
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = Booking), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn cancel(
    State(app): State<App>,
    ApiPath(id): ApiPath<BookingId>,
    request: KeyedBody,
) -> Result<Response, ApiError> {
    once(&app, &request, StatusCode::OK, async |conn, now| acts::cancel(conn, now, &id).await).await
}

/// Begins the use of the vehicle.
#[utoipa::path(post, path = "/v1/bookings/{id}/start", tag = "bookings", operation_id = "start_booking",
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = Booking), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn start(
    State(app): State<App>,
    ApiPath(id): ApiPath<BookingId>,
    request: KeyedBody,
) -> Result<Response, ApiError> {
    once(&app, &request, StatusCode::OK, async |conn, now| acts::start(conn, now, &id).await).await
}

/// Ends the use of the vehicle: the price is taken and the rest of what is held is free again.
#[utoipa::path(post, path = "/v1/bookings/{id}/finish", tag = "bookings", operation_id = "finish_booking",
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = Booking), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn finish(
    State(app): State<App>,
    ApiPath(id): ApiPath<BookingId>,
    request: KeyedBody,
) -> Result<Response, ApiError> {
    once(&app, &request, StatusCode::OK, async |conn, now| acts::finish(conn, now, &id).await).await
}
