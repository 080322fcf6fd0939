//! `roadlake admin lake …`: how the lake stands, whether it is whole, and putting it in order by
//! hand; `roadlake admin rebuild` is in [`rebuild`], `roadlake admin backup` in [`backup`]. [`show`] prints.
//!
//! All but `quarantine replay` and a vacuum that keeps less than 168 h may run beside a server:
//! they commit as maintenance does, under no writer's name, so they fence nobody. Those two must
//! be alone and are refused while an ingest writes.

mod backup;
mod rebuild;
mod show;

use std::{str::FromStr, time::Duration};

use clap::{Subcommand, ValueEnum};
use ingest::{
    keys::DeviceKeys,
    replay::{Judgement, Selection, replay},
};
use lake::{
    Lake, TableKind, Whose,
    maintenance::{
        CompactionPolicy, Tries,
        expire::{ShortRetention, days_of, keeps_history},
    },
};
use service::{SharedClock, clock::SystemClock, config::Loaded};
use wire::{ids::VehicleId, time::Timestamp};

pub(crate) use backup::Damaged;

use crate::{place::PlaceArguments, progress::Progress, terminal};

/// What `roadlake admin` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// The lake's tables
    Lake(LakeArguments),
    /// Make rows of the api's database anew from its event log; may run beside a server, which is kept from
    /// writing meanwhile
    Rebuild(rebuild::Arguments),
    /// Copies of the lake and the api's database, and a new place made of one
    Backup(backup::Arguments),
    /// The certificate authority of the vehicles' units
    Ca(api::ca_cli::CaArgs),
}

#[derive(Debug, clap::Args)]
struct LakeArguments {
    #[command(flatten)]
    place: PlaceArguments,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Versions, files, bytes, rows, days and what waits to be put in order, by table
    Status,
    /// Prove from the rows that every batch is in once; exit code 65 when one is not
    Verify,
    /// Put days in order now
    Compact {
        /// Only this table; can be given more than once
        #[arg(long = "table", value_name = "TABLE")]
        tables: Vec<TableName>,
        /// Also days that still get data
        #[arg(long)]
        all_days: bool,
    },
    /// Delete files that were rewritten and those of writers that died
    Vacuum {
        /// Only this table; can be given more than once. `trips` is left out unless it is named
        #[arg(long = "table", value_name = "TABLE")]
        tables: Vec<TableName>,
        /// Keep files that were retired within so many hours
        #[arg(long, default_value_t = 168)]
        keep_hours: u32,
        /// Allow less than 168 hours: nobody may read or write the lake meanwhile
        #[arg(long)]
        allow_short: bool,
    },
    /// Erase rows of some vehicles. Old versions show them until a vacuum
    Erase {
        /// Vehicle ids, or beginnings of some with * after them: acme-*,van-7
        #[arg(long, value_name = "VEHICLES")]
        vehicles: Whose,
        /// Of the days before this one: 2026-11-23
        #[arg(long, value_name = "DAY")]
        before: Day,
        /// Only from this table; can be given more than once. `trips` is left out unless it is named
        #[arg(long = "table", value_name = "TABLE")]
        tables: Vec<TableName>,
    },
    /// Payloads that could not be decoded or trusted
    #[command(subcommand)]
    Quarantine(Quarantine),
}

#[derive(Debug, Subcommand)]
enum Quarantine {
    /// What is there
    List {
        #[command(flatten)]
        which: Which,
        /// At most so many, newest first
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Store those that verify now, after a key was enrolled or a catalogue came
    Replay {
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Only of this vehicle
    #[arg(long)]
    vehicle: Option<VehicleId>,
    /// Only for this reason
    #[arg(long)]
    reason: Option<String>,
}

/// A day, counted from 1970-01-01 UTC.
#[derive(Debug, Clone, Copy)]
struct Day(i32);

impl FromStr for Day {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        days_of(text).map(Self).ok_or("write a day as 2026-11-23")
    }
}

/// A table by its name.
#[derive(Debug, Clone, Copy)]
struct TableName(TableKind);

impl ValueEnum for TableName {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [TableName; TableKind::ALL.len()] = {
            let mut all = [TableName(TableKind::Readings); TableKind::ALL.len()];
            let mut i = 0;
            while i < all.len() {
                all[i] = TableName(TableKind::ALL[i]);
                i += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.name()))
    }
}

/// The lake has holes or doubles.
#[derive(Debug, thiserror::Error)]
#[error("{missing} batches are missing and {doubled} are there more than once")]
pub(crate) struct NotWhole {
    missing: u64,
    doubled: u64,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let arguments = match arguments.part {
        Part::Lake(arguments) => arguments,
        Part::Rebuild(arguments) => return rebuild::run(arguments).await,
        Part::Backup(arguments) => return backup::run(arguments).await,
        Part::Ca(arguments) => {
            let now = Timestamp(SystemClock::shared().now_us());
            return api::ca_cli::run(&arguments, now).map_err(Into::into);
        }
    };
    let Loaded { config, origin } = arguments.place.load()?;
    let settings =
        ingest::Settings::check(Loaded { config: config.ingest, origin: format!("{origin} [ingest]") })?;
    let admin = Admin {
        lake: Lake::open_at(&settings.lake).await?,
        settings,
        clock: SystemClock::shared(),
        is_json: arguments.json,
    };
    match arguments.command {
        Command::Status => admin.status().await,
        Command::Verify => admin.verify().await,
        Command::Compact { tables, all_days } => admin.compact(&tables, all_days).await,
        Command::Vacuum { tables, keep_hours, allow_short } => {
            let short = if allow_short { ShortRetention::Allowed } else { ShortRetention::Refused };
            admin.vacuum(&tables, Duration::from_secs(u64::from(keep_hours) * 3600), short).await
        }
        Command::Erase { vehicles, before, tables } => admin.erase(&vehicles, before, &tables).await,
        Command::Quarantine(Quarantine::List { which, limit }) => admin.list(&which, limit).await,
        Command::Quarantine(Quarantine::Replay { which }) => admin.replay(which).await,
    }
}

struct Admin {
    lake: Lake,
    settings: ingest::Settings,
    clock: SharedClock,
    is_json: bool,
}

impl Admin {
    async fn status(&self) -> anyhow::Result<()> {
        let mut all = Vec::new();
        for kind in self.tables(&[]).await? {
            let mut table = self.lake.open_table(kind).await?;
            all.push(table.status(&self.settings.maintenance.policy, self.now_ms()).await?);
        }
        if self.is_json { terminal::json(&serde_json::json!({ "tables": all })) } else { show::status(&all) }
    }

    async fn verify(&self) -> anyhow::Result<()> {
        let progress = Progress::of("reading every row", self.is_json);
        let audit = self.lake.audit(&self.settings.maintenance.policy).await?;
        drop(progress);
        if self.is_json {
            terminal::json(&audit)?
        } else {
            show::audit(&audit)?
        }
        if audit.is_clean() {
            return Ok(());
        }
        Err(NotWhole { missing: audit.missing_batches, doubled: audit.doubled_batches }.into())
    }

    async fn compact(&self, tables: &[TableName], all_days: bool) -> anyhow::Result<()> {
        let mut policy = self.settings.maintenance.policy.clone();
        if all_days {
            policy = CompactionPolicy { settle: Duration::ZERO, ..policy };
        }
        let mut all = Vec::new();
        let kinds = self.tables(tables).await?;
        let progress = Progress::steps(kinds.len(), self.is_json);
        for (place, kind) in kinds.into_iter().enumerate() {
            progress.begin(place, kind.name());
            let mut table = self.lake.open_table(kind).await?;
            let mut tries = Tries::default();
            let done = loop {
                match table.compact(&policy, self.now_ms()).await {
                    Err(error) if tries.again(&error) => {}
                    other => break other?,
                }
            };
            all.push((kind.name(), done));
        }
        drop(progress);
        if self.is_json { terminal::json(&show::by_table(&all)) } else { show::compacted(&all) }
    }

    async fn vacuum(
        &self,
        tables: &[TableName],
        keep: Duration,
        short: ShortRetention,
    ) -> anyhow::Result<()> {
        // A writer's files that are not committed yet are young files that no version names.
        let _alone = (short == ShortRetention::Allowed).then(|| self.lake.lock_alone()).transpose()?;
        let mut all = Vec::new();
        let kinds = self.without_history(tables).await?;
        let progress = Progress::steps(kinds.len(), self.is_json);
        for (place, kind) in kinds.into_iter().enumerate() {
            progress.begin(place, kind.name());
            let mut table = self.lake.open_table(kind).await?;
            all.push((kind.name(), table.vacuum(keep, short).await?));
        }
        drop(progress);
        if self.is_json { terminal::json(&show::by_table(&all)) } else { show::vacuumed(&all) }
    }

    async fn erase(&self, whose: &Whose, before: Day, tables: &[TableName]) -> anyhow::Result<()> {
        let policy = &self.settings.maintenance.policy;
        let mut all = Vec::new();
        let kinds = self.without_history(tables).await?;
        let progress = Progress::steps(kinds.len(), self.is_json);
        for (place, kind) in kinds.into_iter().enumerate() {
            progress.begin(place, kind.name());
            let mut table = self.lake.open_table(kind).await?;
            let mut tries = Tries::default();
            let done = loop {
                match table.erase_before(whose, before.0, policy, self.now_ms()).await {
                    Err(error) if tries.again(&error) => {}
                    other => break other?,
                }
            };
            all.push((kind.name(), done));
        }
        drop(progress);
        if self.is_json { terminal::json(&show::by_table(&all)) } else { show::erased(&all) }
    }

    async fn list(&self, which: &Which, limit: u32) -> anyhow::Result<()> {
        let mut conditions = vec!["true".to_owned()];
        if let Some(vehicle) = &which.vehicle {
            conditions.push(format!("vehicle_id = '{vehicle}'"));
        }
        if let Some(reason) = &which.reason {
            conditions.push(format!("reason = '{}'", reason.replace('\'', "''")));
        }
        let query = format!(
            "SELECT received_at, vehicle_id, reason, octet_length(encode(payload, 'hex')) / 2 AS payload_bytes, sample_count, \
             stream_id, sequence, detail FROM quarantine WHERE {} ORDER BY received_at DESC LIMIT {limit}",
            conditions.join(" AND ")
        );
        let session = analytics::sql_cli::Session::open(&self.settings.lake, self.clock.clone()).await?;
        let format =
            if self.is_json { analytics::sql_cli::Format::Json } else { analytics::sql_cli::Format::Table };
        terminal::text(&session.run(&query, format).await?)
    }

    async fn replay(&self, which: Which) -> anyhow::Result<()> {
        let selection = Selection { vehicle_id: which.vehicle, reason: which.reason };
        let judgement = Judgement {
            signatures: self.settings.signatures,
            keys: DeviceKeys::new(self.settings.device_keys_dir.clone()),
            clock_ahead_max: self.settings.clock_ahead_max,
        };
        let progress = Progress::of("trying payloads again", self.is_json);
        let done = replay(&self.lake, &selection, judgement, self.clock.clone()).await?;
        drop(progress);
        if self.is_json { terminal::json(&done) } else { show::replayed(&done) }
    }

    /// The tables named, or all there are.
    async fn tables(&self, named: &[TableName]) -> anyhow::Result<Vec<TableKind>> {
        let is_meant = |kind: &TableKind| named.is_empty() || named.iter().any(|name| name.0 == *kind);
        Ok(self.lake.tables(TableKind::ALL.into_iter().filter(is_meant)).await?)
    }

    /// The same, but where none is named without those whose old versions are cited.
    async fn without_history(&self, named: &[TableName]) -> anyhow::Result<Vec<TableKind>> {
        let mut kinds = self.tables(named).await?;
        kinds.retain(|kind| !named.is_empty() || !keeps_history(*kind));
        Ok(kinds)
    }

    fn now_ms(&self) -> i64 {
        self.clock.now_us() / 1000
    }
}
