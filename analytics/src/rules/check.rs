//! Whether a query can be a rule: it tells of vehicles one by one, and the same whenever it is asked.
//!
//! A query over a whole fleet that groups, ranks or joins across vehicles would tell another thing of a vehicle each
//! time others are there too. So the plan is walked from the tables up, and of every step it is known which columns
//! hold the vehicle: whatever brings rows together has to keep to one of them.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::DataType;
use datafusion::{
    common::{
        DFSchema, JoinType,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        BinaryExpr, Distinct, Expr, Join, LogicalPlan, Operator, TableScan, Volatility, expr::ScalarFunction,
    },
};
use lake::TableKind;

use super::{TIME, VEHICLE};
use crate::engine::SqlError;

/// What a rule may read: what vehicles sent, and what is derived of it.
const READABLE: [TableKind; 6] = [
    TableKind::Readings,
    TableKind::Signals,
    TableKind::Diagnostics,
    TableKind::Trips,
    TableKind::Stops,
    TableKind::DrivingEvents,
];
/// What is the same for every vehicle.
const CATALOGUE: &str = "signal_catalogue";

/// What is of one vehicle alone, so that who keeps to it keeps to the vehicle.
const OF_ONE: [&str; 3] = ["trip_id", "stop_id", "event_id"];

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Held {
    /// The id of something that is of one vehicle.
    OfOne,
    /// The vehicle.
    Vehicle,
}

/// Whose the rows of a step are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rows {
    /// Of vehicles, which these columns tell.
    OfVehicles(BTreeMap<usize, Held>),
    /// Of nobody: the same whichever vehicles there are.
    OfNobody,
}

/// The tables that a rule reads; refuses what can be none, and says why.
pub(super) fn looked(plan: &LogicalPlan) -> Result<BTreeSet<TableKind>, SqlError> {
    let mut walk = Walk::default();
    let Rows::OfVehicles(columns) = walk.rows_of(plan)? else {
        return refused(
            "reads no table of what vehicles sent: readings, signals, diagnostics, trips, stops or driving_events",
        );
    };
    let schema = plan.schema();
    let mut named = schema.fields().iter().enumerate().filter(|(_, field)| field.name() == VEHICLE);
    match (named.next(), named.next()) {
        (Some((at, _)), None) if columns.get(&at) == Some(&Held::Vehicle) => {}
        (Some(_), None) => {
            return refused("must tell by vehicle_id of whom each row is, as it is in the tables: unchanged");
        }
        (None, _) => return refused("must have a column vehicle_id: of whom each row is"),
        (Some(_), Some(_)) => return refused("has more than one column vehicle_id"),
    }
    let mut times = schema.fields().iter().filter(|field| field.name() == TIME);
    match (times.next(), times.next()) {
        (Some(field), None) if matches!(field.data_type(), DataType::Timestamp(..)) => {}
        (Some(field), None) => {
            return refused(format!("must have a time as ts, it is {}", field.data_type()));
        }
        (None, _) => {
            return refused(
                "must have a column ts: the moment of which each row tells, such as start_time AS ts",
            );
        }
        (Some(_), Some(_)) => return refused("has more than one column ts"),
    }
    Ok(walk.kinds)
}

fn refused<T>(why: impl std::fmt::Display) -> Result<T, SqlError> {
    Err(SqlError::invalid(format!("the rule {why}")))
}

#[derive(Debug, Default)]
struct Walk {
    kinds: BTreeSet<TableKind>,
}

impl Walk {
    fn rows_of(&mut self, plan: &LogicalPlan) -> Result<Rows, SqlError> {
        check_expressions(plan)?;
        match plan {
            LogicalPlan::TableScan(scan) => self.scanned(scan),
            LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => Ok(Rows::OfNobody),
            LogicalPlan::Filter(step) => match step.input.as_ref() {
                // FROM a, b WHERE …
                LogicalPlan::Join(join) => {
                    let mut conditions = Vec::new();
                    equalities(&step.predicate, &mut conditions);
                    check_expressions(&step.input)?;
                    self.joined(join, &conditions)
                }
                input => self.rows_of(input),
            },
            LogicalPlan::SubqueryAlias(step) => self.rows_of(&step.input),
            LogicalPlan::Repartition(step) => self.rows_of(&step.input),
            LogicalPlan::Sort(step) if step.fetch.is_none() => self.rows_of(&step.input),
            LogicalPlan::Distinct(Distinct::All(input)) => self.rows_of(input),
            LogicalPlan::Projection(step) => {
                let rows = self.rows_of(&step.input)?;
                Ok(projected(&rows, &step.expr, step.input.schema()))
            }
            LogicalPlan::Distinct(Distinct::On(step)) => {
                let rows = self.rows_of(&step.input)?;
                require(&rows, &step.on_expr, step.input.schema(), "DISTINCT ON has to name vehicle_id too")?;
                Ok(projected(&rows, &step.select_expr, step.input.schema()))
            }
            LogicalPlan::Aggregate(step) => {
                let rows = self.rows_of(&step.input)?;
                let has_sets = step.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_)));
                if has_sets && rows != Rows::OfNobody {
                    return refused(
                        "cannot have GROUPING SETS, ROLLUP or CUBE: they bring vehicles together",
                    );
                }
                require(
                    &rows,
                    &step.group_expr,
                    step.input.schema(),
                    "has to GROUP BY vehicle_id: each vehicle is told of by itself",
                )?;
                Ok(projected(&rows, &step.group_expr, step.input.schema()))
            }
            LogicalPlan::Window(step) => {
                let rows = self.rows_of(&step.input)?;
                for expr in &step.window_expr {
                    let Expr::WindowFunction(function) = bare(expr) else {
                        return refused(format!("has a window that cannot be looked at: {expr}"));
                    };
                    let why =
                        "has to say OVER (PARTITION BY vehicle_id …): each vehicle is told of by itself";
                    require(&rows, &function.params.partition_by, step.input.schema(), why)?;
                }
                // The windows come after the columns of the input.
                Ok(rows)
            }
            LogicalPlan::Join(step) => self.joined(step, &[]),
            LogicalPlan::Union(step) => {
                let mut all = Vec::with_capacity(step.inputs.len());
                for input in &step.inputs {
                    all.push(self.rows_of(input)?);
                }
                let in_common = |a: Rows, b: Rows| match (a, b) {
                    (Rows::OfNobody, Rows::OfNobody) => Rows::OfNobody,
                    (Rows::OfVehicles(a), Rows::OfVehicles(b)) => Rows::OfVehicles(
                        a.into_iter().filter_map(|(at, a)| Some((at, a.min(*b.get(&at)?)))).collect(),
                    ),
                    _ => Rows::OfVehicles(BTreeMap::new()),
                };
                Ok(all.into_iter().reduce(in_common).unwrap_or(Rows::OfNobody))
            }
            LogicalPlan::Unnest(step) => {
                let rows = self.rows_of(&step.input)?;
                let Rows::OfVehicles(columns) = rows else { return Ok(rows) };
                let kept = step.dependency_indices.iter().enumerate();
                Ok(Rows::OfVehicles(kept.filter_map(|(at, of)| Some((at, *columns.get(of)?))).collect()))
            }
            LogicalPlan::Limit(_) | LogicalPlan::Sort(_) => {
                refused("cannot have LIMIT: which rows are left depends on what else is there")
            }
            LogicalPlan::RecursiveQuery(_) => refused("cannot have WITH RECURSIVE"),
            _ => refused("must be a SELECT"),
        }
    }

    fn scanned(&mut self, scan: &TableScan) -> Result<Rows, SqlError> {
        let name = scan.table_name.table();
        if name == CATALOGUE {
            return Ok(Rows::OfNobody);
        }
        let Some(kind) = READABLE.into_iter().find(|kind| kind.name() == name) else {
            return refused(format!(
                "cannot read {name}: it may read readings, signals, diagnostics, trips, stops, driving_events and the \
                 views of them, signal(), geofence_visits() and geofence_events()"
            ));
        };
        self.kinds.insert(kind);
        let fields = scan.projected_schema.fields().iter().enumerate();
        let held = |name: &str| match name {
            VEHICLE => Some(Held::Vehicle),
            name if OF_ONE.contains(&name) => Some(Held::OfOne),
            _ => None,
        };
        Ok(Rows::OfVehicles(fields.filter_map(|(at, field)| Some((at, held(field.name())?))).collect()))
    }

    /// `given` are equalities that hold of the rows besides.
    fn joined(&mut self, join: &Join, given: &[(&Expr, &Expr)]) -> Result<Rows, SqlError> {
        use JoinType::{
            Full, Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi,
        };
        let mut side = |of: &LogicalPlan| match of {
            LogicalPlan::Join(inner) => {
                check_expressions(of)?;
                self.joined(inner, given)
            }
            of => self.rows_of(of),
        };
        let (left, right) = (side(&join.left)?, side(&join.right)?);
        let (left_schema, right_schema) = (join.left.schema(), join.right.schema());
        if let (Rows::OfVehicles(_), Rows::OfVehicles(_)) = (&left, &right) {
            let are_same = |a: &Expr, b: &Expr| {
                let both =
                    |a, b| held(a, &left, left_schema).is_some() && held(b, &right, right_schema).is_some();
                both(a, b) || both(b, a)
            };
            let mut conditions: Vec<(&Expr, &Expr)> = join.on.iter().map(|(a, b)| (a, b)).collect();
            conditions.extend(given);
            if let Some(filter) = &join.filter {
                equalities(filter, &mut conditions);
            }
            if !conditions.into_iter().any(|(a, b)| are_same(a, b)) {
                return refused("has to join by vehicle_id: each vehicle is told of by itself");
            }
        }
        let moved = |rows: &Rows| match rows {
            Rows::OfVehicles(columns) => {
                columns.iter().map(|(at, held)| (at + left_schema.fields().len(), *held)).collect()
            }
            Rows::OfNobody => BTreeMap::new(),
        };
        let own = |rows: &Rows| match rows {
            Rows::OfVehicles(columns) => columns.clone(),
            Rows::OfNobody => BTreeMap::new(),
        };
        if left == Rows::OfNobody && right == Rows::OfNobody {
            return Ok(Rows::OfNobody);
        }
        // Where a side need not be there, its vehicle may be null: only the other tells whose the row is.
        Ok(Rows::OfVehicles(match join.join_type {
            Inner | Full => own(&left).into_iter().chain(moved(&right)).collect(),
            Left | LeftSemi | LeftAnti | LeftMark => own(&left),
            Right => moved(&right),
            RightSemi | RightAnti | RightMark => own(&right),
        }))
    }
}

/// What the columns that are made hold.
fn projected(rows: &Rows, made: &[Expr], schema: &DFSchema) -> Rows {
    match rows {
        Rows::OfNobody => Rows::OfNobody,
        Rows::OfVehicles(_) => {
            let made = made.iter().enumerate();
            Rows::OfVehicles(made.filter_map(|(at, expr)| Some((at, held(expr, rows, schema)?))).collect())
        }
    }
}

/// One of these has to tell the vehicle, where there are any.
fn require(rows: &Rows, some: &[Expr], schema: &DFSchema, why: &str) -> Result<(), SqlError> {
    if *rows == Rows::OfNobody || some.iter().any(|expr| held(expr, rows, schema).is_some()) {
        return Ok(());
    }
    refused(why)
}

/// What it holds, if it tells the vehicle.
fn held(expr: &Expr, rows: &Rows, schema: &DFSchema) -> Option<Held> {
    let Rows::OfVehicles(columns) = rows else { return None };
    match bare(expr) {
        Expr::Column(column) => columns.get(&schema.index_of_column(column).ok()?).copied(),
        // Of two sides of which one may be absent.
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "coalesce" => {
            let each: Option<Vec<Held>> = args.iter().map(|arg| held(arg, rows, schema)).collect();
            each?.into_iter().min()
        }
        _ => None,
    }
}

/// Without another name, and without another kind of text.
fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => bare(&alias.expr),
        Expr::Cast(cast) if cast.field.data_type().is_string() => bare(&cast.expr),
        expr => expr,
    }
}

fn equalities<'a>(filter: &'a Expr, found: &mut Vec<(&'a Expr, &'a Expr)>) {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            equalities(left, found);
            equalities(right, found);
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => found.push((left, right)),
        _ => {}
    }
}

/// No queries within expressions, and nothing that is another thing when it is asked again.
fn check_expressions(plan: &LogicalPlan) -> Result<(), SqlError> {
    let mut found = Ok(());
    let looking = plan.apply_expressions(|whole| {
        whole.apply(|expr| {
            let why = match expr {
                Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..) => {
                    Some("cannot have a query within an expression: JOIN it by vehicle_id".to_owned())
                }
                Expr::Placeholder(_) => Some("has a place for a value, which nobody gives it".to_owned()),
                Expr::ScalarFunction(ScalarFunction { func, .. })
                    if func.signature().volatility != Volatility::Immutable =>
                {
                    Some(format!(
                        "cannot ask {}(): it is asked of the past too, and has to tell the same then. What is new is \
                         found without it",
                        func.name()
                    ))
                }
                _ => None,
            };
            match why {
                Some(why) => {
                    found = refused(why);
                    Ok(TreeNodeRecursion::Stop)
                }
                None => Ok(TreeNodeRecursion::Continue),
            }
        })
    });
    looking?;
    found
}
