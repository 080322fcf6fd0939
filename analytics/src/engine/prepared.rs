//! Statements that are described before they run, with places for values (`?` or `$1`).

use std::ops::ControlFlow;

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, FieldRef, SchemaRef},
};
use datafusion::{
    common::{ParamValues, ScalarValue},
    error::Result,
    execution::SessionState,
    logical_expr::LogicalPlan,
    sql::{
        parser,
        sqlparser::{
            ast::{Expr, Value, ValueWithSpan, visit_expressions_mut},
            tokenizer::Location,
        },
    },
};
use lake::{TableKind, Whose};
use tokio::time::timeout;

use super::{
    Analytics, SqlError, Versions, plain, query,
    session::{self, CATALOG, SCHEMA},
    streamed::{AsRows, Asked, Streamed},
};

/// What a statement would give.
#[derive(Debug)]
pub(crate) struct Described {
    /// The columns of its rows, in plain types.
    pub(crate) schema: SchemaRef,
    /// The values it wants, in order; text where the statement does not tell the type.
    pub(crate) parameters: Vec<FieldRef>,
    /// The versions it was looked at by.
    pub(crate) lake_versions: Versions,
}

/// A table or view that a statement can name.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: String,
    /// Whether it is made of others by a query of ours.
    pub(crate) is_view: bool,
    /// Its columns, in plain types.
    pub(crate) schema: SchemaRef,
}

impl Analytics {
    /// What a statement would give and wants, without running it.
    pub(crate) async fn describe(
        &self,
        (who, whose): (&str, Option<&Whose>),
        text: &str,
    ) -> Result<Described, SqlError> {
        self.check_length(text)?;
        let _place = self.place(Some(who)).await?;
        let described = async {
            let snapshot = self.shared.tables.told(&TableKind::ALL).await?;
            let lake_versions = snapshot.versions.clone();
            let (_, plan) = query::planned(&self.shared, snapshot, (text, whose)).await?;
            let schema = plain::schema(plan.schema().as_arrow(), &lake_versions);
            Ok(Described { schema, parameters: parameters(&plan)?, lake_versions })
        };
        let limits = self.limits();
        timeout(limits.statement_time, described).await.unwrap_or_else(|_| Err(SqlError::timeout(limits)))
    }

    /// Runs a statement with values in its places and streams the rows.
    pub(crate) async fn rows_with(
        &self,
        (who, whose): (&str, Option<&Whose>),
        text: &str,
        values: Vec<ScalarValue>,
    ) -> Result<Streamed<RecordBatch>, SqlError> {
        self.check_length(text)?;
        let piece_rows_max = self.shared.base.config().batch_size();
        let asked = Asked { who: Some(who), max_rows: None, piece_rows_max };
        self.streamed(
            asked,
            |_, _| Ok(AsRows),
            async |snapshot| {
                let (context, plan) = query::planned(&self.shared, snapshot, (text, whose)).await?;
                let wanted = parameters(&plan)?.len();
                if wanted != values.len() {
                    return Err(SqlError::invalid(format!(
                        "the statement has {wanted} places for values, and {} were given",
                        values.len()
                    )));
                }
                let plan = plan.with_param_values(ParamValues::from(values))?;
                Ok(context.execute_logical_plan(plan).await?.execute_stream().await?)
            },
        )
        .await
    }

    /// The tables and views there are, by name.
    pub(crate) async fn listed(&self, whose: Option<&Whose>) -> Result<Vec<Listed>, SqlError> {
        let snapshot = self.shared.tables.told(&TableKind::ALL).await?;
        let versions = Versions::new();
        let context = session::over(&self.shared.base, &self.shared.tables, snapshot, whose).await?;
        let Some(tables) = context.catalog(CATALOG).and_then(|catalog| catalog.schema(SCHEMA)) else {
            return Ok(Vec::new());
        };
        let mut names = tables.table_names();
        names.sort();
        let mut listed = Vec::with_capacity(names.len());
        for name in names {
            let Some(table) = tables.table(&name).await? else { continue };
            let is_view = !TableKind::ALL.iter().any(|kind| kind.name() == name);
            listed.push(Listed { is_view, schema: plain::schema(&table.schema(), &versions), name });
        }
        Ok(listed)
    }
}

/// Reads a statement; places without a number get one by where they stand.
pub(super) fn parsed(state: &SessionState, text: &str) -> Result<parser::Statement> {
    let dialect = state.config().options().sql_parser.dialect;
    let mut statement = state.sql_to_statement(text, &dialect)?;
    let mut inner = &mut statement;
    while let parser::Statement::Explain(explained) = inner {
        inner = &mut explained.statement;
    }
    if let parser::Statement::Statement(read) = inner {
        let mut places = Vec::new();
        each_place(read, |at, _| places.push(at));
        places.sort_unstable();
        each_place(read, |at, name| {
            let number = places.partition_point(|place| *place < at) + 1;
            *name = format!("${number}");
        });
    }
    Ok(statement)
}

fn each_place(
    statement: &mut datafusion::sql::sqlparser::ast::Statement,
    mut act: impl FnMut(Location, &mut String),
) {
    let _ = visit_expressions_mut(statement, |expression| {
        if let Expr::Value(ValueWithSpan { value: Value::Placeholder(name), span }) = expression
            && name == "?"
        {
            act(span.start, name);
        }
        ControlFlow::<()>::Continue(())
    });
}

/// The values a plan wants, in order.
fn parameters(plan: &LogicalPlan) -> Result<Vec<FieldRef>, SqlError> {
    let found = plan.get_parameter_fields()?;
    let mut fields: Vec<Option<FieldRef>> = vec![None; found.len()];
    for (name, field) in found {
        let place = name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
        let place = place.and_then(|number| number.checked_sub(1)).and_then(|at| fields.get_mut(at));
        let Some(place) = place else {
            return Err(SqlError::invalid(format!(
                "{name} is no place for a value: write ?, or $1, $2 and so on without a gap"
            )));
        };
        let data_type = field.map_or(DataType::Utf8, |field| plain::data_type(field.data_type()));
        *place = Some(Field::new(name, data_type, true).into());
    }
    Ok(fields.into_iter().flatten().collect())
}
