//! `roadlake completions` and `roadlake man`: the commands as shells and `man` want them told.

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::{Arguments as Roadlake, terminal};

/// What `roadlake completions` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArguments {
    /// The shell to complete in
    shell: Shell,
}

/// What `roadlake man` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArguments {
    /// Folder to write a page a command into, such as /usr/local/share/man/man1; else roadlake(1) is printed
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

pub(crate) fn completions(arguments: &CompletionsArguments) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Roadlake::command(), "roadlake", &mut script);
    terminal::text(&String::from_utf8(script)?)
}

pub(crate) fn man(arguments: &ManArguments) -> anyhow::Result<()> {
    let Some(folder) = &arguments.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Roadlake::command()).render(&mut page)?;
        return terminal::text(&String::from_utf8(page)?);
    };
    let refused = || format!("cannot write man pages into {}", folder.display());
    fs::create_dir_all(folder).with_context(refused)?;
    clap_mangen::generate_to(Roadlake::command(), folder).with_context(refused)
}
