//! What becomes of a session: kept, checked at the provider, ended by whoever may, and by nobody else's page.

use std::time::Duration;

use api::config::{Config, OidcConfig};
use futures::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use super::{
    Server,
    access::{OPERATOR, key_of},
    sign_in::{at, by_page, deactivate, in_step, kind, people, signing_in},
};
use crate::{
    browser::Browser,
    client::send,
    provider::{CONSOLE, Provider},
};

/// A server that keeps refresh tokens, with anna signed in.
async fn kept(provider: &Provider) -> (Server, Browser, TempDir) {
    let keys = tempfile::tempdir().unwrap();
    let server = signing_in(keeping(provider, &keys)).await;
    people(&server).await;
    let mut browser = Browser::new(server.handle.addr);
    assert_eq!(browser.sign_in("anna", "/").await, "/");
    (server, browser, keys)
}

fn keeping(provider: &Provider, keys: &TempDir) -> OidcConfig {
    OidcConfig { session_key_file: Some(keys.path().join("session.key")), ..at(provider) }
}

/// Another process on the same database, with the same keys.
async fn beside(server: &Server, provider: &Provider, keys: &TempDir) -> Server {
    std::fs::write(keys.path().join("operator"), OPERATOR).unwrap();
    let api_key_file = Some(keys.path().join("operator"));
    let oidc = Some(keeping(provider, keys));
    let mut two =
        Server::start_at(server.place.again(), |config| Config { api_key_file, oidc, ..config }).await;
    two.key = Some(OPERATOR.to_owned());
    in_step(&two);
    two
}

async fn status(browser: &Browser) -> u16 {
    by_page(browser, "GET /v1/vehicles", None).await.status
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_changes_something_comes_from_a_page_of_the_console() {
    let provider = Provider::shared().await;
    let server = signing_in(at(provider)).await;
    people(&server).await;
    let mut browser = Browser::new(server.handle.addr);
    assert_eq!(browser.sign_in("anna", "/").await, "/");
    let cookie = browser.cookie_header("/v1/geofences");
    let key = key_of(&server, "owner", &Value::Null).await;
    let bearer = format!("Bearer {key}");
    let square = json!([[[9.0, 55.0], [9.1, 55.0], [9.1, 55.1], [9.0, 55.1], [9.0, 55.0]]]);
    let mut count = 0;
    let mut add = async |headers: &[(&str, &str)]| {
        count += 1;
        let place = json!({ "name": format!("place {count}"), "geometry": { "type": "Polygon", "coordinates": square } });
        let mut headers = headers.to_vec();
        headers.push(("cookie", &cookie));
        send(server.handle.addr, "POST /v1/geofences", &headers, Some(&place)).await
    };
    for good in [&[("origin", CONSOLE)][..], &[("sec-fetch-site", "same-origin")]] {
        assert_eq!(add(good).await.status, 201, "{good:?}");
    }
    for bad in [
        &[][..],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://localhost:8081")],
        &[("origin", "http://localhost:8080.evil.example")],
        // What the browser says of its origin counts first.
        &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "none")],
    ] {
        let answer = add(bad).await;
        assert_eq!((answer.status, kind(&answer)), (403, "cross-site".to_owned()), "{bad:?}");
    }
    // With both the key counts, which no other site's page has.
    assert_eq!(add(&[("authorization", &bearer), ("origin", "https://evil.example")]).await.status, 201);
    assert_eq!(add(&[("authorization", "Bearer nothing"), ("origin", CONSOLE)]).await.status, 401);
    for what in ["POST /v1/sign-out", "DELETE /v1/sessions/ses_1", "PATCH /v1/users/usr_1"] {
        let answer = send(server.handle.addr, what, &[("cookie", &cookie)], None).await;
        assert_eq!((answer.status, kind(&answer)), (403, "cross-site".to_owned()), "{what}");
    }
    // Reading is what a page of another site cannot do with the answer.
    assert_eq!(send(server.handle.addr, "GET /v1/me", &[("cookie", &cookie)], None).await.status, 200);
}

#[tokio::test]
async fn a_session_is_checked_when_its_access_token_has_ended() {
    let provider = Provider::start(&["--access-token-s", "600"]);
    let (server, browser, _keys) = kept(&provider).await;
    let refreshed = async || provider.count("granted refresh_token").await;
    server.clock.advance(9 * MINUTE);
    assert_eq!((status(&browser).await, refreshed().await), (200, 0), "it is still good");
    // Each time with the token of the time before: the provider takes a second use for theft.
    for count in 1..=3 {
        server.clock.advance(11 * MINUTE);
        assert_eq!((status(&browser).await, refreshed().await), (200, count));
        assert_eq!((status(&browser).await, refreshed().await), (200, count));
    }
    // Nobody asks for one that is not used.
    server.clock.advance(30 * MINUTE);
    provider.told("accounts/anna", json!({ "is_disabled": true })).await;
    let answer = by_page(&browser, "GET /v1/me", None).await;
    assert_eq!((answer.status, kind(&answer)), (401, "session-ended".to_owned()));
    assert_eq!(provider.count("refused refresh_token").await, 1);
    assert_eq!(server.json("/v1/sessions").await["data"], json!([]));
    assert_eq!(status(&browser).await, 401);
    assert_eq!(provider.count("refused refresh_token").await, 1, "it is not asked again");
}

#[tokio::test]
async fn two_processes_refresh_once() {
    let provider = Provider::start(&[]);
    let (one, browser, keys) = kept(&provider).await;
    let two = beside(&one, &provider, &keys).await;
    two.clock.set_wall(service::clock::Clock::now_us(&*one.clock));
    for round in 1..=3 {
        one.clock.advance(11 * MINUTE);
        two.clock.advance(11 * MINUTE);
        let asking = (0..10).map(|i| {
            let console = if i % 2 == 0 { one.handle.addr } else { two.handle.addr };
            let browser = browser.at(console);
            async move { status(&browser).await }
        });
        assert_eq!(join_all(asking).await, [200; 10]);
        let settled = async || provider.count("granted refresh_token").await;
        assert_eq!(settled().await, round, "one refresh a round");
        assert_eq!(provider.count("refused refresh_token").await, 0);
    }
    // Ended in one, it has ended in the other.
    let out = by_page(&browser.at(two.handle.addr), "POST /v1/sign-out", None).await;
    assert_eq!(out.status, 200);
    assert_eq!(status(&browser).await, 401);
}

#[tokio::test]
async fn a_provider_that_is_away_ends_no_session() {
    let provider = Provider::start(&[]);
    let (server, browser, _keys) = kept(&provider).await;
    provider.told("away", json!({ "away": true })).await;
    for _ in 0..3 {
        server.clock.advance(11 * MINUTE);
        assert_eq!(status(&browser).await, 200);
    }
    provider.told("away", json!({ "away": false })).await;
    server.clock.advance(2 * MINUTE);
    assert_eq!(status(&browser).await, 200);
    assert_eq!(provider.count("granted refresh_token").await, 1);
}

#[tokio::test]
async fn a_session_goes_on_after_a_restart_and_not_with_another_key() {
    let provider = Provider::start(&[]);
    let (server, mut browser, keys) = kept(&provider).await;
    let again = beside(&server, &provider, &keys).await;
    browser.console = again.handle.addr;
    again.clock.advance(11 * MINUTE);
    assert_eq!(status(&browser).await, 200);
    assert_eq!(provider.count("granted refresh_token").await, 1, "its refresh token was kept");
    // Whoever has the database alone has nothing: neither to come in with, nor to ask the provider with.
    std::fs::remove_file(keys.path().join("session.key")).unwrap();
    let other = beside(&server, &provider, &keys).await;
    other.clock.advance(30 * MINUTE);
    browser.console = other.handle.addr;
    assert_eq!(kind(&by_page(&browser, "GET /v1/me", None).await), "session-ended");
    assert_eq!(provider.count("granted refresh_token").await, 1);
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_and_at_its_end_whatever_is_used() {
    let provider = Provider::shared().await;
    // Without a key for refresh tokens nothing is asked of the provider after signing in.
    let server = signing_in(OidcConfig { session_h: 2, idle_min: 30, ..at(provider) }).await;
    people(&server).await;
    let (mut used, mut idle) = (Browser::new(server.handle.addr), Browser::new(server.handle.addr));
    assert_eq!(used.sign_in("anna", "/").await, "/");
    assert_eq!(idle.sign_in("boris", "/").await, "/");
    for _ in 0..5 {
        server.clock.advance(20 * MINUTE);
        assert_eq!(status(&used).await, 200);
        // To the minute, and stored some time later.
        let seen = json!(wire::time::Timestamp(service::clock::Clock::now_us(&*server.clock)));
        let is_seen = |row: &Value| row["email"] == "anna@fleet.example" && row["last_seen_at"] == seen;
        server.until("/v1/sessions", |page| page["data"].as_array().unwrap().iter().any(is_seen)).await;
    }
    assert_eq!(kind(&by_page(&idle, "GET /v1/me", None).await), "session-ended");
    let sessions = server.json("/v1/sessions").await;
    assert_eq!(sessions["data"].as_array().unwrap().len(), 1, "{sessions}");
    server.clock.advance(19 * MINUTE);
    assert_eq!(status(&used).await, 200);
    server.clock.advance(MINUTE);
    assert_eq!(kind(&by_page(&used, "GET /v1/me", None).await), "session-ended", "after two hours");
    assert_eq!(server.json("/v1/sessions").await["data"], json!([]));
}

#[tokio::test]
async fn an_owner_ends_the_sessions_of_their_organization_and_a_person_their_own() {
    let provider = Provider::shared().await;
    let server = signing_in(at(provider)).await;
    let organization = people(&server).await;
    let (mut anna, mut boris) = (Browser::new(server.handle.addr), Browser::new(server.handle.addr));
    assert_eq!(anna.sign_in("anna", "/").await, "/");
    server.clock.advance(Duration::from_millis(5));
    assert_eq!(boris.sign_in("boris", "/").await, "/");
    let of = async |browser: &Browser| {
        let page = by_page(browser, "GET /v1/sessions", None).await.json();
        let rows = page["data"].as_array().unwrap().clone();
        rows.iter().map(|row| (row["email"].clone(), row["is_current"].clone())).collect::<Vec<_>>()
    };
    let row = |name: &str, is_current: bool| (json!(format!("{name}@fleet.example")), json!(is_current));
    assert_eq!(of(&anna).await, [row("boris", false), row("anna", true)], "an owner sees all of theirs");
    assert_eq!(of(&boris).await, [row("boris", true)]);
    // Another organization's owner sees and ends none of it; nor does a key that is nobody's.
    let new = json!({ "name": "Bolt", "currency": "EUR", "time_zone": "Europe/Copenhagen" });
    let bolt = server.post("/v1/organizations", new).await.json()["id"].clone();
    let stranger = key_of(&server, "owner", &bolt).await;
    let driver = key_of(&server, "driver", &json!(organization)).await;
    let all = server.json("/v1/sessions").await["data"].clone();
    let id = |email: &str| {
        let found = all.as_array().unwrap().iter().find(|row| row["email"] == email).unwrap();
        found["id"].as_str().unwrap().to_owned()
    };
    let (annas, boriss) = (id("anna@fleet.example"), id("boris@fleet.example"));
    for key in [&stranger, &driver] {
        assert_eq!(server.by(key, "GET /v1/sessions", None).await.json()["data"], json!([]));
        assert_eq!(server.by(key, &format!("DELETE /v1/sessions/{boriss}"), None).await.status, 404);
    }
    let filtered = format!("GET /v1/sessions?organization_id={organization}");
    assert_eq!(server.by(&stranger, &filtered, None).await.status, 404);
    assert_eq!(by_page(&boris, &format!("DELETE /v1/sessions/{annas}"), None).await.status, 404);
    assert_eq!(by_page(&anna, "DELETE /v1/sessions/nonsense", None).await.status, 404);

    // A stream of it ends within seconds.
    let stream = tokio::time::timeout(Duration::from_secs(60), async {
        let reading = boris.read("/v1/tracking");
        let ending = async {
            // It is open for a while first.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let ended = by_page(&anna, &format!("DELETE /v1/sessions/{boriss}"), None).await.status;
            server.clock.advance(MINUTE);
            ended
        };
        tokio::join!(reading, ending)
    });
    let (text, ended) = stream.await.expect("the stream ends");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert_eq!(ended, 204);
    assert_eq!(kind(&by_page(&boris, "GET /v1/me", None).await), "session-ended");
    assert_eq!(by_page(&anna, &format!("DELETE /v1/sessions/{boriss}"), None).await.status, 404);
    assert_eq!(by_page(&anna, &format!("DELETE /v1/sessions/{annas}"), None).await.status, 204);
    assert_eq!(status(&anna).await, 401);
    let log = server.json("/v1/audit-log").await;
    let ends = log["data"].as_array().unwrap().iter().filter(|row| row["route"] == "/v1/sessions/{id}");
    let anna_id = &all.as_array().unwrap().iter().find(|row| row["id"] == annas.as_str()).unwrap()["user_id"];
    assert_eq!(ends.filter(|row| row["result"] == "done" && row["actor"] == *anna_id).count(), 2);
}

#[tokio::test]
async fn a_stream_of_somebody_who_leaves_ends() {
    let provider = Provider::shared().await;
    let server = signing_in(at(provider)).await;
    people(&server).await;
    let mut boris = Browser::new(server.handle.addr);
    assert_eq!(boris.sign_in("boris", "/").await, "/");
    let id = by_page(&boris, "GET /v1/me", None).await.json()["user_id"].as_str().unwrap().to_owned();
    let reading = boris.read("/v1/tracking");
    let leaving = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        deactivate(&server, &id).await;
        server.clock.advance(MINUTE);
    };
    let both = async { tokio::join!(reading, leaving) };
    let (text, ()) = tokio::time::timeout(Duration::from_secs(60), both).await.expect("the stream ends");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

#[tokio::test]
async fn signing_out_is_for_good_here_and_at_the_provider() {
    let provider = Provider::start(&[]);
    let (server, mut browser, _keys) = kept(&provider).await;
    let before = browser.clone();
    let out = by_page(&browser, "POST /v1/sign-out", None).await;
    assert_eq!(out.status, 200, "{}", out.body);
    let cleared = out.header("set-cookie").unwrap();
    assert!(
        cleared.starts_with("roadlake-session=; Path=/; HttpOnly") && cleared.ends_with("Max-Age=0"),
        "{cleared}"
    );
    assert_eq!(kind(&by_page(&before, "GET /v1/me", None).await), "session-ended");
    assert_eq!(provider.count("POST /token/revocation").await, 1);
    assert_eq!(provider.count("refused revocation").await, 0);
    let url = Url::parse(out.json()["provider_sign_out_url"].as_str().unwrap()).unwrap();
    let of = |name: &str| url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned());
    assert_eq!(of("post_logout_redirect_uri"), Some(format!("{CONSOLE}/")));
    assert_eq!(of("client_id").as_deref(), Some("roadlake"));
    assert!(of("id_token_hint").is_some_and(|hint| hint.starts_with("eyJ")));
    // The provider asks, and after that does not know them any more.
    let page = browser.go("GET", &url, &[]).await;
    assert!(page.answer.body.contains("Sign out of the provider?"), "{}", page.answer.body);
    let field = page.answer.body.split("name=\"xsrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let confirm = page.url.join("/session/end/confirm").unwrap();
    let at = browser.go("POST", &confirm, &[("xsrf", field), ("logout", "yes")]).await;
    assert_eq!(at.url.as_str(), &format!("{CONSOLE}/"), "{}", at.answer.body);
    assert!(browser.start("/").await.url.path().starts_with("/interaction/"));
    // Without the provider one signs out as well.
    let page = browser.start("/").await;
    let back = browser.returned(&page, "anna").await;
    assert_eq!(browser.arrive(&back).await, "/");
    provider.told("away", json!({ "away": true })).await;
    let out = by_page(&browser, "POST /v1/sign-out", None).await;
    assert_eq!(out.status, 200);
    assert_eq!(status(&browser).await, 401);
    let log = server.json("/v1/audit-log").await;
    let outs = log["data"].as_array().unwrap().iter().filter(|row| row["route"] == "/v1/sign-out");
    assert_eq!(outs.filter(|row| row["result"] == "done").count(), 2);
}
