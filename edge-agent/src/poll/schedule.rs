//! What is asked again and again, and when.

use wire::time::Timestamp;

use super::PollSettings;
use crate::isotp::micros;

/// What an entry asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    /// A PID, of the first control unit that has it.
    Pid(u8),
    /// The codes of every OBD control unit.
    ObdFaults,
    /// A data identifier, by its place in the settings.
    Did(usize),
    /// The codes of a configured control unit, by its place in the settings.
    UdsFaults(usize),
}

#[derive(Debug)]
struct Entry {
    topic: Topic,
    period_us: i64,
    due: Option<Timestamp>,
    is_off: bool,
}

/// Every topic with its period.
#[derive(Debug)]
pub(super) struct Schedule {
    entries: Vec<Entry>,
}

impl Schedule {
    pub(super) fn new(settings: &PollSettings) -> Self {
        let pids = settings.pids.iter().map(|p| (Topic::Pid(p.pid), p.period));
        let faults = settings.obd_faults_every.map(|period| (Topic::ObdFaults, period));
        let dids = settings.dids.iter().enumerate().map(|(i, d)| (Topic::Did(i), d.period));
        let ecus = settings.ecus.iter().enumerate();
        let uds = ecus.filter_map(|(i, ecu)| Some((Topic::UdsFaults(i), ecu.faults_every?)));
        let entries = pids.chain(faults).chain(dids).chain(uds).map(|(topic, period)| Entry {
            topic,
            period_us: micros(period).max(1),
            due: None,
            is_off: false,
        });
        Self { entries: entries.collect() }
    }

    /// The topics that are due, each once until it is due again: a time that was missed is not
    /// made up for. One that is not ready stays due.
    pub(super) fn due(&mut self, now: Timestamp, is_ready: impl Fn(Topic) -> bool) -> Vec<Topic> {
        let mut due = Vec::new();
        for entry in self.entries.iter_mut().filter(|entry| !entry.is_off && is_ready(entry.topic)) {
            let at = *entry.due.get_or_insert(now);
            if at <= now {
                due.push(entry.topic);
                let next = at.plus_us(entry.period_us);
                entry.due = Some(if next > now { next } else { now.plus_us(entry.period_us) });
            }
        }
        due
    }

    /// When the next topic is due.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.entries.iter().filter(|e| !e.is_off).map(|e| e.due.unwrap_or(Timestamp(i64::MIN))).min()
    }

    /// Never asks for it again: there is no control unit that has it.
    pub(super) fn stop(&mut self, topic: Topic) {
        for entry in self.entries.iter_mut().filter(|entry| entry.topic == topic) {
            entry.is_off = true;
        }
    }

    /// Whether anything of OBD is asked for.
    pub(super) fn wants_obd(&self) -> bool {
        self.entries.iter().any(|e| matches!(e.topic, Topic::Pid(_) | Topic::ObdFaults))
    }
}
