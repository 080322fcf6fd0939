//! Every sample configuration loads, every path the documents name exists, and the import table
//! of docs/architecture.md holds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test: a failure is the message"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use service::config::load;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found
}

/// The sections of `roadlake serve`, as `src/stack.rs` reads them.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Serve {
    lake: Option<analytics::LakeLocation>,
    s3: Option<analytics::S3Config>,
    ingest: ingest::Config,
    analytics: analytics::Config,
    api: api::Config,
}

fn ok<T>(name: &str, result: Result<T, service::config::ConfigError>) -> T {
    result.unwrap_or_else(|e| panic!("{name}: {}", service::logs::chain(&e)))
}

#[test]
fn every_sample_configuration_loads_and_checks() {
    let mut checked = 0;
    for path in files_below(&root().join("configs"), "toml") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let folder = path.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        match (folder.as_str(), name.as_str()) {
            ("configs", "ingest.toml") => {
                let loaded = ok(&name, load("ingest", Some(&path)));
                ok(&name, ingest::Settings::check(loaded));
            }
            ("configs", "analytics.toml") => {
                let loaded = ok(&name, load("analytics", Some(&path)));
                ok(&name, analytics::Settings::check(&loaded));
            }
            ("configs", "api.toml") => {
                let loaded = ok(&name, load("api", Some(&path)));
                ok(&name, api::Settings::check(loaded));
            }
            ("configs", "roadlake.toml") => {
                let loaded = ok(&name, load::<Serve>("serve", Some(&path)));
                assert!(loaded.config.lake.is_some() && loaded.config.s3.is_none(), "as the file says");
                let origin = loaded.origin;
                let ingest = service::config::Loaded { config: loaded.config.ingest, origin: origin.clone() };
                ok(&name, ingest::Settings::check(ingest));
                let analytics =
                    service::config::Loaded { config: loaded.config.analytics, origin: origin.clone() };
                ok(&name, analytics::Settings::check(&analytics));
                let api = service::config::Loaded { config: loaded.config.api, origin: origin.clone() };
                ok(&name, api::Settings::check(api));
            }
            ("configs", "edge-agent.toml") => {
                let loaded = ok(&name, load("edge-agent", Some(&path)));
                ok(&name, edge_agent::config::check(loaded, wire::time::Timestamp(0)));
            }
            ("maps", _) => {
                edge_agent::map::SignalMap::open(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
            }
            ("campaigns", _) => {
                let text = fs::read_to_string(&path).unwrap();
                edge_agent::campaign::CampaignSet::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            }
            // Compiled into the api, whose own test reads it.
            ("tariffs", "demo.toml") => {}
            // Another program's: tests/rmqtt_cluster.rs starts it with them.
            ("rmqtt", _) => {}
            other => panic!("no test loads {other:?}: add it here"),
        }
        checked += 1;
    }
    assert!(checked >= 8, "{checked}");
}

#[test]
fn every_path_the_documents_name_exists() {
    let mut documents =
        vec![root().join("README.md"), root().join("CONTRIBUTING.md"), root().join("ARCHITECTURE.md")];
    documents.extend(files_below(&root().join("docs"), "md"));
    let tops = [
        "wire/",
        "service/",
        "unify/",
        "lake/",
        "edge-agent/",
        "ingest/",
        "analytics/",
        "api/",
        "cross/",
        "configs/",
        "benches/",
        "tests/",
        "docs/",
        "web/",
        "scripts/",
        "src/",
        ".ci/",
    ];
    let mut missing = BTreeSet::new();
    for document in documents.iter().filter(|d| d.exists()) {
        let text = fs::read_to_string(document).unwrap();
        // Paths stand in backticks or in links.
        for token in text.split(['`', '(', ')', ' ', '\n', ',', '"']) {
            let token = token.trim_end_matches(['.', ':', ';']);
            let is_path =
                tops.iter().any(|t| token.starts_with(t)) && !token.contains(['*', '{', '…', '<', '$']);
            let is_built = token.starts_with("web/dist") || token.starts_with("web/node_modules");
            if is_path && !is_built && !root().join(token).exists() {
                missing.insert(format!("{}: {token}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// What each package may import of ours (docs/architecture.md has the same table for people).
const IMPORTS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("service", &[]),
    ("unify", &[]),
    ("lake", &["wire", "unify"]),
    ("edge-agent", &["wire", "service"]),
    ("mqtt", &["service"]),
    ("ingest", &["wire", "lake", "service", "mqtt"]),
    ("analytics", &["wire", "lake", "service"]),
    ("api", &["wire", "service", "mqtt", "analytics", "edge-agent"]),
    ("benches", &["wire", "edge-agent", "lake", "ingest", "analytics", "service"]),
    ("roadlake", &["wire", "service", "mqtt", "lake", "edge-agent", "ingest", "analytics", "api"]),
];

/// What a package's whole tree of normal dependencies must not hold.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("wire", &["tokio", "arrow-array", "rumqttc"]),
    ("edge-agent", &["arrow-array", "datafusion", "deltalake-core", "rumqttd", "sqlx", "axum"]),
    ("api", &["rumqttd"]),
    // axum is below tonic, the gRPC of its Flight door; a route of its own would need it named in its manifest.
    ("analytics", &["rumqttc", "rumqttd", "sqlx"]),
];

#[test]
fn packages_import_only_what_the_table_allows() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<&str> = packages.iter().map(|p| p["name"].as_str().unwrap()).collect();
    let allowed: BTreeMap<&str, &[&str]> = IMPORTS.iter().copied().collect();
    assert_eq!(ours, allowed.keys().copied().collect(), "a package is missing in the table");
    for package in packages {
        let name = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let other = dependency["name"].as_str().unwrap();
            let is_normal = dependency["kind"].is_null();
            if is_normal && ours.contains(other) {
                assert!(allowed[name].contains(&other), "{name} imports {other}");
            }
            if is_normal && other == "deltalake" {
                assert_eq!(name, "lake", "deltalake is named in lake only");
            }
        }
    }
}

#[test]
fn no_package_pulls_in_what_it_must_not() {
    for (package, forbidden) in FORBIDDEN {
        let output = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--package",
                package,
                "--edges",
                "normal",
                "--prefix",
                "none",
                "--format",
                "{p}",
                "--locked",
            ])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tree = String::from_utf8(output.stdout).unwrap();
        let names: BTreeSet<&str> = tree.lines().filter_map(|l| l.split(' ').next()).collect();
        for name in *forbidden {
            assert!(!names.contains(name), "{package} pulls in {name}");
        }
    }
}

#[test]
fn engines_are_named_in_one_file_each() {
    let count = |crate_folder: &str, word: &str| {
        let files = files_below(&root().join(crate_folder).join("src"), "rs");
        let naming = files.iter().filter(|f| {
            let text = fs::read_to_string(f).unwrap();
            text.lines().any(|l| {
                !l.trim_start().starts_with("//")
                    && (l.contains(&format!("use {word}")) || l.contains(&format!("{word}::")))
            })
        });
        naming.map(|f| f.display().to_string()).filter(|f| !f.contains("tests")).collect::<Vec<_>>()
    };
    assert_eq!(count("ingest", "rumqttd").len(), 1, "{:?}", count("ingest", "rumqttd"));
    for package in ["ingest", "api"] {
        assert_eq!(count(package, "rumqttc"), Vec::<String>::new());
    }
    assert!(count("edge-agent", "rumqttc").len() <= 1, "{:?}", count("edge-agent", "rumqttc"));
}

#[test]
fn the_metrics_page_lists_the_metrics_of_the_code() {
    let page = fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let names = |text: &str, quote: char| -> BTreeSet<String> {
        text.split(quote)
            .filter(|t| t.starts_with("roadlake_") && t.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
            .map(str::to_owned)
            .collect()
    };
    let crates = ["edge-agent", "ingest", "analytics", "api"];
    let sources = crates.map(|c| fs::read_to_string(root().join(c).join("src/metrics.rs")).unwrap());
    let in_code: BTreeSet<String> = sources.iter().flat_map(|s| names(s, '"')).collect();
    assert_eq!(names(&page, '`'), in_code);
    assert!(in_code.len() > 30);
}
