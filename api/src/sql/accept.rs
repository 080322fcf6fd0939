//! Which format a request accepts (RFC 9110, 12.5.1).

use axum::http::{HeaderMap, StatusCode, header};

use super::SqlFormat;
use crate::error::ApiError;

/// The format liked most by `Accept`, the first of those liked alike; JSON without the header. `None` when
/// it names none that there is.
pub(super) fn format(headers: &HeaderMap) -> Option<SqlFormat> {
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    if values.peek().is_none() {
        return Some(SqlFormat::Json);
    }
    let mut best = None;
    for range in values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let format = parts.next().and_then(named);
        let weight =
            parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse::<f64>().unwrap_or(0.0));
        if let Some(format) = format
            && weight > best.map_or(0.0, |(_, weight)| weight)
        {
            best = Some((format, weight));
        }
    }
    best.map(|(format, _)| format)
}

fn named(range: &str) -> Option<SqlFormat> {
    match range.to_ascii_lowercase().as_str() {
        "application/json" | "application/*" | "*/*" => Some(SqlFormat::Json),
        "text/csv" | "text/*" => Some(SqlFormat::Csv),
        "application/vnd.apache.arrow.stream" => Some(SqlFormat::Arrow),
        "application/vnd.apache.parquet" => Some(SqlFormat::Parquet),
        _ => None,
    }
}

/// None of what is accepted can be had.
pub(super) fn nothing() -> ApiError {
    let detail = "the answer can be application/json, text/csv, application/vnd.apache.arrow.stream or \
                  application/vnd.apache.parquet; `Accept` names none of these";
    ApiError::of(StatusCode::NOT_ACCEPTABLE, "not-acceptable", detail, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(accept: &[&str]) -> Option<SqlFormat> {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(header::ACCEPT, value.parse().unwrap());
        }
        format(&headers)
    }

    #[test]
    fn the_format_liked_most_is_taken() {
        let (json, csv, arrow) = (Some(SqlFormat::Json), Some(SqlFormat::Csv), Some(SqlFormat::Arrow));
        assert_eq!(of(&[]), json);
        assert_eq!(of(&["*/*"]), json);
        assert_eq!(of(&["Text/CSV; charset=utf-8"]), csv);
        assert_eq!(of(&["application/vnd.apache.arrow.stream"]), arrow);
        assert_eq!(of(&["application/vnd.apache.parquet, text/csv"]), Some(SqlFormat::Parquet));
        assert_eq!(of(&["text/csv;q=0.5, application/vnd.apache.arrow.stream;q=0.9, */*;q=0.1"]), arrow);
        assert_eq!(of(&["text/csv", "application/json"]), csv);
        assert_eq!(of(&["text/html,application/xhtml+xml,*/*;q=0.8"]), json);
        for none in ["text/html", "text/csv;q=0", "", "application/vnd.apache.arrow.file"] {
            assert_eq!(of(&[none]), None, "{none}");
        }
    }
}
