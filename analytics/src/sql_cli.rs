//! SQL from a shell: one query printed as a table, CSV or JSON, beside a running server or not.

use std::{
    io::{self, Write},
    str::FromStr,
};

use lake::LakeSettings;
use serde_json::Value;
use service::SharedClock;

use crate::{
    engine::{Analytics, Limits, OpenError, SqlError},
    row::QueryResult,
};

/// Rows printed at most.
const ROWS_MAX: usize = 1_000_000;

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns in a frame, with a line on rows and time below.
    Table,
    /// A header and a line a row (RFC 4180).
    Csv,
    /// An array of objects, one a line.
    Json,
    /// A bar a row, as long as the last of its numbers.
    Chart,
}

impl FromStr for Format {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "table" => Ok(Self::Table),
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            "chart" => Ok(Self::Chart),
            other => Err(format!("{other:?} is no format; write table, csv, json or chart")),
        }
    }
}

/// Why a query was not printed.
#[derive(Debug, thiserror::Error)]
pub enum SqlCliError {
    /// There is no lake to ask.
    #[error("cannot open the lake")]
    Open(#[from] OpenError),
    /// The query failed; the message says why.
    #[error(transparent)]
    Query(#[from] SqlError),
    /// The output went away.
    #[error("cannot write the result")]
    Write(#[source] io::Error),
}

/// An open lake to ask again and again.
#[derive(Debug, Clone)]
pub struct Session {
    analytics: Analytics,
}

impl Session {
    /// Opens a lake, read-only.
    pub async fn open(lake: &LakeSettings, clock: SharedClock) -> Result<Self, OpenError> {
        let limits = Limits { rows_max: ROWS_MAX, ..Limits::default() };
        Ok(Self { analytics: Analytics::open(lake, limits, clock).await? })
    }

    /// Answers a query on the newest tables.
    pub async fn query(&self, query: &str) -> Result<QueryResult, SqlError> {
        self.analytics.sql(query, ROWS_MAX).await
    }

    /// Answers a query as text.
    pub async fn run(&self, query: &str, format: Format) -> Result<String, SqlError> {
        let mut text = Vec::new();
        let result = self.query(query).await?;
        write_result(&result, format, &mut text).map_err(|e| SqlError::internal(&e))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Runs one query on a lake and prints it.
pub async fn run(
    lake: &LakeSettings,
    query: &str,
    format: Format,
    clock: SharedClock,
    out: &mut (impl Write + Send),
) -> Result<(), SqlCliError> {
    let result = Session::open(lake, clock).await?.query(query).await?;
    write_result(&result, format, out).map_err(SqlCliError::Write)
}

/// Prints a result.
pub fn write_result(result: &QueryResult, format: Format, out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Table => write_table(result, out),
        Format::Csv => write_csv(result, out),
        Format::Json => write_json(result, out),
        Format::Chart => write_chart(result, out),
    }
}

/// Cells of the longest bar.
const BAR_CELLS: f64 = 40.0;

/// A bar of eighths of a cell, `of` being as long as it gets. What is below zero is drawn lighter.
pub fn bar(value: f64, of: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if !value.is_finite() || !of.is_finite() || of <= 0.0 {
        return String::new();
    }
    let share = (value.abs() / of).min(1.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 320")]
    let eighths = (share * BAR_CELLS * 8.0).round() as usize;
    if value < 0.0 {
        return "░".repeat(eighths.div_ceil(8));
    }
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

fn write_chart(result: &QueryResult, out: &mut impl Write) -> io::Result<()> {
    let is_number = |c: &usize| result.rows.iter().any(|row| row[*c].is_number());
    let Some(drawn) = (0..result.columns.len()).rev().find(is_number) else {
        // Nothing to draw.
        return write_table(result, out);
    };
    let label = |row: &[Value]| {
        let cells = row.iter().enumerate().filter(|(c, _)| *c != drawn);
        cells.map(|(_, value)| plain(value).replace(['\n', '\r', '\t'], " ")).collect::<Vec<_>>().join("  ")
    };
    let labels: Vec<String> = result.rows.iter().map(|row| label(row)).collect();
    let numbers: Vec<String> = result.rows.iter().map(|row| plain(&row[drawn])).collect();
    let width = |texts: &[String]| texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
    let (labels_width, numbers_width) = (width(&labels), width(&numbers));
    let value = |row: &[Value]| row[drawn].as_f64().unwrap_or(f64::NAN);
    let longest =
        result.rows.iter().map(|row| value(row).abs()).filter(|x| x.is_finite()).fold(0.0, f64::max);
    let padding = |text: &str, width: usize| " ".repeat(width - text.chars().count());
    for ((row, label), number) in result.rows.iter().zip(&labels).zip(&numbers) {
        let (after, before) = (padding(label, labels_width), padding(number, numbers_width));
        writeln!(
            out,
            "{}",
            format!("{label}{after}  {before}{number}  {}", bar(value(row), longest)).trim_end()
        )?;
    }
    Ok(())
}

/// A value as people read it; null is empty.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn write_table(result: &QueryResult, out: &mut impl Write) -> io::Result<()> {
    let one_line = |value: &Value| plain(value).replace(['\n', '\r', '\t'], " ");
    let is_number: Vec<bool> =
        (0..result.columns.len()).map(|c| result.rows.iter().any(|row| row[c].is_number())).collect();
    // A plan of several lines (EXPLAIN) reads better as it is than in a frame.
    let is_plan = result.columns.iter().any(|c| c.name == "plan");
    if is_plan {
        for row in &result.rows {
            writeln!(out, "{}", row.iter().map(plain).collect::<Vec<_>>().join("\n"))?;
        }
        return Ok(());
    }
    let cells: Vec<Vec<String>> = result.rows.iter().map(|row| row.iter().map(one_line).collect()).collect();
    let width = |c: usize, name: &str| {
        cells.iter().map(|row| row[c].chars().count()).chain([name.chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> =
        result.columns.iter().enumerate().map(|(c, info)| width(c, &info.name)).collect();
    let rule: String = widths.iter().map(|w| format!("+{}", "-".repeat(w + 2))).collect::<String>() + "+";
    let line = |row: &[String]| {
        let mut text = String::new();
        for ((cell, width), is_number) in row.iter().zip(&widths).zip(&is_number) {
            let pad = " ".repeat(width - cell.chars().count());
            text += &if *is_number { format!("| {pad}{cell} ") } else { format!("| {cell}{pad} ") };
        }
        text + "|"
    };
    let names: Vec<String> = result.columns.iter().map(|c| c.name.clone()).collect();
    if !names.is_empty() {
        writeln!(out, "{rule}\n{}\n{rule}", line(&names))?;
        for row in &cells {
            writeln!(out, "{}", line(row))?;
        }
        writeln!(out, "{rule}")?;
    }
    let more = if result.is_truncated { " (cut at the limit)" } else { "" };
    let noun = if cells.len() == 1 { "row" } else { "rows" };
    writeln!(out, "{} {noun}{more} in {} ms", cells.len(), result.elapsed_ms)
}

fn write_csv(result: &QueryResult, out: &mut impl Write) -> io::Result<()> {
    let quoted = |text: String| {
        if text.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text
        }
    };
    let header: Vec<String> = result.columns.iter().map(|c| quoted(c.name.clone())).collect();
    writeln!(out, "{}", header.join(","))?;
    for row in &result.rows {
        let cells: Vec<String> = row.iter().map(|value| quoted(plain(value))).collect();
        writeln!(out, "{}", cells.join(","))?;
    }
    Ok(())
}

/// Written by hand to keep the columns in their order.
fn write_json(result: &QueryResult, out: &mut impl Write) -> io::Result<()> {
    let names: Vec<String> =
        result.columns.iter().map(|c| Value::from(c.name.as_str()).to_string()).collect();
    writeln!(out, "[")?;
    for (i, row) in result.rows.iter().enumerate() {
        let fields: Vec<String> =
            names.iter().zip(row).map(|(name, value)| format!("{name}:{value}")).collect();
        let comma = if i + 1 < result.rows.len() { "," } else { "" };
        writeln!(out, "{{{}}}{comma}", fields.join(","))?;
    }
    writeln!(out, "]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::ColumnInfo;

    fn result() -> QueryResult {
        let column = |name: &str| ColumnInfo { name: name.to_owned(), data_type: "Utf8".to_owned() };
        QueryResult {
            columns: vec![column("b"), column("a")],
            rows: vec![vec![Value::from("x, \"y\""), Value::from(12)], vec![Value::Null, Value::from(3)]],
            is_truncated: false,
            lake_versions: Default::default(),
            elapsed_ms: 5,
        }
    }

    fn printed(format: Format) -> String {
        let mut text = Vec::new();
        write_result(&result(), format, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_table_is_aligned_and_counts_its_rows() {
        let want = "+--------+----+\n| b      |  a |\n+--------+----+\n| x, \"y\" | 12 |\n|        |  3 |\n\
                    +--------+----+\n2 rows in 5 ms\n";
        assert_eq!(printed(Format::Table), want);
    }

    #[test]
    fn a_chart_draws_the_last_number_beside_the_rest() {
        let mut result = result();
        result.rows = vec![
            vec![Value::from("van-1"), Value::from(8)],
            vec![Value::from("van-20"), Value::from(-4.5)],
            vec![Value::from("none"), Value::Null],
        ];
        let mut text = Vec::new();
        write_result(&result, Format::Chart, &mut text).unwrap();
        let full = "█".repeat(40);
        let light = "░".repeat(23);
        let want = format!("van-1      8  {full}\nvan-20  -4.5  {light}\nnone\n");
        assert_eq!(String::from_utf8(text).unwrap(), want);
    }

    #[test]
    fn a_bar_has_eighths_and_no_length_without_a_measure() {
        assert_eq!(bar(1.0, 40.0), "█");
        assert_eq!(bar(1.5, 40.0), "█▌");
        assert_eq!(bar(99.0, 40.0).chars().count(), 40);
        assert_eq!([bar(1.0, 0.0), bar(f64::NAN, 1.0), bar(0.0, 1.0)], ["", "", ""]);
    }

    #[test]
    fn csv_quotes_what_would_break_it() {
        assert_eq!(printed(Format::Csv), "b,a\n\"x, \"\"y\"\"\",12\n,3\n");
    }

    #[test]
    fn json_keeps_the_order_of_columns_and_parses() {
        let text = printed(Format::Json);
        assert!(text.starts_with("[\n{\"b\":"), "{text}");
        let parsed: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed[1]["a"], 3);
        assert_eq!(parsed[1]["b"], Value::Null);
    }
}
