//! One connection: a session of its own, made when its user is known.

use std::{fmt::Debug, sync::Arc};

use datafusion::error::DataFusionError;
use datafusion_postgres::{
    DfSessionService,
    hooks::{
        QueryHook, cursor::CursorStatementHook, set_show::SetShowHook, transactions::TransactionStatementHook,
    },
    pgwire::{
        api::{
            ClientInfo, ClientPortalStore, ConnectionManager, ErrorHandler, METADATA_USER,
            PgWireServerHandlers, Type,
            auth::StartupHandler,
            cancel::CancelHandler,
            portal::{Format, Portal},
            query::{ExtendedQueryHandler, SimpleQueryHandler},
            results::{DescribePortalResponse, FieldInfo, Response},
            stmt::QueryParser,
            store::PortalStore,
        },
        error::{PgWireError, PgWireResult},
        messages::PgWireBackendMessage,
    },
};
use futures::Sink;
use tokio::sync::OnceCell;

use super::{
    bounds::{Pending, Running, bounded, told},
    cancel::Cancels,
    guard::OnlyReads,
    login::Login,
    tables::{StatementTables, session},
};
use crate::{
    Analytics,
    doors::DoorSettings,
    engine::{SqlError, SqlErrorKind},
};

type Statement = <DfSessionService as ExtendedQueryHandler>::Statement;

/// A connection and what belongs to it alone.
pub(super) struct Connection {
    statements: Arc<Statements>,
    prepared: Arc<Prepared>,
    login: Arc<Login>,
    cancels: Arc<Cancels>,
}

/// Its statements.
pub(super) struct Statements {
    analytics: Analytics,
    settings: Arc<DoorSettings>,
    tables: Arc<StatementTables>,
    service: OnceCell<DfSessionService>,
    pending: Arc<Pending>,
    cancels: Arc<Cancels>,
}

impl Connection {
    pub(super) fn new(
        analytics: &Analytics,
        settings: &Arc<DoorSettings>,
        connections: &Arc<ConnectionManager>,
        cancels: &Arc<Cancels>,
    ) -> Self {
        let statements = Statements {
            analytics: analytics.clone(),
            settings: Arc::clone(settings),
            tables: Arc::new(StatementTables::new(analytics.clone())),
            service: OnceCell::new(),
            pending: Arc::new(Pending::default()),
            cancels: Arc::clone(cancels),
        };
        let statements = Arc::new(statements);
        let parser = Arc::new(Parser(Arc::clone(&statements)));
        Self {
            prepared: Arc::new(Prepared { statements: Arc::clone(&statements), parser }),
            statements,
            login: Arc::new(Login::new(settings, connections)),
            cancels: Arc::clone(cancels),
        }
    }

    /// Takes their places from statements whose time is over.
    pub(super) fn give_up_overdue(&self) {
        self.statements.pending.give_up_overdue();
    }
}

impl Statements {
    /// The session of the client's user. A statement begins with it.
    async fn begin<C: ClientInfo>(&self, client: &C) -> PgWireResult<&DfSessionService> {
        self.tables.begin();
        let make = async || {
            let name = client.metadata().get(METADATA_USER);
            let user = self.settings.users.iter().find(|user| Some(&user.name) == name);
            if user.is_none() && !self.settings.users.is_empty() {
                let message = "this user may see nothing".to_owned();
                return Err(told(SqlError { kind: SqlErrorKind::Internal, message }));
            }
            let whose = user.and_then(|user| user.whose.as_ref());
            let context = session(&self.analytics, &self.tables, whose).await;
            let context = context.map_err(|e| told(SqlError::from(e)))?;
            let hooks: Vec<Arc<dyn QueryHook>> = vec![
                Arc::new(OnlyReads),
                Arc::new(CursorStatementHook),
                Arc::new(SetShowHook),
                Arc::new(TransactionStatementHook),
            ];
            Ok(DfSessionService::new_with_hooks(Arc::new(context), hooks))
        };
        self.service.get_or_try_init(make).await
    }

    fn check_length(&self, query: &str) -> PgWireResult<()> {
        self.analytics.check_length(query).map_err(told)
    }

    /// A place among the statements that run.
    async fn place<C: ClientInfo>(&self, client: &C) -> PgWireResult<Arc<Running>> {
        let who = client.metadata().get(METADATA_USER).map_or("", String::as_str);
        let place = self.analytics.place(Some(who)).await.map_err(told)?;
        let running = Running::new(place, *self.analytics.limits());
        self.cancels.know(client, &self.pending);
        self.pending.add(&running);
        Ok(running)
    }
}

#[async_trait::async_trait]
impl SimpleQueryHandler for Statements {
    async fn do_query<C>(&self, client: &mut C, query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        self.check_length(query)?;
        let running = self.place(client).await?;
        let service = self.begin(client).await?;
        let answer = SimpleQueryHandler::do_query(service, client, query);
        let answer = tokio::time::timeout_at(running.until(), answer).await;
        let responses = answer.map_err(|_| running.timeout())??;
        Ok(responses.into_iter().map(|response| bounded(response, &running)).collect())
    }
}

/// Statements by the extended protocol: parsed first, run later, perhaps again and again.
struct Prepared {
    statements: Arc<Statements>,
    parser: Arc<Parser>,
}

#[async_trait::async_trait]
impl ExtendedQueryHandler for Prepared {
    type Statement = Statement;
    type QueryParser = Parser;

    fn query_parser(&self) -> Arc<Self::QueryParser> {
        Arc::clone(&self.parser)
    }

    async fn do_query<C>(
        &self,
        client: &mut C,
        portal: &Portal<Self::Statement>,
        max_rows: usize,
    ) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let running = self.statements.place(client).await?;
        let service = self.statements.begin(client).await?;
        let answer = ExtendedQueryHandler::do_query(service, client, portal, max_rows);
        let answer = tokio::time::timeout_at(running.until(), answer).await;
        Ok(bounded(answer.map_err(|_| running.timeout())??, &running))
    }

    async fn do_describe_portal<C>(
        &self,
        client: &mut C,
        portal: &Portal<Self::Statement>,
    ) -> PgWireResult<DescribePortalResponse>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let (text, planned) = &portal.statement.statement;
        // A cursor that was declared has its text alone.
        let of_cursor = match planned {
            None if !text.is_empty() => self.parser.parse_sql(client, text, &[]).await?,
            _ => None,
        };
        let statement = of_cursor.as_ref().unwrap_or(&portal.statement.statement);
        let format = Some(&portal.result_column_format);
        Ok(DescribePortalResponse::new(self.parser.get_result_schema(statement, format)?))
    }
}

/// The parser of the session, which there is when the first statement comes.
struct Parser(Arc<Statements>);

impl Parser {
    fn inner(&self) -> PgWireResult<Arc<datafusion_postgres::Parser>> {
        let service = self.0.service.get().map(ExtendedQueryHandler::query_parser);
        service.ok_or_else(|| {
            let message = "nothing was parsed yet".to_owned();
            told(SqlError { kind: SqlErrorKind::Internal, message })
        })
    }
}

#[async_trait::async_trait]
impl QueryParser for Parser {
    type Statement = Statement;

    async fn parse_sql<C>(
        &self,
        client: &C,
        sql: &str,
        types: &[Option<Type>],
    ) -> PgWireResult<Option<Self::Statement>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        self.0.check_length(sql)?;
        self.0.begin(client).await?.query_parser().parse_sql(client, sql, types).await
    }

    fn get_parameter_types(&self, statement: &Self::Statement) -> PgWireResult<Vec<Type>> {
        self.inner()?.get_parameter_types(statement)
    }

    fn get_result_schema(
        &self,
        statement: &Self::Statement,
        format: Option<&Format>,
    ) -> PgWireResult<Vec<FieldInfo>> {
        self.inner()?.get_result_schema(statement, format)
    }
}

/// What is wrong, as Postgres would tell it and with the engine's own words.
struct Told;

impl ErrorHandler for Told {
    fn on_error<C>(&self, _client: &C, error: &mut PgWireError)
    where
        C: ClientInfo,
    {
        *error = match std::mem::replace(error, PgWireError::QueryCanceled) {
            PgWireError::ApiError(source) => match source.downcast::<DataFusionError>() {
                Ok(engine) => told(SqlError::from(*engine)),
                Err(other) => PgWireError::ApiError(other),
            },
            other => other,
        };
    }
}

impl PgWireServerHandlers for Connection {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        Arc::clone(&self.statements)
    }

    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        Arc::clone(&self.prepared)
    }

    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        Arc::clone(&self.login)
    }

    fn error_handler(&self) -> Arc<impl ErrorHandler> {
        Arc::new(Told)
    }

    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        Arc::clone(&self.cancels)
    }
}
