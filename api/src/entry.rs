//! The way in of every request: who asks, whether they may, whose the thing is, how often they have
//! asked; then the handler, its transactions carrying a row of the audit log.
//!
//! Without `api_key_file` the server is on loopback alone and whoever has no key is its owner.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock, atomic::AtomicBool},
};

use axum::{
    extract::{ConnectInfo, FromRequestParts, MatchedPath, RawPathParams, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use service::config::Secret;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    agents::{campaigns, commands},
    alerts::{raised, rules},
    app::App,
    audit::{self, Who, Write},
    billing::{invoicing, tariffs},
    bookings,
    caller::Caller,
    db::Conn,
    devices::{self, certificates},
    drivers::{self, assignments},
    error::ApiError,
    fault::DomainError,
    ids::{AuditId, OrganizationId},
    maintenance::{orders, schedules},
    permissions::{self, Reach, Rule, Thing},
    sign_in::{
        cookies::{self, Cookie},
        jwt, sessions,
    },
    trips::{self, corrections},
    users::{keys, people, secret::KeyText},
    vehicles::{self, geofences, groups},
    webhooks,
};

/// Names a request in the log, the audit log and the answer.
const REQUEST_ID: &str = "x-request-id";
const REQUEST_ID_LEN_MAX: usize = 64;
/// Of a path so much is kept in the audit log: more than any id needs.
const AUDITED_PATH_MAX: usize = 300;

/// Lets a request in, or answers it.
pub(crate) async fn enter(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path != "/v1" && !path.starts_with("/v1/") {
        return next.run(request).await;
    }
    let request_id = request_id_of(request.headers());
    // No database takes it in a text, and no name, id or cursor has one.
    let has_nul = |text: &str| text.contains("%00");
    if has_nul(path) || request.uri().query().is_some_and(has_nul) {
        return ApiError::unreadable("path", "has a NUL character (%00), which no text here may have")
            .into_response();
    }
    let mut response = match admitted(&app, request, (&request_id, next)).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    };
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

async fn admitted(
    app: &App,
    request: Request,
    (request_id, next): (&str, Next),
) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let matched = MatchedPath::from_request_parts(&mut parts, &()).await.ok();
    let rule = matched.as_ref().and_then(|m| permissions::rule_of(parts.method.as_str(), m.as_str()));
    if let Some(rule) = rule.filter(|rule| rule.reach == Reach::Open) {
        return opened(app, rule, Request::from_parts(parts, body), (request_id, next)).await;
    }
    let caller = authenticated(app, &parts.headers).await?;
    if let (Some(_), Some(sign_in)) = (caller.session(), app.sign_in()) {
        cookies::from_our_page(&sign_in.settings, &parts.method, &parts.headers)?;
    }
    // Whoever needs no key is on this machine, and is not counted.
    if caller != Caller::local()
        && let Err(after_s) = app.rates().take(caller.actor(), app.monotonic_us())
    {
        return Err(ApiError::too_many(after_s));
    }
    parts.extensions.insert(caller.clone());
    let Some(matched) = matched else {
        // No route: the fallback says so.
        return Ok(next.run(Request::from_parts(parts, body)).await);
    };
    let Some(rule) = rule else {
        let (method, path) = (parts.method.as_str(), parts.uri.path());
        return Err(if permissions::knows(matched.as_str()) {
            ApiError::no_method(method, path)
        } else {
            ApiError::denied(format!("{method} {path} has no rule in the table of permissions"))
        });
    };
    let write = rule.writes().then(|| write_of(app, rule, (parts.uri.path(), request_id)));
    let doing = async {
        match checked(app, (&caller, rule), &mut parts).await {
            Ok(()) => next.run(Request::from_parts(parts, body)).await,
            Err(error) => error.into_response(),
        }
    };
    let Some(write) = write else { return Ok(doing.await) };
    // Just made, so nobody was said before.
    let _ = write.who.set(Who::caller(&caller));
    Ok(audited(app, write, doing).await)
}

/// Runs what asks for no key. The address it comes from is what is counted; behind a proxy that is the proxy's.
async fn opened(
    app: &App,
    rule: &'static Rule,
    request: Request,
    (request_id, next): (&str, Next),
) -> Result<Response, ApiError> {
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    if let Err(after_s) = app.openly().take(&neighbourhood(address), app.monotonic_us()) {
        return Err(ApiError::too_many_openly(after_s));
    }
    let write = rule.writes().then(|| write_of(app, rule, (request.uri().path(), request_id)));
    let doing = next.run(request);
    Ok(match write {
        Some(write) => audited(app, write, doing).await,
        None => doing.await,
    })
}

/// Who is counted as one: an address, or of IPv6 the network that one customer has (RFC 6177).
fn neighbourhood(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Some(address) => address.to_string(),
        None => String::new(),
    }
}

fn write_of(app: &App, rule: &Rule, (path, request_id): (&str, &str)) -> Arc<Write> {
    Arc::new(Write {
        id: AuditId::new(app.now()),
        who: OnceLock::new(),
        method: rule.method,
        route: rule.route,
        path: path.chars().take(AUDITED_PATH_MAX).collect(),
        request_id: request_id.to_owned(),
        at: app.now(),
        is_noted: AtomicBool::new(false),
        refusal: OnceLock::new(),
    })
}

/// Runs a write, whose transactions carry its row, and tells what they do not.
async fn audited(app: &App, write: Arc<Write>, doing: impl Future<Output = Response>) -> Response {
    let response = audit::within(Arc::clone(&write), doing).await;
    // Who has proven nothing fills no log.
    if write.who.get().is_some()
        && let Some(result) = result_of(&write, &response)
    {
        audit::close(app.db(), &write, &result).await;
    }
    response
}

/// What is left to be told of a write; nothing where its own transaction has told it.
fn result_of(write: &Write, response: &Response) -> Option<String> {
    let status = response.status();
    if let Some(why) = write.refusal.get() {
        return Some(format!("refused {why}"));
    }
    if response.headers().contains_key("idempotent-replayed") {
        return Some("replayed".to_owned());
    }
    // Busy or away is the database itself, most times: nothing was changed, and nothing can be kept.
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    if status.is_server_error() {
        return Some(format!("failed {}", status.as_u16()));
    }
    if status.is_client_error() {
        return Some(format!("refused {}", status.as_u16()));
    }
    let is_noted = write.is_noted.load(std::sync::atomic::Ordering::SeqCst);
    (!is_noted).then(|| "done".to_owned())
}

/// Who asks.
pub(crate) async fn authenticated(app: &App, headers: &HeaderMap) -> Result<Caller, ApiError> {
    if let Some(sign_in) = app.sign_in()
        && !headers.contains_key(header::AUTHORIZATION)
        && let Some(cookie) = Cookie::Session.of(&sign_in.settings, headers)
    {
        let caller = sign_in.caller_of(app.db(), app.now(), &cookie).await?;
        return caller.map_err(|ended| ApiError::session_ended(&ended));
    }
    let given = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let given =
        given.and_then(|v| v.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = given.map(|(_, token)| token.trim());
    let operators_key = app.settings().api_key.as_ref().map(Secret::expose);
    match (operators_key, token) {
        (Some(key), Some(token)) if is_equal(token, key) => return Ok(Caller::operator()),
        (None, None) => return local(headers),
        _ => {}
    }
    if let (Some(sign_in), Some(token)) = (app.sign_in(), token.filter(|token| jwt::is_meant(token))) {
        let caller = sign_in.bearer(app.db(), app.now(), token).await?;
        return caller.map_err(|rejected| ApiError::token_rejected(&rejected));
    }
    match token.and_then(KeyText::parse) {
        Some(text) => {
            // Before a secret is checked, which costs: an attempt on one key is counted by that key.
            if !app.hashing().remembers(&text)
                && let Err(after_s) = app.attempts().take(&text.prefix, app.monotonic_us())
            {
                return Err(ApiError::too_many(after_s));
            }
            let caller =
                keys::caller_of(app.db(), (app.hashing(), app.key_uses()), (app.now(), &text)).await?;
            caller.map_err(|ended| ended.as_ref().map_or_else(ApiError::unauthorized, ApiError::key_ended))
        }
        // As it was before there were keys: nothing is asked for, so anything is taken but a key of ours
        // that was cut.
        None if operators_key.is_none() && !token.is_some_and(KeyText::is_meant) => local(headers),
        None => Err(ApiError::unauthorized()),
    }
}

/// Somebody at this machine, who needs no key. A page of another site, which a browser here shows, is not:
/// it may send requests here, and by a name of its own for this address even read the answers.
fn local(headers: &HeaderMap) -> Result<Caller, ApiError> {
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host =
        header(header::HOST).map(|host| {
            host.rsplit_once(':').map_or(host, |(name, port)| {
                if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host }
            })
        });
    let is_here = host.is_some_and(|name| ["localhost", "127.0.0.1", "[::1]"].contains(&name));
    let is_foreign = header(header::HeaderName::from_static("sec-fetch-site")) == Some("cross-site");
    if is_here && !is_foreign {
        return Ok(Caller::local());
    }
    Err(ApiError::denied(
        "without a key this server answers its own machine alone: ask it as 127.0.0.1 or localhost, and not from \
         another site's page; to serve others set api_key_file"
            .to_owned(),
    ))
}

/// Compares hashes, all bytes of them: neither length nor content shows in the time it takes.
fn is_equal(given: &str, key: &str) -> bool {
    let (given, key) = (Sha256::digest(given.as_bytes()), Sha256::digest(key.as_bytes()));
    given.iter().zip(key.iter()).fold(0_u8, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// Whether the caller's role and organization let them.
async fn checked(app: &App, (caller, rule): (&Caller, &Rule), parts: &mut Parts) -> Result<(), ApiError> {
    if let Some(role) = caller.refused_role(|role| rule.allows(role)) {
        let method = rule.method;
        let who = if caller.signed_in_as().is_some() { "a person" } else { "a key" };
        return Err(ApiError::denied(format!("{who} of role {role} may not {method} {}", rule.route)));
    }
    let Some(own) = caller.organization() else { return Ok(()) };
    match rule.reach {
        Reach::Open | Reach::Narrowed => Ok(()),
        Reach::Operator => Err(ApiError::denied(format!(
            "{} {} is for keys and people of the operator, which are of no organization",
            rule.method, rule.route
        ))),
        Reach::Of(thing) => {
            let params = RawPathParams::from_request_parts(parts, &()).await;
            let id = params.ok().and_then(|params| {
                params.iter().find(|(name, _)| *name == "id").map(|(_, id)| id.to_owned())
            });
            let id = id.unwrap_or_default();
            let mut conn = app.db().read().await?;
            match is_own(&mut conn, (thing, &id), own).await {
                Ok(true) => Ok(()),
                // As where there is none: that there is one is not theirs to know.
                Ok(false) => Err(DomainError::not_found(name_of(thing), id).into()),
                Err(error) => Err(error.into()),
            }
        }
    }
}

fn name_of(thing: Thing) -> &'static str {
    match thing {
        Thing::Organization => "organization",
        Thing::User => "user",
        Thing::ApiKey => "API key",
        Thing::Session => "session",
        Thing::Vehicle => "vehicle",
        Thing::Trip => "trip",
        Thing::TripCorrection => "trip correction",
        Thing::Tariff => "tariff",
        Thing::Invoice => "invoice",
        Thing::Booking => "booking",
        Thing::WebhookEndpoint => "webhook endpoint",
        Thing::Geofence => "geofence",
        Thing::CampaignSet => "campaign set",
        Thing::CampaignDeployment => "campaign deployment",
        Thing::Command => "command",
        Thing::Device => "device",
        Thing::Certificate => "certificate",
        Thing::MaintenanceSchedule => "maintenance schedule",
        Thing::WorkOrder => "work order",
        Thing::Driver => "driver",
        Thing::DriverAssignment => "driver assignment",
        Thing::Group => "group",
        Thing::AlertRule => "alert rule",
        Thing::Alert => "alert",
    }
}

/// Whether a thing is of an organization. An id that reads as none is nobody's.
async fn is_own(
    conn: &mut Conn,
    (thing, id): (Thing, &str),
    own: &OrganizationId,
) -> Result<bool, DomainError> {
    let of = match thing {
        Thing::Organization => return Ok(id == own.as_str()),
        Thing::User => match id.parse() {
            Ok(id) => people::get(conn, &id).await?.organization_id,
            Err(_) => None,
        },
        Thing::ApiKey => match id.parse() {
            Ok(id) => keys::get(conn, &id).await?.organization_id,
            Err(_) => None,
        },
        Thing::Session => match id.parse() {
            Ok(id) => sessions::organization_of(conn, &id).await?,
            Err(_) => None,
        },
        Thing::Vehicle => vehicles::get(conn, id).await?.organization_id,
        Thing::Trip => match id.parse() {
            Ok(id) => {
                let vehicle_id = trips::get(conn, &id).await?.vehicle_id;
                vehicles::organization_of(conn, &vehicle_id).await?
            }
            Err(_) => None,
        },
        Thing::TripCorrection => match id.parse() {
            Ok(id) => {
                let vehicle_id = corrections::get(conn, &id).await?.vehicle_id;
                vehicles::organization_of(conn, &vehicle_id).await?
            }
            Err(_) => None,
        },
        Thing::Tariff => {
            let tariff_id = tariffs::of_organization(conn, own).await?;
            return Ok(tariff_id.is_some_and(|tariff_id| tariff_id.as_str() == id));
        }
        Thing::Invoice => match id.parse() {
            Ok(id) => Some(invoicing::get(conn, &id).await?.organization_id),
            Err(_) => None,
        },
        Thing::Booking => match id.parse() {
            Ok(id) => Some(bookings::get(conn, &id).await?.organization_id),
            Err(_) => None,
        },
        Thing::WebhookEndpoint => match id.parse() {
            Ok(id) => webhooks::get(conn, &id).await?.organization_id,
            Err(_) => None,
        },
        Thing::Geofence => match id.parse() {
            Ok(id) => geofences::get(conn, &id).await?.organization_id,
            Err(_) => None,
        },
        Thing::CampaignSet => match id.parse() {
            Ok(id) => campaigns::get(conn, &id).await?.organization_id,
            Err(_) => None,
        },
        Thing::CampaignDeployment => match id.parse() {
            Ok(id) => campaigns::deployment_of(conn, &id).await?.organization_id,
            Err(_) => None,
        },
        Thing::Command => match id.parse() {
            Ok(id) => {
                let command = commands::get(conn, wire::time::Timestamp::default(), &id).await?;
                vehicles::organization_of(conn, &command.vehicle_id).await?
            }
            Err(_) => None,
        },
        Thing::Device => match id.parse() {
            Ok(id) => devices::get(conn, &id).await?.organization_id,
            Err(_) => None,
        },
        Thing::Certificate => match id.parse() {
            Ok(id) => certificates::organization_of(conn, &id).await?,
            Err(_) => None,
        },
        Thing::MaintenanceSchedule => match id.parse() {
            Ok(id) => schedules::get(conn, &id).await?.organization_id,
            Err(_) => None,
        },
        Thing::WorkOrder => match id.parse() {
            Ok(id) => orders::get(conn, &id).await?.organization_id,
            Err(_) => None,
        },
        Thing::Driver => match id.parse() {
            Ok(id) => drivers::get(conn, &id).await?.organization_id,
            Err(_) => None,
        },
        Thing::AlertRule => match id.parse() {
            Ok(id) => rules::get(conn, &id).await?.organization_id,
            Err(_) => None,
        },
        Thing::Alert => match id.parse() {
            Ok(id) => raised::organization_of(conn, &id).await?,
            Err(_) => None,
        },
        Thing::DriverAssignment => match id.parse() {
            Ok(id) => assignments::get(conn, &id).await?.organization_id,
            Err(_) => None,
        },
        Thing::Group => match id.parse() {
            Ok(id) => groups::get(conn, &id).await?.organization_id,
            Err(_) => None,
        },
    };
    Ok(of.as_ref() == Some(own))
}

/// The caller's name for the request, if it is a decent one, or ours.
fn request_id_of(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|v| v.to_str().ok());
    let is_decent = |id: &&str| {
        (1..=REQUEST_ID_LEN_MAX).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    given.filter(is_decent).map_or_else(|| Uuid::new_v4().to_string(), ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_itself_is_equal() {
        assert!(is_equal("secret", "secret"));
        for other in ["", "secre", "secret ", "Secret"] {
            assert!(!is_equal(other, "secret"), "{other:?}");
        }
    }

    #[test]
    fn who_has_a_network_is_counted_as_one() {
        let of = |text: &str| neighbourhood(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn a_request_keeps_a_decent_name_and_gets_one_otherwise() {
        let named = |name: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(name).unwrap());
            request_id_of(&headers)
        };
        assert_eq!(named("abc-1.2_3"), "abc-1.2_3");
        for bad in ["", "a b", "a\"b", &"x".repeat(65)] {
            assert_eq!(named(bad).len(), 36, "{bad}");
        }
        assert_eq!(request_id_of(&HeaderMap::new()).len(), 36);
    }
}
