//! On which line of the text a message or signal stands, for messages to people.

use std::collections::HashMap;

/// Lines of `BO_` and `SG_`, found by a plain scan: `can-dbc` keeps no positions.
pub(super) struct Lines {
    /// (line, id as written), in the file's order.
    messages: Vec<(usize, u64)>,
    /// (ordinal of the message, signal) to its lines, in order.
    signals: HashMap<(usize, String), usize>,
}

impl Lines {
    pub(super) fn new(text: &str) -> Self {
        let mut found = Self { messages: Vec::new(), signals: HashMap::new() };
        let mut is_quoted = false;
        for (i, line) in text.lines().enumerate() {
            let starts_quoted = is_quoted;
            if line.bytes().filter(|b| *b == b'"').count() % 2 == 1 {
                is_quoted = !is_quoted;
            }
            if starts_quoted {
                continue;
            }
            let mut words = line.split([' ', '\t', ':']).filter(|word| !word.is_empty());
            match (words.next(), words.next()) {
                (Some("BO_"), Some(id)) => {
                    if let Ok(id) = id.parse() {
                        found.messages.push((i + 1, id));
                    }
                }
                (Some("SG_"), Some(name)) if !found.messages.is_empty() => {
                    found.signals.entry((found.messages.len() - 1, name.to_owned())).or_insert(i + 1);
                }
                _ => {}
            }
        }
        found
    }

    /// Line of a message, by its ordinal in the file; 0 when it is not known.
    pub(super) fn of_message(&self, ordinal: usize) -> usize {
        self.messages.get(ordinal).map_or(0, |m| m.0)
    }

    /// The id of a message as it is written, bit 31 and all: `can-dbc` cuts standard ids.
    pub(super) fn id_as_written(&self, ordinal: usize) -> Option<u64> {
        self.messages.get(ordinal).map(|m| m.1)
    }

    /// Line of a signal; that of its message when it is not known.
    pub(super) fn of_signal(&self, ordinal: usize, name: &str) -> usize {
        self.signals.get(&(ordinal, name.to_owned())).copied().unwrap_or_else(|| self.of_message(ordinal))
    }
}

/// The first line that contains `text`; 0 when none does.
pub(super) fn first_with(whole: &str, text: &str) -> usize {
    whole.lines().position(|line| line.contains(text)).map_or(0, |i| i + 1)
}

/// The first line `keyword id signal …` of an id that is meant, and the id; line 1 when there is
/// none.
pub(super) fn of_statement(
    whole: &str,
    keyword: &str,
    signal: &str,
    is_meant: impl Fn(u64) -> bool,
) -> (usize, u64) {
    let id_of = |line: &str| {
        let mut words = line.split([' ', '\t', ':']).filter(|word| !word.is_empty());
        let is_keyword = words.next() == Some(keyword);
        let id = words.next().and_then(|id| id.parse().ok()).filter(|id| is_keyword && is_meant(*id))?;
        (words.next() == Some(signal)).then_some(id)
    };
    let mut found = whole.lines().enumerate().filter_map(|(i, line)| Some((i + 1, id_of(line)?)));
    found.next().unwrap_or((1, 0))
}
