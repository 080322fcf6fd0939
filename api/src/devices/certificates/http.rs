//! Routes of certificates, and of the authority that signs them.

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use wire::time::Timestamp;

use super::types::{Certificate, CertificateQuery, CertificateWhole, Revocation};
use crate::{
    app::App,
    caller::Caller,
    devices::{
        authority::Authority,
        crl::{self, SignedList},
    },
    error::{ApiError, Problem},
    extract::{ApiJson, ApiPath, ApiQuery},
    fault::DomainError,
    ids::CertificateId,
    page::Page,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(revoke))
        .routes(routes!(authority))
        .routes(routes!(crl_pem))
        .routes(routes!(crl_der))
}

/// Certificates, newest first.
#[utoipa::path(get, path = "/v1/certificates", tag = "devices", operation_id = "list_certificates",
    params(CertificateQuery),
    responses((status = 200, body = Page<Certificate>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<CertificateQuery>,
) -> Result<Json<Page<Certificate>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::list(&mut conn, (app.now(), &caller), query).await?))
}

/// One certificate, with its text.
#[utoipa::path(get, path = "/v1/certificates/{id}", tag = "devices", operation_id = "get_certificate",
    params(("id" = String, Path)),
    responses((status = 200, body = CertificateWhole), (status = 404, body = Problem)))]
async fn get(
    State(app): State<App>,
    ApiPath(id): ApiPath<CertificateId>,
) -> Result<Json<CertificateWhole>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::get(&mut conn, &id).await?.whole(app.now())))
}

/// Revokes a certificate, for good. It is on the next list of revoked ones at once; a broker looks at that when it is
/// told to.
#[utoipa::path(post, path = "/v1/certificates/{id}/revoke", tag = "devices", operation_id = "revoke_certificate",
    request_body = Revocation, params(("id" = String, Path)),
    responses((status = 200, body = Certificate), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn revoke(
    State(app): State<App>,
    ApiPath(id): ApiPath<CertificateId>,
    ApiJson(revocation): ApiJson<Revocation>,
) -> Result<Json<Certificate>, ApiError> {
    let mut tx = app.db().write().await?;
    let certificate = super::revoke(&mut tx, app.now(), (&id, revocation.reason)).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(Json(certificate))
}

/// The authority that signs.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct AuthorityTold {
    /// Its name, such as `CN=Fleet`.
    subject: String,
    /// SHA-256 of its certificate's DER, lower-case hexadecimal.
    fingerprint_sha256: String,
    /// From when it is good.
    #[schema(value_type = String, format = DateTime)]
    not_before: Timestamp,
    /// Until when it is good.
    #[schema(value_type = String, format = DateTime)]
    not_after: Timestamp,
    /// Its certificate in PEM.
    certificate_pem: String,
    /// Days a certificate of it is good.
    validity_days: i64,
    /// Until when its list of revoked certificates is good.
    #[schema(value_type = String, format = DateTime)]
    crl_next_update_at: Timestamp,
}

/// The authority whose certificates brokers take; not found where this server has none.
#[utoipa::path(get, path = "/v1/certificate-authority", tag = "devices", operation_id = "get_certificate_authority",
    responses((status = 200, body = AuthorityTold), (status = 404, body = Problem)))]
async fn authority(State(app): State<App>) -> Result<Json<AuthorityTold>, ApiError> {
    let own = authority_of(&app)?;
    let list = current_list(&app).await?;
    Ok(Json(AuthorityTold {
        subject: own.subject().to_owned(),
        fingerprint_sha256: own.fingerprint().to_owned(),
        not_before: own.not_before(),
        not_after: own.not_after(),
        certificate_pem: own.pem().to_owned(),
        validity_days: app.settings().devices.certificate_days,
        crl_next_update_at: list.next_update_at,
    }))
}

fn authority_of(app: &App) -> Result<&Authority, ApiError> {
    app.settings().devices.authority.as_deref().ok_or_else(|| {
        ApiError::not_here(
            "this server has no certificate authority: devices.ca_cert_file is not set; `api ca init` makes one",
        )
    })
}

async fn current_list(app: &App) -> Result<SignedList, ApiError> {
    let own = authority_of(app)?;
    Ok(crl::current(app.db(), (own, app.settings().devices.crl_valid_us), app.now()).await?)
}

/// The list of revoked certificates (RFC 5280) in PEM.
#[utoipa::path(get, path = "/v1/certificate-authority/crl.pem", tag = "devices", operation_id = "get_crl_pem",
    responses((status = 200, content_type = "application/x-pem-file"), (status = 404, body = Problem)))]
async fn crl_pem(State(app): State<App>) -> Result<Response, ApiError> {
    let list = current_list(&app).await?;
    Ok(([(header::CONTENT_TYPE, "application/x-pem-file")], list.pem()).into_response())
}

/// The list of revoked certificates (RFC 5280) in DER (RFC 2585, 4.2).
#[utoipa::path(get, path = "/v1/certificate-authority/crl.der", tag = "devices", operation_id = "get_crl_der",
    responses((status = 200, content_type = "application/pkix-crl"), (status = 404, body = Problem)))]
async fn crl_der(State(app): State<App>) -> Result<Response, ApiError> {
    let list = current_list(&app).await?;
    Ok(([(header::CONTENT_TYPE, "application/pkix-crl")], list.der).into_response())
}
