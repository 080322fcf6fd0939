//! Statements of a file that say something of no signal, or nothing: they are told, not guessed.

use std::collections::{HashMap, HashSet};

use can_dbc::{MessageId, ValueDescription};

use super::lines::of_statement;

/// Line and text of each, in the file's order of kinds.
pub(super) fn dangling(text: &str, ast: &can_dbc::Dbc) -> Vec<(usize, String)> {
    let mut signals: HashMap<MessageId, HashSet<&str>> = HashMap::new();
    for message in &ast.messages {
        signals.entry(message.id).or_default().extend(message.signals.iter().map(|s| s.name.as_str()));
    }
    let mut found = Vec::new();
    let mut check = |keyword: &str, id: MessageId, signal: &str| {
        let is_there = signals.get(&id).is_some_and(|names| names.contains(signal));
        if is_there {
            return;
        }
        let (line, written) = of_statement(text, keyword, signal, |written| is_id(id, written));
        let what = if signals.contains_key(&id) { "signal" } else { "message" };
        found.push((
            line,
            format!(
                "{keyword} is about signal {signal} of message {written}, a {what} that is not in the \
                 file; it is passed over, correct it or remove the line"
            ),
        ));
    };
    for switch in &ast.extended_multiplex {
        check("SG_MUL_VAL_", switch.message_id, &switch.signal_name);
    }
    for float in &ast.signal_extended_value_type_list {
        check("SIG_VALTYPE_", float.message_id, &float.signal_name);
    }
    for description in &ast.value_descriptions {
        if let ValueDescription::Signal { message_id, name, .. } = description {
            check("VAL_", *message_id, name);
        }
    }
    for switch in &ast.extended_multiplex {
        for range in switch.mappings.iter().filter(|range| range.min_value > range.max_value) {
            let (id, name) = (switch.message_id, switch.signal_name.as_str());
            let (line, _) = of_statement(text, "SG_MUL_VAL_", name, |written| is_id(id, written));
            let (low, high) = (range.min_value, range.max_value);
            found.push((
                line,
                format!("the range {low}-{high} of signal {name} holds no value; write the lesser end first"),
            ));
        }
    }
    found
}

/// Whether an id as the file writes it is that one: `can-dbc` cuts standard ids to 16 bits.
fn is_id(id: MessageId, written: u64) -> bool {
    match id {
        MessageId::Standard(cut) => written & 0xFFFF == u64::from(cut) && written < 1 << 31,
        MessageId::Extended(raw) => written == u64::from(raw) | 1 << 31,
    }
}
