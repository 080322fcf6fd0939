//! From an expression tree to a program: every path looked up on this vehicle, every unit and
//! kind checked, constants folded.
//!
//! Units are strict: a number that is compared with km/h has a speed's unit. `*` and `/` take a
//! bare number on one side, or divide two of one quantity. A temperature of another scale is
//! converted in comparisons only, where it cannot be a difference.

use wire::{
    catalog::{Catalog, ColumnDef},
    catalogue, units,
};

use super::{
    expr::{Binary, Expr, Function, Kind, Unary},
    parse::ExprError,
    program::{OPS_MAX, Op, Program, STACK_LEN},
};

/// What an expression is of.
#[derive(Debug, Clone, PartialEq)]
enum Type {
    Truth,
    Number {
        unit: String,
        /// A value as it is, not the sum or difference of two.
        is_plain: bool,
    },
}

/// A part compiled.
#[derive(Debug, Clone)]
struct Typed {
    kind: Type,
    ops: Vec<Op>,
}

impl Typed {
    fn constant(&self) -> Option<f64> {
        match self.ops.as_slice() {
            [Op::Const(value)] => Some(*value),
            _ => None,
        }
    }

    fn is_plain(&self) -> bool {
        matches!(self.kind, Type::Number { is_plain: true, .. })
    }

    /// Adds an operation on it, or computes it now.
    fn then(mut self, op: Op) -> Self {
        match self.constant() {
            Some(value) if !matches!(op, Op::For(..)) => self.ops = vec![Op::Const(op.of(value, 0.0))],
            _ => self.ops.push(op),
        }
        self
    }
}

/// Compiles a condition over the columns of `catalog`.
pub(super) fn condition(expr: &Expr, catalog: &Catalog) -> Result<Program, ExprError> {
    let mut checker = Checker { catalog, timer_count: 0 };
    let typed = checker.check(expr)?;
    if typed.kind != Type::Truth {
        return Err(ExprError::new(expr.column, "a condition must be true or false; compare the number"));
    }
    if let Some(value) = typed.constant() {
        let word = if value == 1.0 { "always true" } else { "never true" };
        return Err(ExprError::new(expr.column, format!("the condition is {word}; name a signal in it")));
    }
    let mut depth = 0_usize;
    let fits = typed.ops.len() <= OPS_MAX
        && typed.ops.iter().all(|op| {
            depth = depth + 1 - op.operands();
            depth < STACK_LEN
        });
    if !fits {
        return Err(ExprError::new(1, format!("expression is too large; {OPS_MAX} operations are allowed")));
    }
    let read = |op: &Op| match op {
        Op::Load(column) | Op::Changed(column) | Op::Known(column) => Some(*column),
        _ => None,
    };
    let mut reads: Vec<u32> = typed.ops.iter().filter_map(read).collect();
    reads.sort_unstable();
    reads.dedup();
    Ok(Program { ops: typed.ops, timer_count: checker.timer_count, reads })
}

/// The column of a path on this vehicle.
pub(super) fn column_of<'a>(catalog: &'a Catalog, path: &str) -> Result<&'a ColumnDef, String> {
    if let Some(def) = catalog.columns.iter().find(|c| c.signal == path) {
        return Ok(def);
    }
    if catalogue::signal(path).is_some() {
        return Err(format!("{path} is not collected on this vehicle; add it to a map file"));
    }
    let remedy = match catalogue::nearest(path) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => "look it up in the release".to_owned(),
    };
    Err(format!("{path} is no signal of VSS {}; {remedy}", catalogue::VSS_RELEASE))
}

struct Checker<'a> {
    catalog: &'a Catalog,
    timer_count: u16,
}

impl Checker<'_> {
    fn column(&self, at: u32, path: &str) -> Result<&ColumnDef, ExprError> {
        column_of(self.catalog, path).map_err(|message| ExprError::new(at, message))
    }

    fn check(&mut self, expr: &Expr) -> Result<Typed, ExprError> {
        let at = expr.column;
        match &expr.kind {
            Kind::Number { value, unit } => Ok(Typed {
                kind: Type::Number { unit: unit.clone().unwrap_or_default(), is_plain: true },
                ops: vec![Op::Const(*value)],
            }),
            Kind::Bool(is_true) => {
                Ok(Typed { kind: Type::Truth, ops: vec![Op::Const(f64::from(u8::from(*is_true)))] })
            }
            Kind::Text(_) => Err(ExprError::new(at, "a text can only be compared with a signal by == or !=")),
            Kind::Signal(path) => self.signal(at, path),
            Kind::Unary(Unary::Negate, x) => {
                let mut negated = self.number(x)?.then(Op::Negate);
                if let (None, Type::Number { is_plain, .. }) = (negated.constant(), &mut negated.kind) {
                    *is_plain = false;
                }
                Ok(negated)
            }
            Kind::Unary(Unary::Not, x) => Ok(self.truth(x)?.then(Op::Not)),
            Kind::For(x, us) => {
                let x = self.truth(x)?;
                if x.constant().is_some() {
                    return Err(ExprError::new(at, "a constant is not held for a time; name a signal in it"));
                }
                let timer = self.timer_count;
                self.timer_count += 1;
                Ok(x.then(Op::For(timer, *us)))
            }
            Kind::Call(function, arguments) => self.call(at, *function, arguments),
            Kind::Binary(operator, x, y) => self.binary(at, *operator, x, y),
        }
    }

    fn signal(&self, at: u32, path: &str) -> Result<Typed, ExprError> {
        let def = self.column(at, path)?;
        let datatype = catalogue::signal(path).map_or("", |s| s.datatype);
        let ops = vec![Op::Load(def.column_id)];
        if datatype == "boolean" {
            // Raw values above 1 (error, not available) of a careless map are true, as in `readings`.
            let ops = vec![Op::Load(def.column_id), Op::Const(0.0), Op::Equal, Op::Not];
            return Ok(Typed { kind: Type::Truth, ops });
        }
        if datatype == "string" && def.labels.is_empty() {
            return Err(ExprError::new(at, format!("{path} is a text, which has no place here")));
        }
        Ok(Typed { kind: Type::Number { unit: def.unit.clone(), is_plain: true }, ops })
    }

    fn truth(&mut self, expr: &Expr) -> Result<Typed, ExprError> {
        let typed = self.check(expr)?;
        match typed.kind {
            Type::Truth => Ok(typed),
            Type::Number { .. } => {
                Err(ExprError::new(expr.column, format!("{expr} is a number, not true or false; compare it")))
            }
        }
    }

    fn number(&mut self, expr: &Expr) -> Result<Typed, ExprError> {
        let typed = self.check(expr)?;
        match typed.kind {
            Type::Number { .. } => Ok(typed),
            Type::Truth => Err(ExprError::new(expr.column, format!("{expr} is true or false, not a number"))),
        }
    }

    fn call(&mut self, at: u32, function: Function, arguments: &[Expr]) -> Result<Typed, ExprError> {
        let fault = |what: &str| Err(ExprError::new(at, format!("{}() takes {what}", function.name())));
        match (function, arguments) {
            (Function::Abs, [x]) => Ok(self.number(x)?.then(Op::Abs)),
            (Function::Abs, _) => fault("one number"),
            (Function::Changed | Function::Known, [Expr { column, kind: Kind::Signal(path) }]) => {
                let column_id = self.column(*column, path)?.column_id;
                let op =
                    if function == Function::Changed { Op::Changed(column_id) } else { Op::Known(column_id) };
                Ok(Typed { kind: Type::Truth, ops: vec![op] })
            }
            (Function::Changed | Function::Known, _) => fault("the path of one signal"),
            (Function::Min | Function::Max, [first, rest @ ..]) if !rest.is_empty() => {
                let op = if function == Function::Min { Op::Min } else { Op::Max };
                let mut left = self.number(first)?;
                for (expr, right) in rest.iter().map(|e| (e, self.number(e))).collect::<Vec<_>>() {
                    let (x, y) = same_unit(expr.column, (first, left), (expr, right?), true)?;
                    left = joined(x, y, op);
                }
                Ok(left)
            }
            (Function::Min | Function::Max, _) => fault("two numbers or more"),
        }
    }

    fn binary(&mut self, at: u32, operator: Binary, x: &Expr, y: &Expr) -> Result<Typed, ExprError> {
        match operator {
            Binary::And | Binary::Or => {
                let (x, y) = (self.truth(x)?, self.truth(y)?);
                Ok(logic(operator, x, y))
            }
            Binary::Multiply | Binary::Divide => self.product(at, operator, x, y),
            Binary::Add | Binary::Subtract => {
                let op = if operator == Binary::Add { Op::Add } else { Op::Subtract };
                let (left, right) = (self.number(x)?, self.number(y)?);
                let (left, right) = same_unit(at, (x, left), (y, right), false)?;
                let mut sum = joined(left, right, op);
                if let Type::Number { is_plain, .. } = &mut sum.kind {
                    *is_plain = false;
                }
                Ok(sum)
            }
            _ => self.comparison(at, operator, x, y),
        }
    }

    fn product(&mut self, at: u32, operator: Binary, x: &Expr, y: &Expr) -> Result<Typed, ExprError> {
        let (left, right) = (self.number(x)?, self.number(y)?);
        let (unit_x, unit_y) = (unit_of(&left).to_owned(), unit_of(&right).to_owned());
        let op = if operator == Binary::Multiply { Op::Multiply } else { Op::Divide };
        let (left, right, unit) = match (operator, unit_x.is_empty(), unit_y.is_empty()) {
            (_, _, true) => (left, right, unit_x),
            (Binary::Multiply, true, false) => (left, right, unit_y),
            (Binary::Divide, false, false) => {
                let (left, right) = same_unit(at, (x, left), (y, right), false)?;
                (left, right, String::new())
            }
            _ => {
                let message = format!(
                    "{unit_x:?} {} {unit_y:?} is no unit; use a bare number on one side",
                    operator.symbol()
                );
                return Err(ExprError::new(at, message));
            }
        };
        let mut product = joined(left, right, op);
        product.kind = Type::Number { unit, is_plain: false };
        Ok(product)
    }

    fn comparison(&mut self, at: u32, operator: Binary, x: &Expr, y: &Expr) -> Result<Typed, ExprError> {
        let is_equality = matches!(operator, Binary::Equal | Binary::NotEqual);
        let (left, right) = match (&x.kind, &y.kind) {
            (Kind::Signal(path), Kind::Text(label)) if is_equality => self.labelled(x.column, path, label)?,
            (Kind::Text(label), Kind::Signal(path)) if is_equality => self.labelled(y.column, path, label)?,
            _ => {
                let (left, right) = (self.check(x)?, self.check(y)?);
                match (&left.kind, &right.kind) {
                    (Type::Truth, Type::Truth) if is_equality => (left, right),
                    (Type::Truth, Type::Truth) => {
                        return Err(ExprError::new(at, "true and false have no order; use == or !="));
                    }
                    (Type::Number { .. }, Type::Number { .. }) => same_unit(at, (x, left), (y, right), true)?,
                    _ => {
                        let message =
                            format!("{x} and {y} cannot be compared: one is a number, one true or false");
                        return Err(ExprError::new(at, message));
                    }
                }
            }
        };
        let (left, right, op, is_negated) = match operator {
            Binary::Greater => (right, left, Op::Less, false),
            Binary::GreaterOrEqual => (right, left, Op::LessOrEqual, false),
            Binary::Less => (left, right, Op::Less, false),
            Binary::LessOrEqual => (left, right, Op::LessOrEqual, false),
            _ => (left, right, Op::Equal, operator == Binary::NotEqual),
        };
        let mut compared = joined(left, right, op);
        compared.kind = Type::Truth;
        Ok(if is_negated { compared.then(Op::Not) } else { compared })
    }

    /// A signal and the value that has this name.
    fn labelled(&self, at: u32, path: &str, label: &str) -> Result<(Typed, Typed), ExprError> {
        let def = self.column(at, path)?;
        let found = def.labels.iter().find(|(_, name)| name == label).map(|(raw, _)| def.scaled(*raw));
        let Some(value) = found else {
            let mut names: Vec<&str> = def.labels.iter().take(8).map(|(_, n)| n.as_str()).collect();
            if names.is_empty() {
                names.push("none");
            }
            let message = format!("{path} has no value called {label:?}; its names: {}", names.join(", "));
            return Err(ExprError::new(at, message));
        };
        let kind = Type::Number { unit: def.unit.clone(), is_plain: true };
        let load = Typed { kind: kind.clone(), ops: vec![Op::Load(def.column_id)] };
        Ok((load, Typed { kind, ops: vec![Op::Const(value)] }))
    }
}

fn unit_of(typed: &Typed) -> &str {
    match &typed.kind {
        Type::Number { unit, .. } => unit,
        Type::Truth => "",
    }
}

/// Two operands and an operation on them, computed now when both are constant.
fn joined(mut left: Typed, mut right: Typed, op: Op) -> Typed {
    if let (Some(x), Some(y)) = (left.constant(), right.constant()) {
        left.ops = vec![Op::Const(op.of(x, y))];
        return left;
    }
    left.ops.append(&mut right.ops);
    left.ops.push(op);
    left
}

/// `&&` and `||`, where a constant side decides or falls away.
fn logic(operator: Binary, left: Typed, right: Typed) -> Typed {
    let (op, deciding) = if operator == Binary::And { (Op::And, 0.0) } else { (Op::Or, 1.0) };
    match (left.constant(), right.constant()) {
        (Some(x), _) if x == deciding => left,
        (_, Some(y)) if y == deciding => right,
        (Some(x), _) if x == 1.0 - deciding => right,
        (_, Some(y)) if y == 1.0 - deciding => left,
        _ => joined(left, right, op),
    }
}

/// Brings two numbers to one unit; a constant is the one that is converted.
fn same_unit(
    at: u32,
    (x, left): (&Expr, Typed),
    (y, right): (&Expr, Typed),
    is_comparison: bool,
) -> Result<(Typed, Typed), ExprError> {
    let (unit_x, unit_y) = (unit_of(&left).to_owned(), unit_of(&right).to_owned());
    let turns_left = left.constant().is_some() && right.constant().is_none();
    let (from, to) = if turns_left { (&unit_x, &unit_y) } else { (&unit_y, &unit_x) };
    let Some(conversion) = units::conversion(from, to) else {
        let called =
            |unit: &str| if unit.is_empty() { "no unit".to_owned() } else { format!("unit {unit:?}") };
        let message =
            format!("{x} has {}, {y} has {}; give both one quantity", called(&unit_x), called(&unit_y));
        return Err(ExprError::new(at, message));
    };
    if conversion == units::IDENTITY {
        return Ok((left, right));
    }
    if conversion.offset != 0.0 && !(is_comparison && left.is_plain() && right.is_plain()) {
        let message = format!("{from} is not turned into {to} in a sum or difference; write it in {to}");
        return Err(ExprError::new(at, message));
    }
    let linear = Op::Linear(conversion.scale, conversion.offset);
    Ok(if turns_left {
        let mut left = left.then(linear);
        left.kind = right.kind.clone();
        (left, right)
    } else {
        let mut right = right.then(linear);
        right.kind = left.kind.clone();
        (left, right)
    })
}
