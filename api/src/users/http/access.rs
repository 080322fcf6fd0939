//! Routes of users and API keys.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::{ApiJson, ApiPath, ApiQuery, IfMatch, tagged},
    fault::DomainError,
    ids::{ApiKeyId, UserId},
    page::Page,
    users::{
        keys::{self, ApiKey, NewApiKey, NewKeySecret},
        me::{self, Me},
        people::{self, MemberQuery, NewUser, User, UserPatch},
        secret::KeyText,
    },
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_me))
        .routes(routes!(list_users, create_user))
        .routes(routes!(get_user, change_user))
        .routes(routes!(list_keys, create_key))
        .routes(routes!(get_key, revoke_key))
}

/// Who asks: the key's name and role, whose data it reaches, and what it may call.
#[utoipa::path(get, path = "/v1/me", tag = "users", responses((status = 200, body = Me)))]
async fn get_me(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let me = me::me(&mut conn, &caller).await?;
    // Of another key it is another answer.
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(me)).into_response())
}

/// People with a role, oldest first.
#[utoipa::path(get, path = "/v1/users", tag = "users", params(MemberQuery),
    responses((status = 200, body = Page<User>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list_users(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<MemberQuery>,
) -> Result<Json<Page<User>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(people::list(&mut conn, &caller, query).await?))
}

/// Adds a person. They come in by a key that is made for them.
#[utoipa::path(post, path = "/v1/users", tag = "users", request_body = NewUser,
    responses((status = 201, body = User), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create_user(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(new): ApiJson<NewUser>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let user = people::create(&mut tx, app.now(), &caller, new).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::CREATED, user.version, &user, &headers))
}

/// One person.
#[utoipa::path(get, path = "/v1/users/{id}", tag = "users", params(("id" = String, Path)),
    responses((status = 200, body = User), (status = 404, body = Problem)))]
async fn get_user(
    State(app): State<App>,
    headers: HeaderMap,
    ApiPath(id): ApiPath<UserId>,
) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let user = people::get(&mut conn, &id).await?;
    Ok(tagged(StatusCode::OK, user.version, &user, &headers))
}

/// Changes name, role, or whether the person is active; needs `If-Match`.
#[utoipa::path(patch, path = "/v1/users/{id}", tag = "users", request_body = UserPatch,
    params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = User), (status = 404, body = Problem), (status = 412, body = Problem),
        (status = 422, body = Problem), (status = 428, body = Problem)))]
async fn change_user(
    State(app): State<App>,
    ApiPath(id): ApiPath<UserId>,
    IfMatch(expected): IfMatch,
    ApiJson(patch): ApiJson<UserPatch>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let user = people::change(&mut tx, app.now(), (&id, expected), patch).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, user.version, &user, &HeaderMap::new()))
}

/// API keys, oldest first, revoked ones too. Their secrets are not kept.
#[utoipa::path(get, path = "/v1/api-keys", tag = "users", params(MemberQuery),
    responses((status = 200, body = Page<ApiKey>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list_keys(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<MemberQuery>,
) -> Result<Json<Page<ApiKey>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(keys::list(&mut conn, &caller, query).await?))
}

/// Makes an API key. Its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/v1/api-keys", tag = "users", request_body = NewApiKey,
    responses((status = 201, body = NewKeySecret), (status = 422, body = Problem)))]
async fn create_key(
    State(app): State<App>,
    caller: Caller,
    ApiJson(new): ApiJson<NewApiKey>,
) -> Result<Response, ApiError> {
    let text = KeyText::generate()?;
    let hash = app.hashing().hash(&text).await?;
    let mut tx = app.db().write().await?;
    let made = keys::create(&mut tx, app.now(), (&caller, new), (&text, &hash)).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(made)).into_response())
}

/// One API key.
#[utoipa::path(get, path = "/v1/api-keys/{id}", tag = "users", params(("id" = String, Path)),
    responses((status = 200, body = ApiKey), (status = 404, body = Problem)))]
async fn get_key(State(app): State<App>, ApiPath(id): ApiPath<ApiKeyId>) -> Result<Json<ApiKey>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(keys::get(&mut conn, &id).await?))
}

/// Revokes an API key, at once and for good.
#[utoipa::path(delete, path = "/v1/api-keys/{id}", tag = "users", params(("id" = String, Path)),
    responses((status = 200, body = ApiKey), (status = 404, body = Problem)))]
async fn revoke_key(
    State(app): State<App>,
    ApiPath(id): ApiPath<ApiKeyId>,
) -> Result<Json<ApiKey>, ApiError> {
    let mut tx = app.db().write().await?;
    let key = keys::revoke(&mut tx, app.now(), &id).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(Json(key))
}
