//! Starting: bind, open the database, follow the lake, serve.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, middleware, routing::get};
use service::{
    SharedClock, Tasks,
    health::{Health, State},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};
use tower_http::compression::{
    CompressionLayer,
    predicate::{DefaultPredicate, NotForContentType, Predicate},
};
use utoipa::openapi::{
    Components, Content, InfoBuilder, OpenApi, Ref, RefOr, ResponseBuilder,
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    agents::{self, desk::Desk, link::Link},
    alerts::{
        self,
        evaluator::{self, Evaluator},
    },
    app::{App, Parts},
    audit,
    billing::{
        self,
        dunning::worker::Dunner,
        gateway::{Gateway, Sandbox},
        pdf::Printing,
        upkeep::Upkeep,
    },
    bookings::{self, observer::BookedTrips, worker::Worker},
    config::Settings,
    console,
    db::{Db, DbError},
    devices::{self, keeper::Keeper},
    drivers::{self, observer::EndsAssignments},
    entry,
    error::ApiError,
    fault::DomainError,
    lake_port::LakeReader,
    maintenance::{self, inspector::Inspector},
    manners, platform,
    rate::Rates,
    sign_in::{self, SignIn, SignInError, checks::Checker},
    sql,
    ticks::Ticks,
    trips::{
        self,
        corrections::Scribe,
        follow::{self, Follower},
    },
    users::{self, keys::Uses, notifications::InApp, secret::Hashing},
    vehicles::{self, geofences::watcher::Watcher},
    webhooks::{
        self,
        deliver::Deliverer,
        send::{Http, Sender},
    },
};

/// Secrets that may be tried for one key; a burst is twice as many.
const ATTEMPTS_PER_SECOND_MAX: u32 = 20;

/// Requests that one address may send where no key is asked for; a burst is twice as many.
const OPENLY_PER_SECOND_MAX: u32 = 20;

/// Messages of agents that wait to be noted.
const HEARD_QUEUE_LEN: usize = 1_000;

/// Why the api did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken.
    #[error("port {} of {listen} is in use; stop what uses it or set `listen` to another port (0 takes a free one)", .listen.port())]
    PortInUse {
        /// The address wanted.
        listen: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}; set `listen` to an address of this machine")]
    Listen {
        /// The address wanted.
        listen: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The database cannot be used.
    #[error("cannot use the api's database")]
    Database(#[from] DbError),
    /// Webhooks cannot be sent.
    #[error("cannot make a client for webhooks; check the machine's root certificates")]
    Webhooks(#[from] reqwest::Error),
    /// People cannot sign in.
    #[error("cannot have people sign in at the identity provider")]
    SignIn(#[from] SignInError),
}

/// A running api.
#[derive(Debug, Clone)]
pub struct Handle {
    /// The address it listens on.
    pub addr: SocketAddr,
    /// What `/ready` shows; other parts of the process may add theirs.
    pub health: Health,
    pub(crate) db: Db,
    pub(crate) lake: Arc<dyn LakeReader>,
    pub(crate) clock: SharedClock,
}

impl Handle {
    /// Closes the database, after the tasks have stopped.
    pub async fn close(&self) {
        self.db.close().await;
    }
}

impl Handle {
    /// The version of the lake's `trips` that is stored and billed; -1 before the first.
    pub async fn followed_version(&self) -> Result<i64, DomainError> {
        let mut conn = self.db.read().await.map_err(DomainError::from)?;
        trips::followed_version(&mut conn).await
    }
}

/// Binds, opens the database and starts serving and following, until `tasks` stops.
pub async fn start(
    settings: Settings,
    tasks: &Tasks,
    clock: SharedClock,
    lake: Arc<dyn LakeReader>,
) -> Result<Handle, StartError> {
    let listen = settings.listen;
    let listener = TcpListener::bind(listen).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => StartError::PortInUse { listen },
        _ => StartError::Listen { listen, source },
    })?;
    let addr = listener.local_addr().map_err(|source| StartError::Listen { listen, source })?;
    let db = Db::open(settings.database.clone()).await?;
    let health = Health::default();
    health.set(follow::HEALTH_PART, State::Starting("the first look at the lake".to_owned()));

    let follower = Follower {
        db: db.clone(),
        lake: Arc::clone(&lake),
        observer: Arc::new(BookedTrips::default()),
        registration: settings.registration,
        clock: Arc::clone(&clock),
    };
    let (interval, follow_health, stop) = (settings.follow_interval, health.clone(), tasks.stop_token());
    tasks.spawn("api follower", async move {
        follower.run(interval, follow_health, stop).await;
        Ok(())
    });

    let scribe = Scribe { db: db.clone(), lake: Arc::clone(&lake) };
    let stop = tasks.stop_token();
    tasks.spawn("api corrections", async move {
        scribe.run(interval, stop).await;
        Ok(())
    });

    let watcher = Watcher {
        db: db.clone(),
        lake: Arc::clone(&lake),
        clock: Arc::clone(&clock),
        offline_after: settings.offline_after,
    };
    let stop = tasks.stop_token();
    tasks.spawn("api geofences", async move {
        watcher.run(interval, stop).await;
        Ok(())
    });

    let rates = Rates::new(settings.requests_per_second_max);
    let gateway: Arc<dyn Gateway> = Arc::new(Sandbox);
    let upkeep = Upkeep { db: db.clone(), gateway: Arc::clone(&gateway), clock: Arc::clone(&clock) };
    let stop = tasks.stop_token();
    tasks.spawn("api upkeep", async move {
        upkeep.run(interval, stop).await;
        Ok(())
    });

    let dunner = Dunner { db: db.clone(), gateway: Arc::clone(&gateway), clock: Arc::clone(&clock) };
    let stop = tasks.stop_token();
    tasks.spawn("api dunning", async move {
        dunner.run(interval, stop).await;
        Ok(())
    });

    let key_uses = Arc::new(Uses::default());
    let (uses, keys_db) = (Arc::clone(&key_uses), db.clone());
    let ticks = Ticks::every(interval, tasks.stop_token());
    tasks.spawn("api key uses", async move {
        uses.keep(&keys_db, ticks).await;
        Ok(())
    });

    if let Some(retention) = settings.audit_log_retention {
        let (audit_db, audit_clock) = (db.clone(), Arc::clone(&clock));
        let ticks = Ticks::every(interval, tasks.stop_token());
        tasks.spawn("api audit log", async move {
            audit::forget(&audit_db, (audit_clock, retention), ticks).await;
            Ok(())
        });
    }

    let notifier = Arc::new(InApp { db: db.clone() });
    let worker = Worker { db: db.clone(), notifier, clock: Arc::clone(&clock) };
    let stop = tasks.stop_token();
    tasks.spawn("api bookings", async move {
        worker.run(interval, stop).await;
        Ok(())
    });

    let sender: Arc<dyn Sender> = Arc::new(Http::new()?);
    let deliverer = Deliverer { db: db.clone(), sender, clock: Arc::clone(&clock) };
    let stop = tasks.stop_token();
    tasks.spawn("api webhooks", async move {
        deliverer.run(interval, stop).await;
        Ok(())
    });

    if let Some(broker) = settings.agents.broker.clone() {
        let (heard, heard_from) = mpsc::channel(HEARD_QUEUE_LEN);
        let (client, client_of) = watch::channel(None);
        let link = Link { broker, heard, client };
        let stop = tasks.stop_token();
        tasks.spawn("api agents' link", async move {
            link.run(stop.clone()).await;
            stop.cancelled().await;
            Ok(())
        });
        let keys = settings.agents.keys.clone();
        let desk = Desk { db: db.clone(), clock: Arc::clone(&clock), keys, client: client_of };
        let ticks = Ticks::every(interval, tasks.stop_token());
        tasks.spawn("api agents' desk", async move {
            desk.run(heard_from, ticks).await;
            Ok(())
        });
    }

    let keeper = Keeper::new(db.clone(), Arc::clone(&clock), settings.devices.clone());
    let ticks = Ticks::every(interval, tasks.stop_token());
    tasks.spawn("api devices", async move {
        keeper.run(ticks).await;
        Ok(())
    });

    let inspector = Inspector::new(db.clone(), Arc::clone(&clock));
    let ticks = Ticks::every(interval, tasks.stop_token());
    tasks.spawn("api maintenance", async move {
        inspector.run(ticks).await;
        Ok(())
    });

    let evaluator = Evaluator::new(db.clone(), Arc::clone(&lake), Arc::clone(&clock));
    let ticks = Ticks::every(interval.saturating_mul(evaluator::BEATS), tasks.stop_token());
    tasks.spawn("api alerts", async move {
        evaluator.run(ticks).await;
        Ok(())
    });

    let sign_in = match settings.oidc.clone() {
        Some(oidc) => {
            let (sign_in, asked) = SignIn::new(oidc, Arc::clone(&clock))?;
            let checker =
                Checker { sign_in: Arc::clone(&sign_in), db: db.clone(), clock: Arc::clone(&clock) };
            let checker = Arc::new(checker);
            let (keeper, ticks) = (Arc::clone(&checker), Ticks::every(interval, tasks.stop_token()));
            tasks.spawn("api sessions", async move {
                keeper.keep_up(ticks).await;
                Ok(())
            });
            let stop = tasks.stop_token();
            tasks.spawn("api session checks", async move {
                checker.run(asked, stop).await;
                Ok(())
            });
            Some(sign_in)
        }
        None => None,
    };

    let asked = Arc::clone(&lake);
    let printing = Printing::new(settings.billing.fonts.clone());
    let app = App::new(Parts {
        settings,
        db: db.clone(),
        lake,
        clock: Arc::clone(&clock),
        health: health.clone(),
        stop: tasks.stop_token(),
        hashing: Hashing::default(),
        key_uses,
        rates,
        attempts: Rates::new(ATTEMPTS_PER_SECOND_MAX),
        openly: Rates::new(OPENLY_PER_SECOND_MAX),
        gateway,
        vehicle_observer: Arc::new(EndsAssignments),
        sign_in,
        printing,
    });
    let stop = tasks.stop_token();
    tasks.spawn("api http", async move {
        let service = router(app).into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await?;
        Ok(())
    });
    tracing::info!(%addr, "api listens");
    Ok(Handle { addr, health, db, lake: asked, clock })
}

/// Every route, the description of them, and what happens to each request.
fn router(app: App) -> Router {
    let (routes, description) = described_routes().split_for_parts();
    let description = with_answers_of_entry(description).to_json().unwrap_or_default();
    let is_compressed =
        DefaultPredicate::new().and(NotForContentType::const_new(console::basemap::FILE_TYPE));
    let description_route = get(move || {
        let json = description.clone();
        async move { ([(axum::http::header::CONTENT_TYPE, "application/json")], json) }
    });
    routes
        .merge(platform::docs_routes())
        .merge(console::basemap::file_routes())
        .route("/v1/openapi.json", description_route)
        .fallback(console::fallback)
        .method_not_allowed_fallback(|method: axum::http::Method, uri: axum::http::Uri| async move {
            ApiError::no_method(method.as_str(), uri.path())
        })
        .layer(middleware::from_fn_with_state(app.clone(), entry::enter))
        .layer(middleware::from_fn_with_state(app.clone(), manners::limit_and_count))
        .layer(CompressionLayer::new().compress_when(is_compressed))
        .with_state(app)
}

fn described_routes() -> OpenApiRouter<App> {
    let info = InfoBuilder::new()
        .title("Roadlake")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Vehicle telemetry from the bus to the invoice."))
        .build();
    let mut description = OpenApi::new(info, utoipa::openapi::Paths::new());
    let mut components = Components::new();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let cookie = ApiKey::Cookie(ApiKeyValue::new("__Host-roadlake-session"));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    description.components = Some(components);
    OpenApiRouter::with_openapi(description)
        .merge(users::http::routes())
        .merge(sign_in::http::routes())
        .merge(audit::routes())
        .merge(vehicles::http::routes())
        .merge(agents::http::routes())
        .merge(devices::http::routes())
        .merge(maintenance::http::routes())
        .merge(drivers::http::routes())
        .merge(alerts::http::routes())
        .merge(trips::http::routes())
        .merge(billing::http::routes())
        .merge(bookings::http::routes())
        .merge(webhooks::http::routes())
        .merge(sql::routes())
        .merge(console::basemap::routes())
        .merge(platform::routes())
}

/// The OpenAPI description as JSON.
pub fn openapi_json() -> String {
    with_answers_of_entry(described_routes().into_openapi()).to_json().unwrap_or_default()
}

/// Adds what `entry.rs` and `manners.rs` may answer whatever the route.
fn with_answers_of_entry(mut description: OpenApi) -> OpenApi {
    const ANSWERS: [(&str, &str); 4] = [
        ("401", "No key or session, or one that is not valid"),
        ("403", "The caller's role may not, or a session's request is from no page of the console"),
        ("429", "More requests than the key may send; `Retry-After` says when to go on"),
        ("503", "The database is busy or away, or it took too long; `Retry-After` says when to repeat"),
    ];
    for (path, item) in &mut description.paths.paths {
        if !path.starts_with("/v1/") {
            continue;
        }
        let methods = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in methods.into_iter().flatten() {
            for (status, what) in ANSWERS {
                let answer = operation.responses.responses.entry(status.to_owned()).or_insert_with(|| {
                    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
                    RefOr::T(ResponseBuilder::new().content("application/problem+json", problem).build())
                });
                if let RefOr::T(answer) = answer
                    && answer.description.is_empty()
                {
                    what.clone_into(&mut answer.description);
                }
            }
        }
    }
    description
}
