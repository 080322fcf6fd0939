//! From `can-dbc`'s answer to [`Dbc`].

use std::collections::{HashMap, HashSet};

use can_dbc::{MessageId, MultiplexIndicator, NumericValue};

use super::{
    Dbc, DbcError, DbcMessage, DbcSignal, DbcWarning, Switch, dangling::dangling, facts::Facts, lines::Lines,
    syntax::syntax_error,
};
use crate::{
    decode::layout::{ByteOrder, Encoding, Layout},
    frame::FrameId,
};

/// Where editors park signals that belong to no message.
const INDEPENDENT_SIGNALS: &str = "VECTOR__INDEPENDENT_SIG_MSG";
const EXTENDED_FLAG: u64 = 1 << 31;
/// Deepest chain of multiplexers; real files have two.
const SWITCH_DEPTH_MAX: usize = 8;

pub(super) fn build(file: &str, text: &str) -> Result<Dbc, DbcError> {
    // The grammar wants every line ended.
    let ended = if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    let ast = can_dbc::Dbc::try_from(ended.as_str()).map_err(|error| syntax_error(file, &ended, &error))?;
    let mut builder =
        Builder { file, lines: Lines::new(&ended), facts: Facts::collect(&ast), warnings: Vec::new() };
    let mut messages: Vec<DbcMessage> = Vec::new();
    let mut seen: HashMap<FrameId, usize> = HashMap::new();
    for (ordinal, message) in ast.messages.iter().enumerate() {
        let Some(built) = builder.message(ordinal, message) else { continue };
        match seen.get(&built.id) {
            None => {
                seen.insert(built.id, messages.len());
                messages.push(built);
            }
            Some(earlier) => {
                let first = &messages[*earlier];
                let text = format!(
                    "message {} has the id of {} on line {}; this later one is used, remove one of them",
                    built.name, first.name, first.line
                );
                builder.warn(built.line, text);
                messages[*earlier] = built;
            }
        }
    }
    for (line, text) in dangling(&ended, &ast) {
        builder.warn(line, text);
    }
    if ast.messages.is_empty() {
        builder.warn(1, "the file has no messages (BO_); is it the right one?".to_owned());
    }
    Ok(Dbc { file: file.to_owned(), messages, warnings: builder.warnings })
}

struct Builder<'a> {
    file: &'a str,
    lines: Lines,
    facts: Facts<'a>,
    warnings: Vec<DbcWarning>,
}

/// The name of a multiplexer and the ranges of its values.
type NamedSwitch = (String, Vec<(u64, u64)>);

/// A signal on its way: its switch still names the multiplexer.
struct Draft {
    short_name: String,
    signal: DbcSignal,
    switch: Option<NamedSwitch>,
    first_bit: u64,
}

impl Builder<'_> {
    fn warn(&mut self, line: usize, message: String) {
        self.warnings.push(DbcWarning { file: self.file.to_owned(), line, message });
    }

    fn message(&mut self, ordinal: usize, message: &can_dbc::Message) -> Option<DbcMessage> {
        if message.name == INDEPENDENT_SIGNALS {
            return None;
        }
        let line = self.lines.of_message(ordinal);
        let id = self.frame_id(ordinal, line, message)?;
        let mut drafts: Vec<Draft> =
            message.signals.iter().filter_map(|s| self.signal(ordinal, message, s)).collect();
        let mut names = HashSet::new();
        for draft in drafts.iter().filter(|draft| !names.insert(draft.signal.name.as_str())) {
            let text = format!(
                "message {} has two signals {}; both are decoded, but neither can be mapped, rename one",
                message.name, draft.signal.name
            );
            self.warn(draft.signal.line, text);
        }
        drafts.sort_by_key(|draft| draft.first_bit);
        let signals = self.join_switches(drafts);
        for signal in &signals {
            if signal.layout.byte_count_needed() as u64 > message.size {
                let text = format!(
                    "signal {} needs {} bytes but message {} has {}; it is decoded from longer frames only",
                    signal.name,
                    signal.layout.byte_count_needed(),
                    message.name,
                    message.size
                );
                self.warn(signal.line, text);
            }
        }
        let name = self.facts.long_message_names.get(&message.id).map_or(message.name.as_str(), |name| name);
        Some(DbcMessage {
            line,
            id,
            name: name.to_owned(),
            byte_count: message.size,
            is_j1939: self.facts.j1939.contains(&message.id),
            signals,
        })
    }

    fn frame_id(&mut self, ordinal: usize, line: usize, message: &can_dbc::Message) -> Option<FrameId> {
        match message.id {
            MessageId::Extended(raw) => Some(FrameId { raw, is_extended: true }),
            MessageId::Standard(cut) => {
                // can-dbc cuts a standard id to 16 bits, so look at what was written.
                let written = self.lines.id_as_written(ordinal).filter(|id| id & 0xFFFF == u64::from(cut));
                let id = written.unwrap_or(u64::from(cut));
                if id <= 0x7FF {
                    return Some(FrameId { raw: u32::from(cut), is_extended: false });
                }
                let text = format!(
                    "message {} is left out: its id {id} has more than 11 bits; write {} if it is a 29-bit id",
                    message.name,
                    id | EXTENDED_FLAG
                );
                self.warn(line, text);
                None
            }
        }
    }

    fn signal(
        &mut self,
        ordinal: usize,
        message: &can_dbc::Message,
        signal: &can_dbc::Signal,
    ) -> Option<Draft> {
        let key = (message.id, signal.name.as_str());
        let line = self.lines.of_signal(ordinal, &signal.name);
        let order = match signal.byte_order {
            can_dbc::ByteOrder::LittleEndian => ByteOrder::Little,
            can_dbc::ByteOrder::BigEndian => ByteOrder::Big,
        };
        let encoding = self.facts.floats.get(&key).copied().unwrap_or(match signal.value_type {
            can_dbc::ValueType::Signed => Encoding::Signed,
            can_dbc::ValueType::Unsigned => Encoding::Unsigned,
        });
        let layout = match Layout::new(signal.start_bit, signal.size, order, encoding) {
            Ok(layout) => layout,
            Err(error) => {
                self.warn(line, format!("signal {}.{} is left out: {error}", message.name, signal.name));
                return None;
            }
        };
        let switch = match self.switch(line, message, signal) {
            Ok(switch) => switch,
            Err(reason) => {
                self.warn(line, format!("signal {}.{} is left out: {reason}", message.name, signal.name));
                return None;
            }
        };
        let name = self.facts.long_signal_names.get(&key).map_or(signal.name.as_str(), |name| name);
        Some(Draft {
            short_name: signal.name.clone(),
            first_bit: match order {
                ByteOrder::Little => signal.start_bit,
                ByteOrder::Big => 8 * (signal.start_bit / 8) + 7 - signal.start_bit % 8,
            },
            switch,
            signal: DbcSignal {
                line,
                name: name.to_owned(),
                layout,
                scale: signal.factor,
                offset: signal.offset,
                min: number(signal.min),
                max: number(signal.max),
                unit: signal.unit.clone(),
                labels: self.facts.labels.get(&key).cloned().unwrap_or_default(),
                is_multiplexer: matches!(
                    signal.multiplexer_indicator,
                    MultiplexIndicator::Multiplexor | MultiplexIndicator::MultiplexorAndMultiplexedSignal(_)
                ),
                present_when: None,
            },
        })
    }

    /// The multiplexer a signal depends on, by name, and its values.
    fn switch(
        &mut self,
        line: usize,
        message: &can_dbc::Message,
        signal: &can_dbc::Signal,
    ) -> Result<Option<NamedSwitch>, String> {
        if let Some([first, others @ ..]) =
            self.facts.switches.get(&(message.id, signal.name.as_str())).map(Vec::as_slice)
        {
            let mut ranges: Vec<(u64, u64)> = first
                .mappings
                .iter()
                .map(|m| (m.min_value, m.max_value))
                .filter(|(low, high)| low <= high)
                .collect();
            ranges.sort_unstable();
            let name = first.multiplexor_signal_name.clone();
            if others.iter().any(|other| other.multiplexor_signal_name != name) {
                let text =
                    format!("signal {} has two multiplexers in SG_MUL_VAL_; {name} is used", signal.name);
                self.warn(line, text);
            }
            return Ok(Some((name, ranges)));
        }
        let value = match signal.multiplexer_indicator {
            MultiplexIndicator::Plain | MultiplexIndicator::Multiplexor => return Ok(None),
            MultiplexIndicator::MultiplexedSignal(value)
            | MultiplexIndicator::MultiplexorAndMultiplexedSignal(value) => value,
        };
        let mut switches =
            message.signals.iter().filter(|s| s.multiplexer_indicator == MultiplexIndicator::Multiplexor);
        match (switches.next(), switches.next()) {
            (Some(only), None) => Ok(Some((only.name.clone(), vec![(value, value)]))),
            (None, _) => Err("its message has no multiplexer signal (M)".to_owned()),
            (Some(a), Some(b)) => Err(format!(
                "its message has two multiplexers, {} and {}; say which in SG_MUL_VAL_",
                a.name, b.name
            )),
        }
    }

    /// Turns names of multiplexers into indices, dropping signals whose chain is broken.
    fn join_switches(&mut self, drafts: Vec<Draft>) -> Vec<DbcSignal> {
        let by_name: HashMap<&str, usize> =
            drafts.iter().enumerate().rev().map(|(i, draft)| (draft.short_name.as_str(), i)).collect();
        let parent =
            |i: usize| drafts[i].switch.as_ref().map(|(name, _)| by_name.get(name.as_str()).copied());
        let fault_of = |start: usize| -> Option<String> {
            let mut at = start;
            for _ in 0..SWITCH_DEPTH_MAX {
                match parent(at) {
                    None => return None,
                    Some(None) => {
                        let name = drafts[at].switch.as_ref().map_or("", |(name, _)| name.as_str());
                        return Some(format!("its multiplexer {name} is not in the message"));
                    }
                    Some(Some(next)) if drafts[next].signal.layout.range().is_none() => {
                        return Some("its multiplexer is a float".to_owned());
                    }
                    Some(Some(next)) => at = next,
                }
            }
            Some(format!("its multiplexers form a circle or more than {SWITCH_DEPTH_MAX} levels"))
        };
        let faults: Vec<Option<String>> = (0..drafts.len()).map(fault_of).collect();
        let parents: Vec<Option<usize>> = (0..drafts.len()).map(|i| parent(i).flatten()).collect();
        // Where each kept signal will be once the others are gone.
        let places: Vec<usize> = faults
            .iter()
            .scan(0, |kept, fault| {
                let place = *kept;
                *kept += usize::from(fault.is_none());
                Some(place)
            })
            .collect();
        let is_parent: HashSet<usize> = parents.iter().flatten().copied().collect();
        let mut signals = Vec::with_capacity(drafts.len());
        for (i, draft) in drafts.into_iter().enumerate() {
            if let Some(reason) = &faults[i] {
                self.warn(draft.signal.line, format!("signal {} is left out: {reason}", draft.signal.name));
                continue;
            }
            let mut signal = draft.signal;
            signal.is_multiplexer |= is_parent.contains(&i);
            signal.present_when = draft
                .switch
                .zip(parents[i])
                .map(|((_, ranges), parent)| Switch { multiplexer: places[parent], ranges });
            signals.push(signal);
        }
        signals
    }
}

#[allow(clippy::cast_precision_loss, reason = "bounds for people")]
fn number(value: NumericValue) -> f64 {
    match value {
        NumericValue::Uint(v) => v as f64,
        NumericValue::Int(v) => v as f64,
        NumericValue::Double(v) => v,
    }
}
