//! The expressions of campaigns, as a tree: what `parse` makes and `check` compiles.
//!
//! Printing a tree gives text that parses to the same tree.

use std::fmt;

/// A part of an expression and where it begins in the text.
#[derive(Debug, Clone)]
pub struct Expr {
    /// Column of the text, from 1, counted in characters.
    pub column: u32,
    /// What it is.
    pub kind: Kind,
}

/// Where it stood is not part of what it says.
impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `80 km/h`, `3`.
    Number {
        /// Not negative, finite.
        value: f64,
        /// As written.
        unit: Option<String>,
    },
    /// `"PARK"`, without quotes or backslashes in it.
    Text(String),
    /// `true`, `false`.
    Bool(bool),
    /// `Vehicle.Speed`.
    Signal(String),
    /// `-x`, `!x`.
    Unary(Unary, Box<Expr>),
    /// `x + y` and so on.
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `min(x, y)` and so on.
    Call(Function, Vec<Expr>),
    /// `x for 5s`: x has been true so long.
    For(Box<Expr>, i64),
}

/// An operator of one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unary {
    /// `-`
    Negate,
    /// `!`
    Not,
}

/// An operator of two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its symbol, see `symbol`")]
pub enum Binary {
    Or,
    And,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Binary {
    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            Binary::Or => "||",
            Binary::And => "&&",
            Binary::Less => "<",
            Binary::LessOrEqual => "<=",
            Binary::Greater => ">",
            Binary::GreaterOrEqual => ">=",
            Binary::Equal => "==",
            Binary::NotEqual => "!=",
            Binary::Add => "+",
            Binary::Subtract => "-",
            Binary::Multiply => "*",
            Binary::Divide => "/",
        }
    }
}

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Magnitude.
    Abs,
    /// The least of two or more.
    Min,
    /// The greatest of two or more.
    Max,
    /// Whether the frame at hand gave a signal another value than it had.
    Changed,
    /// Whether a signal has a value that is not stale.
    Known,
}

impl Function {
    /// Every function.
    pub const ALL: [Function; 5] =
        [Function::Abs, Function::Min, Function::Max, Function::Changed, Function::Known];

    /// As written.
    pub fn name(self) -> &'static str {
        match self {
            Function::Abs => "abs",
            Function::Min => "min",
            Function::Max => "max",
            Function::Changed => "changed",
            Function::Known => "known",
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Number { value, unit: None } => write!(f, "{value}"),
            Kind::Number { value, unit: Some(unit) } => write!(f, "{value} {unit}"),
            Kind::Text(text) => write!(f, "\"{text}\""),
            Kind::Bool(is_true) => write!(f, "{is_true}"),
            Kind::Signal(path) => f.write_str(path),
            Kind::Unary(Unary::Negate, x) => write!(f, "(-{x})"),
            Kind::Unary(Unary::Not, x) => write!(f, "(!{x})"),
            Kind::Binary(operator, x, y) => write!(f, "({x} {} {y})", operator.symbol()),
            Kind::Call(function, arguments) => {
                write!(f, "{}(", function.name())?;
                for (i, argument) in arguments.iter().enumerate() {
                    write!(f, "{}{argument}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str(")")
            }
            Kind::For(x, us) => write!(f, "({x} for {us}us)"),
        }
    }
}
