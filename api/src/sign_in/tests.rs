//! What a token must be to be believed; the provider's own are in the suite.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};
use wire::time::Timestamp;

use super::{
    claims::{self, Expected},
    jwk::Keys,
    jwt::{TokenError, Unverified, Verified},
};

const NOW_S: i64 = 1_795_000_000;

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A provider with a key of Ed25519 and one of P-256.
struct Signer {
    ed: Ed25519KeyPair,
    ec: EcdsaKeyPair,
}

impl Signer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self {
            ed: Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap(),
            ec: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref(), &random).unwrap(),
        }
    }

    fn jwks(&self) -> Value {
        let point = self.ec.public_key().as_ref();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": text(self.ed.public_key().as_ref()) },
            { "kty": "EC", "crv": "P-256", "kid": "ec", "alg": "ES256", "use": "sig",
              "x": text(&point[1..33]), "y": text(&point[33..]) },
            { "kty": "EC", "crv": "P-256", "kid": "secret", "use": "enc",
              "x": text(&point[1..33]), "y": text(&point[33..]) },
            { "kty": "quantum", "kid": "new" }, "noise",
        ] })
    }

    fn keys(&self) -> Keys {
        Keys::of(serde_json::from_value(self.jwks()).unwrap())
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encoded(header), encoded(claims));
        let signature = match header["alg"].as_str() {
            Some("EdDSA") => self.ed.sign(signed.as_bytes()).as_ref().to_vec(),
            _ => self.ec.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn verified(&self, token: &str) -> Result<Verified, TokenError> {
        Unverified::read(token)?.verified(&self.keys())
    }
}

fn header() -> Value {
    json!({ "alg": "ES256", "kid": "ec", "typ": "JWT" })
}

/// What an ID token says, with something else.
fn said(change: Value) -> Value {
    let mut claims = json!({
        "iss": "https://idp.example", "sub": "anna", "aud": "roadlake", "exp": NOW_S + 600, "iat": NOW_S,
        "nonce": "n", "email": "Anna@Fleet.example", "email_verified": true, "name": "Anna",
    });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn expected() -> Expected<'static> {
    Expected { issuer: "https://idp.example", audience: "roadlake", now: Timestamp(NOW_S * 1_000_000) }
}

#[test]
fn a_token_is_believed_by_the_key_it_names_and_no_other() {
    let (signer, other) = (Signer::new(), Signer::new());
    for header in [
        header(),
        json!({ "alg": "ES256" }),
        json!({ "alg": "EdDSA", "kid": "ed" }),
        json!({ "alg": "EdDSA" }),
    ] {
        let token = signer.token(&header, &said(json!({})));
        signer.verified(&token).unwrap();
        assert_eq!(other.verified(&token).unwrap_err(), TokenError::Signature, "{header}");
    }
    let unknown = |header: Value| signer.verified(&signer.token(&header, &said(json!({})))).unwrap_err();
    assert_eq!(unknown(json!({ "alg": "ES256", "kid": "x" })), TokenError::UnknownKey);
    // Of another kind than the key, for another algorithm, or not for signatures.
    for (alg, kid) in
        [("EdDSA", "ec"), ("RS256", "ec"), ("ES384", "ec"), ("ES256", "ed"), ("ES256", "secret")]
    {
        assert_eq!(unknown(json!({ "alg": alg, "kid": kid })), TokenError::UnknownKey, "{alg} {kid}");
    }
    let token = signer.token(&header(), &said(json!({})));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other_claims =
        format!("{}.{}.{signature}", encoded(&header()), encoded(&said(json!({ "sub": "boris" }))));
    assert_eq!(signer.verified(&other_claims).unwrap_err(), TokenError::Signature);
    assert_eq!(signer.verified(&format!("{signed}.")).unwrap_err(), TokenError::Signature);
}

#[test]
fn no_algorithm_and_a_secret_s_are_refused_whatever_the_key() {
    let signer = Signer::new();
    let claims = encoded(&said(json!({})));
    let none = format!("{}.{claims}.", encoded(&json!({ "alg": "none" })));
    assert_eq!(signer.verified(&none).unwrap_err(), TokenError::Algorithm("none".to_owned()));
    // The public key, which everybody has, as the secret of an HMAC: in each of the forms libraries once took it.
    let point = signer.ec.public_key().as_ref().to_vec();
    for secret in [point, signer.jwks().to_string().into_bytes()] {
        for kid in ["ec", "ed"] {
            let signed = format!("{}.{claims}", encoded(&json!({ "alg": "HS256", "kid": kid })));
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes());
            let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
            assert_eq!(signer.verified(&token).unwrap_err(), TokenError::Algorithm("HS256".to_owned()));
        }
    }
    let critical = signer.token(&json!({ "alg": "ES256", "crit": ["b64"], "b64": false }), &said(json!({})));
    assert!(matches!(signer.verified(&critical), Err(TokenError::Unreadable(_))));
    let long = signer.token(&header(), &said(json!({ "x": "y".repeat(40_000) })));
    for bad in [
        "",
        "a",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "..",
        &long,
        &format!("{}.x", signer.token(&header(), &said(json!({})))),
    ] {
        assert!(matches!(signer.verified(bad), Err(TokenError::Unreadable(_))), "{bad:.60}");
    }
}

#[test]
fn an_id_token_answers_this_sign_in_at_this_provider() {
    let signer = Signer::new();
    let of = |change: Value| {
        let token = signer.verified(&signer.token(&header(), &said(change))).unwrap();
        let access_token = Some("access");
        claims::of_sign_in(&token, expected(), ("n", access_token))
            .and_then(|claims| claims.identity().ok_or(TokenError::Claim("sub")))
    };
    let identity = of(json!({})).unwrap();
    assert_eq!((identity.subject.as_str(), identity.email.as_deref()), ("anna", Some("anna@fleet.example")));
    assert!(identity.is_email_verified);
    let right =
        URL_SAFE_NO_PAD.encode(&ring::digest::digest(&ring::digest::SHA256, b"access").as_ref()[..16]);
    for good in [
        json!({ "aud": ["roadlake", "other"], "azp": "roadlake" }),
        json!({ "aud": ["roadlake"] }),
        json!({ "at_hash": right }),
        // The provider's clock is a little behind, or before.
        json!({ "exp": NOW_S - 59 }),
        json!({ "iat": NOW_S + 59, "nbf": NOW_S + 59 }),
        json!({ "exp": (NOW_S + 600) as f64 + 0.5 }),
    ] {
        assert!(of(good.clone()).is_ok(), "{good}");
    }
    for (bad, claim) in [
        (json!({ "iss": "https://idp.example/" }), "iss"),
        (json!({ "iss": null }), "iss"),
        (json!({ "aud": "other" }), "aud"),
        (json!({ "aud": [] }), "aud"),
        (json!({ "aud": null }), "aud"),
        (json!({ "aud": ["roadlake", "other"] }), "azp"),
        (json!({ "azp": "other" }), "azp"),
        (json!({ "nonce": "m" }), "nonce"),
        (json!({ "nonce": null }), "nonce"),
        (json!({ "exp": null }), "exp"),
        (json!({ "nbf": NOW_S + 61 }), "nbf"),
        (json!({ "iat": NOW_S + 61 }), "iat"),
        (json!({ "iat": null }), "iat"),
        (json!({ "at_hash": "AAAA" }), "at_hash"),
        (json!({ "sub": "" }), "sub"),
        (json!({ "sub": null }), "sub"),
        (json!({ "sub": "x".repeat(256) }), "sub"),
    ] {
        assert_eq!(of(bad.clone()), Err(TokenError::Claim(claim)), "{bad}");
    }
    assert_eq!(of(json!({ "exp": NOW_S - 60 })), Err(TokenError::Expired));
    assert_eq!(of(json!({ "exp": "tomorrow" })), Err(TokenError::Unreadable("claims")));
}

#[test]
fn an_address_is_theirs_only_if_the_provider_says_so() {
    let signer = Signer::new();
    let is_verified = |change: Value| {
        let token = signer.verified(&signer.token(&header(), &said(change))).unwrap();
        let claims = claims::of_id_token(&token, expected()).unwrap();
        claims.identity().unwrap().is_email_verified
    };
    for yes in
        [json!({}), json!({ "email_verified": "true" }), json!({ "email_verified": null, "xms_edov": 1 })]
    {
        assert!(is_verified(yes.clone()), "{yes}");
    }
    for no in [
        json!({ "email_verified": null }),
        json!({ "email_verified": false }),
        json!({ "email_verified": false, "xms_edov": true }),
        json!({ "email_verified": "yes" }),
        json!({ "email_verified": null, "xms_edov": "0" }),
    ] {
        assert!(!is_verified(no.clone()), "{no}");
    }
}

#[test]
fn an_access_token_says_that_it_is_one() {
    let signer = Signer::new();
    let of = |typ: Value, change: Value| {
        let header = json!({ "alg": "EdDSA", "kid": "ed", "typ": typ });
        let token = signer.verified(&signer.token(&header, &said(change))).unwrap();
        claims::of_access_token(&token, expected()).map(|claims| claims.ends_at())
    };
    for typ in ["at+jwt", "JWT", "application/at+jwt"] {
        assert_eq!(of(json!(typ), json!({})), Ok(Timestamp((NOW_S + 600) * 1_000_000)), "{typ}");
    }
    for typ in [json!("logout+jwt"), json!(null), json!("")] {
        assert_eq!(of(typ.clone(), json!({})), Err(TokenError::Claim("typ")), "{typ}");
    }
    assert_eq!(of(json!("at+jwt"), json!({ "exp": NOW_S - 3600 })), Err(TokenError::Expired));
    assert_eq!(of(json!("at+jwt"), json!({ "aud": "https://other.example" })), Err(TokenError::Claim("aud")));
}
