//! Signatures of webhooks: Standard Webhooks 1.0, symmetric (`v1`, HMAC-SHA256 over `id.timestamp.body`).

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};

use crate::fault::DomainError;

const START: &str = "whsec_";
/// The standard asks for 24 to 64.
const SECRET_BYTES: usize = 32;

/// A new secret, as it is told and stored: it has to be had in the clear to sign with it.
pub(crate) fn new_secret() -> Result<String, DomainError> {
    let mut bytes = [0_u8; SECRET_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| DomainError::Key)?;
    Ok(format!("{START}{}", STANDARD.encode(bytes)))
}

/// The value of `webhook-signature`: one signature a secret; nothing of a secret that does not read as one.
pub(crate) fn signatures<'a>(
    secrets: impl IntoIterator<Item = &'a str>,
    (id, timestamp_s, body): (&str, i64, &str),
) -> String {
    let signed = format!("{id}.{timestamp_s}.{body}");
    let keys = secrets.into_iter().filter_map(|secret| STANDARD.decode(secret.strip_prefix(START)?).ok());
    let signature = |key: Vec<u8>| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    };
    keys.map(signature).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the standard's reference libraries.
    #[test]
    fn signs_as_the_reference_libraries_do() {
        let of = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        assert_eq!(signatures([secret], of), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(signatures([secret, secret], of).split(' ').count(), 2);
        assert_eq!(signatures(["whsec_?", "none"], of), "");
    }

    #[test]
    fn every_secret_is_another_and_signs() {
        let (a, b) = (new_secret().unwrap(), new_secret().unwrap());
        assert_ne!(a, b);
        assert!(signatures([a.as_str()], ("evt_1", 1, "{}")).starts_with("v1,"));
    }
}
