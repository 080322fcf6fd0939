//! The console's files, built into the program, the page for every path that is none of ours, and the basemap of its
//! maps (`console/basemap.rs`).

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use crate::{app::App, config::Basemap, error::ApiError};

pub(crate) mod basemap;

/// Path and content of each file; see `build.rs`.
static ASSETS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

const PAGE: &str = "index.html";

/// The content security policy of the console's files. Scripts only from ourselves: map workers come as blobs, styles are
/// set on elements. No form is sent by the browser itself: a key that is typed into one goes nowhere but into a header.
/// Data comes from ourselves, and from where the basemap's style is.
fn policy(basemap: &Basemap) -> String {
    let others = match basemap {
        Basemap::Style { origins, .. } => origins.iter().map(|origin| format!(" {origin}")).collect(),
        Basemap::NaturalEarth | Basemap::File(_) => String::new(),
    };
    format!(
        "default-src 'self'; script-src 'self'; worker-src 'self' blob:; child-src blob:; \
         img-src 'self' data: blob:{others}; style-src 'self' 'unsafe-inline'; connect-src 'self'{others}; \
         object-src 'none'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// Answers what no route took: a file of the console, its page, or 404.
pub(crate) async fn fallback(State(app): State<App>, method: Method, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path == "v1" || path.starts_with("v1/") {
        return ApiError::no_route(uri.path()).into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        return ApiError::no_method(method.as_str(), uri.path()).into_response();
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    let file = |path: &str, content| file(path, content, &app.settings().console.basemap);
    match asset(path) {
        Some(content) => file(path, content),
        // A path with an extension is a file that is not there; others are places in the console.
        None if last.contains('.') => ApiError::no_route(uri.path()).into_response(),
        None => asset(PAGE)
            .map_or_else(|| ApiError::no_route(uri.path()).into_response(), |content| file(PAGE, content)),
    }
}

fn asset(path: &str) -> Option<&'static [u8]> {
    ASSETS.binary_search_by(|(name, _)| (*name).cmp(path)).ok().map(|index| ASSETS[index].1)
}

fn file(path: &str, content: &'static [u8], basemap: &Basemap) -> Response {
    // Files below assets/ carry a hash of their content in their name.
    let cache = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = Response::new(Body::from(content));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // What it names was checked to be of letters, digits and the like.
    if let Ok(policy) = HeaderValue::try_from(policy(basemap)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" | "webmanifest" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        "pbf" => "application/x-protobuf",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_sorted_and_hold_the_page() {
        assert!(ASSETS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(asset(PAGE).is_some_and(|page| page.starts_with(b"<!")));
        assert!(asset("../Cargo.toml").is_none());
    }

    #[test]
    fn the_policy_is_wider_by_what_a_style_needs_and_by_nothing_else() {
        let narrow = policy(&Basemap::NaturalEarth);
        assert_eq!(policy(&Basemap::File("map.pmtiles".into())), narrow);
        let origins = ["https://tiles.example", "http://127.0.0.1:9000"].map(str::to_owned);
        let url = "https://tiles.example/day.json".parse().unwrap();
        let wide = policy(&Basemap::Style { url, origins: origins.into() });
        assert!(wide.contains("; connect-src 'self' https://tiles.example http://127.0.0.1:9000;"), "{wide}");
        assert!(
            wide.contains("; img-src 'self' data: blob: https://tiles.example http://127.0.0.1:9000;"),
            "{wide}"
        );
        assert_eq!(wide.replace(" https://tiles.example http://127.0.0.1:9000", ""), narrow);
    }
}
