//! What a DBC file says about signals and messages elsewhere than in their own lines.

use std::collections::{HashMap, HashSet};

use can_dbc::{
    AttributeDefinition, AttributeValue, AttributeValueType, MessageId, SignalExtendedValueType,
    ValueDescription,
};

use crate::decode::layout::Encoding;

/// A signal as the statements name it.
pub(super) type SignalKey<'a> = (MessageId, &'a str);

/// What the file says about signals elsewhere than in their `SG_` lines.
pub(super) struct Facts<'a> {
    pub(super) labels: HashMap<SignalKey<'a>, Vec<(i64, String)>>,
    pub(super) floats: HashMap<SignalKey<'a>, Encoding>,
    pub(super) switches: HashMap<SignalKey<'a>, Vec<&'a can_dbc::ExtendedMultiplex>>,
    pub(super) long_signal_names: HashMap<SignalKey<'a>, &'a str>,
    pub(super) long_message_names: HashMap<MessageId, &'a str>,
    pub(super) j1939: HashSet<MessageId>,
}

impl<'a> Facts<'a> {
    pub(super) fn collect(ast: &'a can_dbc::Dbc) -> Self {
        let mut facts = Self {
            labels: HashMap::new(),
            floats: HashMap::new(),
            switches: HashMap::new(),
            long_signal_names: HashMap::new(),
            long_message_names: HashMap::new(),
            j1939: j1939_messages(ast),
        };
        for description in &ast.value_descriptions {
            let ValueDescription::Signal { message_id, name, value_descriptions } = description else {
                continue;
            };
            let mut labels: Vec<_> =
                value_descriptions.iter().map(|v| (v.id, v.description.clone())).collect();
            // Of a value named twice the last name stands, as in cantools.
            labels.reverse();
            labels.sort_by_key(|label| label.0);
            labels.dedup_by_key(|label| label.0);
            facts.labels.insert((*message_id, name), labels);
        }
        for float in &ast.signal_extended_value_type_list {
            let encoding = match float.signal_extended_value_type {
                SignalExtendedValueType::SignedOrUnsignedInteger => continue,
                SignalExtendedValueType::IEEEfloat32Bit => Encoding::Float32,
                SignalExtendedValueType::IEEEdouble64bit => Encoding::Float64,
            };
            facts.floats.insert((float.message_id, &float.signal_name), encoding);
        }
        for switch in &ast.extended_multiplex {
            facts.switches.entry((switch.message_id, &switch.signal_name)).or_default().push(switch);
        }
        for attribute in &ast.attribute_values_signal {
            if let ("SystemSignalLongSymbol", AttributeValue::String(name)) =
                (attribute.name.as_str(), &attribute.value)
            {
                facts.long_signal_names.insert((attribute.message_id, &attribute.signal_name), name);
            }
        }
        for attribute in &ast.attribute_values_message {
            if let ("SystemMessageLongSymbol", AttributeValue::String(name)) =
                (attribute.name.as_str(), &attribute.value)
            {
                facts.long_message_names.insert(attribute.message_id, name);
            }
        }
        facts
    }
}

/// Messages whose `VFrameFormat`, given or by default, is `J1939PG`.
fn j1939_messages(ast: &can_dbc::Dbc) -> HashSet<MessageId> {
    let choices = ast.attribute_definitions.iter().find_map(|definition| match definition {
        AttributeDefinition::Message(name, AttributeValueType::Enum(choices)) if name == "VFrameFormat" => {
            Some(choices)
        }
        _ => None,
    });
    let Some(choices) = choices else { return HashSet::new() };
    let is_j1939 = |value: &AttributeValue| match value {
        AttributeValue::Uint(i) => {
            usize::try_from(*i).ok().and_then(|i| choices.get(i)).is_some_and(|c| c == "J1939PG")
        }
        AttributeValue::String(text) => text == "J1939PG",
        _ => false,
    };
    let by_default = ast.attribute_default("VFrameFormat").is_some_and(is_j1939);
    let given: HashMap<MessageId, bool> = ast
        .attribute_values_message
        .iter()
        .filter(|a| a.name == "VFrameFormat")
        .map(|a| (a.message_id, is_j1939(&a.value)))
        .collect();
    ast.messages
        .iter()
        .map(|m| m.id)
        .filter(|id| matches!(id, MessageId::Extended(_)) && *given.get(id).unwrap_or(&by_default))
        .collect()
}
