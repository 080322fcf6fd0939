//! Signing in at a real identity provider, from the button to the session, and what must not pass for that.

use std::time::Duration;

use api::config::{Config, NewPeopleConfig, NewPersonConfig, OidcConfig};
use serde_json::{Value, json};
use service::clock::{Clock, SystemClock};
use sqlx::{AnyConnection, Connection, Row};
use url::Url;

use super::{Server, access::OPERATOR, access::locked};
use crate::{
    browser::Browser,
    client::{Answer, send},
    place::Place,
    provider::{CONSOLE, Provider},
};

/// The configuration of a server at a provider.
pub(super) fn at(provider: &Provider) -> OidcConfig {
    OidcConfig {
        issuer: provider.issuer.clone(),
        client_id: "roadlake".to_owned(),
        public_url: CONSOLE.to_owned(),
        ..OidcConfig::default()
    }
}

/// The clock of a server is the provider's, a little ahead as it stands still: its tokens are of today, and never of later.
pub(super) fn in_step(server: &Server) {
    const AHEAD_US: i64 = 240_000_000;
    server.clock.set_wall(SystemClock::shared().now_us() + AHEAD_US);
}

/// A server whose people sign in there.
pub(super) async fn signing_in(oidc: OidcConfig) -> Server {
    let server = locked(|config| Config { oidc: Some(oidc), ..config }).await;
    in_step(&server);
    server
}

/// An organization with anna, its owner, boris, a driver, and ida, who has left; its id.
pub(super) async fn people(server: &Server) -> String {
    let new = json!({ "name": "Acme", "currency": "EUR", "time_zone": "Europe/Copenhagen" });
    let organization = server.post("/v1/organizations", new).await.json()["id"].as_str().unwrap().to_owned();
    for (name, role) in [("anna", "owner"), ("boris", "driver"), ("vera", "owner"), ("ida", "driver")] {
        let email = format!("{name}@fleet.example");
        let new = json!({ "email": email, "name": name, "role": role, "organization_id": organization });
        let made = server.post("/v1/users", new).await;
        assert_eq!(made.status, 201, "{}", made.body);
        if name == "ida" {
            let id = made.json()["id"].as_str().unwrap().to_owned();
            deactivate(server, &id).await;
        }
    }
    organization
}

pub(super) async fn deactivate(server: &Server, id: &str) {
    let gone = json!({ "is_active": false });
    let answer = server.send(&format!("PATCH /v1/users/{id}"), &[("if-match", "\"1\"")], Some(&gone)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// A request of the console's page, as its browser sends it.
pub(super) async fn by_page(browser: &Browser, what: &str, body: Option<&Value>) -> Answer {
    let cookie = browser.cookie_header(what.split(' ').nth(1).unwrap());
    send(browser.console, what, &[("cookie", &cookie), ("origin", CONSOLE)], body).await
}

pub(super) fn kind(answer: &Answer) -> String {
    answer.json()["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
}

/// Everything in a table, as text.
async fn dump(place: &Place, sql: &'static str) -> String {
    let mut conn = AnyConnection::connect(&place.url).await.unwrap();
    let rows = sqlx::query(sql).fetch_all(&mut conn).await.unwrap();
    let text = rows.iter().map(|row| {
        (0..row.len())
            .map(|i| row.try_get::<Option<String>, _>(i).ok().flatten().unwrap_or_default())
            .collect::<Vec<_>>()
    });
    let text = format!("{:?}", text.collect::<Vec<_>>());
    conn.close().await.unwrap();
    text
}

async fn audited(server: &Server) -> Vec<(String, String, String)> {
    let log = server.json("/v1/audit-log?limit=200").await;
    let rows = log["data"].as_array().unwrap().iter().filter(|row| row["route"] == "/v1/sign-in/callback");
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    rows.map(|row| (text(row, "actor"), text(row, "result"), text(row, "path"))).collect()
}

#[tokio::test]
async fn a_person_signs_in_and_is_who_they_are() {
    let provider = Provider::shared().await;
    let keys = tempfile::tempdir().unwrap();
    let session_key_file = Some(keys.path().join("session.key"));
    let server =
        signing_in(OidcConfig { session_key_file, label: "Fleet login".to_owned(), ..at(provider) }).await;
    let organization = people(&server).await;
    let ways = send(server.handle.addr, "GET /v1/sign-in", &[], None).await;
    let way = json!({ "label": "Fleet login", "start_path": "/v1/sign-in/start" });
    assert_eq!((ways.status, ways.json()), (200, json!({ "api_keys": true, "oidc": way })));
    let mut browser = Browser::new(server.handle.addr);
    let page = browser.start("/trips?vehicle=car-1").await;
    assert!(page.url.path().starts_with("/interaction/"), "{}", page.url);
    let back = browser.returned(&page, "anna").await;
    let answer = browser.ask("GET", &back, &[]).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/trips?vehicle=car-1")));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    let set =
        answer.headers.iter().find(|(n, v)| n == "set-cookie" && v.starts_with("roadlake-session=")).unwrap();
    assert!(set.1.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "on loopback without TLS: {}", set.1);
    assert_eq!(browser.cookie("roadlake-sign-in"), None, "it has served");

    let me = by_page(&browser, "GET /v1/me", None).await.json();
    let of = |name: &str| me[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (of("signed_in_by"), of("email"), of("person_name")),
        ("oidc".into(), "anna@fleet.example".into(), "anna".into())
    );
    assert_eq!((of("role"), of("organization_id")), ("owner".to_owned(), organization));
    assert_eq!((&me["actor"], &me["key_name"]), (&me["user_id"], &Value::Null));
    assert!(me["may"].as_array().unwrap().contains(&json!("DELETE /v1/sessions/{id}")));
    let ends = wire::time::Timestamp::parse(&of("ends_at")).unwrap();
    assert_eq!(ends.0 - server.clock.now_us(), 12 * 3_600_000_000);
    let answer = by_page(&browser, "GET /v1/me", None).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    // Neither the cookie, nor a token, nor the provider's code is anywhere in the database.
    let rows = dump(&server.place, "SELECT * FROM sessions").await;
    let secret = browser.cookie("roadlake-session").unwrap();
    assert_eq!(secret.len(), 64);
    assert!(rows.contains("anna") && !rows.contains(secret) && !rows.contains("eyJ"), "{rows}");
    assert_eq!(dump(&server.place, "SELECT * FROM sign_ins").await, "[]");
    let log = audited(&server).await;
    assert_eq!(log, [(of("user_id"), "done".to_owned(), "/v1/sign-in/callback".to_owned())]);

    // Known there, they come back without being asked; the session before ends.
    let before = browser.clone();
    let page = browser.start("/").await;
    assert_eq!(page.url.as_str(), &format!("{CONSOLE}/"));
    assert_eq!(by_page(&browser, "GET /v1/me", None).await.status, 200);
    assert_eq!(kind(&by_page(&before, "GET /v1/me", None).await), "session-ended");
    let sessions = by_page(&browser, "GET /v1/sessions", None).await.json();
    assert_eq!(sessions["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn every_way_a_provider_signs_and_tells_is_taken() {
    for (algorithm, claims_in) in
        [("PS256", "id-token"), ("ES256", "userinfo"), ("ES384", "id-token"), ("EdDSA", "userinfo")]
    {
        let options =
            ["--id-token-alg", algorithm, "--claims-in", claims_in, "--client-secret", "s3cret/+ &%"];
        let provider = Provider::start(&options);
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "s3cret/+ &%\n").unwrap();
        let server =
            signing_in(OidcConfig { client_secret_file: Some(secret.path().into()), ..at(&provider) }).await;
        people(&server).await;
        let mut browser = Browser::new(server.handle.addr);
        assert_eq!(browser.sign_in("anna", "/live").await, "/live", "{algorithm}, {claims_in}");
        assert_eq!(by_page(&browser, "GET /v1/me", None).await.json()["email"], "anna@fleet.example");
        let asked = provider.count("GET /me").await;
        assert_eq!(asked, u64::from(claims_in == "userinfo"), "only for what the ID token does not tell");
    }
}

#[tokio::test]
async fn who_may_not_come_in_is_told_why_and_is_in_the_audit_log() {
    let provider = Provider::shared().await;
    let server = signing_in(at(provider)).await;
    people(&server).await;
    for (login, code) in
        [("vera", "unverified_email"), ("ulla", "no_account"), ("nemo", "no_account"), ("ida", "inactive")]
    {
        let mut browser = Browser::new(server.handle.addr);
        let place = browser.sign_in(login, "/live").await;
        assert_eq!(place, format!("/?sign_in_error={code}"), "{login}");
        assert_eq!(browser.cookie("roadlake-session"), None);
        let log = audited(&server).await;
        server.clock.advance(Duration::from_millis(5));
        assert_eq!(log[0].1, format!("refused {code}"), "{login}");
        assert_eq!(log[0].0.starts_with("usr_"), login == "ida", "{login}: {}", log[0].0);
    }
    let mut browser = Browser::new(server.handle.addr);
    let page = browser.start("/").await;
    let cancel = page.url.join(&format!("{}/cancel", page.url.path())).unwrap();
    let at = browser.go("GET", &cancel, &[]).await;
    assert_eq!(at.url.query(), Some("sign_in_error=cancelled"));
    // Who has proven nothing fills no log.
    assert_eq!(audited(&server).await.len(), 4);
    // Nobody was linked with whom they are not.
    assert_eq!(dump(&server.place, "SELECT subject FROM user_identities").await, "[]");
}

#[tokio::test]
async fn who_is_linked_stays_who_they_are_and_leaves_at_once() {
    let provider = Provider::shared().await;
    let server = signing_in(at(provider)).await;
    people(&server).await;
    let mut browser = Browser::new(server.handle.addr);
    assert_eq!(browser.sign_in("boris", "/").await, "/");
    let me = by_page(&browser, "GET /v1/me", None).await.json();
    assert_eq!(me["role"], "driver");
    assert_eq!(by_page(&browser, "GET /v1/users", None).await.status, 403);
    let id = me["user_id"].as_str().unwrap();
    deactivate(&server, id).await;
    assert_eq!(kind(&by_page(&browser, "GET /v1/me", None).await), "session-inactive");
    let mut again = Browser::new(server.handle.addr);
    assert_eq!(again.sign_in("boris", "/").await, "/?sign_in_error=inactive");
}

#[tokio::test]
async fn new_people_become_users_where_that_is_wanted() {
    let provider = Provider::shared().await;
    let first = locked(|config| config).await;
    let new = json!({ "name": "Acme", "currency": "EUR", "time_zone": "Europe/Copenhagen" });
    let organization_id =
        first.post("/v1/organizations", new).await.json()["id"].as_str().unwrap().to_owned();
    let taking = |domains: Option<&str>| {
        let email_domains = domains.map(|domain| vec![domain.to_owned()]);
        let role = "analyst".to_owned();
        let new = NewPersonConfig { organization_id: organization_id.clone(), role, email_domains };
        OidcConfig { new_people: NewPeopleConfig::Become(new), ..at(provider) }
    };
    for (domains, place) in [
        (Some("fleet.example"), "/?sign_in_error=no_account"),
        (Some("Elsewhere.example"), "/live"),
        (None, "/live"),
    ] {
        let keys = tempfile::tempdir().unwrap();
        std::fs::write(keys.path().join("key"), OPERATOR).unwrap();
        let api_key_file = Some(keys.path().join("key"));
        let oidc = Some(taking(domains));
        let server =
            Server::start_at(first.place.again(), |config| Config { api_key_file, oidc, ..config }).await;
        in_step(&server);
        let mut browser = Browser::new(server.handle.addr);
        assert_eq!(browser.sign_in("ulla", "/live").await, place, "{domains:?}");
        if place == "/live" {
            let me = by_page(&browser, "GET /v1/me", None).await.json();
            assert_eq!((&me["role"], &me["organization_id"]), (&json!("analyst"), &json!(organization_id)));
            assert_eq!(me["person_name"], "Ulla Ukendt");
        }
        // Nobody becomes one by an address that the provider has not verified.
        let mut unverified = Browser::new(server.handle.addr);
        assert_eq!(unverified.sign_in("vera", "/").await, "/?sign_in_error=unverified_email");
    }
    let users = first.json("/v1/users").await;
    assert_eq!(users["data"].as_array().unwrap().len(), 1, "they are added once: {users}");
}

#[tokio::test]
async fn an_answer_of_the_provider_s_is_good_once_in_its_own_browser_and_time() {
    const EXPIRED: &str = "/?sign_in_error=expired";
    let provider = Provider::shared().await;
    let server = signing_in(at(provider)).await;
    people(&server).await;
    let mut anna = Browser::new(server.handle.addr);
    let page = anna.start("/live").await;
    let back = anna.returned(&page, "anna").await;
    // A browser that did not go, one that went by itself, and no browser at all.
    assert_eq!(Browser::new(server.handle.addr).arrive(&back).await, EXPIRED);
    let mut other = Browser::new(server.handle.addr);
    let others_page = other.start("/").await;
    assert_eq!(other.clone().arrive(&back).await, EXPIRED);
    // A state that is not its own, none, and two of them.
    let changed = |name: &str, value: Option<&str>| {
        let mut url = back.clone();
        let kept: Vec<(String, String)> =
            back.query_pairs().into_owned().filter(|(n, _)| n != name).collect();
        url.query_pairs_mut().clear().extend_pairs(&kept).extend_pairs(value.map(|value| (name, value)));
        url
    };
    assert_eq!(anna.clone().arrive(&changed("state", Some(&"0".repeat(64)))).await, EXPIRED);
    assert_eq!(anna.clone().arrive(&changed("state", None)).await, EXPIRED);
    assert_eq!(anna.clone().arrive(&Url::parse(&format!("{back}&state=x")).unwrap()).await, EXPIRED);
    // None of it has used it up.
    assert_eq!(anna.arrive(&back).await, "/live");
    assert_eq!(by_page(&anna, "GET /v1/me", None).await.status, 200);
    // With the cookies of before, once more.
    let mut again = anna.clone();
    again.start("/").await;
    assert_eq!(again.arrive(&back).await, EXPIRED);
    // Somebody's code in another's flow: PKCE and the nonce are of the browser and the state that it was made for.
    let boris_back = other.returned(&others_page, "boris").await;
    let code = boris_back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let mut victim = Browser::new(server.handle.addr);
    let victims_page = victim.start("/").await;
    let mut injected = victim.returned(&victims_page, "anna").await;
    let kept: Vec<(String, String)> =
        injected.query_pairs().into_owned().filter(|(n, _)| n != "code").collect();
    injected.query_pairs_mut().clear().extend_pairs(&kept).append_pair("code", &code);
    assert_eq!(victim.arrive(&injected).await, "/?sign_in_error=provider");
    assert_eq!(victim.cookie("roadlake-session"), None);
    // Too late.
    let mut late = Browser::new(server.handle.addr);
    let page = late.start("/").await;
    let back = late.returned(&page, "anna").await;
    server.clock.advance(Duration::from_secs(601));
    assert_eq!(late.arrive(&back).await, EXPIRED);
}

#[tokio::test]
async fn an_answer_of_another_provider_or_none_at_all_is_refused() {
    let provider = Provider::shared().await;
    let server = signing_in(at(provider)).await;
    for query in ["iss=https%3A%2F%2Fevil.example&code=x", "code=x", "error=server_error", ""] {
        let mut browser = Browser::new(server.handle.addr);
        let page = browser.start("/").await;
        assert!(page.url.path().starts_with("/interaction/"));
        // The state went to the provider in the address before its page.
        let mut url = Url::parse(&format!("{CONSOLE}/v1/sign-in/start")).unwrap();
        let sent = browser.ask("GET", &url, &[]).await;
        let sent = Url::parse(sent.header("location").unwrap()).unwrap();
        let state = sent.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        url.set_path("/v1/sign-in/callback");
        url.set_query(Some(&format!("state={state}&{query}")));
        assert_eq!(browser.arrive(&url).await, "/?sign_in_error=provider", "{query}");
        assert_eq!(browser.arrive(&url).await, "/?sign_in_error=expired", "it was for one use: {query}");
    }
}

#[tokio::test]
async fn the_provider_is_asked_with_pkce_and_asks_for_it() {
    let provider = Provider::shared().await;
    let server = signing_in(at(provider)).await;
    let mut browser = Browser::new(server.handle.addr);
    let start = Url::parse(&format!("{CONSOLE}/v1/sign-in/start")).unwrap();
    let sent = browser.ask("GET", &start, &[]).await;
    let sent = Url::parse(sent.header("location").unwrap()).unwrap();
    let of = |name: &str| sent.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned());
    assert_eq!(of("code_challenge_method").as_deref(), Some("S256"));
    assert_eq!(of("scope").as_deref(), Some("openid email profile offline_access"));
    assert_eq!(of("redirect_uri"), Some(format!("{CONSOLE}/v1/sign-in/callback")));
    assert!(of("nonce") != of("state") && of("code_challenge").is_some_and(|text| text.len() == 43));
    // Another each time, in the same browser.
    let again = browser.ask("GET", &start, &[]).await;
    assert_ne!(again.header("location"), Some(sent.as_str()));
    let kept: Vec<_> =
        sent.query_pairs().into_owned().filter(|(n, _)| !n.starts_with("code_challenge")).collect();
    let mut without = sent.clone();
    without.query_pairs_mut().clear().extend_pairs(&kept);
    let at = browser.go("GET", &without, &[]).await;
    assert_eq!(at.url.query(), Some("sign_in_error=provider"), "the provider refuses who sends none");
}

#[tokio::test]
async fn one_returns_to_the_console_and_nowhere_else() {
    let provider = Provider::shared().await;
    let server = signing_in(at(provider)).await;
    people(&server).await;
    let mut browser = Browser::new(server.handle.addr);
    assert_eq!(browser.sign_in("anna", "//evil.example/").await, "/");
    for bad in
        ["https://evil.example", "/\\evil.example", "/\t/evil.example", "javascript:alert(1)", "/v1/me"]
    {
        // Known to the provider by now, which sends them straight back.
        let mut url = Url::parse(&format!("{CONSOLE}/v1/sign-in/start")).unwrap();
        url.query_pairs_mut().append_pair("return_to", bad);
        let at = browser.go("GET", &url, &[]).await;
        assert_eq!(at.url.as_str(), &format!("{CONSOLE}/"), "{bad:?}");
    }
}

#[tokio::test]
async fn a_console_behind_tls_has_cookies_that_no_other_host_can_set() {
    let provider = Provider::shared().await;
    let public_url = "https://fleet.example".to_owned();
    let server = signing_in(OidcConfig { public_url, ..at(provider) }).await;
    let answer = send(server.handle.addr, "GET /v1/sign-in/start", &[], None).await;
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-roadlake-sign-in="), "{cookie}");
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=600"), "{cookie}");
    let sent = Url::parse(answer.header("location").unwrap()).unwrap();
    let back = sent.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap().1.into_owned();
    assert_eq!(back, "https://fleet.example/v1/sign-in/callback");
    // A cookie without the prefix is anybody's.
    let own = format!("roadlake-session={}", "0".repeat(64));
    assert_eq!(
        kind(&send(server.handle.addr, "GET /v1/me", &[("cookie", &own)], None).await),
        "unauthorized"
    );
}

#[tokio::test]
async fn a_provider_that_is_away_keeps_nobody_out_who_has_a_key() {
    let provider = Provider::start(&[]);
    provider.told("away", json!({ "away": true })).await;
    let server = signing_in(at(&provider)).await;
    people(&server).await;
    assert_eq!(server.get("/v1/me").await.status, 200);
    let mut browser = Browser::new(server.handle.addr);
    let at = browser.start("/live").await;
    assert_eq!(at.url.query(), Some("sign_in_error=provider"));
    provider.told("away", json!({ "away": false })).await;
    assert_eq!(browser.sign_in("anna", "/live").await, "/live");
}

#[tokio::test]
async fn without_a_provider_there_is_a_way_by_keys_alone() {
    let server = locked(|config| config).await;
    let ways = send(server.handle.addr, "GET /v1/sign-in", &[], None).await;
    assert_eq!(ways.json(), json!({ "api_keys": true, "oidc": null }));
    for path in ["/v1/sign-in/start", "/v1/sign-in/callback?state=x&code=y"] {
        assert_eq!(send(server.handle.addr, &format!("GET {path}"), &[], None).await.status, 404, "{path}");
    }
    let cookie = format!("roadlake-session={}", "0".repeat(64));
    assert_eq!(
        kind(&send(server.handle.addr, "GET /v1/me", &[("cookie", &cookie)], None).await),
        "unauthorized"
    );
    assert_eq!(server.json("/v1/sessions").await["data"], json!([]));
    let out = server.post("/v1/sign-out", json!({})).await;
    assert_eq!((out.status, out.json()["provider_sign_out_url"].clone()), (200, Value::Null));
}
