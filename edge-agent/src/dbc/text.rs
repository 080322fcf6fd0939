//! The text of a DBC file: editors write Windows-1252, newer ones UTF-8.

use std::borrow::Cow;

/// What bytes 0x80 to 0x9F are in Windows-1252; the five unused ones as in Latin-1.
const CP1252_HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// UTF-8 (a byte-order mark dropped), or Windows-1252 where the bytes are none.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(_) => Cow::Owned(
            bytes
                .iter()
                .map(|byte| match byte {
                    0x80..=0x9F => CP1252_HIGH[usize::from(byte - 0x80)],
                    _ => char::from(*byte),
                })
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_is_kept_and_anything_else_is_windows_1252() {
        assert_eq!(decode("\u{feff}°C".as_bytes()), "°C");
        assert_eq!(decode(b"\xb0C \x80 \xb5"), "°C € µ");
    }
}
