//! Routes of signing in and out, and of who is signed in.

use axum::{
    Json,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use url::form_urlencoded;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    SignIn,
    cookies::Cookie,
    flow::{Browser, Code, Refused, Returned},
    sessions,
    types::{ProviderWay, SessionQuery, SessionShown, SignedOut, WaysIn},
};
use crate::{
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::{ApiPath, ApiQuery},
    fault::DomainError,
    ids::SessionId,
    metrics,
    page::Page,
};

const NO_STORE: (HeaderName, HeaderValue) = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
/// The address of the callback has a code in it.
const NO_REFERRER: (HeaderName, HeaderValue) =
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
/// A browser is to come back within it (seconds).
const SIGN_IN_COOKIE_S: i64 = 600;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(ways))
        .routes(routes!(start))
        .routes(routes!(callback))
        .routes(routes!(sign_out))
        .routes(routes!(list))
        .routes(routes!(end))
}

/// How one may sign in here: what the console's page for it offers.
#[utoipa::path(get, path = "/v1/sign-in", tag = "sign-in", operation_id = "ways_to_sign_in",
    responses((status = 200, body = WaysIn)))]
async fn ways(State(app): State<App>) -> Response {
    let oidc = app.sign_in().map(|sign_in| ProviderWay {
        label: sign_in.settings.label.clone(),
        start_path: "/v1/sign-in/start",
    });
    ([NO_STORE], Json(WaysIn { api_keys: true, oidc })).into_response()
}

/// Sends a browser to the identity provider, to come back to `return_to`, a path of the console.
#[utoipa::path(get, path = "/v1/sign-in/start", tag = "sign-in", operation_id = "start_sign_in",
    params(("return_to" = Option<String>, Query)),
    responses((status = 303, description = "To the provider, or to the console with `sign_in_error`"),
        (status = 404, body = Problem)))]
async fn start(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let sign_in = provider_of(&app)?;
    let return_to = parameter(query.as_deref(), "return_to");
    let browser = Cookie::SignIn.of(&sign_in.settings, &headers);
    Ok(match sign_in.start((app.db(), app.now()), return_to.as_deref(), browser).await {
        Ok(start) => {
            let cookie = Cookie::SignIn.set(&sign_in.settings, &start.browser, Some(SIGN_IN_COOKIE_S));
            redirect(start.url.as_str(), vec![cookie])
        }
        Err(refused) => turned_away(sign_in, &refused),
    })
}

/// Where the provider sends a browser back to.
#[utoipa::path(get, path = "/v1/sign-in/callback", tag = "sign-in", operation_id = "finish_sign_in",
    params(("code" = Option<String>, Query), ("state" = Option<String>, Query), ("error" = Option<String>, Query)),
    responses((status = 303, description = "To where the person wanted, or to the console with `sign_in_error`: \
        `cancelled`, `expired`, `no_account`, `inactive`, `unverified_email` or `provider`"),
        (status = 404, body = Problem)))]
async fn callback(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let sign_in = provider_of(&app)?;
    let settings = &sign_in.settings;
    let given = |name| parameter(query.as_deref(), name);
    let returned =
        Returned { state: given("state"), code: given("code"), error: given("error"), iss: given("iss") };
    let browser = Cookie::SignIn.of(settings, &headers);
    let session = Cookie::Session.of(settings, &headers);
    let cookies = Browser { browser: browser.as_deref(), session: session.as_deref() };
    Ok(match sign_in.arrive((app.db(), app.now()), returned, cookies).await {
        Ok(arrived) => {
            metrics::signed_in("done");
            let cookies =
                vec![Cookie::Session.set(settings, &arrived.secret, None), Cookie::SignIn.cleared(settings)];
            redirect(&arrived.return_to, cookies)
        }
        Err(refused) => turned_away(sign_in, &refused),
    })
}

/// Ends the caller's session, here and as far as it can be at the provider. A key goes on.
#[utoipa::path(post, path = "/v1/sign-out", tag = "sign-in", operation_id = "sign_out",
    responses((status = 200, body = SignedOut)))]
async fn sign_out(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    let none = SignedOut { provider_sign_out_url: None };
    let Some((sign_in, id)) = app.sign_in().zip(caller.session()) else {
        return Ok(([NO_STORE], Json(none)).into_response());
    };
    let ended = ended(&app, &caller, id).await;
    let session = match ended {
        Ok(session) => Some(session),
        // In another tab, at the same moment.
        Err(DomainError::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let tokens = session.as_ref().and_then(|session| sign_in.tokens_of(session));
    if let Some(tokens) = &tokens {
        sign_in.give_back(tokens).await;
    }
    let url = sign_in.sign_out_url(tokens.and_then(|tokens| tokens.id)).await;
    let cookie = (header::SET_COOKIE, Cookie::Session.cleared(&sign_in.settings));
    Ok(([NO_STORE, cookie], Json(SignedOut { provider_sign_out_url: url })).into_response())
}

/// Who is signed in, the newest first: the caller themselves, or for an owner everybody of their organization.
#[utoipa::path(get, path = "/v1/sessions", tag = "sign-in", operation_id = "list_sessions", params(SessionQuery),
    responses((status = 200, body = Page<SessionShown>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<SessionQuery>,
) -> Result<Json<Page<SessionShown>>, ApiError> {
    let now = app.now();
    let seen_after = app.sign_in().map_or(now.0, |sign_in| sign_in.seen_after(now));
    let mut conn = app.db().read().await?;
    Ok(Json(sessions::list(&mut conn, (now, seen_after), &caller, query).await?))
}

/// Ends a session at once, in every process; its streams end within seconds.
#[utoipa::path(delete, path = "/v1/sessions/{id}", tag = "sign-in", operation_id = "end_session",
    params(("id" = String, Path)), responses((status = 204), (status = 404, body = Problem)))]
async fn end(
    State(app): State<App>,
    caller: Caller,
    ApiPath(id): ApiPath<SessionId>,
) -> Result<StatusCode, ApiError> {
    let session = ended(&app, &caller, &id).await?;
    if let Some((sign_in, tokens)) = app.sign_in().and_then(|s| Some((s, s.tokens_of(&session)?))) {
        sign_in.give_back(&tokens).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn ended(app: &App, caller: &Caller, id: &SessionId) -> Result<super::types::Session, DomainError> {
    let mut tx = app.db().write().await?;
    let session = sessions::end(&mut tx, caller, id).await?;
    tx.commit().await?;
    Ok(session)
}

fn provider_of(app: &App) -> Result<&SignIn, ApiError> {
    let none = "this server has no identity provider ([oidc] of its configuration); sign in with an API key";
    app.sign_in().ok_or_else(|| ApiError::not_here(none))
}

/// A parameter that is there once: of two nobody knows which is meant.
fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let mut found = form_urlencoded::parse(query?.as_bytes()).filter(|(given, _)| given == name);
    let (_, value) = found.next()?;
    if found.next().is_some() { None } else { Some(value.into_owned()) }
}

/// To the console, which says what it was in its own words.
fn turned_away(sign_in: &SignIn, refused: &Refused) -> Response {
    let code = refused.code();
    metrics::signed_in(code.as_str());
    let error = service::logs::chain(refused);
    match code {
        Code::Provider => tracing::warn!(%error, "sign-in failed"),
        _ => tracing::info!(code = code.as_str(), %error, "sign-in refused"),
    }
    redirect(&format!("/?sign_in_error={}", code.as_str()), vec![Cookie::SignIn.cleared(&sign_in.settings)])
}

fn redirect(place: &str, cookies: Vec<HeaderValue>) -> Response {
    let mut response = (StatusCode::SEE_OTHER, [NO_STORE, NO_REFERRER]).into_response();
    // A place is ASCII without controls: of the URL type, or checked.
    let place = HeaderValue::try_from(place).unwrap_or_else(|_| HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, place);
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
