//! Routes of payments and refunds.

use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde::de::DeserializeOwned;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::App,
    billing::{
        payment_types::{
            NewPayment, NewRefund, Payment, PaymentQuery, PaymentStatus, Refund, RefundQuery, Refunds,
        },
        payments,
    },
    error::{ApiError, Problem},
    extract::{ApiPath, ApiQuery, KeyedBody, id_of, read_json},
    fault::DomainError,
    idempotency::{self, StoredAnswer},
    ids::PaymentId,
    keyed::{answer_of, answered, replayed},
    metrics,
    page::Page,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_payments, create_payment))
        .routes(routes!(get_payment))
        .routes(routes!(confirm_payment))
        .routes(routes!(list_refunds, create_refund))
}

/// Payments, newest first.
#[utoipa::path(get, path = "/v1/payments", tag = "billing", params(PaymentQuery),
    responses((status = 200, body = Page<Payment>), (status = 422, body = Problem)))]
async fn list_payments(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<PaymentQuery>,
) -> Result<Json<Page<Payment>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(payments::list(&mut conn, &query).await?))
}

/// Pays an invoice. The answer tells how far the payment is: it may fail, need an action of the
/// customer, or be pending when the gateway gave no answer yet.
#[utoipa::path(post, path = "/v1/payments", tag = "billing", request_body = NewPayment,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 201, body = Payment), (status = 400, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn create_payment(State(app): State<App>, request: KeyedBody) -> Result<Response, ApiError> {
    let new: NewPayment = read_json(&request.body)?;
    let mut tx = app.db().write().await?;
    if let Some(answer) = idempotency::recall(&mut tx, app.now(), &request.key).await? {
        let made: Payment = kept(&answer)?;
        return Ok(replayed(answer_of(StatusCode::CREATED, &payments::get(&mut tx, &made.id).await?)));
    }
    let stored = payments::begin(&mut tx, app.now(), &new).await?;
    // Kept before the gateway is asked: whoever repeats the key meanwhile is not charged again.
    let answer = answer_of(StatusCode::CREATED, &stored.payment);
    idempotency::keep(&mut tx, app.now(), &request.key, &answer).await?;
    tx.commit().await.map_err(DomainError::from)?;
    if stored.payment.status != PaymentStatus::Pending {
        metrics::payment_succeeded();
        return Ok(answered(answer));
    }
    Ok(answered(answer_of(
        StatusCode::CREATED,
        &payments::charge((app.db(), app.gateway(), app.clock()), stored).await?,
    )))
}

/// A payment.
#[utoipa::path(get, path = "/v1/payments/{id}", tag = "billing", params(("id" = String, Path)),
    responses((status = 200, body = Payment), (status = 404, body = Problem)))]
async fn get_payment(
    State(app): State<App>,
    ApiPath(id): ApiPath<PaymentId>,
) -> Result<Json<Payment>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(payments::get(&mut conn, &id).await?))
}

/// Goes on with a payment after the customer did what it required.
#[utoipa::path(post, path = "/v1/payments/{id}/confirm", tag = "billing",
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = Payment), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn confirm_payment(
    State(app): State<App>,
    ApiPath(id): ApiPath<PaymentId>,
    request: KeyedBody,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    if let Some(answer) = idempotency::recall(&mut tx, app.now(), &request.key).await? {
        let made: Payment = kept(&answer)?;
        return Ok(replayed(answer_of(StatusCode::OK, &payments::get(&mut tx, &made.id).await?)));
    }
    let stored = payments::get_stored(&mut tx, &id).await?;
    if stored.payment.status != PaymentStatus::RequiresAction {
        let status = stored.payment.status.as_str();
        return Err(
            DomainError::Conflict(format!("payment {id} is {status}; nothing is to be confirmed")).into()
        );
    }
    let answer = answer_of(StatusCode::OK, &stored.payment);
    idempotency::keep(&mut tx, app.now(), &request.key, &answer).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(answered(answer_of(
        StatusCode::OK,
        &payments::charge((app.db(), app.gateway(), app.clock()), stored).await?,
    )))
}

/// The refunds of a payment, oldest first.
#[utoipa::path(get, path = "/v1/refunds", tag = "billing", params(RefundQuery),
    responses((status = 200, body = Refunds), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list_refunds(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<RefundQuery>,
) -> Result<Json<Refunds>, ApiError> {
    let id: PaymentId = id_of("the query", "payment_id", &query.payment_id)?;
    let mut conn = app.db().read().await?;
    Ok(Json(Refunds { data: payments::refunds(&mut conn, &id).await? }))
}

/// Gives back a payment, or part of it.
#[utoipa::path(post, path = "/v1/refunds", tag = "billing", request_body = NewRefund,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 201, body = Refund), (status = 400, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn create_refund(State(app): State<App>, request: KeyedBody) -> Result<Response, ApiError> {
    let new: NewRefund = read_json(&request.body)?;
    let mut tx = app.db().write().await?;
    if let Some(answer) = idempotency::recall(&mut tx, app.now(), &request.key).await? {
        let made: Refund = kept(&answer)?;
        let now = payments::refunds(&mut tx, &made.payment_id).await?;
        let refund = now.into_iter().find(|r| r.id == made.id).unwrap_or(made);
        return Ok(replayed(answer_of(StatusCode::CREATED, &refund)));
    }
    let (refund, stored) = payments::begin_refund(&mut tx, app.now(), &new).await?;
    let answer = answer_of(StatusCode::CREATED, &refund);
    idempotency::keep(&mut tx, app.now(), &request.key, &answer).await?;
    tx.commit().await.map_err(DomainError::from)?;
    let refund = payments::give_back(app.db(), (app.gateway(), app.now()), (refund, &stored)).await?;
    Ok(answered(answer_of(StatusCode::CREATED, &refund)))
}

/// What was answered under a key before.
fn kept<T: DeserializeOwned>(answer: &StoredAnswer) -> Result<T, ApiError> {
    let unreadable = || DomainError::Stored { what: "answer", id: answer.body.chars().take(60).collect() };
    Ok(serde_json::from_str(&answer.body).map_err(|_| unreadable())?)
}
