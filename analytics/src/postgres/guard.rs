//! Statements that do not only read are refused before anything else sees them.

use std::sync::Arc;

use datafusion::{
    common::{DFSchema, ParamValues},
    logical_expr::{EmptyRelation, LogicalPlan},
    prelude::SessionContext,
    sql::{
        parser,
        sqlparser::ast::{Set, Statement},
    },
};
use datafusion_postgres::{
    QueryHook,
    hooks::HookClient,
    pgwire::{
        api::{
            ClientInfo,
            results::{Response, Tag},
        },
        error::{ErrorInfo, PgWireError, PgWireResult},
    },
};

use crate::engine::{SqlError, check_only_reads};

/// SQLSTATE of a statement that this door never takes.
const READ_ONLY: &str = "25006";

/// The guard; it stands before all other hooks.
#[derive(Debug)]
pub(super) struct OnlyReads;

fn refused(message: impl Into<String>) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".to_owned(), READ_ONLY.to_owned(), message.into())))
}

/// Why a statement is not taken, by what it is.
fn check(statement: &Statement) -> PgWireResult<()> {
    match statement {
        Statement::Query(_)
        | Statement::ShowVariable { .. }
        | Statement::ShowStatus { .. }
        | Statement::ShowVariables { .. }
        | Statement::ShowTables { .. }
        | Statement::ShowColumns { .. }
        | Statement::ShowSchemas { .. }
        | Statement::ShowDatabases { .. }
        | Statement::ShowFunctions { .. }
        | Statement::ExplainTable { .. }
        | Statement::StartTransaction { .. }
        | Statement::Commit { .. }
        | Statement::Rollback { .. }
        | Statement::Declare { .. }
        | Statement::Fetch { .. }
        | Statement::Close { .. }
        | Statement::Deallocate { .. }
        | Statement::Discard { .. } => Ok(()),
        Statement::Explain { statement, .. } => check(statement),
        // The engine's own settings are bounds too: memory, threads, disk.
        Statement::Set(Set::SingleAssignment { variable, .. })
            if variable.to_string().to_lowercase().trim_matches('"').starts_with("datafusion") =>
        {
            Err(refused(format!("{variable} is set by the server")))
        }
        Statement::Set(_) => Ok(()),
        other => {
            let text = other.to_string();
            let word = text.split_whitespace().next().unwrap_or("this");
            Err(refused(format!("{word} is not taken; this door only reads: SELECT, EXPLAIN, SHOW")))
        }
    }
}

/// The same by the plan, for a statement that only looks like reading. One that cannot be planned is left
/// to whoever runs it, who says why.
async fn check_plan(statement: &Statement, context: &SessionContext) -> PgWireResult<()> {
    let parsed = match statement {
        Statement::Query(_) | Statement::Explain { .. } => statement.clone(),
        Statement::Declare { stmts } => {
            for query in stmts.iter().filter_map(|declared| declared.for_query.clone()) {
                Box::pin(check_plan(&Statement::Query(query), context)).await?;
            }
            return Ok(());
        }
        _ => return Ok(()),
    };
    let parsed = parser::Statement::Statement(Box::new(parsed));
    let Ok(plan) = context.state().statement_to_plan(parsed).await else { return Ok(()) };
    check_only_reads(&plan).map_err(|SqlError { message, .. }| refused(message))
}

/// What a client says when it puts its connection back into a pool: there is nothing to be forgotten, as a
/// statement prepared again takes the place of the one before.
fn forgotten(statement: &Statement) -> Option<Response> {
    match statement {
        Statement::Deallocate { .. } => Some(Response::Execution(Tag::new("DEALLOCATE"))),
        Statement::Discard { .. } => Some(Response::Execution(Tag::new("DISCARD"))),
        _ => None,
    }
}

#[async_trait::async_trait]
impl QueryHook for OnlyReads {
    async fn handle_simple_query(
        &self,
        statement: &Statement,
        context: &SessionContext,
        _client: &mut dyn HookClient,
    ) -> Option<PgWireResult<Response>> {
        if let Err(error) = check(statement) {
            return Some(Err(error));
        }
        if let Some(response) = forgotten(statement) {
            return Some(Ok(response));
        }
        check_plan(statement, context).await.err().map(Err)
    }

    async fn handle_extended_parse_query(
        &self,
        statement: &Statement,
        context: &SessionContext,
        _client: &(dyn ClientInfo + Send + Sync),
    ) -> Option<PgWireResult<LogicalPlan>> {
        if let Err(error) = check(statement) {
            return Some(Err(error));
        }
        if forgotten(statement).is_some() {
            let nothing = EmptyRelation { produce_one_row: false, schema: Arc::new(DFSchema::empty()) };
            return Some(Ok(LogicalPlan::EmptyRelation(nothing)));
        }
        check_plan(statement, context).await.err().map(Err)
    }

    async fn handle_extended_query(
        &self,
        statement: &Statement,
        plan: &LogicalPlan,
        _params: &ParamValues,
        _context: &SessionContext,
        _client: &mut dyn HookClient,
    ) -> Option<PgWireResult<Response>> {
        if let Some(response) = forgotten(statement) {
            return Some(Ok(response));
        }
        check_only_reads(plan).err().map(|SqlError { message, .. }| Err(refused(message)))
    }
}
