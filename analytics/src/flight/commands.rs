//! Flight SQL's commands, each to what answers it.

use std::{pin::Pin, sync::Arc};

use arrow::array::RecordBatch;
use arrow_flight::{
    Action, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse, Ticket,
    decode::FlightRecordBatchStream,
    error::FlightError,
    flight_service_server::FlightService,
    sql::{
        ActionBeginTransactionRequest, ActionBeginTransactionResult, ActionClosePreparedStatementRequest,
        ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, CommandGetCatalogs,
        CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
        CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
        CommandGetXdbcTypeInfo, CommandPreparedStatementQuery, CommandPreparedStatementUpdate,
        CommandStatementIngest, CommandStatementQuery, CommandStatementUpdate, DoPutPreparedStatementResult,
        ProstMessageExt, SqlInfo, TicketStatementQuery,
        server::{FlightSqlService, PeekableFlightDataStream},
    },
};
use futures::{Stream, TryStreamExt, stream};
use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{
    catalog, keys,
    login::{Login, Who},
    statement::{self, Statement, encoded, told},
};
use crate::{Analytics, engine::Versions};

/// What a client is told that wants to write.
const ONLY_READS: &str = "this door only reads: SELECT, EXPLAIN, SHOW and DESCRIBE";

type Answer<T> = Result<Response<T>, Status>;
type Data = <Door as FlightService>::DoGetStream;

/// What answers.
#[derive(Clone)]
pub(super) struct Door {
    analytics: Analytics,
    login: Arc<Login>,
    stop: CancellationToken,
}

impl Door {
    pub(super) fn new(analytics: Analytics, login: Arc<Login>, stop: CancellationToken) -> Self {
        Self { analytics, login, stop }
    }

    /// What a statement will give, and the ticket for it.
    async fn announced(
        &self,
        statement: Statement,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let who = who(&request)?;
        let described = self.analytics.describe((&who.name, who.whose.as_ref()), &statement.text).await;
        let described = described.map_err(told)?;
        let ticket = TicketStatementQuery { statement_handle: statement.handle() };
        info(&described.schema, &ticket, request.into_inner(), &described.lake_versions)
    }

    async fn answered(&self, statement: Statement, who: Who) -> Answer<Data> {
        let values = statement.values()?;
        let rows = self.analytics.rows_with((&who.name, who.whose.as_ref()), &statement.text, values).await;
        Ok(Response::new(statement::data(rows.map_err(told)?, self.stop.clone())))
    }
}

/// Who asks: the check before has put it there.
fn who<T>(request: &Request<T>) -> Result<Who, Status> {
    let who = request.extensions().get::<Who>().cloned();
    who.ok_or_else(|| Status::unauthenticated("nobody signed in"))
}

fn info(
    schema: &arrow::datatypes::Schema,
    ticket: &impl ProstMessageExt,
    descriptor: FlightDescriptor,
    versions: &Versions,
) -> Answer<FlightInfo> {
    let ticket = Ticket::new(ticket.as_any().encode_to_vec());
    let info = FlightInfo::new().try_with_schema(schema).map_err(|e| Status::internal(e.to_string()))?;
    let info = info.with_endpoint(FlightEndpoint::new().with_ticket(ticket)).with_descriptor(descriptor);
    let versions = serde_json::to_vec(versions).unwrap_or_default();
    Ok(Response::new(info.with_app_metadata(versions)))
}

/// The answer of a command of the catalogue: announced by its schema, then given by the command itself.
fn announced(
    batch: Result<RecordBatch, Status>,
    command: &impl ProstMessageExt,
    request: Request<FlightDescriptor>,
) -> Answer<FlightInfo> {
    info(&batch?.schema(), command, request.into_inner(), &Versions::new())
}

fn given(batch: Result<RecordBatch, Status>) -> Answer<Data> {
    let batch = batch?;
    let schema = batch.schema();
    Ok(Response::new(statement::sent(schema, stream::once(async { Ok(batch) }))))
}

#[tonic::async_trait]
impl FlightSqlService for Door {
    type FlightService = Self;

    /// Changes the password for a token.
    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Answer<Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>> {
        let token = self.login.token(&who(&request)?);
        let header = format!("Bearer {token}");
        let answer = HandshakeResponse { protocol_version: 0, payload: token.into_bytes().into() };
        let mut response: Response<Pin<Box<dyn Stream<Item = _> + Send>>> =
            Response::new(Box::pin(stream::once(async { Ok(answer) })));
        let header = header.parse().map_err(|_| Status::internal("the token is no header"))?;
        response.metadata_mut().insert("authorization", header);
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        self.announced(Statement::of(query.query), request).await
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        self.announced(Statement::read(&query.prepared_statement_handle)?, request).await
    }

    async fn do_get_statement(&self, ticket: TicketStatementQuery, request: Request<Ticket>) -> Answer<Data> {
        self.answered(Statement::read(&ticket.statement_handle)?, who(&request)?).await
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Answer<Data> {
        self.answered(Statement::read(&query.prepared_statement_handle)?, who(&request)?).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let who = who(&request)?;
        let described = self.analytics.describe((&who.name, who.whose.as_ref()), &query.query).await;
        let described = described.map_err(told)?;
        let parameters = arrow::datatypes::Schema::new(described.parameters);
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: Statement::of(query.query).handle(),
            dataset_schema: encoded(&described.schema)?,
            parameter_schema: encoded(&parameters)?,
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        _: ActionClosePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<(), Status> {
        // Nothing was kept.
        Ok(())
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let mut statement = Statement::read(&query.prepared_statement_handle)?;
        let sent = request.into_inner().map_err(|status| FlightError::Tonic(Box::new(status)));
        statement.bind(FlightRecordBatchStream::new_from_flight_data(sent)).await?;
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(statement.handle()) })
    }

    async fn do_put_prepared_statement_update(
        &self,
        _: CommandPreparedStatementUpdate,
        _: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(Status::invalid_argument(ONLY_READS))
    }

    async fn do_put_statement_update(
        &self,
        _: CommandStatementUpdate,
        _: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(Status::invalid_argument(ONLY_READS))
    }

    async fn do_put_statement_ingest(
        &self,
        _: CommandStatementIngest,
        _: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(Status::invalid_argument(ONLY_READS))
    }

    async fn do_action_begin_transaction(
        &self,
        _: ActionBeginTransactionRequest,
        _: Request<Action>,
    ) -> Result<ActionBeginTransactionResult, Status> {
        let why = "there are no transactions: each statement sees the tables as they are when it runs";
        Err(Status::unimplemented(why))
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        announced(catalog::catalogs(query), &query, request)
    }

    async fn do_get_catalogs(&self, query: CommandGetCatalogs, _: Request<Ticket>) -> Answer<Data> {
        given(catalog::catalogs(query))
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        announced(catalog::schemas(query.clone()), &query, request)
    }

    async fn do_get_schemas(&self, query: CommandGetDbSchemas, _: Request<Ticket>) -> Answer<Data> {
        given(catalog::schemas(query))
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        announced(catalog::tables(query.clone(), &[]), &query, request)
    }

    async fn do_get_tables(&self, query: CommandGetTables, request: Request<Ticket>) -> Answer<Data> {
        let listed = self.analytics.listed(who(&request)?.whose.as_ref()).await.map_err(told)?;
        given(catalog::tables(query, &listed))
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        announced(catalog::table_types(query), &query, request)
    }

    async fn do_get_table_types(&self, query: CommandGetTableTypes, _: Request<Ticket>) -> Answer<Data> {
        given(catalog::table_types(query))
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        announced(catalog::sql_info(query.clone()), &query, request)
    }

    async fn do_get_sql_info(&self, query: CommandGetSqlInfo, _: Request<Ticket>) -> Answer<Data> {
        given(catalog::sql_info(query))
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        announced(catalog::types(query), &query, request)
    }

    async fn do_get_xdbc_type_info(&self, query: CommandGetXdbcTypeInfo, _: Request<Ticket>) -> Answer<Data> {
        given(catalog::types(query))
    }

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        announced(Ok(keys::primary()), &query, request)
    }

    async fn do_get_primary_keys(&self, _: CommandGetPrimaryKeys, _: Request<Ticket>) -> Answer<Data> {
        given(Ok(keys::primary()))
    }

    async fn get_flight_info_exported_keys(
        &self,
        query: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        announced(Ok(keys::foreign()), &query, request)
    }

    async fn do_get_exported_keys(&self, _: CommandGetExportedKeys, _: Request<Ticket>) -> Answer<Data> {
        given(Ok(keys::foreign()))
    }

    async fn get_flight_info_imported_keys(
        &self,
        query: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        announced(Ok(keys::foreign()), &query, request)
    }

    async fn do_get_imported_keys(&self, _: CommandGetImportedKeys, _: Request<Ticket>) -> Answer<Data> {
        given(Ok(keys::foreign()))
    }

    async fn get_flight_info_cross_reference(
        &self,
        query: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        announced(Ok(keys::foreign()), &query, request)
    }

    async fn do_get_cross_reference(&self, _: CommandGetCrossReference, _: Request<Ticket>) -> Answer<Data> {
        given(Ok(keys::foreign()))
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}
