//! What a unit signs to renew its certificate, so that agent and api mean the same bytes.

/// Keeps such a signature from standing for anything else that the key signs.
const CONTEXT: &[u8] = b"roadlake/renewal/v1\0";

/// The bytes to sign with the unit's Ed25519 key: the serial number of the certificate it has, in lower-case
/// hexadecimal, and the certificate request (RFC 2986) in DER. No serial number has a zero byte, so no two pairs
/// of them are the same bytes.
pub fn signed_bytes(certificate_serial: &str, csr_der: &[u8]) -> Vec<u8> {
    [CONTEXT, certificate_serial.as_bytes(), b"\0", csr_der].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_contract() {
        assert_eq!(signed_bytes("0a1b", b"\x30\x00"), b"roadlake/renewal/v1\x000a1b\0\x30\x00");
        assert_ne!(signed_bytes("0a", b"1b\0"), signed_bytes("0a1b", b""));
    }
}
