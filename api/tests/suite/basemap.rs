//! The basemap: which there is, its archive by ranges, and what pages may ask for it.

use std::{fs, path::PathBuf};

use api::config::{Config, ConsoleConfig};
use serde_json::json;
use tempfile::TempDir;

use super::{Server, access::locked};
use crate::client::{Answer, bytes_of, send};

const PATH: &str = "/basemap.pmtiles";

/// An archive whose only tile is of 4 kB; no browser sees it.
fn archive() -> Vec<u8> {
    let mut bytes = vec![0; 127];
    bytes[..8].copy_from_slice(b"PMTiles\x03");
    bytes[56..58].copy_from_slice(&127_u16.to_le_bytes());
    bytes[64..66].copy_from_slice(&4096_u16.to_le_bytes());
    bytes[97..100].copy_from_slice(&[2, 2, 1]);
    bytes.extend((0..4096_u16).map(|n| u8::try_from(n % 251).unwrap()));
    bytes
}

fn with_archive() -> (TempDir, PathBuf, impl FnOnce(Config) -> Config) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("map.pmtiles");
    fs::write(&path, archive()).unwrap();
    let console = ConsoleConfig { basemap_file: Some(path.clone()), ..ConsoleConfig::default() };
    (folder, path, |config| Config { console, ..config })
}

async fn range(server: &Server, range: &str) -> (Answer, Vec<u8>) {
    let headers = [("range", range), ("accept-encoding", "gzip")];
    let bytes = bytes_of(server.handle.addr, &format!("GET {PATH}"), &headers, b"").await;
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    (server.send(&format!("GET {PATH}"), &headers, None).await, bytes[end + 4..].to_vec())
}

#[tokio::test]
async fn an_archive_is_read_by_ranges() {
    let (_folder, path, change) = with_archive();
    let server = Server::start_with(change).await;
    let whole = archive();
    let size = whole.len();

    let cases = [
        ("bytes=0-126", 0..127),
        ("bytes=127-130", 127..131),
        ("bytes=-5", size - 5..size),
        ("bytes=4000-", 4000..size),
        // What an archive's reader asks first, of one that is shorter.
        ("bytes=0-16383", 0..size),
    ];
    for (asked, part) in cases {
        let (answer, body) = range(&server, asked).await;
        assert_eq!(answer.status, 206, "{asked}");
        let told = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        assert_eq!(answer.header("content-range"), Some(told.as_str()), "{asked}");
        assert_eq!(answer.header("content-encoding"), None, "{asked}");
        assert_eq!(body, whole[part], "{asked}");
    }
    for bad in ["bytes=9000-9001", "bytes=20-10", "bytes=a-b"] {
        let (answer, body) = range(&server, bad).await;
        assert_eq!((answer.status, body.len()), (416, 0), "{bad}");
        assert_eq!(answer.header("content-range"), Some(format!("bytes */{size}").as_str()), "{bad}");
    }

    // All of it, as nobody compresses it again; and what there is of it.
    for method in ["GET", "HEAD"] {
        let headers = [("accept-encoding", "gzip")];
        let bytes = bytes_of(server.handle.addr, &format!("{method} {PATH}"), &headers, b"").await;
        let answer = server.send(&format!("{method} {PATH}"), &headers, None).await;
        assert_eq!(answer.status, 200, "{method}");
        assert_eq!(answer.header("content-type"), Some("application/vnd.pmtiles"));
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
        assert_eq!(answer.header("content-length"), Some(size.to_string().as_str()));
        assert_eq!(answer.header("content-encoding"), None);
        assert_eq!(bytes.ends_with(&whole), method == "GET");
    }
    assert_eq!(server.send(&format!("POST {PATH}"), &[], None).await.status, 405);

    fs::remove_file(&path).unwrap();
    let gone = server.get(PATH).await;
    assert_eq!((gone.status, gone.header("content-type")), (404, Some("application/problem+json")));
}

#[tokio::test]
async fn an_archive_has_another_etag_when_it_is_another() {
    let (_folder, path, change) = with_archive();
    let server = Server::start_with(change).await;
    let first = server.send(&format!("HEAD {PATH}"), &[], None).await;
    let tag = first.header("etag").unwrap();
    assert!(tag.starts_with('"'), "a weak one says nothing of ranges: {tag}");
    let (part, _) = range(&server, "bytes=0-126").await;
    assert_eq!(part.header("etag"), Some(tag));
    let kept = server.send(&format!("GET {PATH}"), &[("if-none-match", tag)], None).await;
    assert_eq!((kept.status, kept.body.as_str()), (304, ""));

    fs::write(&path, [archive().as_slice(), b"more"].concat()).unwrap();
    let (next, _) = range(&server, "bytes=0-126").await;
    assert_ne!(next.header("etag"), Some(tag));
    let changed = server.send(&format!("GET {PATH}"), &[("if-none-match", tag)], None).await;
    assert_eq!(changed.status, 200);
}

#[tokio::test]
async fn callers_are_told_which_basemap_there_is_and_the_archive_needs_no_key() {
    let without = Server::start().await;
    assert_eq!(without.json("/v1/basemap").await, json!({ "kind": "natural_earth" }));
    assert_eq!(without.get(PATH).await.status, 404);

    let (_folder, _, change) = with_archive();
    let server = locked(change).await;
    assert_eq!(server.json("/v1/basemap").await, json!({ "kind": "pmtiles", "url": PATH }));
    let stranger = send(server.handle.addr, "GET /v1/basemap", &[], None).await;
    assert_eq!(stranger.status, 401);
    let stranger = send(server.handle.addr, &format!("HEAD {PATH}"), &[], None).await;
    assert_eq!(stranger.status, 200);
}

#[tokio::test]
async fn pages_may_ask_the_server_of_a_style_and_no_other() {
    let narrow = Server::start().await.get("/").await;
    let narrow = narrow.header("content-security-policy").unwrap().to_owned();
    assert!(narrow.contains("connect-src 'self';"), "{narrow}");
    let console = ConsoleConfig {
        basemap_style_url: Some("https://tiles.example/day.json?key=1".to_owned()),
        basemap_origins: vec!["https://fonts.example".to_owned()],
        basemap_attribution: Some(" © us ".to_owned()),
        ..ConsoleConfig::default()
    };
    let server = Server::start_with(|config| Config { console, ..config }).await;
    let told = json!({
        "kind": "style",
        "url": "https://tiles.example/day.json?key=1",
        "origins": ["https://tiles.example", "https://fonts.example"],
        "attribution": "© us",
    });
    assert_eq!(server.json("/v1/basemap").await, told);
    for path in ["/", "/trips"] {
        let page = server.get(path).await;
        let wide = page.header("content-security-policy").unwrap();
        let added = " https://tiles.example https://fonts.example";
        assert!(wide.contains(&format!("connect-src 'self'{added};")), "{wide}");
        assert!(wide.contains(&format!("img-src 'self' data: blob:{added};")), "{wide}");
        assert_eq!(wide.replace(added, ""), narrow);
    }
}
