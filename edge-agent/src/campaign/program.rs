//! Expressions as they run: a bounded program for a stack of numbers, without allocation.
//!
//! A truth is 1 or 0. NaN is *unknown*: a signal never heard or stale, or a division by zero.
//! It spreads as in SQL: `false && unknown` is false, `true || unknown` is true, the rest with
//! an unknown operand is unknown.

use wire::time::Timestamp;

use crate::map::RawValue;

/// Most operations of a program.
pub(super) const OPS_MAX: usize = 256;
/// Most values on the stack.
pub(super) const STACK_LEN: usize = 48;
/// Two numbers nearer than this share of the greater are equal: `110.0` made of raw 1100 at a
/// scale of 0.1 is not below 110.
const NEAR: f64 = 1e-9;

/// What is known of a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// As it came.
    pub(super) raw: RawValue,
    /// In the catalogue's unit.
    pub(super) value: f64,
    /// When it was heard.
    pub(super) time: Timestamp,
    /// The frame that gave it another value than it had; 0 for none.
    pub(super) changed_by: u64,
}

/// What a program may look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) known: &'a [Option<Known>],
    pub(super) now: Timestamp,
    /// Older values are unknown.
    pub(super) stale_us: i64,
    /// The number of the frame at hand.
    pub(super) frame: u64,
}

impl View<'_> {
    fn fresh(&self, column: u32) -> Option<Known> {
        let known = self.known.get(column as usize).copied().flatten()?;
        (self.now.since_us(known.time) <= self.stale_us).then_some(known)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Op {
    Const(f64),
    Load(u32),
    Changed(u32),
    Known(u32),
    Negate,
    Not,
    Abs,
    /// `x * scale + offset`: a change of unit.
    Linear(f64, f64),
    Min,
    Max,
    Add,
    Subtract,
    Multiply,
    Divide,
    Less,
    LessOrEqual,
    Equal,
    And,
    Or,
    /// Whether the top has been true for so many microseconds, by that timer.
    For(u16, i64),
}

impl Op {
    /// Values it takes off the stack; each puts one on it.
    pub(super) fn operands(self) -> usize {
        match self {
            Op::Const(_) | Op::Load(_) | Op::Changed(_) | Op::Known(_) => 0,
            Op::Negate | Op::Not | Op::Abs | Op::Linear(..) | Op::For(..) => 1,
            _ => 2,
        }
    }

    /// The value of an operation of numbers alone.
    pub(super) fn of(self, x: f64, y: f64) -> f64 {
        let truth = |is: bool| if x.is_nan() || y.is_nan() { f64::NAN } else { f64::from(u8::from(is)) };
        let value = match self {
            Op::Const(value) => value,
            Op::Negate => -x,
            Op::Not => 1.0 - x,
            Op::Abs => x.abs(),
            Op::Linear(scale, offset) => x * scale + offset,
            // f64::min would prefer the known operand.
            Op::Min if x.is_nan() || y.is_nan() => f64::NAN,
            Op::Min => x.min(y),
            Op::Max if x.is_nan() || y.is_nan() => f64::NAN,
            Op::Max => x.max(y),
            Op::Add => x + y,
            Op::Subtract => x - y,
            Op::Multiply => x * y,
            Op::Divide => x / y,
            Op::Less => truth(exceeds(y, x)),
            Op::LessOrEqual => truth(x < y || is_near(x, y)),
            Op::Equal => truth(is_near(x, y)),
            Op::And if x == 0.0 || y == 0.0 => 0.0,
            Op::And => truth(true),
            Op::Or if x == 1.0 || y == 1.0 => 1.0,
            Op::Or => truth(false),
            Op::Load(_) | Op::Changed(_) | Op::Known(_) | Op::For(..) => f64::NAN,
        };
        if value.is_finite() { value } else { f64::NAN }
    }
}

/// Whether `x` is greater than `y`, and not only nearly.
pub(super) fn exceeds(x: f64, y: f64) -> bool {
    x > y && !is_near(x, y)
}

fn is_near(x: f64, y: f64) -> bool {
    (x - y).abs() <= NEAR * x.abs().max(y.abs()).max(1e-9)
}

/// A compiled expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Program {
    pub(super) ops: Vec<Op>,
    pub(super) timer_count: u16,
    /// Columns it looks at, each once.
    pub(super) reads: Vec<u32>,
}

/// What an expression says at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Verdict {
    /// Unknown is not true.
    pub(super) is_true: bool,
    /// When it may become true by time alone.
    pub(super) due: Option<Timestamp>,
}

impl Program {
    /// Runs it. `timers` has a place for each timer of the program: since when it has been true.
    pub(super) fn run(&self, view: &View, timers: &mut [Option<Timestamp>]) -> Verdict {
        let (mut stack, mut top) = ([0.0_f64; STACK_LEN], 0);
        let mut due: Option<Timestamp> = None;
        for op in &self.ops {
            let count = op.operands();
            // `check` proved that the stack suffices for every program it makes.
            top -= count;
            let (x, y) = (stack[top], stack[(top + 1).min(STACK_LEN - 1)]);
            stack[top] = match *op {
                Op::Load(column) => view.fresh(column).map_or(f64::NAN, |k| k.value),
                Op::Known(column) => f64::from(u8::from(view.fresh(column).is_some())),
                Op::Changed(column) => {
                    let is_changed = |k: Known| f64::from(u8::from(k.changed_by == view.frame));
                    view.fresh(column).map_or(f64::NAN, is_changed)
                }
                Op::For(timer, hold_us) => {
                    let since = &mut timers[usize::from(timer)];
                    if x == 1.0 {
                        let at = since.get_or_insert(view.now).plus_us(hold_us);
                        if view.now < at {
                            due = Some(due.map_or(at, |d| d.min(at)));
                        }
                        f64::from(u8::from(view.now >= at))
                    } else {
                        *since = None;
                        x
                    }
                }
                op => op.of(x, y),
            };
            top += 1;
        }
        Verdict { is_true: stack[0] == 1.0, due }
    }
}
