//! Puts the built console (`web/dist`) into the program; without it, a page that says how.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
};

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Roadlake</title>\
<body style=\"font:16px/1.5 system-ui;max-width:40rem;margin:4rem auto;padding:0 1rem\">\
<h1>The console is not built</h1><p>This program was built without <code>web/dist</code>. \
Run <code>make web</code> and build again. The API works: see <a href=\"/docs\">/docs</a>.</p></body></html>";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dist = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../web/dist");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=migrations");
    let mut files = Vec::new();
    if dist.join("index.html").exists() {
        println!("cargo:rerun-if-changed={}", dist.display());
        collect(&dist, &dist, &mut files)?;
    } else {
        // Looks again as soon as anything changes where the console would be built.
        println!("cargo:rerun-if-changed={}", dist.join("..").display());
        let page = out.join("not_built.html");
        fs::write(&page, NOT_BUILT)?;
        files.push(("index.html".to_owned(), page));
    }
    files.sort();
    let mut list = fs::File::create(out.join("assets.rs"))?;
    writeln!(list, "&[")?;
    // Copies, so that a console built anew meanwhile does not pull files from under the compiler.
    let copies = out.join("console");
    drop(fs::remove_dir_all(&copies));
    for (name, path) in files {
        let copy = copies.join(&name);
        fs::create_dir_all(copy.parent().unwrap_or(&copies))?;
        fs::copy(&path, &copy)?;
        writeln!(list, "    ({name:?}, include_bytes!({:?})),", copy)?;
    }
    writeln!(list, "]")?;
    Ok(())
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if let Ok(name) = path.strip_prefix(root) {
            files.push((name.to_string_lossy().replace('\\', "/"), path.clone()));
        }
    }
    Ok(())
}
