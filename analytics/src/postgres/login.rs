//! Who may come in: by SCRAM-SHA-256, or anybody where no users are named.

use std::{fmt::Debug, sync::Arc};

use datafusion_postgres::pgwire::{
    api::{
        ClientInfo, ConnectionManager,
        auth::{
            AuthSource, DefaultServerParameterProvider, LoginInfo, Password, StartupHandler,
            noop::NoopStartupHandler,
            sasl::{
                SASLAuthStartupHandler,
                scram::{SCRAM_ITERATIONS, ScramAuth, gen_salted_password},
            },
        },
    },
    error::{ErrorInfo, PgWireError, PgWireResult},
    messages::{PgWireBackendMessage, PgWireFrontendMessage},
};
use futures::Sink;
use service::config::Secret;
use uuid::Uuid;

use crate::doors::DoorSettings;

/// What a connection begins with.
pub(super) struct Login {
    who: Who,
    is_tls_only: bool,
}

enum Who {
    Anybody(Anybody),
    Users(SASLAuthStartupHandler<DefaultServerParameterProvider>),
}

struct Anybody(Arc<ConnectionManager>);

impl NoopStartupHandler for Anybody {
    fn connection_manager(&self) -> Option<Arc<ConnectionManager>> {
        Some(Arc::clone(&self.0))
    }
}

impl Login {
    pub(super) fn new(settings: &Arc<DoorSettings>, connections: &Arc<ConnectionManager>) -> Self {
        Self { who: Who::new(settings, connections), is_tls_only: settings.tls.is_some() }
    }
}

impl Who {
    fn new(settings: &Arc<DoorSettings>, connections: &Arc<ConnectionManager>) -> Self {
        if settings.users.is_empty() {
            return Self::Anybody(Anybody(Arc::clone(connections)));
        }
        let mut scram = ScramAuth::new(Arc::new(Users(Arc::clone(settings))));
        scram.set_iterations(SCRAM_ITERATIONS);
        if let Some(tls) = &settings.tls
            && let Err(error) = scram.configure_certificate(&tls.certificate_pem)
        {
            // A certificate of a kind it does not know is no reason to lock everybody out.
            tracing::warn!(%error, "no channel binding with this certificate");
        }
        let mut parameters = DefaultServerParameterProvider::default();
        parameters.is_superuser = false;
        parameters.default_transaction_read_only = true;
        let handler = SASLAuthStartupHandler::new(Arc::new(parameters))
            .with_scram(scram)
            .with_connection_manager(Arc::clone(connections));
        Self::Users(handler)
    }
}

#[async_trait::async_trait]
impl StartupHandler for Login {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        // pgwire offers TLS and also takes who does not want it.
        if self.is_tls_only && !client.is_secure() {
            let message =
                "this server speaks TLS only; set sslmode=require, or better verify-full".to_owned();
            // invalid_authorization_specification
            let refusal = ErrorInfo::new("FATAL".to_owned(), "28000".to_owned(), message);
            return Err(PgWireError::UserError(Box::new(refusal)));
        }
        match &self.who {
            Who::Anybody(anybody) => anybody.on_startup(client, message).await,
            Who::Users(users) => users.on_startup(client, message).await,
        }
    }
}

struct Users(Arc<DoorSettings>);

impl Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Users").finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl AuthSource for Users {
    async fn get_password(&self, login: &LoginInfo) -> PgWireResult<Password> {
        let user = login.user().and_then(|name| self.0.users.iter().find(|user| user.name == name));
        // Who is not there has a password that nobody knows, so that both take the same way.
        let unknown = Uuid::new_v4().to_string();
        let password = user.map_or(unknown.as_str(), |user| Secret::expose(&user.password));
        let salt = Uuid::new_v4().into_bytes().to_vec();
        let salted = gen_salted_password(password, &salt, SCRAM_ITERATIONS);
        Ok(Password::new(Some(salt), salted))
    }
}
