//! From text to an expression tree. Total: any text gives a tree or a fault with its column.
//!
//! ```text
//! or      = and { "||" and }
//! and     = held { "&&" held }
//! held    = compare { "for" number time-unit }
//! compare = sum [ ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) sum ]
//! sum     = term { ( "+" | "-" ) term }
//! term    = unary { ( "*" | "/" ) unary }
//! unary   = ( "-" | "!" ) unary | number [ unit ] | text | "true" | "false"
//!         | path | function "(" or { "," or } ")" | "(" or ")"
//! ```
//!
//! Bounds: [`TEXT_BYTES_MAX`], [`DEPTH_MAX`].

use super::expr::{Binary, Expr, Function, Kind, Unary};

/// Longest text of an expression.
pub const TEXT_BYTES_MAX: usize = 4096;
/// Deepest nesting.
pub const DEPTH_MAX: u32 = 32;
/// Longest time after `for`.
const HOLD_US_MAX: f64 = 86_400e6;

/// What is wrong with an expression, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct ExprError {
    /// Column of the text, from 1.
    pub column: u32,
    /// What, and what to do.
    pub message: String,
}

impl ExprError {
    pub(super) fn new(column: u32, message: impl Into<String>) -> Self {
        Self { column, message: message.into() }
    }
}

/// Reads an expression.
pub fn parse(text: &str) -> Result<Expr, ExprError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(ExprError::new(1, format!("expression is longer than {TEXT_BYTES_MAX} bytes")));
    }
    let mut parser = Parser { tokens: tokens(text)?, next: 0, depth: 0 };
    let expr = parser.or()?;
    match parser.peek() {
        (_, Token::End) => Ok(expr),
        (column, token) => Err(ExprError::new(
            column,
            format!("{} does not follow here; is an operator missing?", token.name()),
        )),
    }
}

/// Reads `5 km/h`: a number and, perhaps, its unit.
pub(super) fn quantity(text: &str) -> Result<(f64, Option<String>), ExprError> {
    match parse(text)?.kind {
        Kind::Number { value, unit } => Ok((value, unit)),
        _ => Err(ExprError::new(1, format!("{text:?} is no quantity; write one like \"0.5 km/h\""))),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    /// Directly after a number.
    Unit(String),
    Name(String),
    Text(String),
    Symbol(&'static str),
    End,
}

impl Token {
    fn name(&self) -> String {
        match self {
            Token::Number(value) => format!("number {value}"),
            Token::Unit(name) | Token::Name(name) => format!("{name:?}"),
            Token::Text(_) => "a text".to_owned(),
            Token::Symbol(symbol) => format!("{symbol:?}"),
            Token::End => "the end".to_owned(),
        }
    }
}

/// Longer ones first.
const SYMBOLS: [&str; 16] =
    ["||", "&&", "<=", ">=", "==", "!=", "<", ">", "+", "-", "*", "/", "!", "(", ")", ","];

fn tokens(text: &str) -> Result<Vec<(u32, Token)>, ExprError> {
    let chars: Vec<char> = text.chars().collect();
    let column_of = |at: usize| u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1);
    let take = |from: usize, is_part: fn(char) -> bool| -> String {
        chars.iter().skip(from).take_while(|c| is_part(**c)).collect()
    };
    let (mut out, mut at): (Vec<(u32, Token)>, usize) = (Vec::new(), 0);
    while let Some(&c) = chars.get(at) {
        let column = column_of(at);
        let follows_number = matches!(out.last(), Some((_, Token::Number(_))));
        if c.is_whitespace() {
            at += 1;
        } else if c.is_ascii_digit() {
            let (value, len) = number(&chars, at)
                .ok_or_else(|| ExprError::new(column, "number is malformed or too large"))?;
            out.push((column, Token::Number(value)));
            at += len;
        } else if c == '"' {
            let inside = take(at + 1, |c| c != '"');
            let len = inside.chars().count();
            if chars.get(at + 1 + len).is_none() || inside.contains('\\') {
                return Err(ExprError::new(column, "text must end in '\"' and have no '\\'"));
            }
            out.push((column, Token::Text(inside)));
            at += len + 2;
        } else if follows_number && (c.is_alphabetic() || c == '°' || c == '%') {
            let word = take(at, |c| c.is_alphanumeric() || "°%²^/".contains(c));
            at += word.chars().count();
            out.push((column, if word == "for" { Token::Name(word) } else { Token::Unit(word) }));
        } else if c.is_ascii_alphabetic() || c == '_' {
            let word = take(at, |c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
            at += word.chars().count();
            out.push((column, Token::Name(word)));
        } else {
            let is_here = |s: &&&str| s.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
            let Some(symbol) = SYMBOLS.iter().find(is_here) else {
                return Err(ExprError::new(column, format!("{c:?} has no meaning here")));
            };
            out.push((column, Token::Symbol(symbol)));
            at += symbol.len();
        }
    }
    out.push((column_of(chars.len()), Token::End));
    Ok(out)
}

/// The number that begins at `at`, and how many characters it is.
fn number(chars: &[char], at: usize) -> Option<(f64, usize)> {
    let digits = |from: usize| chars.iter().skip(from).take_while(|c| c.is_ascii_digit()).count();
    let mut end = at + digits(at);
    if chars.get(end) == Some(&'.') {
        let count = digits(end + 1);
        if count == 0 {
            return None;
        }
        end += 1 + count;
    }
    if matches!(chars.get(end), Some('e' | 'E')) {
        let sign = usize::from(matches!(chars.get(end + 1), Some('+' | '-')));
        let count = digits(end + 1 + sign);
        if count > 0 {
            end += 1 + sign + count;
        }
    }
    let text: String = chars.get(at..end)?.iter().collect();
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some((value, end - at))
}

struct Parser {
    tokens: Vec<(u32, Token)>,
    next: usize,
    depth: u32,
}

impl Parser {
    fn peek(&self) -> (u32, Token) {
        self.tokens.get(self.next).or(self.tokens.last()).cloned().unwrap_or((1, Token::End))
    }

    fn take(&mut self) -> (u32, Token) {
        let token = self.peek();
        self.next += 1;
        token
    }

    /// Takes one of these symbols if it is next.
    fn symbol<T: Copy>(&mut self, of: &[(&str, T)]) -> Option<(u32, T)> {
        let (column, Token::Symbol(symbol)) = self.peek() else { return None };
        let found = of.iter().find(|(s, _)| *s == symbol)?.1;
        self.next += 1;
        Some((column, found))
    }

    fn expect(&mut self, symbol: &'static str) -> Result<(), ExprError> {
        match self.take() {
            (_, Token::Symbol(s)) if s == symbol => Ok(()),
            (column, token) => {
                Err(ExprError::new(column, format!("expected {symbol:?} instead of {}", token.name())))
            }
        }
    }

    fn deeper(&mut self, column: u32) -> Result<(), ExprError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(ExprError::new(column, format!("nested deeper than {DEPTH_MAX}")));
        }
        Ok(())
    }

    /// A chain of operators of one rank, the left one first.
    fn chain(
        &mut self,
        of: &[(&str, Binary)],
        below: fn(&mut Self) -> Result<Expr, ExprError>,
    ) -> Result<Expr, ExprError> {
        let mut left = below(self)?;
        let before = self.depth;
        while let Some((column, operator)) = self.symbol(of) {
            // A long chain is a deep tree.
            self.deeper(column)?;
            let right = below(self)?;
            left = Expr { column, kind: Kind::Binary(operator, Box::new(left), Box::new(right)) };
        }
        self.depth = before;
        Ok(left)
    }

    fn or(&mut self) -> Result<Expr, ExprError> {
        self.chain(&[("||", Binary::Or)], |p| p.chain(&[("&&", Binary::And)], Self::held))
    }

    fn held(&mut self) -> Result<Expr, ExprError> {
        let mut expr = self.compare()?;
        let before = self.depth;
        while let (column, Token::Name(name)) = self.peek() {
            if name != "for" {
                break;
            }
            self.next += 1;
            self.deeper(column)?;
            expr = Expr { column, kind: Kind::For(Box::new(expr), self.duration_us()?) };
        }
        self.depth = before;
        Ok(expr)
    }

    #[allow(clippy::cast_possible_truncation, reason = "bounded by a day")]
    fn duration_us(&mut self) -> Result<i64, ExprError> {
        let (column, token) = self.take();
        let fault = || ExprError::new(column, "after \"for\" comes a time of up to 24h, as in \"for 5s\"");
        let Token::Number(value) = token else { return Err(fault()) };
        let factor = match self.take().1 {
            Token::Unit(unit) => match unit.as_str() {
                "us" => 1.0,
                "ms" => 1e3,
                "s" => 1e6,
                "min" => 60e6,
                "h" => 3600e6,
                _ => return Err(fault()),
            },
            _ => return Err(fault()),
        };
        let us = value * factor;
        if us <= HOLD_US_MAX { Ok(us.round() as i64) } else { Err(fault()) }
    }

    fn compare(&mut self) -> Result<Expr, ExprError> {
        const COMPARES: [(&str, Binary); 6] = [
            ("<=", Binary::LessOrEqual),
            (">=", Binary::GreaterOrEqual),
            ("==", Binary::Equal),
            ("!=", Binary::NotEqual),
            ("<", Binary::Less),
            (">", Binary::Greater),
        ];
        let left = self.sum()?;
        let Some((column, operator)) = self.symbol(&COMPARES) else { return Ok(left) };
        let right = self.sum()?;
        if let Some((column, _)) = self.symbol(&COMPARES) {
            return Err(ExprError::new(column, "comparisons do not chain; join them by &&"));
        }
        Ok(Expr { column, kind: Kind::Binary(operator, Box::new(left), Box::new(right)) })
    }

    fn sum(&mut self) -> Result<Expr, ExprError> {
        self.chain(&[("+", Binary::Add), ("-", Binary::Subtract)], |p| {
            p.chain(&[("*", Binary::Multiply), ("/", Binary::Divide)], Self::unary)
        })
    }

    fn unary(&mut self) -> Result<Expr, ExprError> {
        let (column, token) = self.take();
        self.deeper(column)?;
        let kind = match token {
            Token::Symbol("-") => Kind::Unary(Unary::Negate, Box::new(self.unary()?)),
            Token::Symbol("!") => Kind::Unary(Unary::Not, Box::new(self.unary()?)),
            Token::Symbol("(") => {
                let inner = self.or()?;
                self.expect(")")?;
                inner.kind
            }
            Token::Number(value) => match self.peek().1 {
                Token::Unit(unit) => {
                    self.next += 1;
                    Kind::Number { value, unit: Some(unit) }
                }
                _ => Kind::Number { value, unit: None },
            },
            Token::Text(text) => Kind::Text(text),
            Token::Name(name) => self.named(column, name)?,
            token => {
                return Err(ExprError::new(column, format!("expected a value instead of {}", token.name())));
            }
        };
        self.depth -= 1;
        Ok(Expr { column, kind })
    }

    fn named(&mut self, column: u32, name: String) -> Result<Kind, ExprError> {
        if let Some(function) = Function::ALL.into_iter().find(|f| f.name() == name) {
            self.expect("(")?;
            let mut arguments = vec![self.or()?];
            while self.symbol(&[(",", ())]).is_some() {
                arguments.push(self.or()?);
            }
            self.expect(")")?;
            return Ok(Kind::Call(function, arguments));
        }
        match name.as_str() {
            "true" => Ok(Kind::Bool(true)),
            "false" => Ok(Kind::Bool(false)),
            path if path.starts_with("Vehicle.") => Ok(Kind::Signal(name)),
            _ => Err(ExprError::new(
                column,
                format!("{name:?} is neither a path (Vehicle...) nor one of abs, min, max, changed, known"),
            )),
        }
    }
}
