//! Access tokens of the provider's, from programs: those that are good, and everything that looks like one.

use std::time::Duration;

use api::config::OidcConfig;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Value, json};
use url::Url;

use super::{
    Server,
    sign_in::{at, deactivate, kind, people, signing_in},
};
use crate::{
    browser::Browser,
    client::{Answer, send, send_raw},
    provider::{AUDIENCE, Provider},
};

/// Of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// What a program of a person's gets: an access token for our audience, and an ID token for the program.
async fn tokens(provider: &Provider, login: &str) -> Value {
    const BACK: &str = "http://127.0.0.1/program";
    let mut url = Url::parse(&format!("{}/auth", provider.issuer)).unwrap();
    url.query_pairs_mut().extend_pairs([
        ("client_id", "program"),
        ("response_type", "code"),
        ("scope", "openid email"),
        ("redirect_uri", BACK),
        ("state", "x"),
        ("nonce", "y"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    let mut browser = Browser::new(provider.addr);
    let page = browser.go("GET", &url, &[]).await;
    let mut answer = browser.ask("POST", &page.url, &[("login", login), ("password", "secret")]).await;
    let mut at = page.url;
    assert_eq!(answer.status, 303, "{at} {} {}", page.answer.body, answer.body);
    while !answer.header("location").unwrap().starts_with(BACK) {
        at = at.join(answer.header("location").unwrap()).unwrap();
        answer = browser.ask("GET", &at, &[]).await;
    }
    let back = Url::parse(answer.header("location").unwrap()).unwrap();
    let code = back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("grant_type", "authorization_code"),
            ("client_id", "program"),
            ("code", &code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", BACK),
        ])
        .finish();
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    send_raw(provider.addr, "POST /token", &kind, form.as_bytes()).await.json()
}

async fn me(server: &Server, token: &str) -> Answer {
    server.by(token, "GET /v1/me", None).await
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn an_access_token_is_its_person_s() {
    let provider = Provider::shared().await;
    let server = signing_in(OidcConfig { audience: Some(AUDIENCE.to_owned()), ..at(provider) }).await;
    let organization = people(&server).await;
    let given = tokens(provider, "boris").await;
    let token = given["access_token"].as_str().unwrap();
    assert_eq!(part(token, 0)["typ"], "at+jwt");
    let answer = me(&server, token).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = answer.json();
    assert_eq!((&told["email"], &told["role"]), (&json!("boris@fleet.example"), &json!("driver")));
    assert_eq!((&told["organization_id"], &told["signed_in_by"]), (&json!(organization), &json!("oidc")));
    assert_eq!(server.by(token, "GET /v1/users", None).await.status, 403, "as their role has it");
    // No cookie, so no page either: it needs no Origin.
    let out = server.by(token, "POST /v1/sign-out", None).await;
    assert_eq!((out.status, out.json()["provider_sign_out_url"].clone()), (200, Value::Null));
    let log = server.json("/v1/audit-log").await;
    assert!(log["data"].as_array().unwrap().iter().any(|row| row["actor"] == told["actor"]));
    // Whoever is nobody here, and who has left.
    for login in ["ulla", "vera", "nemo", "ida"] {
        let given = tokens(provider, login).await;
        let answer = me(&server, given["access_token"].as_str().unwrap()).await;
        assert_eq!((answer.status, kind(&answer)), (401, "unauthorized".to_owned()), "{login}");
    }
    deactivate(&server, told["user_id"].as_str().unwrap()).await;
    assert_eq!(me(&server, token).await.status, 401);
}

#[tokio::test]
async fn what_is_no_access_token_of_the_provider_s_for_us_is_refused() {
    let provider = Provider::start(&[]);
    let server = signing_in(OidcConfig { audience: Some(AUDIENCE.to_owned()), ..at(&provider) }).await;
    people(&server).await;
    let given = tokens(&provider, "anna").await;
    let token = given["access_token"].as_str().unwrap();
    assert_eq!(me(&server, token).await.status, 200);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = (part(token, 0), part(token, 1));
    let jwks = send(provider.addr, "GET /jwks", &[], None).await;
    let rsa = jwks.json()["keys"].as_array().unwrap().iter().find(|key| key["kty"] == "RSA").unwrap().clone();
    let changed = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        header
    };
    // The public key as the secret of an HMAC, in the forms that libraries have taken it in.
    let secrets = [
        rsa.to_string().into_bytes(),
        rsa["n"].as_str().unwrap().as_bytes().to_vec(),
        URL_SAFE_NO_PAD.decode(rsa["n"].as_str().unwrap()).unwrap(),
    ];
    let mut bad: Vec<(&str, String)> = Vec::new();
    for secret in secrets {
        let text = format!("{}.{}", encoded(&changed("alg", json!("HS256"))), encoded(&claims));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), text.as_bytes());
        bad.push(("HS256", format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))));
    }
    for none in ["none", "None", "NONE", ""] {
        let text = format!("{}.{}", encoded(&changed("alg", json!(none))), encoded(&claims));
        bad.push(("none", format!("{text}.")));
        bad.push(("none with a signature", format!("{text}.{signature}")));
    }
    let with =
        |header: &Value, claims: &Value| format!("{}.{}.{signature}", encoded(header), encoded(claims));
    let mut boris = claims.clone();
    boris["sub"] = json!("boris");
    bad.push(("another's claims", with(&header, &boris)));
    bad.push(("another algorithm", with(&changed("alg", json!("PS256")), &claims)));
    bad.push(("an unknown key", with(&changed("kid", json!("nothing")), &claims)));
    bad.push(("a key of its own", with(&changed("jwk", rsa.clone()), &claims)));
    bad.push(("cut", format!("{signed}.{}", &signature[..signature.len() - 4])));
    bad.push(("noise", "a.b.c".to_owned()));
    // Signed by the provider, and for somebody else.
    bad.push(("an ID token of the program's", given["id_token"].as_str().unwrap().to_owned()));
    for (what, token) in bad {
        let answer = me(&server, &token).await;
        assert_eq!((answer.status, kind(&answer)), (401, "unauthorized".to_owned()), "{what}");
        assert!(!answer.body.contains(&token), "{what}");
    }
    // The provider is not asked for keys by everybody who makes one up.
    let asked = provider.count("GET /jwks").await;
    for i in 0..20 {
        let unknown = with(&changed("kid", json!(format!("nothing {i}"))), &claims);
        assert_eq!(me(&server, &unknown).await.status, 401);
    }
    assert_eq!(provider.count("GET /jwks").await, asked);
    server.clock.advance(Duration::from_secs(601 + 61));
    let answer = me(&server, token).await;
    assert_eq!((answer.status, kind(&answer)), (401, "token-expired".to_owned()));
}

#[tokio::test]
async fn a_token_for_another_audience_or_where_none_is_wanted_is_refused() {
    let provider = Provider::shared().await;
    let given = tokens(provider, "anna").await;
    let token = given["access_token"].as_str().unwrap();
    for audience in [Some("https://other.example".to_owned()), None] {
        let server = signing_in(OidcConfig { audience, ..at(provider) }).await;
        people(&server).await;
        let answer = me(&server, token).await;
        assert_eq!((answer.status, kind(&answer)), (401, "unauthorized".to_owned()));
    }
}

#[tokio::test]
async fn keys_that_are_new_are_asked_for_and_a_provider_that_is_away_is_told() {
    // As after a rotation: what was signed by the keys of before is of keys that nobody knows.
    let provider = Provider::start(&[]);
    let server = signing_in(OidcConfig { audience: Some(AUDIENCE.to_owned()), ..at(&provider) }).await;
    people(&server).await;
    let given = tokens(&provider, "anna").await;
    let token = given["access_token"].as_str().unwrap();
    provider.told("away", json!({ "away": true })).await;
    let answer = me(&server, token).await;
    assert_eq!((answer.status, kind(&answer)), (503, "provider-away".to_owned()));
    provider.told("away", json!({ "away": false })).await;
    server.clock.advance(Duration::from_secs(31));
    assert_eq!(me(&server, token).await.status, 200);
    let before = provider.count("GET /jwks").await;
    let other = tokens(Provider::shared().await, "anna").await;
    let others = other["access_token"].as_str().unwrap();
    server.clock.advance(Duration::from_secs(31));
    assert_eq!(me(&server, others).await.status, 401);
    assert_eq!(provider.count("GET /jwks").await, before + 1, "for a key that is not there");
    assert_eq!(me(&server, others).await.status, 401);
    assert_eq!(provider.count("GET /jwks").await, before + 1, "not twice within half a minute");
    provider.told("away", json!({ "away": true })).await;
    assert_eq!(me(&server, token).await.status, 200, "by the keys that are known");
}
