//! Compiles the `.proto` files with protox (no protoc) and the VSS release into a sorted table.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=vss/vss-6.0.json");
    let files = [
        "proto/telemetry.proto",
        "proto/catalog.proto",
        "proto/ack.proto",
        "proto/command.proto",
        "proto/last_state.proto",
    ];
    prost_build::Config::new().compile_fds(protox::compile(files, ["proto"])?)?;

    let tree: serde_json::Value = serde_json::from_str(&fs::read_to_string("vss/vss-6.0.json")?)?;
    let mut leaves = Vec::new();
    walk(&tree, "", &mut leaves);
    leaves.sort();
    let mut out = String::from("pub(super) static SIGNALS: &[Signal] = &[\n");
    for (path, datatype, unit, _) in &leaves {
        writeln!(out, "Signal {{ path: {path:?}, datatype: {datatype:?}, unit: {unit:?} }},")?;
    }
    out.push_str("];\npub(super) static DESCRIPTIONS: &[&str] = &[\n");
    for (.., description) in &leaves {
        writeln!(out, "{description:?},")?;
    }
    out.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("vss.rs"), out)?;
    Ok(())
}

fn walk(node: &serde_json::Value, prefix: &str, leaves: &mut Vec<(String, String, String, String)>) {
    let Some(children) = node.as_object() else { return };
    for (name, child) in children {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let text = |key: &str| child.get(key).and_then(|v| v.as_str()).unwrap_or("").to_owned();
        match child.get("children") {
            Some(below) => walk(below, &path, leaves),
            None => leaves.push((path, text("datatype"), text("unit"), text("description"))),
        }
    }
}
