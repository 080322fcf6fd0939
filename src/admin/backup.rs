//! `roadlake admin backup …`: the lake and the api's database in a folder of copies, and a new place made of one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use api::db::{self, DatabaseLocation};
use clap::Subcommand;
use lake::{
    Lake, LakeLocation, LakeSettings,
    backup::{Backups, Copied, Manifest},
};
use serde_json::json;
use service::clock::SystemClock;
use wire::time::Timestamp;

use super::show;
use crate::{place::PlaceArguments, progress::Progress, terminal};

/// The database in a copy: SQLite's file.
const DATABASE: &str = "api.db";
/// A dump of PostgreSQL in a copy, in whatever format it was given.
const DUMP: &str = "api.dump";

/// What `roadlake admin backup` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Copy lake and database as they are now; may run beside a server. What an earlier copy in the folder has
    /// is not copied again
    Make {
        #[command(flatten)]
        place: PlaceArguments,
        /// Folder of the copies, on another disk
        #[arg(long, value_name = "FOLDER")]
        to: PathBuf,
        /// Drop all but the newest so many copies, and files that only those had
        #[arg(long, value_name = "COUNT")]
        keep: Option<usize>,
        /// With a PostgreSQL server: the file of a dump made just before (pg_dump), to be kept with the copy
        #[arg(long, value_name = "FILE")]
        database_dump: Option<PathBuf>,
        /// Copy the lake alone
        #[arg(long, conflicts_with = "database_dump")]
        without_database: bool,
    },
    /// The copies there are
    List {
        #[command(flatten)]
        from: From,
    },
    /// Read a copy again and compare it with what was written; exit code 65 when something is damaged
    Verify {
        #[command(flatten)]
        from: From,
        #[command(flatten)]
        which: Which,
    },
    /// Make a new lake and database of a copy, where there is none
    Restore {
        #[command(flatten)]
        from: From,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        place: PlaceArguments,
    },
}

#[derive(Debug, clap::Args)]
struct From {
    /// Folder of the copies
    #[arg(long, value_name = "FOLDER")]
    from: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// The copy's name, as `list` has it [default: the newest]
    #[arg(long, value_name = "NAME")]
    at: Option<String>,
}

/// A copy is not as it was written.
#[derive(Debug, thiserror::Error)]
#[error(
    "{count} files of {id} are damaged: it cannot be restored; make another copy, which mends those that the lake still has"
)]
pub(crate) struct Damaged {
    id: String,
    count: usize,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let is_json = arguments.json;
    match arguments.command {
        Command::Make { place, to, keep, database_dump, without_database } => {
            let given = Given { dump: database_dump, is_left_out: without_database };
            make(&place, &to, keep, given, is_json).await
        }
        Command::List { from } => list(&Backups::open(&from.from)?.list()?, is_json),
        Command::Verify { from, which } => verify(&from.from, which.at.as_deref(), is_json),
        Command::Restore { from, which, place } => {
            restore(&from.from, which.at.as_deref(), &place, is_json).await
        }
    }
}

/// What was said of the database.
struct Given {
    dump: Option<PathBuf>,
    is_left_out: bool,
}

/// Where the database is and the lake.
fn places(place: &PlaceArguments) -> anyhow::Result<(Option<DatabaseLocation>, LakeSettings)> {
    Ok((place.load()?.config.api.database, place.lake()?))
}

async fn make(
    place: &PlaceArguments,
    to: &Path,
    keep: Option<usize>,
    given: Given,
    is_json: bool,
) -> anyhow::Result<()> {
    let (database, lake) = places(place)?;
    let lake = Lake::open_at(&lake).await?;
    if let Some(folder) = lake.folder() {
        // It need not be there yet.
        let there = to.canonicalize().or_else(|_| std::path::absolute(to)).context("no such folder")?;
        ensure!(!there.starts_with(folder), "{} is within the lake; name a folder elsewhere", to.display());
    }
    let backups = Backups::create(to)?;
    let progress = Progress::of("copying", is_json);
    let making = backups.begin(Timestamp(SystemClock::shared().now_us()))?;
    // First the database: what follows the lake must not be ahead of it.
    let others = of_database(database, given, &making.folder()).await?;
    let (manifest, copied) = making.finish(&lake, &others, env!("CARGO_PKG_VERSION")).await?;
    let dropped = keep.map(|count| backups.keep(count)).transpose()?.unwrap_or(0);
    drop(progress);
    tell_made(&manifest, copied, dropped, is_json)
}

/// Puts the database into the copy's folder; the names of its files there.
async fn of_database(
    database: Option<DatabaseLocation>,
    given: Given,
    folder: &Path,
) -> anyhow::Result<Vec<&'static str>> {
    if given.is_left_out {
        return Ok(Vec::new());
    }
    match (database, given.dump) {
        (Some(DatabaseLocation::Postgres(_)) | None, Some(dump)) => {
            let to = folder.join(DUMP);
            fs::copy(&dump, &to).with_context(|| format!("cannot copy {}", dump.display()))?;
            fs::File::open(&to).and_then(|file| file.sync_all()).context("cannot keep the dump")?;
            Ok(vec![DUMP])
        }
        (Some(DatabaseLocation::File(_)), Some(_)) => {
            bail!("the database is a file, which is copied by itself; leave out --database-dump")
        }
        (Some(DatabaseLocation::File(file)), None) if file.exists() => {
            db::copy(&file, &folder.join(DATABASE)).await?;
            Ok(vec![DATABASE])
        }
        (Some(DatabaseLocation::File(file)), None) => bail!(
            "there is no database {}; name its folder with --data, or copy the lake alone with --without-database",
            file.display()
        ),
        (Some(server @ DatabaseLocation::Postgres(_)), None) => bail!(
            "the database is {server}: dump it first (pg_dump --format=custom --file FILE) and give the file with \
             --database-dump FILE, or copy the lake alone with --without-database"
        ),
        (None, None) => {
            bail!("the configuration names no database; copy the lake alone with --without-database")
        }
    }
}

fn list(all: &[Manifest], is_json: bool) -> anyhow::Result<()> {
    if is_json {
        return terminal::json(&json!({ "backups": all.iter().map(told).collect::<Vec<_>>() }));
    }
    let mut rows = vec![["name", "bytes", "rows", "readings version", "with", "release"].map(str::to_owned)];
    for manifest in all {
        let readings = manifest.tables.iter().find(|table| table.table == "readings");
        let others: Vec<&str> = manifest.others.iter().map(|part| part.path.as_str()).collect();
        rows.push([
            manifest.id.clone(),
            show::bytes(manifest.bytes()),
            manifest
                .tables
                .iter()
                .map(|table| table.rows)
                .sum::<Option<u64>>()
                .map_or("-".to_owned(), |n| n.to_string()),
            readings.map_or("-".to_owned(), |table| table.version.to_string()),
            if others.is_empty() { "lake alone".to_owned() } else { others.join(", ") },
            manifest.release.clone(),
        ]);
    }
    terminal::text(&terminal::aligned(&rows))
}

/// A copy without the names of its files.
fn told(manifest: &Manifest) -> serde_json::Value {
    let tables = manifest.tables.iter().map(|table| {
        let of_table = json!({ "version": table.version, "rows": table.rows, "files": table.files.len() });
        (table.table.clone(), of_table)
    });
    json!({
        "id": manifest.id,
        "made_at": manifest.made_at,
        "release": manifest.release,
        "lake": manifest.lake,
        "bytes": manifest.bytes(),
        "others": manifest.others.iter().map(|part| &part.path).collect::<Vec<_>>(),
        "tables": tables.collect::<serde_json::Map<_, _>>(),
    })
}

fn tell_made(manifest: &Manifest, copied: Copied, dropped: usize, is_json: bool) -> anyhow::Result<()> {
    if is_json {
        return terminal::json(&json!({ "backup": told(manifest), "copied": copied, "dropped": dropped }));
    }
    let mut said = format!(
        "{}: {} in all; copied {} files of {}, {} were there\n",
        manifest.id,
        show::bytes(manifest.bytes()),
        copied.files_copied,
        show::bytes(copied.bytes_copied),
        copied.files_kept
    );
    if dropped > 0 {
        said.push_str(&format!("dropped {dropped} older\n"));
    }
    terminal::text(&said)
}

fn verify(from: &Path, at: Option<&str>, is_json: bool) -> anyhow::Result<()> {
    let backups = Backups::open(from)?;
    let manifest = backups.find(at)?;
    let progress = Progress::of("reading the copy", is_json);
    let damaged = backups.verify(&manifest)?;
    drop(progress);
    let lines: Vec<String> = damaged.iter().map(ToString::to_string).collect();
    if is_json {
        terminal::json(&json!({ "id": manifest.id, "damaged": lines }))?;
    } else if lines.is_empty() {
        terminal::text(&format!(
            "{}: {} read, all as written\n",
            manifest.id,
            show::bytes(manifest.bytes())
        ))?;
    } else {
        terminal::text(&format!("{}\n", lines.join("\n")))?;
    }
    if lines.is_empty() { Ok(()) } else { Err(Damaged { id: manifest.id, count: lines.len() }.into()) }
}

async fn restore(from: &Path, at: Option<&str>, place: &PlaceArguments, is_json: bool) -> anyhow::Result<()> {
    let backups = Backups::open(from)?;
    let manifest = backups.find(at)?;
    let (database, settings) = places(place)?;
    let has_file = manifest.others.iter().any(|part| part.path == DATABASE);
    let to = match database {
        Some(DatabaseLocation::File(file)) if has_file => Some(file),
        _ => None,
    };
    if let Some(file) = &to {
        ensure!(!file.exists(), "there is a database {}; name a new folder with --data", file.display());
    }
    if let LakeLocation::Folder(folder) = &settings.location {
        let inside = from.canonicalize().is_ok_and(|from| folder.starts_with(from));
        ensure!(!inside, "{} is within the folder of copies; name one elsewhere", folder.display());
    }
    let lake = Lake::create_at(&settings).await?;
    // The database is of an earlier moment, and is read from the copy once it is known to be whole.
    let part = manifest.others.iter().find(|part| part.path == DATABASE);
    let progress = Progress::of("making the lake of the copy", is_json);
    backups.restore(&manifest, &lake).await?;
    if let (Some(file), Some(part)) = (&to, part) {
        backups.hand_out(&manifest, part, file)?;
    }
    drop(progress);
    let dump = manifest.others.iter().any(|part| part.path == DUMP);
    let dump = dump.then(|| from.join(&manifest.id).join(DUMP));
    if is_json {
        return terminal::json(&json!({
            "backup": told(&manifest), "lake": lake.location().to_string(), "database": to, "database_dump": dump,
        }));
    }
    let mut said = format!("lake      {}\n", lake.location());
    match (&to, &dump) {
        (Some(file), _) => said.push_str(&format!("database  {}\n", file.display())),
        (None, Some(dump)) => said.push_str(&format!(
            "database  not restored: load it into an empty database with pg_restore --dbname URL {}\n",
            dump.display()
        )),
        (None, None) => said.push_str("database  none in this copy\n"),
    }
    said.push_str(&format!("as it was at {}; keys and configuration are not in it\n", manifest.made_at));
    terminal::text(&said)
}
