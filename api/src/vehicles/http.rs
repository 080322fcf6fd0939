//! Routes of the vehicles domain: registry, fleet status and the tracking stream.

use std::{collections::HashMap, convert::Infallible, time::Duration};

use analytics::row::VehicleState;
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse, Response,
        sse::{self, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt, stream};
use service::clock::micros;
use tokio::sync::watch;
use utoipa_axum::{router::OpenApiRouter, routes};
use wire::ids::VehicleId;

use super::{
    fleet, geofences,
    types::{FleetItem, FleetStatus, NewVehicle, Vehicle, VehiclePatch, VehicleQuery},
};
use crate::{
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::{ApiJson, ApiPath, ApiQuery, IfMatch, tagged},
    fault::DomainError,
    page::Page,
    sign_in::sessions,
};

/// How often the stream looks at every vehicle and reads names anew: silence is a change too.
const WHOLE_LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// Looks in a row at a database that does not answer, after which the stream ends.
const FAILED_LOOKS_MAX: u32 = 12;
/// After a change, the time for others to come with it in one look.
const GATHERING: Duration = Duration::from_millis(50);

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change))
        .routes(routes!(status))
        .routes(routes!(tracking))
        .merge(geofences::http::routes())
}

fn with_state(app: &App, vehicles: &mut [Vehicle]) {
    fleet::with_live_state(vehicles, &app.lake().fleet(), app.now(), app.settings().offline_after);
}

/// Vehicles by telemetry id.
#[utoipa::path(get, path = "/v1/vehicles", tag = "vehicles", params(VehicleQuery),
    responses((status = 200, body = Page<Vehicle>), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(mut query): ApiQuery<VehicleQuery>,
) -> Result<Json<Page<Vehicle>>, ApiError> {
    query.organization_id = caller.narrowed(query.organization_id)?;
    let mut conn = app.db().read().await?;
    let mut page = super::list(&mut conn, &query).await?;
    with_state(&app, &mut page.data);
    Ok(Json(page))
}

/// Registers a vehicle.
#[utoipa::path(post, path = "/v1/vehicles", tag = "vehicles", request_body = NewVehicle,
    responses((status = 201, body = Vehicle), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(mut new): ApiJson<NewVehicle>,
) -> Result<Response, ApiError> {
    new.organization_id = caller.placed("the vehicle", new.organization_id)?;
    let mut tx = app.db().write().await?;
    let mut vehicle = super::register(&mut tx, app.now(), new).await?;
    tx.commit().await.map_err(DomainError::from)?;
    with_state(&app, std::slice::from_mut(&mut vehicle));
    Ok(tagged(StatusCode::CREATED, vehicle.version, &vehicle, &headers))
}

/// One vehicle, by `veh_…` or telemetry id. Its ETag tells changes of name and organization; live
/// state is not part of it, so the whole answer is always sent.
#[utoipa::path(get, path = "/v1/vehicles/{id}", tag = "vehicles", params(("id" = String, Path)),
    responses((status = 200, body = Vehicle), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, ApiPath(id): ApiPath<String>) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let mut vehicle = super::get(&mut conn, &id).await?;
    with_state(&app, std::slice::from_mut(&mut vehicle));
    Ok(tagged(StatusCode::OK, vehicle.version, &vehicle, &HeaderMap::new()))
}

/// Changes name or organization; needs `If-Match`.
#[utoipa::path(patch, path = "/v1/vehicles/{id}", tag = "vehicles", request_body = VehiclePatch,
    params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = Vehicle), (status = 404, body = Problem), (status = 412, body = Problem),
        (status = 422, body = Problem), (status = 428, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    ApiPath(id): ApiPath<String>,
    IfMatch(expected): IfMatch,
    ApiJson(mut patch): ApiJson<VehiclePatch>,
) -> Result<Response, ApiError> {
    if patch.organization_id.is_some() {
        patch.organization_id = caller.placed("the change", patch.organization_id)?;
    }
    let mut tx = app.db().write().await?;
    let mut vehicle = super::change(&mut tx, app.now(), &id, expected, patch).await?;
    tx.commit().await.map_err(DomainError::from)?;
    with_state(&app, std::slice::from_mut(&mut vehicle));
    Ok(tagged(StatusCode::OK, vehicle.version, &vehicle, &HeaderMap::new()))
}

/// What a caller sees of vehicles: all of them, or those with a name in their own registry.
fn seen(
    mut states: Vec<VehicleState>,
    (caller, names): (&Caller, &HashMap<VehicleId, String>),
) -> Vec<VehicleState> {
    if caller.organization().is_some() {
        states.retain(|state| names.contains_key(&state.vehicle_id));
    }
    states
}

/// Where every vehicle is and what it does.
#[utoipa::path(get, path = "/v1/fleet/status", tag = "vehicles", responses((status = 200, body = FleetStatus)))]
async fn status(State(app): State<App>, caller: Caller) -> Result<Json<FleetStatus>, ApiError> {
    let mut conn = app.db().read().await?;
    let names = super::names(&mut conn, caller.organization()).await?;
    let (states, now) = (seen(app.lake().fleet(), (&caller, &names)), app.now());
    let data = fleet::items(states, &names, now, app.settings().offline_after);
    Ok(Json(FleetStatus { data, as_of: now }))
}

/// A stream (SSE) of vehicles as they change: each message an item as in `/v1/fleet/status`.
/// It begins with all of them.
#[utoipa::path(get, path = "/v1/tracking", tag = "vehicles",
    responses((status = 200, content_type = "text/event-stream", body = FleetItem)))]
async fn tracking(State(app): State<App>, caller: Caller) -> Response {
    let stop = app.stop_token();
    let events = changes(app, caller).take_until(stop.cancelled_owned());
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}

/// What the stream last sent, to send only changes.
struct Sent {
    app: App,
    caller: Caller,
    fleet: watch::Receiver<u64>,
    /// The change of the fleet that was sent last.
    change: u64,
    whole_look_at: Option<i64>,
    names: HashMap<VehicleId, String>,
    items: HashMap<VehicleId, FleetItem>,
    failed_looks: u32,
}

fn changes(app: App, caller: Caller) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    let mut fleet = app.lake().fleet_changes();
    // The first look is at once.
    fleet.mark_changed();
    let sent = Sent {
        app,
        caller,
        fleet,
        change: 0,
        whole_look_at: None,
        names: HashMap::new(),
        items: HashMap::new(),
        failed_looks: 0,
    };
    stream::unfold(sent, |mut sent| async move {
        sent.wait().await;
        // Its end, when the key of the one who listens no longer lets in.
        let changed = sent.look().await?;
        Some((stream::iter(changed), sent))
    })
    .flatten()
}

impl Sent {
    /// Until a vehicle has changed, and then a moment for others to; or the time of a whole look.
    async fn wait(&mut self) {
        match tokio::time::timeout(WHOLE_LOOK_INTERVAL, self.fleet.changed()).await {
            Ok(Ok(())) if self.whole_look_at.is_some() => tokio::time::sleep(GATHERING).await,
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(_)) => tokio::time::sleep(WHOLE_LOOK_INTERVAL).await,
        }
    }

    async fn look(&mut self) -> Option<Vec<Result<sse::Event, Infallible>>> {
        let now = self.app.monotonic_us();
        let is_whole = self.whole_look_at.is_none_or(|at| now - at >= micros(WHOLE_LOOK_INTERVAL));
        let states = if is_whole {
            self.whole_look_at = Some(now);
            match self.read_names().await {
                Ok(true) => self.failed_looks = 0,
                Ok(false) => return None,
                // Without fresh names the old ones do, but not for ever: they say whose vehicles are.
                Err(_) if self.failed_looks < FAILED_LOOKS_MAX => self.failed_looks += 1,
                Err(_) => return None,
            }
            // Silence changes a vehicle too: what was moving is offline after a while.
            self.change = self.app.lake().fleet_since(u64::MAX).1;
            self.app.lake().fleet()
        } else {
            let (states, newest) = self.app.lake().fleet_since(self.change);
            self.change = newest;
            states
        };
        let states = seen(states, (&self.caller, &self.names));
        let mut events = Vec::new();
        for item in fleet::items(states, &self.names, self.app.now(), self.app.settings().offline_after) {
            if self.items.get(&item.vehicle_id) == Some(&item) {
                continue;
            }
            let data = serde_json::to_string(&item).unwrap_or_default();
            events.push(Ok(sse::Event::default().data(data)));
            self.items.insert(item.vehicle_id.clone(), item);
        }
        Some(events)
    }

    /// Reads whose vehicles are; `false` when the caller is not let in any more.
    async fn read_names(&mut self) -> Result<bool, DomainError> {
        let (now, sign_in) = (self.app.now(), self.app.sign_in());
        if !sessions::is_still_let_in(self.app.db(), sign_in, (now, &self.caller)).await? {
            return Ok(false);
        }
        let mut conn = self.app.db().read().await?;
        self.names = super::names(&mut conn, self.caller.organization()).await?;
        Ok(true)
    }
}
