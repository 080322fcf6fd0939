//! Rows of figures as a table for people, or JSON lines for a program.

use std::fmt::Write;

use serde::Serialize;

use crate::Figure;

/// The figures of one bench.
#[derive(Debug)]
pub struct Report {
    bench: String,
    rows: Vec<Row>,
}

/// One figure, and how it stands to ours.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was done on what: `Model3CAN, raw`.
    pub case: String,
    /// Who did it: `roadlake`, or a peer.
    pub by: String,
    /// `ns/frame`, `bytes/sample`.
    pub unit: &'static str,
    /// Half of the runs were below.
    pub median: f64,
    /// The least of the runs.
    pub min: f64,
    /// The greatest of the runs.
    pub max: f64,
    /// This figure over ours of the same case and unit; `None` for ours, or without one.
    pub times_ours: Option<f64>,
}

/// Who we are in a row.
const OURS: &str = "roadlake";

impl Report {
    pub(crate) fn new(bench: &str) -> Self {
        Self { bench: bench.to_owned(), rows: Vec::new() }
    }

    /// Adds a figure of ours; before those of the peers of the same case.
    pub fn ours(&mut self, case: &str, unit: &'static str, figure: Figure) {
        self.peer(case, OURS, unit, figure);
    }

    /// Adds a figure of a peer, or one more of ours under another name.
    pub fn peer(&mut self, case: &str, by: &str, unit: &'static str, figure: Figure) {
        let ours = self.rows.iter().find(|r| r.case == case && r.unit == unit && r.by == OURS);
        self.rows.push(Row {
            case: case.to_owned(),
            by: by.to_owned(),
            unit,
            median: figure.median,
            min: figure.min,
            max: figure.max,
            times_ours: ours.filter(|r| r.median > 0.0).map(|r| figure.median / r.median),
        });
    }

    pub(crate) fn table(&self) -> String {
        let header = ["case", "by", "median", "spread", "unit", "times ours"].map(str::to_owned);
        let mut lines = vec![header];
        lines.extend(self.rows.iter().map(|r| {
            let spread = if r.min.to_bits() == r.max.to_bits() {
                "-".to_owned()
            } else {
                format!("{} to {}", number(r.min), number(r.max))
            };
            let times = r.times_ours.map_or_else(|| "-".to_owned(), |t| format!("{t:.2}"));
            [r.case.clone(), r.by.clone(), number(r.median), spread, r.unit.to_owned(), times]
        }));
        let mut widths = [0; 6];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut out = format!("\n## {}\n\n", self.bench);
        for (i, line) in lines.iter().enumerate() {
            for (cell, width) in line.iter().zip(widths) {
                let _ = write!(out, "| {cell:width$} ");
            }
            out.push_str("|\n");
            if i == 0 {
                for width in widths {
                    let _ = write!(out, "| {} ", "-".repeat(width));
                }
                out.push_str("|\n");
            }
        }
        out
    }

    pub(crate) fn json(&self) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            bench: &'a str,
            #[serde(flatten)]
            row: &'a Row,
        }
        let lines = self.rows.iter().map(|row| {
            let line = serde_json::to_string(&Line { bench: &self.bench, row });
            line.unwrap_or_default() + "\n"
        });
        lines.collect()
    }
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_stands_beside_ours_of_its_own_case() {
        let mut report = Report::new("decode");
        report.ours("a", "ns/frame", Figure::exact(10.0));
        report.ours("b", "ns/frame", Figure::exact(20.0));
        report.peer("b", "C", "ns/frame", Figure::of(&[30.0, 29.0, 31.0]));
        report.peer("c", "C", "ns/frame", Figure::exact(1.0));
        assert_eq!(report.rows[2].times_ours, Some(1.5));
        assert_eq!(report.rows[3].times_ours, None);
        assert!(report.table().contains("| 29.0 to 31.0 | ns/frame | 1.50 "), "{}", report.table());
        assert_eq!(report.json().lines().count(), 4);
        assert!(report.json().contains(r#""bench":"decode","case":"b","by":"C""#));
    }
}
