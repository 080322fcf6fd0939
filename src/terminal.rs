//! What commands print: text, JSON, aligned columns and bars.

use std::io::Write;

use serde::Serialize;

/// Prints text; a reader that has gone away (`… | head`) is a quiet end.
pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Prints a value as JSON, for programs.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    text(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Columns padded to their widest value; all but the first to the right.
pub(crate) fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, value) in widths.iter_mut().zip(row) {
            *width = (*width).max(value.chars().count());
        }
    }
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (i, (value, &width)) in row.iter().zip(&widths).enumerate() {
            let padding = " ".repeat(width - value.chars().count());
            line.push_str(&if i == 0 { format!("{value}{padding}") } else { format!("  {padding}{value}") });
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A length of time in its two largest units.
pub(crate) fn duration(seconds: i64) -> String {
    let s = seconds.max(0);
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min", s / 60),
        3600..86_400 => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_aligned_to_the_right() {
        let rows = [["a".to_owned(), "10".to_owned()], ["long".to_owned(), "2".to_owned()]];
        assert_eq!(aligned(&rows), "a     10\nlong   2\n");
    }

    #[test]
    fn a_duration_has_two_units_at_most() {
        let told = [-5, 59, 60, 3599, 3660, 90_000].map(duration);
        assert_eq!(told, ["0 s", "59 s", "1 min", "59 min", "1 h 01 min", "1 d 1 h"]);
    }
}
