//! The compiled form: nodes of signals, and multiplexers that choose the next node.

use super::{Layout, Raw, Sample, SignalIndex};
use crate::dbc::DbcSignal;

/// Most steps and cases of all messages together; the largest published file has below 10,000.
const ENTRY_COUNT_MAX: usize = 1_000_000;

/// A node of a [`Program`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeIndex(u32);

/// Every message's nodes, in flat tables.
#[derive(Debug, Clone, Default)]
pub(super) struct Program {
    nodes: Vec<Node>,
    steps: Vec<Step>,
    switches: Vec<Switch>,
    cases: Vec<Case>,
}

/// Signals that are in a frame together.
#[derive(Debug, Clone, Copy, Default)]
struct Node {
    steps: (u32, u32),
    switches: (u32, u32),
}

#[derive(Debug, Clone, Copy)]
struct Step {
    layout: Layout,
    signal: SignalIndex,
}

/// A multiplexer of a node.
#[derive(Debug, Clone, Copy)]
struct Switch {
    layout: Layout,
    /// Sorted by value, not overlapping.
    cases: (u32, u32),
}

#[derive(Debug, Clone, Copy)]
struct Case {
    low: u64,
    high: u64,
    node: NodeIndex,
}

impl Program {
    /// Compiles a message whose first signal has index `first_signal`; `None` when it makes more
    /// entries than the limit.
    pub(super) fn add(&mut self, signals: &[DbcSignal], first_signal: u32) -> Option<NodeIndex> {
        let always: Vec<usize> = (0..signals.len()).filter(|i| signals[*i].present_when.is_none()).collect();
        self.add_node(signals, first_signal, &always)
    }

    fn add_node(&mut self, signals: &[DbcSignal], first_signal: u32, members: &[usize]) -> Option<NodeIndex> {
        let node = index(self.nodes.len())?;
        self.nodes.push(Node::default());
        let first_step = index(self.steps.len())?;
        for i in members {
            let signal = SignalIndex(first_signal.checked_add(index(*i)?)?);
            self.steps.push(Step { layout: signals[*i].layout, signal });
        }
        let steps = (first_step, index(self.steps.len())?);

        // The switches of one node lie side by side, so their nodes are made first.
        let mut switches = Vec::new();
        for i in members.iter().filter(|i| signals[**i].is_multiplexer) {
            let cases = self.add_cases(signals, first_signal, *i)?;
            if cases.0 < cases.1 {
                switches.push(Switch { layout: signals[*i].layout, cases });
            }
        }
        let first_switch = index(self.switches.len())?;
        self.switches.append(&mut switches);
        self.nodes[node as usize] = Node { steps, switches: (first_switch, index(self.switches.len())?) };
        Some(NodeIndex(node))
    }

    /// The cases of one multiplexer: its values, cut where the set of signals changes.
    fn add_cases(
        &mut self,
        signals: &[DbcSignal],
        first_signal: u32,
        multiplexer: usize,
    ) -> Option<(u32, u32)> {
        let children: Vec<(usize, &[(u64, u64)])> = signals
            .iter()
            .enumerate()
            .filter_map(|(i, signal)| {
                let switch = signal.present_when.as_ref()?;
                (switch.multiplexer == multiplexer).then_some((i, switch.ranges.as_slice()))
            })
            .collect();
        // Each point starts a new stretch of values; the end of all values is open.
        let mut points: Vec<u64> = children
            .iter()
            .flat_map(|(_, ranges)| ranges.iter())
            .flat_map(|(low, high)| [Some(*low), high.checked_add(1)])
            .flatten()
            .collect();
        points.sort_unstable();
        points.dedup();
        let mut cases = Vec::new();
        for (i, low) in points.iter().enumerate() {
            let high = points.get(i + 1).map_or(u64::MAX, |next| next - 1);
            let covers = |range: &(u64, u64)| range.0 <= *low && high <= range.1;
            let members: Vec<usize> =
                children.iter().filter(|(_, ranges)| ranges.iter().any(covers)).map(|(i, _)| *i).collect();
            if !members.is_empty() {
                let node = self.add_node(signals, first_signal, &members)?;
                cases.push(Case { low: *low, high, node });
            }
        }
        let first = index(self.cases.len())?;
        self.cases.append(&mut cases);
        Some((first, index(self.cases.len())?))
    }

    /// Visits what is in `data`, of which `len` bytes were on the bus: 64 bytes of a frame, or a
    /// longer message and its padding.
    pub(super) fn run(&self, node: NodeIndex, data: &[u8], len: usize, visit: &mut impl FnMut(Sample)) {
        let node = self.nodes[node.0 as usize];
        for step in &self.steps[node.steps.0 as usize..node.steps.1 as usize] {
            if step.layout.byte_count_needed() <= len {
                visit(Sample { signal: step.signal, raw: step.layout.extract(data) });
            }
        }
        for switch in &self.switches[node.switches.0 as usize..node.switches.1 as usize] {
            if switch.layout.byte_count_needed() > len {
                continue;
            }
            let value = match switch.layout.extract(data) {
                Raw::Int(value) => u64::try_from(value).ok(),
                Raw::Wide(value) => Some(value),
                Raw::Float(_) => None,
            };
            let cases = &self.cases[switch.cases.0 as usize..switch.cases.1 as usize];
            let Some(value) = value else { continue };
            let after = cases.partition_point(|case| case.low <= value);
            if let Some(case) = after.checked_sub(1).and_then(|i| cases.get(i))
                && value <= case.high
            {
                self.run(case.node, data, len, visit);
            }
        }
    }
}

/// An index into one of the tables, while they are below the limit.
fn index(len: usize) -> Option<u32> {
    u32::try_from(len).ok().filter(|_| len <= ENTRY_COUNT_MAX)
}
