//! `protoc [--version] [-I DIR]... [--include_imports] [--include_source_info] -o FILE PROTO...`:
//! what build scripts ask of protoc, answered by protox.

use std::{error::Error, io::Write, path::PathBuf, process::ExitCode};

/// Whom build scripts believe that they speak to.
const VERSION: &str = "libprotoc 25.0";

#[derive(Default)]
struct Request {
    includes: Vec<PathBuf>,
    files: Vec<PathBuf>,
    out: Option<PathBuf>,
    has_imports: bool,
    has_source_info: bool,
}

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("protoc: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let mut request = Request::default();
    while let Some(argument) = arguments.next() {
        let mut value = |inline: &str| match inline.is_empty() {
            true => arguments.next().ok_or(format!("{argument} needs a value")),
            false => Ok(inline.to_owned()),
        };
        match argument.as_str() {
            "--version" => {
                writeln!(std::io::stdout(), "{VERSION}")?;
                return Ok(());
            }
            "--include_imports" => request.has_imports = true,
            "--include_source_info" => request.has_source_info = true,
            "--experimental_allow_proto3_optional" => {}
            "--descriptor_set_out" => request.out = Some(value("")?.into()),
            other => {
                if let Some(folder) = other.strip_prefix("-I") {
                    request.includes.push(value(folder)?.into());
                } else if let Some(folder) = other.strip_prefix("--proto_path=") {
                    request.includes.push(folder.into());
                } else if let Some(file) = other.strip_prefix("--descriptor_set_out=") {
                    request.out = Some(file.into());
                } else if let Some(file) = other.strip_prefix("-o") {
                    request.out = Some(value(file)?.into());
                } else if other.starts_with('-') {
                    return Err(format!("unknown option {other}: this protoc only writes descriptors").into());
                } else {
                    request.files.push(other.into());
                }
            }
        }
    }
    let out = request.out.ok_or("no -o: this protoc only writes descriptors")?;
    let mut compiler = protox::Compiler::new(&request.includes)?;
    compiler.include_imports(request.has_imports).include_source_info(request.has_source_info);
    compiler.open_files(&request.files)?;
    std::fs::write(out, compiler.encode_file_descriptor_set())?;
    Ok(())
}
