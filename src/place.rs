//! Where a command finds the data: flags, then the server's configuration file.

use std::path::{Path, PathBuf};

use lake::{LakeLocation, LakeSettings};
use service::config::{ConfigError, Faults, Loaded};

use crate::stack::Config;

const DATA_DIR: &str = "roadlake-data";

/// Flags of every command that opens the data.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PlaceArguments {
    /// Configuration file of the server; `configs/roadlake.toml` explains every key
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    /// Folder of the data: of the api's database, and of the lake unless that is in a bucket
    /// [default: roadlake-data, where there is no configuration file]
    #[arg(long, global = true)]
    data: Option<PathBuf>,
    /// Where the lake is: a folder, or s3://bucket/prefix (`[s3]` of the configuration, or AWS_*)
    #[arg(long, global = true, value_name = "PLACE")]
    lake: Option<LakeLocation>,
}

impl PlaceArguments {
    /// The server's configuration with these flags.
    pub(crate) fn load(&self) -> Result<Loaded<Config>, ConfigError> {
        let mut loaded = service::config::load::<Config>("serve", self.config.as_deref())?;
        if loaded.config.api.database.is_none() {
            loaded.config.api.database = api::db::DatabaseLocation::from_environment();
        }
        match (&self.data, &self.config) {
            (Some(data), _) => loaded.config.set_data_dir(data),
            (None, None) => loaded.config.set_data_dir(Path::new(DATA_DIR)),
            (None, Some(_)) => {}
        }
        if let Some(lake) = &self.lake {
            loaded.config.lake = Some(lake.clone());
        }
        loaded.config.spread();
        Ok(loaded)
    }

    /// The lake alone: nothing else of the configuration need be right.
    pub(crate) fn lake(&self) -> Result<LakeSettings, ConfigError> {
        let Loaded { config, origin } = self.load()?;
        let mut faults = Faults::of(&origin);
        let lake = LakeSettings::check(config.ingest.lake, &config.ingest.s3);
        let lake =
            lake.map_err(|found| found.iter().for_each(|fault| faults.add(fault.key, &fault.what))).ok();
        faults.finish(lake)
    }
}
