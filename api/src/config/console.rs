//! `[console]`: the basemap of the console's maps.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use service::config::Faults;
use url::Url;

/// The section as written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleConfig {
    /// A PMTiles archive: vector tiles of Protomaps' schema, or raster tiles.
    pub basemap_file: Option<PathBuf>,
    /// Where browsers get a MapLibre style.
    pub basemap_style_url: Option<String>,
    /// Origins that the style refers to, beside its own.
    pub basemap_origins: Vec<String>,
    /// Shown on the map beside what the archive or the style says of its source.
    pub basemap_attribution: Option<String>,
}

/// The section, checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConsoleSettings {
    /// What is below all that maps show.
    pub basemap: Basemap,
    /// Shown on the map beside what the basemap says of its source.
    pub attribution: Option<String>,
}

/// What is below all that maps show.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Basemap {
    /// Natural Earth's land and borders, which the console has with it.
    #[default]
    NaturalEarth,
    /// A PMTiles archive on this machine.
    File(PathBuf),
    /// A style of another server.
    Style {
        /// Where it is.
        url: Url,
        /// What browsers may ask for it: its own origin first.
        origins: Vec<String>,
    },
}

impl ConsoleConfig {
    /// Checks it, and looks into the archive.
    pub(super) fn check(&self, faults: &mut Faults) -> Option<ConsoleSettings> {
        if self.basemap_file.is_some() && self.basemap_style_url.is_some() {
            faults.add(
                "console.basemap_file",
                "there is basemap_style_url too: a map has one basemap, leave one of them out",
            );
            return None;
        }
        if self.basemap_style_url.is_none() && !self.basemap_origins.is_empty() {
            let what = "needs basemap_style_url: these are what its style refers to";
            faults.add("console.basemap_origins", what);
        }
        let basemap = self.basemap(faults)?;
        let attribution = self.basemap_attribution.as_deref().map(str::trim).filter(|text| !text.is_empty());
        if attribution.is_some() && basemap == Basemap::NaturalEarth {
            let what = "needs basemap_file or basemap_style_url; Natural Earth names itself";
            faults.add("console.basemap_attribution", what);
        }
        Some(ConsoleSettings { basemap, attribution: attribution.map(str::to_owned) })
    }

    fn basemap(&self, faults: &mut Faults) -> Option<Basemap> {
        if let Some(path) = &self.basemap_file {
            let read = check_archive(path).map_err(|fault| fault.told_of(path));
            return faults.check("console.basemap_file", read).map(|()| Basemap::File(path.clone()));
        }
        let Some(text) = &self.basemap_style_url else { return Some(Basemap::NaturalEarth) };
        let url = faults.check("console.basemap_style_url", web_url(text));
        let mut origins: Vec<String> = url.iter().map(|url| url.origin().ascii_serialization()).collect();
        for text in &self.basemap_origins {
            if let Some(origin) = faults.check("console.basemap_origins", origin(text))
                && !origins.contains(&origin)
            {
                origins.push(origin);
            }
        }
        Some(Basemap::Style { url: url?, origins })
    }
}

fn web_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|_| format!("{text:?} is no URL; write one like \"https://tiles.example/style.json\""))?;
    if !["http", "https"].contains(&url.scheme())
        || url.host().is_none()
        || !url.username().is_empty()
        || url.password().is_some()
    {
        return Err(format!("{text:?} must be an http or https URL without a user"));
    }
    // It becomes a part of the content security policy, where `;` and `,` begin another.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._*[]:".contains(c);
    if !url.host_str().is_some_and(|host| host.chars().all(is_plain)) {
        return Err(format!("{text:?} must name its host by letters, digits, dots and hyphens"));
    }
    Ok(url)
}

fn origin(text: &str) -> Result<String, String> {
    let url = web_url(text)?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{text:?} must end with its host or port, such as \"https://tiles.example\""));
    }
    Ok(url.origin().ascii_serialization())
}

/// Length of the header of a PMTiles archive, version 3.
const HEADER_LEN: usize = 127;
const MAGIC: &[u8] = b"PMTiles";
const VERSION: u8 = 3;
const VERSION_AT: usize = 7;
/// Of the root directory, the metadata, the leaf directories and the tiles: where each begins, and then its length.
const PARTS_AT: [usize; 4] = [8, 24, 40, 56];
/// How directories and metadata are compressed, how tiles are, and what tiles there are.
const INTERNAL_COMPRESSION_AT: usize = 97;
const TILE_COMPRESSION_AT: usize = 98;
const TILE_TYPE_AT: usize = 99;
/// Unknown, none and gzip; further ones no browser reads by itself.
const COMPRESSION_MAX: u8 = 2;
/// MVT, PNG, JPEG, WebP, AVIF.
const TILE_TYPES: std::ops::RangeInclusive<u8> = 1..=5;

/// Why a file is no basemap.
#[derive(Debug)]
enum ArchiveFault {
    Unreadable(std::io::Error),
    NotAFile,
    Foreign,
    OtherVersion(u8),
    OtherTiles(u8),
    OtherCompression,
    CutShort { bytes: u64, bytes_told: u64 },
}

impl ArchiveFault {
    fn told_of(&self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Unreadable(error) => format!("cannot read {path}: {error}"),
            Self::NotAFile => format!("{path} is no file; name a PMTiles archive"),
            Self::Foreign => {
                format!("{path} is no PMTiles archive: it does not begin with a header of PMTiles")
            }
            Self::OtherVersion(version) => {
                format!("{path} is PMTiles of version {version}; convert it to version 3 (`pmtiles convert`)")
            }
            Self::OtherTiles(kind) => format!(
                "{path} has tiles of type {kind}, which the console does not draw; it takes vector tiles (MVT), PNG, JPEG, WebP and AVIF"
            ),
            Self::OtherCompression => {
                format!(
                    "{path} is compressed by other than gzip, which browsers do not read; make it with gzip or none"
                )
            }
            Self::CutShort { bytes, bytes_told } => {
                format!("{path} is cut short: it has {bytes} bytes of {bytes_told}; copy it again")
            }
        }
    }
}

/// Whether it is a whole archive that the console can draw, as far as its header tells.
fn check_archive(path: &Path) -> Result<(), ArchiveFault> {
    let mut file = File::open(path).map_err(ArchiveFault::Unreadable)?;
    let about = file.metadata().map_err(ArchiveFault::Unreadable)?;
    if !about.is_file() {
        return Err(ArchiveFault::NotAFile);
    }
    let mut header = [0_u8; HEADER_LEN];
    let read = file.read_exact(&mut header);
    if !header.starts_with(MAGIC) {
        return Err(ArchiveFault::Foreign);
    }
    if header[VERSION_AT] != VERSION {
        return Err(ArchiveFault::OtherVersion(header[VERSION_AT]));
    }
    let bytes = about.len();
    if read.is_err() {
        return Err(ArchiveFault::CutShort { bytes, bytes_told: HEADER_LEN as u64 });
    }
    let ends = PARTS_AT.map(|at| number_at(&header, at).saturating_add(number_at(&header, at + 8)));
    let bytes_told = ends.into_iter().max().unwrap_or(0);
    if bytes_told > bytes {
        return Err(ArchiveFault::CutShort { bytes, bytes_told });
    }
    if !TILE_TYPES.contains(&header[TILE_TYPE_AT]) {
        return Err(ArchiveFault::OtherTiles(header[TILE_TYPE_AT]));
    }
    if [INTERNAL_COMPRESSION_AT, TILE_COMPRESSION_AT].iter().any(|at| header[*at] > COMPRESSION_MAX) {
        return Err(ArchiveFault::OtherCompression);
    }
    Ok(())
}

fn number_at(header: &[u8; HEADER_LEN], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&header[at..at + 8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of an archive that has nothing but 3 bytes of tiles.
    fn header() -> Vec<u8> {
        let mut header = vec![0; HEADER_LEN];
        header[..8].copy_from_slice(b"PMTiles\x03");
        header[56] = 127;
        header[64] = 3;
        header[97..100].copy_from_slice(&[2, 2, 1]);
        header.extend(b"abc");
        header
    }

    fn told(config: &ConsoleConfig) -> Result<ConsoleSettings, String> {
        let mut faults = Faults::of("api.toml");
        let settings = config.check(&mut faults);
        faults.finish(settings).map_err(|error| error.to_string())
    }

    fn style(url: &str, origins: &[&str]) -> ConsoleConfig {
        ConsoleConfig {
            basemap_style_url: Some(url.to_owned()),
            basemap_origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
            ..ConsoleConfig::default()
        }
    }

    #[test]
    fn an_archive_is_taken_and_what_only_looks_like_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.pmtiles");
        let at = |bytes: Option<&[u8]>| {
            if let Some(bytes) = bytes {
                std::fs::write(&path, bytes).unwrap();
            }
            told(&ConsoleConfig { basemap_file: Some(path.clone()), ..ConsoleConfig::default() })
        };
        assert!(at(None).unwrap_err().contains("console.basemap_file: cannot read "));
        let good = header();
        assert_eq!(at(Some(&good)).unwrap().basemap, Basemap::File(path.clone()));
        for kind in [2, 3, 4, 5] {
            let mut raster = good.clone();
            raster[99] = kind;
            assert!(at(Some(&raster)).is_ok(), "{kind}");
        }
        let changed = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        let cases: [(Vec<u8>, &str); 9] = [
            (Vec::new(), "is no PMTiles archive"),
            (b"SQLite format 3\0".to_vec(), "is no PMTiles archive"),
            (changed(0, b'X'), "is no PMTiles archive"),
            (changed(7, 2), "is PMTiles of version 2"),
            (good[..50].to_vec(), "is cut short: it has 50 bytes of 127"),
            (good[..129].to_vec(), "is cut short: it has 129 bytes of 130"),
            (changed(99, 0), "has tiles of type 0"),
            (changed(97, 3), "other than gzip"),
            (changed(98, 4), "other than gzip"),
        ];
        for (bytes, part) in cases {
            let message = at(Some(&bytes)).unwrap_err();
            assert!(message.contains(part) && message.contains("map.pmtiles"), "{part} in {message}");
        }
        let config =
            ConsoleConfig { basemap_file: Some(folder.path().to_owned()), ..ConsoleConfig::default() };
        assert!(told(&config).unwrap_err().contains("is no file"));
    }

    #[test]
    fn a_style_may_ask_its_own_origin_and_those_that_are_named() {
        let config = style(
            "https://Tiles.example/styles/day.json?key=1",
            &["https://fonts.example/", "https://tiles.example"],
        );
        let Basemap::Style { url, origins } = told(&config).unwrap().basemap else {
            panic!("a style");
        };
        assert_eq!(url.as_str(), "https://tiles.example/styles/day.json?key=1");
        assert_eq!(origins, ["https://tiles.example", "https://fonts.example"]);
    }

    #[test]
    fn faults_are_told() {
        for url in ["day.json", "ftp://tiles.example/day.json", "https://a:b@tiles.example/", "data:,x"] {
            assert!(told(&style(url, &[])).unwrap_err().contains("console.basemap_style_url: "), "{url}");
        }
        for origin in [
            "tiles.example",
            "*",
            "https://tiles.example/a",
            "https://a.example;script-src",
            "https://a.example,b",
        ] {
            let message = told(&style("https://tiles.example/", &[origin])).unwrap_err();
            assert!(message.contains("console.basemap_origins: "), "{origin}: {message}");
        }
        let both = ConsoleConfig {
            basemap_file: Some("map.pmtiles".into()),
            ..style("https://tiles.example/day.json", &[])
        };
        assert!(told(&both).unwrap_err().contains("console.basemap_file: there is basemap_style_url too"));
        let alone = ConsoleConfig {
            basemap_origins: vec!["https://tiles.example".to_owned()],
            basemap_attribution: Some("© us".to_owned()),
            ..ConsoleConfig::default()
        };
        let message = told(&alone).unwrap_err();
        assert!(message.contains("console.basemap_origins: needs basemap_style_url"), "{message}");
        assert!(message.contains("console.basemap_attribution: needs basemap_file"), "{message}");
    }

    #[test]
    fn the_sample_reads() {
        let text = include_str!("../../../configs/api.toml");
        let section = text.split("\n[console]\n").nth(1).unwrap();
        let lines =
            section.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.strip_prefix("# "));
        let lines: Vec<&str> = lines.filter(|line| line.contains(" = ")).collect();
        let config: ConsoleConfig = toml::from_str(&lines.join("\n")).unwrap();
        assert!(config.basemap_file.is_some() && config.basemap_style_url.is_some());
        assert!(!config.basemap_origins.is_empty() && config.basemap_attribution.is_some());
    }
}
