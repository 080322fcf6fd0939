//! Routes of devices, and of how their units get certificates.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    certificates,
    certificates::types::{CertificateIssued, NewCertificate},
    csr::CheckedRequest,
    enrol::{self, CheckedEnrolment, Enrolled, Enrolment, IssuedToken, NewToken, ProvenRenewal, Renewal},
    types::{Device, DevicePatch, DeviceQuery, NewDevice, SigningKey, SigningKeyQuery},
};
use crate::{
    app::App,
    audit::{self, Who},
    caller::Caller,
    db::Conn,
    error::{ApiError, Problem},
    extract::{ApiJson, ApiPath, ApiQuery, IfMatch, OpenJson, tagged},
    fault::{DomainError, Kind},
    ids::DeviceId,
    metrics,
    page::Page,
};

/// What is told to one alone.
const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change))
        .routes(routes!(retire))
        .routes(routes!(token))
        .routes(routes!(issue))
        .routes(routes!(enrolment))
        .routes(routes!(renewal))
        .routes(routes!(signing_keys))
        .merge(certificates::http::routes())
}

/// Devices, oldest first.
#[utoipa::path(get, path = "/v1/devices", tag = "devices", operation_id = "list_devices", params(DeviceQuery),
    responses((status = 200, body = Page<Device>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<DeviceQuery>,
) -> Result<Json<Page<Device>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::list(&mut conn, (app.now(), &caller), query).await?))
}

/// Registers a device.
#[utoipa::path(post, path = "/v1/devices", tag = "devices", operation_id = "create_device", request_body = NewDevice,
    responses((status = 201, body = Device), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    ApiJson(new): ApiJson<NewDevice>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let device = super::register(&mut tx, app.now(), &caller, new).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::CREATED, device.version, &device, &HeaderMap::new()))
}

async fn whole(conn: &mut Conn, app: &App, mut device: Device) -> Result<Device, DomainError> {
    super::with_certificates(conn, app.now(), std::slice::from_mut(&mut device)).await?;
    Ok(device)
}

/// One device. Its ETag tells changes of the device; certificates are not part of it, so the whole answer is always
/// sent.
#[utoipa::path(get, path = "/v1/devices/{id}", tag = "devices", operation_id = "get_device",
    params(("id" = String, Path)), responses((status = 200, body = Device), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, ApiPath(id): ApiPath<DeviceId>) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let device = super::get(&mut conn, &id).await?;
    let device = whole(&mut conn, &app, device).await?;
    Ok(tagged(StatusCode::OK, device.version, &device, &HeaderMap::new()))
}

/// Changes name, hardware model or vehicle; needs `If-Match`. In another vehicle, or in none, its certificates are
/// revoked, and it has to enrol anew.
#[utoipa::path(patch, path = "/v1/devices/{id}", tag = "devices", operation_id = "change_device",
    request_body = DevicePatch, params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = Device), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem), (status = 428, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    ApiPath(id): ApiPath<DeviceId>,
    IfMatch(expected): IfMatch,
    ApiJson(patch): ApiJson<DevicePatch>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let device = super::change(&mut tx, app.now(), (&caller, &id, expected), patch).await?;
    let device = whole(&mut tx, &app, device).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, device.version, &device, &HeaderMap::new()))
}

/// Takes a device out of its vehicle and out of service, for good: its certificates are revoked.
#[utoipa::path(post, path = "/v1/devices/{id}/retire", tag = "devices", operation_id = "retire_device",
    params(("id" = String, Path)), responses((status = 200, body = Device), (status = 404, body = Problem)))]
async fn retire(State(app): State<App>, ApiPath(id): ApiPath<DeviceId>) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let device = super::retire(&mut tx, app.now(), &id).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, device.version, &device, &HeaderMap::new()))
}

/// Makes a token, by which the unit proves once to be this device. It is in this answer and in no other, and takes the
/// place of one that nobody has used.
#[utoipa::path(post, path = "/v1/devices/{id}/enrolment-tokens", tag = "devices", operation_id = "create_enrolment_token",
    request_body = NewToken, params(("id" = String, Path)),
    responses((status = 201, body = IssuedToken), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn token(
    State(app): State<App>,
    ApiPath(id): ApiPath<DeviceId>,
    ApiJson(new): ApiJson<NewToken>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let issued = enrol::issue_token(&mut tx, app.now(), (&app.settings().devices, &id), &new).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok((StatusCode::CREATED, NO_STORE, Json(issued)).into_response())
}

/// Issues a certificate by hand, for a unit that does not ask for it itself.
#[utoipa::path(post, path = "/v1/devices/{id}/certificates", tag = "devices", operation_id = "issue_certificate",
    request_body = NewCertificate, params(("id" = String, Path)),
    responses((status = 201, body = CertificateIssued), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn issue(
    State(app): State<App>,
    ApiPath(id): ApiPath<DeviceId>,
    ApiJson(new): ApiJson<NewCertificate>,
) -> Result<Response, ApiError> {
    let settings = &app.settings().devices;
    let authority = super::authority_of(settings)?;
    let request = CheckedRequest::read("the certificate", &new.csr_pem)?;
    let mut tx = app.db().write().await?;
    let stored = enrol::issue_by_hand(&mut tx, app.now(), settings, (&id, &request)).await?;
    tx.commit().await.map_err(DomainError::from)?;
    let issued =
        CertificateIssued { whole: stored.whole(app.now()), chain_pem: authority.chain_pem().to_owned() };
    Ok((StatusCode::CREATED, Json(issued)).into_response())
}

/// Takes a token for a certificate; the token is the proof, no key is asked for. For ten minutes the same token with
/// the same key is answered with the same certificate.
#[utoipa::path(post, path = "/v1/enrolments", tag = "devices", operation_id = "enrol", request_body = Enrolment,
    responses((status = 200, body = Enrolled), (status = 401, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem), (status = 422, body = Problem)))]
async fn enrolment(
    State(app): State<App>,
    OpenJson(enrolment): OpenJson<Enrolment>,
) -> Result<Response, ApiError> {
    counted(enrolled(&app, &enrolment).await)
}

async fn enrolled(app: &App, enrolment: &Enrolment) -> Result<Enrolled, DomainError> {
    let settings = &app.settings().devices;
    super::authority_of(settings)?;
    {
        // Before it is anybody's turn to write: who guesses holds nobody up.
        let mut conn = app.db().read().await?;
        let device = enrol::device_of_token(&mut conn, app.now(), &enrolment.token).await?;
        audit::proven(Who::device(&device.id, device.organization_id));
    }
    let checked = CheckedEnrolment::read(enrolment)?;
    let mut tx = app.db().write().await?;
    let enrolled = enrol::enrol(&mut tx, app.now(), settings, (&enrolment.token, &checked)).await?;
    tx.commit().await?;
    Ok(enrolled)
}

/// Renews a certificate by a proof of the key that the device enrolled with; the certificate before stays good until
/// its end. For ten minutes the same is answered with the same certificate.
#[utoipa::path(post, path = "/v1/enrolments/renew", tag = "devices", operation_id = "renew", request_body = Renewal,
    responses((status = 200, body = Enrolled), (status = 401, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem), (status = 422, body = Problem)))]
async fn renewal(State(app): State<App>, OpenJson(renewal): OpenJson<Renewal>) -> Result<Response, ApiError> {
    counted(renewed(&app, &renewal).await)
}

async fn renewed(app: &App, renewal: &Renewal) -> Result<Enrolled, DomainError> {
    let settings = &app.settings().devices;
    super::authority_of(settings)?;
    {
        let mut conn = app.db().read().await?;
        let device = ProvenRenewal::find(&mut conn, renewal).await?.device;
        audit::proven(Who::device(&device.id, device.organization_id));
    }
    let mut tx = app.db().write().await?;
    let renewed = enrol::renew(&mut tx, app.now(), settings, renewal).await?;
    tx.commit().await?;
    Ok(renewed)
}

/// The answer to a unit; what is refused is counted.
fn counted(outcome: Result<Enrolled, DomainError>) -> Result<Response, ApiError> {
    let enrolled = outcome.inspect_err(|error| match error.kind() {
        Kind::Unproven => metrics::certificate_refused("unproven"),
        Kind::Invalid => metrics::certificate_refused("request"),
        Kind::Conflict => metrics::certificate_refused("state"),
        _ => {}
    })?;
    Ok((StatusCode::OK, NO_STORE, Json(enrolled)).into_response())
}

/// The keys that prove batches, by vehicle: what ingest has in its folder of keys.
#[utoipa::path(get, path = "/v1/signing-keys", tag = "devices", operation_id = "list_signing_keys",
    params(SigningKeyQuery),
    responses((status = 200, body = Page<SigningKey>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn signing_keys(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<SigningKeyQuery>,
) -> Result<Json<Page<SigningKey>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::signing_keys(&mut conn, &caller, query).await?))
}
