//! `[billing]`: what stands on invoices and notes as PDF beside what is invoiced.

use std::path::PathBuf;

use serde::Deserialize;
use service::config::Faults;
use typst::{foundations::Bytes, text::Font};
use url::Url;

/// Longest name and line.
const LINE_LEN_MAX: usize = 120;
/// Longest text of several lines.
const TEXT_LEN_MAX: usize = 1_000;
/// Lines of an address.
const ADDRESS_LINES_MAX: usize = 8;

/// The section as written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BillingConfig {
    /// Where browsers reach the console; with it, each line of a PDF links to its evidence.
    pub public_url: Option<String>,
    /// Font files (OpenType, TrueType or a collection) for scripts beside Latin, Greek and Cyrillic.
    pub font_files: Vec<PathBuf>,
    /// Who sends the invoices.
    pub seller: Option<SellerConfig>,
}

/// Who sends the invoices, as printed on them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SellerConfig {
    /// The company.
    pub name: String,
    /// Its address, a line each.
    pub address: Vec<String>,
    /// Its VAT number or the like.
    pub tax_id: Option<String>,
    /// Whom to ask.
    pub email: Option<String>,
    /// The account to pay to.
    pub iban: Option<String>,
    /// The bank of that account.
    pub bic: Option<String>,
    /// How to pay, where an account does not say it; may have lines.
    pub payment_text: Option<String>,
    /// At the foot of each page: register, directors; may have lines.
    pub footer: Option<String>,
}

/// The section, checked.
#[derive(Debug, Clone, Default)]
pub struct BillingSettings {
    /// Where browsers reach the console.
    pub public_url: Option<Url>,
    /// Fonts beside the program's own.
    pub fonts: Vec<Font>,
    /// Who sends the invoices.
    pub seller: Option<SellerConfig>,
}

impl BillingConfig {
    /// Checks it, and reads its files.
    pub(super) fn check(&self, faults: &mut Faults) -> BillingSettings {
        let public_url = self.public_url.as_deref().and_then(|text| {
            let url = Url::parse(text).ok().filter(|url| {
                ["http", "https"].contains(&url.scheme()) && url.has_host() && url.query().is_none()
            });
            let url = url.ok_or_else(|| format!("{text:?} is no address like \"https://fleet.example\""));
            faults.check("billing.public_url", url)
        });
        let mut fonts = Vec::new();
        for path in &self.font_files {
            let read = std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()));
            let found = read.and_then(|file| {
                let found: Vec<Font> = Font::iter(Bytes::new(file)).collect();
                if found.is_empty() { Err(format!("{} holds no font", path.display())) } else { Ok(found) }
            });
            fonts.extend(faults.check("billing.font_files", found).unwrap_or_default());
        }
        if let Some(seller) = &self.seller {
            seller.check(faults);
        }
        BillingSettings { public_url, fonts, seller: self.seller.clone() }
    }
}

impl SellerConfig {
    fn check(&self, faults: &mut Faults) {
        let is_line = |text: &str| {
            !text.trim().is_empty() && text.chars().count() <= LINE_LEN_MAX && !text.contains(['\n', '\r'])
        };
        let mut line = |key: &str, text: Option<&str>| {
            if text.is_some_and(|text| !is_line(text)) {
                faults.add(key, format!("must be one line of 1 to {LINE_LEN_MAX} characters"));
            }
        };
        line("billing.seller.name", Some(&self.name));
        self.address.iter().for_each(|text| line("billing.seller.address", Some(text)));
        line("billing.seller.tax_id", self.tax_id.as_deref());
        line("billing.seller.email", self.email.as_deref());
        if self.address.len() > ADDRESS_LINES_MAX {
            faults.add("billing.seller.address", format!("must be at most {ADDRESS_LINES_MAX} lines"));
        }
        for (key, text) in
            [("billing.seller.payment_text", &self.payment_text), ("billing.seller.footer", &self.footer)]
        {
            if text.as_ref().is_some_and(|text| text.chars().count() > TEXT_LEN_MAX) {
                faults.add(key, format!("must be at most {TEXT_LEN_MAX} characters"));
            }
        }
        // Money that goes to a number with a slip of the pen is gone.
        if let Some(iban) = self.iban.as_deref().filter(|iban| !is_iban(iban)) {
            faults.add(
                "billing.seller.iban",
                format!("{iban:?} is no IBAN; its check digits are wrong, or its form"),
            );
        }
        if let Some(bic) = self.bic.as_deref().filter(|bic| !is_bic(bic)) {
            faults.add("billing.seller.bic", format!("{bic:?} is no BIC of 8 or 11 letters and digits"));
        }
    }
}

/// ISO 13616: the first four characters put last, letters as numbers from 10, modulo 97 is 1.
fn is_iban(text: &str) -> bool {
    let plain: String = text.chars().filter(|c| *c != ' ').collect();
    let is_formed = (15..=34).contains(&plain.len())
        && plain.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        && plain.chars().take(2).all(|c| c.is_ascii_uppercase())
        && plain.chars().skip(2).take(2).all(|c| c.is_ascii_digit());
    let turned = plain.chars().skip(4).chain(plain.chars().take(4));
    let rest = turned.filter_map(|c| c.to_digit(36)).fold(0, |rest, value| {
        let rest = if value > 9 { rest * 100 } else { rest * 10 };
        (rest + value) % 97
    });
    is_formed && rest == 1
}

/// ISO 9362.
fn is_bic(text: &str) -> bool {
    let is_formed = text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    is_formed && [8, 11].contains(&text.len()) && text.chars().take(4).all(|c| c.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(config: &BillingConfig) -> String {
        let mut faults = Faults::of("api.toml");
        config.check(&mut faults);
        faults.finish(Some(())).err().map_or_else(String::new, |e| e.to_string())
    }

    fn of(seller: SellerConfig) -> BillingConfig {
        BillingConfig { seller: Some(seller), ..BillingConfig::default() }
    }

    #[test]
    fn faults_are_told_together() {
        let folder = tempfile::tempdir().unwrap();
        let no_font = folder.path().join("no.ttf");
        std::fs::write(&no_font, "no font").unwrap();
        let config = BillingConfig {
            public_url: Some("fleet.example".to_owned()),
            font_files: vec![no_font, folder.path().join("absent.otf")],
            seller: Some(SellerConfig {
                address: vec!["a\nb".to_owned()],
                iban: Some("DK50 0040 0440 1162 44".to_owned()),
                bic: Some("nope".to_owned()),
                footer: Some("x".repeat(1_001)),
                ..SellerConfig::default()
            }),
        };
        let message = checked(&config);
        for part in [
            "billing.public_url: \"fleet.example\" is no address",
            "no.ttf holds no font",
            "absent.otf",
            "billing.seller.name: must be one line",
            "billing.seller.address: must be one line",
            "billing.seller.iban",
            "billing.seller.bic",
            "billing.seller.footer",
        ] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }

    #[test]
    fn a_seller_needs_a_name_alone_and_accounts_are_checked() {
        let named = SellerConfig { name: "Fleet A/S".to_owned(), ..SellerConfig::default() };
        assert_eq!(checked(&of(named.clone())), "");
        for (iban, is_right) in [
            ("DK50 0040 0440 1162 43", true),
            ("GB82WEST12345698765432", true),
            ("GB82WEST12345698765423", false),
            ("DK5000400440116234", false),
            ("gb82west12345698765432", false),
            ("DK50", false),
            ("", false),
        ] {
            let seller = SellerConfig { iban: Some(iban.to_owned()), ..named.clone() };
            assert_eq!(checked(&of(seller)).is_empty(), is_right, "{iban}");
        }
        for (bic, is_right) in
            [("NDEADKKK", true), ("NDEADKKKXXX", true), ("NDEADKK", false), ("NDEADKK1é", false)]
        {
            let seller = SellerConfig { bic: Some(bic.to_owned()), ..named.clone() };
            assert_eq!(checked(&of(seller)).is_empty(), is_right, "{bic}");
        }
    }
}
