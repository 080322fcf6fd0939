//! Syntax errors in the words of a DBC's author, with the line.

use super::{DbcError, lines::first_with};

/// How much of a line a message shows.
const EXCERPT_CHARS: usize = 40;

pub(super) fn syntax_error(file: &str, text: &str, error: &can_dbc::DbcError) -> DbcError {
    use can_dbc::DbcError as E;
    let (line, problem) = match error {
        E::Pest(pest) => {
            // The position's type is not re-exported; its text is ` --> line:column`.
            let shown = pest.to_string();
            let at = shown.split_once("--> ").and_then(|(_, rest)| rest.split_once('\n')).map_or("", |p| p.0);
            let (line, column) = at.split_once(':').unwrap_or((at, "1"));
            let column = column.parse().unwrap_or(1_usize);
            let rest: String =
                pest.line().chars().skip(column.saturating_sub(1)).take(EXCERPT_CHARS).collect();
            let expected = expectation(&pest.variant.message());
            (line.parse().unwrap_or(1), format!("column {column}, {expected} at {:?}", rest.trim_end()))
        }
        E::InvalidFloat(value)
        | E::InvalidInt(value)
        | E::InvalidUint(value)
        | E::InvalidNumericValue(value) => {
            (first_with(text, value), format!("the number {value} is out of range"))
        }
        E::MessageIdOutOfRange(id) => {
            (first_with(text, &id.to_string()), format!("the message id {id} has more than 32 bits"))
        }
        E::UnknownMultiplexIndicator(mark) => {
            (first_with(text, mark), format!("unknown multiplexer mark {mark}"))
        }
        other => (1, other.to_string().to_lowercase()),
    };
    DbcError::Syntax { file: file.to_owned(), line, problem }
}

/// The grammar's expectation in the words of a DBC's author.
fn expectation(message: &str) -> String {
    if message == "expected file" {
        return "a DBC file starts with VERSION, NS_, BS_ or BU_, not".to_owned();
    }
    // Where a statement may end, anything could follow: the list would only confuse.
    if message.matches(',').count() > 4 {
        return "the statement cannot go on like this".to_owned();
    }
    message.replace('_', " ")
}
