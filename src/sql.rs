//! `roadlake sql`: a query, or a prompt.

use std::{io::IsTerminal, path::PathBuf};

use analytics::sql_cli::{Format, Session};
use rustyline::{DefaultEditor, error::ReadlineError};
use service::{clock::SystemClock, logs};

use crate::{place::PlaceArguments, progress::Progress, terminal};

/// What `roadlake sql` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: PlaceArguments,
    /// table, csv, json, or chart: a bar a row, as long as its last number
    #[arg(long, default_value = "table")]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// The query; without one, a prompt
    query: Option<String>,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let session = Session::open(&arguments.place.lake()?, SystemClock::shared()).await?;
    let format = if arguments.json { Format::Json } else { arguments.format };
    if let Some(query) = &arguments.query {
        let progress = Progress::of("running", arguments.json);
        let answer = session.run(query, format).await?;
        drop(progress);
        return terminal::text(&answer);
    }
    if !std::io::stdin().is_terminal() {
        let script = std::io::read_to_string(std::io::stdin())?;
        for query in script.split(';').filter(|q| !q.trim().is_empty()) {
            terminal::text(&session.run(query, format).await?)?;
        }
        return Ok(());
    }
    prompt(&session, format).await
}

async fn prompt(session: &Session, format: Format) -> anyhow::Result<()> {
    println!("SQL over the lake. End a query with ';'. \\d lists tables, \\d NAME its columns, \\q leaves.");
    let mut editor = DefaultEditor::new()?;
    let history = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".roadlake_history"));
    if let Some(path) = &history {
        // The first time there is none.
        drop(editor.load_history(path));
    }
    let mut query = String::new();
    loop {
        let line = match editor.readline(if query.is_empty() { "roadlake> " } else { "       -> " }) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                query.clear();
                continue;
            }
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error.into()),
        };
        match command(line.trim(), query.is_empty()) {
            Input::Quit => break,
            Input::Query(text) => {
                query.push_str(&text);
                query.push('\n');
            }
        }
        let complete = query.trim_end().strip_suffix(';').map(str::to_owned);
        let Some(text) = complete else { continue };
        query.clear();
        if text.trim().is_empty() {
            continue;
        }
        drop(editor.add_history_entry(format!("{};", text.trim())));
        match session.run(&text, format).await {
            Ok(result) => terminal::text(&result)?,
            Err(error) => eprintln!("error: {}", logs::chain(&error)),
        }
    }
    if let Some(path) = &history
        && let Err(error) = editor.save_history(path)
    {
        eprintln!("cannot keep the history in {}: {error}", path.display());
    }
    Ok(())
}

enum Input {
    Quit,
    Query(String),
}

/// Backslash commands, as in psql.
fn command(line: &str, is_start: bool) -> Input {
    match line.strip_prefix('\\').filter(|_| is_start) {
        Some("q") => Input::Quit,
        Some("d") => Input::Query(
            "SELECT table_name AS name, table_type AS kind FROM information_schema.tables \
             WHERE table_schema <> 'information_schema' ORDER BY 1;"
                .to_owned(),
        ),
        Some(rest) => match rest.strip_prefix("d ") {
            Some(table) => Input::Query(format!("DESCRIBE {};", table.trim())),
            None => Input::Query(format!("\\{rest};")),
        },
        None if is_start && matches!(line, "quit" | "exit") => Input::Quit,
        None => Input::Query(line.to_owned()),
    }
}
