//! The compiled form: nodes of signals, and multiplexers that choose the next node. That tree
//! decodes any frame; [`quick`] has a shorter way for most.

use super::{Layout, MessageIndex, Raw, Sample, SignalIndex};
use crate::dbc::DbcSignal;

mod quick;

pub(super) use quick::Plan;
use quick::Quick;

/// Most steps and cases of all messages together; the largest published file has below 10,000.
const ENTRY_COUNT_MAX: usize = 1_000_000;

/// Most multiplexers that choose something in one frame, and one; more than 63 bits of a frame
/// have never been seen to choose.
const PRESENT_NODES_MAX: usize = 64;
/// Samples made at once of a frame that is decoded by the tree.
const TREE_SAMPLES: usize = 16;

/// A node of a [`Program`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NodeIndex(u32);

/// Every message's nodes, in flat tables.
#[derive(Debug, Clone, Default)]
pub(super) struct Program {
    /// By message.
    roots: Vec<Root>,
    quick: Quick,
    nodes: Vec<Node>,
    steps: Vec<Step>,
    switches: Vec<Switch>,
    cases: Vec<Case>,
}

/// Where a message starts.
#[derive(Debug, Clone, Copy)]
struct Root {
    node: NodeIndex,
    plan: Plan,
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

/// The nodes that are in a frame, in the order their signals are visited.
struct Present {
    nodes: [NodeIndex; PRESENT_NODES_MAX],
    count: usize,
    /// The next step to take: of that of the nodes,
    node: usize,
    /// its place there.
    step: usize,
}

impl Program {
    /// Compiles the next message, whose first signal has index `first_signal`; `None` when it
    /// makes more entries than the limit.
    pub(super) fn add(&mut self, signals: &[DbcSignal], first_signal: u32) -> Option<()> {
        let always: Vec<usize> = (0..signals.len()).filter(|i| signals[*i].present_when.is_none()).collect();
        let node = self.add_node(signals, first_signal, &always)?;
        if self.present_max(node) > PRESENT_NODES_MAX {
            return None;
        }
        let mut quick = std::mem::take(&mut self.quick);
        let plan = quick.add(self, node);
        self.quick = quick;
        self.roots.push(Root { node, plan });
        Some(())
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

    /// What is done with a frame of a message.
    #[inline]
    pub(super) fn plan(&self, message: MessageIndex) -> Plan {
        self.roots.get(message.as_usize()).map_or(Plan::Tree, |root| root.plan)
    }

    /// Visits what is in `data`, of which `len` bytes were on the bus: 64 bytes of a frame, or a
    /// longer message and its padding. `plan` is the message's.
    #[inline]
    pub(super) fn run(
        &self,
        message: MessageIndex,
        plan: Plan,
        data: &[u8],
        len: usize,
        visit: &mut impl FnMut(Sample),
    ) {
        let Some(start) = data.first_chunk() else { return };
        // `visit` goes to no function of ours: inlined into its two places, what it sums up or
        // fills can stay in registers.
        if let Some((steps, word)) = self.quick.steps(plan, start, len) {
            for step in steps {
                visit(Sample { signal: step.signal, raw: Raw::Int(step.take(word)) });
            }
            return;
        }
        let Some(root) = self.roots.get(message.as_usize()) else { return };
        let mut tree = self.present(root.node, data, len);
        let mut some = [Sample { signal: SignalIndex(0), raw: Raw::Int(0) }; TREE_SAMPLES];
        loop {
            let count = self.next_samples(&mut tree, data, len, &mut some);
            for sample in some.iter().take(count) {
                visit(*sample);
            }
            if count < TREE_SAMPLES {
                return;
            }
        }
    }

    /// Up to [`TREE_SAMPLES`] more of a frame's samples; fewer at its end.
    #[inline(never)]
    fn next_samples(
        &self,
        tree: &mut Present,
        data: &[u8],
        len: usize,
        some: &mut [Sample; TREE_SAMPLES],
    ) -> usize {
        let mut count = 0;
        while let Some(node) = tree.nodes.get(..tree.count).and_then(|nodes| nodes.get(tree.node)) {
            let steps = self.steps_of(*node);
            for step in steps.iter().skip(tree.step) {
                let Some(place) = some.get_mut(count) else { return count };
                tree.step += 1;
                if step.layout.byte_count_needed() <= len {
                    *place = Sample { signal: step.signal, raw: step.layout.extract(data) };
                    count += 1;
                }
            }
            tree.node += 1;
            tree.step = 0;
        }
        count
    }

    #[inline(never)]
    fn present(&self, root: NodeIndex, data: &[u8], len: usize) -> Present {
        let mut present = Present { nodes: [root; PRESENT_NODES_MAX], count: 0, node: 0, step: 0 };
        self.find_present(root, data, len, &mut present);
        present
    }

    /// The nodes that the multiplexers choose, the node itself first.
    fn find_present(&self, node: NodeIndex, data: &[u8], len: usize, present: &mut Present) {
        if let Some(place) = present.nodes.get_mut(present.count) {
            *place = node;
            present.count += 1;
        }
        for switch in self.switches_of(node) {
            if switch.layout.byte_count_needed() > len {
                continue;
            }
            let value = match switch.layout.extract(data) {
                Raw::Int(value) => u64::try_from(value).ok(),
                Raw::Wide(value) => Some(value),
                Raw::Float(_) => None,
            };
            let cases = self.cases_of(switch);
            let Some(value) = value else { continue };
            let after = cases.partition_point(|case| case.low <= value);
            if let Some(case) = after.checked_sub(1).and_then(|i| cases.get(i))
                && value <= case.high
            {
                self.find_present(case.node, data, len, present);
            }
        }
    }

    /// Most nodes that are in a frame together, from a node on.
    fn present_max(&self, node: NodeIndex) -> usize {
        let below = |switch: &Switch| self.cases_of(switch).iter().map(|case| self.present_max(case.node));
        1 + self.switches_of(node).iter().map(|switch| below(switch).max().unwrap_or(0)).sum::<usize>()
    }

    fn steps_of(&self, node: NodeIndex) -> &[Step] {
        let (first, end) = self.nodes[node.0 as usize].steps;
        &self.steps[first as usize..end as usize]
    }

    fn switches_of(&self, node: NodeIndex) -> &[Switch] {
        let (first, end) = self.nodes[node.0 as usize].switches;
        &self.switches[first as usize..end as usize]
    }

    fn cases_of(&self, switch: &Switch) -> &[Case] {
        &self.cases[switch.cases.0 as usize..switch.cases.1 as usize]
    }
}

/// An index into one of the tables, while they are below the limit.
fn index(len: usize) -> Option<u32> {
    u32::try_from(len).ok().filter(|_| len <= ENTRY_COUNT_MAX)
}
