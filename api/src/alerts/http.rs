//! Routes of alerts.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    raised,
    rules::{self, CheckedQuery},
    trial,
    types::{
        Alert, AlertAcknowledgement, AlertQuery, AlertRulePatch, AlertRuleQuery, AlertRuleState,
        AlertRuleTrial, AlertTrialResult, NewAlertRule,
    },
};
use crate::{
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::{ApiJson, ApiPath, ApiQuery, IfMatch, OptionalJson, tagged},
    fault::DomainError,
    ids::{AlertId, AlertRuleId},
    page::Page,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_rules, create_rule))
        .routes(routes!(get_rule, change_rule, delete_rule))
        .routes(routes!(try_rule))
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(acknowledge))
}

/// Rules, oldest first, with how far each has come.
#[utoipa::path(get, path = "/v1/alert-rules", tag = "alerts", operation_id = "list_alert_rules",
    params(AlertRuleQuery),
    responses((status = 200, body = Page<AlertRuleState>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list_rules(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<AlertRuleQuery>,
) -> Result<Json<Page<AlertRuleState>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(rules::list(&mut conn, &caller, query).await?))
}

/// Makes a rule. It is asked of what is new from now on, late data of times before included; what it would have raised
/// before is told by a trial.
#[utoipa::path(post, path = "/v1/alert-rules", tag = "alerts", operation_id = "create_alert_rule",
    request_body = NewAlertRule,
    responses((status = 201, body = AlertRuleState), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create_rule(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(new): ApiJson<NewAlertRule>,
) -> Result<Response, ApiError> {
    let checked = CheckedQuery::of(app.lake().as_ref(), &new.query).await?;
    let mut tx = app.db().write().await?;
    let rule = rules::create(&mut tx, app.now(), &caller, (new, checked)).await?;
    let made = rules::with_progress(&mut tx, rule).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::CREATED, made.rule.version, &made, &headers))
}

/// One rule, with how far it has come.
#[utoipa::path(get, path = "/v1/alert-rules/{id}", tag = "alerts", operation_id = "get_alert_rule",
    params(("id" = String, Path)),
    responses((status = 200, body = AlertRuleState), (status = 404, body = Problem)))]
async fn get_rule(State(app): State<App>, ApiPath(id): ApiPath<AlertRuleId>) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let rule = rules::get(&mut conn, &id).await?;
    let state = rules::with_progress(&mut conn, rule).await?;
    // Its progress changes without its version, so it is never answered as what a client has.
    Ok(tagged(StatusCode::OK, state.rule.version, &state, &HeaderMap::new()))
}

/// Changes a rule; needs `If-Match`. Where it asks something else from now on, or nothing, its open alerts end.
#[utoipa::path(patch, path = "/v1/alert-rules/{id}", tag = "alerts", operation_id = "change_alert_rule",
    request_body = AlertRulePatch, params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = AlertRuleState), (status = 404, body = Problem), (status = 412, body = Problem),
        (status = 422, body = Problem), (status = 428, body = Problem)))]
async fn change_rule(
    State(app): State<App>,
    ApiPath(id): ApiPath<AlertRuleId>,
    IfMatch(expected): IfMatch,
    ApiJson(patch): ApiJson<AlertRulePatch>,
) -> Result<Response, ApiError> {
    let query = match &patch.query {
        Some(query) => query.clone(),
        None => {
            let mut conn = app.db().read().await?;
            rules::get(&mut conn, &id).await?.query
        }
    };
    let checked = CheckedQuery::of(app.lake().as_ref(), &query).await?;
    let mut tx = app.db().write().await?;
    let rule = rules::change(&mut tx, app.now(), (&id, expected), (patch, checked)).await?;
    let state = rules::with_progress(&mut tx, rule).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, state.rule.version, &state, &HeaderMap::new()))
}

/// Takes a rule away; its alerts stay.
#[utoipa::path(delete, path = "/v1/alert-rules/{id}", tag = "alerts", operation_id = "delete_alert_rule",
    params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn delete_rule(
    State(app): State<App>,
    ApiPath(id): ApiPath<AlertRuleId>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.db().write().await?;
    rules::delete(&mut tx, app.now(), &id).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tries a rule on a time that was: what it would have raised. Nothing is kept, and nobody is told.
#[utoipa::path(post, path = "/v1/alert-rules:try", tag = "alerts", operation_id = "try_alert_rule",
    request_body = AlertRuleTrial,
    responses((status = 200, body = AlertTrialResult), (status = 422, body = Problem)))]
async fn try_rule(
    State(app): State<App>,
    caller: Caller,
    ApiJson(trial): ApiJson<AlertRuleTrial>,
) -> Result<Json<AlertTrialResult>, ApiError> {
    Ok(Json(trial::run((app.db(), app.lake().as_ref()), &caller, trial).await?))
}

/// Alerts, those that began last first.
#[utoipa::path(get, path = "/v1/alerts", tag = "alerts", operation_id = "list_alerts", params(AlertQuery),
    responses((status = 200, body = Page<Alert>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<AlertQuery>,
) -> Result<Json<Page<Alert>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(raised::list(&mut conn, &caller, query).await?))
}

/// One alert.
#[utoipa::path(get, path = "/v1/alerts/{id}", tag = "alerts", operation_id = "get_alert",
    params(("id" = String, Path)),
    responses((status = 200, body = Alert), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, ApiPath(id): ApiPath<AlertId>) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let alert = raised::get(&mut conn, &id).await?;
    // The last moment of an open one moves without its version.
    Ok(tagged(StatusCode::OK, alert.version, &alert, &HeaderMap::new()))
}

/// Says that somebody has taken an alert on.
#[utoipa::path(post, path = "/v1/alerts/{id}/acknowledge", tag = "alerts", operation_id = "acknowledge_alert",
    request_body = Option<AlertAcknowledgement>, params(("id" = String, Path)),
    responses((status = 200, body = Alert), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn acknowledge(
    State(app): State<App>,
    caller: Caller,
    ApiPath(id): ApiPath<AlertId>,
    OptionalJson(said): OptionalJson<AlertAcknowledgement>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let alert = raised::acknowledge(&mut tx, app.now(), (&caller, &id), said).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, alert.version, &alert, &HeaderMap::new()))
}
