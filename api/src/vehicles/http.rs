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
    fleet, geofences, groups,
    types::{FleetItem, FleetQuery, FleetStatus, NewVehicle, Vehicle, VehiclePatch, VehicleQuery},
};
use crate::{
    app::App,
    caller::Caller,
    db::Conn,
    error::{ApiError, Problem},
    extract::{ApiJson, ApiPath, ApiQuery, IfMatch, tagged},
    fault::DomainError,
    ids::GroupId,
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
        .merge(groups::http::routes())
}

pub(super) fn with_state(app: &App, vehicles: &mut [Vehicle]) {
    fleet::with_live_state(vehicles, &app.lake().fleet(), app.now(), app.settings().offline_after);
}

/// Vehicles by telemetry id.
#[utoipa::path(get, path = "/v1/vehicles", tag = "vehicles", params(VehicleQuery),
    responses((status = 200, body = Page<Vehicle>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(mut query): ApiQuery<VehicleQuery>,
) -> Result<Json<Page<Vehicle>>, ApiError> {
    query.organization_id = caller.narrowed(query.organization_id)?;
    let mut conn = app.db().read().await?;
    groups::asked(&mut conn, &caller, query.group_id.as_deref()).await?;
    let mut page = super::list(&mut conn, &query).await?;
    groups::with_groups(&mut conn, &mut page.data).await?;
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
/// state and groups are not part of it, so the whole answer is always sent.
#[utoipa::path(get, path = "/v1/vehicles/{id}", tag = "vehicles", params(("id" = String, Path)),
    responses((status = 200, body = Vehicle), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, ApiPath(id): ApiPath<String>) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let mut vehicle = super::get(&mut conn, &id).await?;
    groups::with_groups(&mut conn, std::slice::from_mut(&mut vehicle)).await?;
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
    let with = (patch, app.vehicle_observer());
    let mut vehicle = super::change(&mut tx, app.now(), (&id, expected), with).await?;
    groups::with_groups(&mut tx, std::slice::from_mut(&mut vehicle)).await?;
    tx.commit().await.map_err(DomainError::from)?;
    with_state(&app, std::slice::from_mut(&mut vehicle));
    Ok(tagged(StatusCode::OK, vehicle.version, &vehicle, &HeaderMap::new()))
}

/// Whose vehicles a caller is shown: those of a group, or all that are theirs.
struct Sight {
    caller: Caller,
    group: Option<GroupId>,
}

impl Sight {
    async fn of(conn: &mut Conn, caller: Caller, query: &FleetQuery) -> Result<Self, DomainError> {
        let group = groups::asked(conn, &caller, query.group_id.as_deref()).await?;
        Ok(Self { caller, group })
    }

    /// The names of those that are registered.
    async fn names(&self, conn: &mut Conn) -> Result<HashMap<VehicleId, String>, DomainError> {
        match &self.group {
            Some(group) => super::names_in(conn, group).await,
            None => super::names(conn, self.caller.organization()).await,
        }
    }

    /// What is seen: everything, or what has a name there.
    fn seen(&self, mut states: Vec<VehicleState>, names: &HashMap<VehicleId, String>) -> Vec<VehicleState> {
        if self.caller.organization().is_some() || self.group.is_some() {
            states.retain(|state| names.contains_key(&state.vehicle_id));
        }
        states
    }
}

/// Where every vehicle is and what it does; or those of a group.
#[utoipa::path(get, path = "/v1/fleet/status", tag = "vehicles", params(FleetQuery),
    responses((status = 200, body = FleetStatus), (status = 404, body = Problem)))]
async fn status(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<FleetQuery>,
) -> Result<Json<FleetStatus>, ApiError> {
    let mut conn = app.db().read().await?;
    let sight = Sight::of(&mut conn, caller, &query).await?;
    let names = sight.names(&mut conn).await?;
    let (states, now) = (sight.seen(app.lake().fleet(), &names), app.now());
    let data = fleet::items(states, &names, now, app.settings().offline_after);
    Ok(Json(FleetStatus { data, as_of: now }))
}

/// A stream (SSE) of vehicles as they change: each message an item as in `/v1/fleet/status`.
/// It begins with all of them. Of a group, a vehicle that joins it comes, and of one that leaves it an event `gone` with
/// its `vehicle_id` tells; the stream ends with the group.
#[utoipa::path(get, path = "/v1/tracking", tag = "vehicles", params(FleetQuery),
    responses((status = 200, content_type = "text/event-stream", body = FleetItem), (status = 404, body = Problem)))]
async fn tracking(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<FleetQuery>,
) -> Result<Response, ApiError> {
    let sight = {
        let mut conn = app.db().read().await?;
        Sight::of(&mut conn, caller, &query).await?
    };
    let stop = app.stop_token();
    let events = changes(app, sight).take_until(stop.cancelled_owned());
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response())
}

/// What the stream last sent, to send only changes.
struct Sent {
    app: App,
    sight: Sight,
    fleet: watch::Receiver<u64>,
    /// The change of the fleet that was sent last.
    change: u64,
    whole_look_at: Option<i64>,
    names: HashMap<VehicleId, String>,
    items: HashMap<VehicleId, FleetItem>,
    failed_looks: u32,
}

fn changes(app: App, sight: Sight) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    let mut fleet = app.lake().fleet_changes();
    // The first look is at once.
    fleet.mark_changed();
    let sent = Sent {
        app,
        sight,
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
        let states = self.sight.seen(states, &self.names);
        let mut events = if is_whole { self.gone() } else { Vec::new() };
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

    /// Tells of those that were sent and are in the group no more; one that comes again is sent again.
    fn gone(&mut self) -> Vec<Result<sse::Event, Infallible>> {
        if self.sight.group.is_none() {
            return Vec::new();
        }
        let (names, items) = (&self.names, &mut self.items);
        let gone = items.extract_if(|id, _| !names.contains_key(id));
        let told = gone.map(|(id, _)| {
            let data = serde_json::json!({ "vehicle_id": id }).to_string();
            Ok(sse::Event::default().event("gone").data(data))
        });
        told.collect()
    }

    /// Reads whose vehicles are; `false` when the caller is not let in any more, or the group is no more.
    async fn read_names(&mut self) -> Result<bool, DomainError> {
        let (now, sign_in) = (self.app.now(), self.app.sign_in());
        if !sessions::is_still_let_in(self.app.db(), sign_in, (now, &self.sight.caller)).await? {
            return Ok(false);
        }
        let mut conn = self.app.db().read().await?;
        let group = self.sight.group.as_ref().map(GroupId::as_str);
        match groups::asked(&mut conn, &self.sight.caller, group).await {
            Ok(_) => {}
            Err(DomainError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
        self.names = self.sight.names(&mut conn).await?;
        Ok(true)
    }
}
