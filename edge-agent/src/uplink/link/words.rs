//! What a broker says with a reason code, in words (MQTT 5, section 2.4).

/// A broker's no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub(crate) struct Refusal {
    words: String,
}

impl Refusal {
    /// Of a reason code, with the broker's own words for it.
    pub(super) fn of_code(code: u8, said: Option<String>) -> Self {
        let words = match (words(code), said.filter(|said| !said.is_empty())) {
            (words, None) => format!("{words} (0x{code:02X})"),
            (words, Some(said)) => format!("{words} (0x{code:02X}), it says: {said}"),
        };
        Self { words }
    }

    /// Of MQTT 3.1.1, which has no reasons to speak of.
    pub(super) fn of_words(words: &str) -> Self {
        Self { words: words.to_owned() }
    }
}

fn words(code: u8) -> &'static str {
    match code {
        0x00 => "normal disconnection",
        0x81 => "malformed packet",
        0x82 => "protocol error",
        0x83 => "refused by a rule of the broker's own",
        0x84 => "it does not speak MQTT 5",
        0x85 => "client identifier not valid",
        0x86 => "bad user name or password",
        0x87 => "not authorized",
        0x88 => "server unavailable",
        0x89 => "server busy",
        0x8A => "banned",
        0x8B => "server shutting down",
        0x8C => "bad authentication method",
        0x8D => "keep-alive timeout",
        0x8E => "session taken over: another client has connected with this vehicle's id",
        0x8F => "topic filter invalid",
        0x90 => "topic name invalid",
        0x91 => "packet identifier in use",
        0x93 => "receive maximum exceeded",
        0x94 => "topic alias invalid",
        0x95 => "packet too large",
        0x96 => "message rate too high",
        0x97 => "quota exceeded",
        0x98 => "administrative action",
        0x99 => "payload format invalid",
        0x9A => "it does not keep retained messages",
        0x9B => "it does not take messages of QoS 1",
        0x9C => "use another server",
        0x9D => "server moved",
        0x9E => "shared subscriptions not supported",
        0x9F => "connection rate exceeded",
        0xA0 => "maximum connect time",
        0xA1 => "subscription identifiers not supported",
        0xA2 => "wildcard subscriptions not supported",
        _ => "unspecified error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_words_its_code_and_what_the_broker_says() {
        assert_eq!(Refusal::of_code(0x87, None).to_string(), "not authorized (0x87)");
        let said = Refusal::of_code(0x97, Some("80 MB a day".to_owned())).to_string();
        assert_eq!(said, "quota exceeded (0x97), it says: 80 MB a day");
        assert_eq!(Refusal::of_code(0x80, Some(String::new())).to_string(), "unspecified error (0x80)");
    }
}
