//! A state as text: a few lines on the whole, then a line a signal.

use std::fmt::Write as _;

use crate::unit::state::{SignalState, SignalValue, UnitState};

/// The room there is for a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Characters in a line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

impl Size {
    /// Paper.
    pub const UNBOUNDED: Size = Size { columns: usize::MAX, rows: usize::MAX };
}

/// Draws a state; rates are over the time since `before`.
pub fn draw(now: &UnitState, before: Option<&UnitState>, size: Size) -> String {
    let mut lines = head(now, before);
    let value = |s: &SignalState| match &s.value {
        None => "-".to_owned(),
        Some(SignalValue::Text(text)) => text.clone(),
        Some(SignalValue::Number(number)) => shown_number(*number),
    };
    let width = |of: &dyn Fn(&SignalState) -> usize, least: usize| {
        now.signals.iter().map(of).max().unwrap_or(0).max(least)
    };
    let (name_width, value_width, unit_width) = (
        width(&|s| s.signal.chars().count(), 6),
        width(&|s| value(s).chars().count(), 5),
        width(&|s| s.unit.chars().count(), 4),
    );
    lines.push(String::new());
    lines.push(format!(
        "{:<name_width$}  {:>value_width$} {:<unit_width$}  {:>7}  {:>7}",
        "SIGNAL", "VALUE", "UNIT", "PER S", "AGE"
    ));
    let mut signals: Vec<(usize, &SignalState)> = now.signals.iter().enumerate().collect();
    signals.sort_by(|a, b| a.1.signal.cmp(&b.1.signal));
    let room = size.rows.saturating_sub(lines.len() + 2);
    let hidden = signals.len().saturating_sub(room);
    for (i, signal) in signals.into_iter().take(room) {
        // The catalogue of a running agent does not change, so places stay.
        let earlier = before.and_then(|b| b.signals.get(i)).filter(|s| s.signal == signal.signal);
        let rate = earlier.and_then(|e| rate(signal.count, e.count, now, before));
        let age = signal.time.map(|time| shown_age(now.now.since_us(time)));
        lines.push(format!(
            "{:<name_width$}  {:>value_width$} {:<unit_width$}  {:>7}  {:>7}",
            signal.signal,
            value(signal),
            signal.unit,
            rate.map_or_else(|| "-".to_owned(), |r| format!("{r:.1}")),
            age.unwrap_or_else(|| "-".to_owned()),
        ));
    }
    if hidden > 0 {
        lines.push(format!("... {hidden} more; `--once` prints all"));
    }
    let mut out = String::new();
    for line in lines {
        let cut: String = line.trim_end().chars().take(size.columns).collect();
        out.push_str(&cut);
        out.push('\n');
    }
    out
}

fn head(now: &UnitState, before: Option<&UnitState>) -> Vec<String> {
    let c = &now.counts;
    let frame_rate = before.and_then(|b| rate(c.frames, b.counts.frames, now, before));
    let sent_rate = before.and_then(|b| rate(c.bytes_sent, b.counts.bytes_sent, now, before));
    let shown_rate = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), |r| format!("{r:.0}"));
    let mut dropped = String::new();
    for (reason, count) in &c.samples_dropped {
        // Writing to a string does not fail.
        let _ = write!(dropped, " {reason} {count}");
    }
    let mut lines =
        vec![format!("{}  edge-agent {}  link {}", now.vehicle_id, now.agent_version, now.link.name())];
    lines.extend(now.refusal.iter().map(|words| format!("the broker refused {words}")));
    lines.extend([
        format!(
            "frames  {} /s, {} read, {} without a mapped signal, {} damaged",
            shown_rate(frame_rate),
            c.frames,
            c.frames_undecoded,
            c.corrupt_lines
        ),
        format!(
            "spool   {} batches, {} samples, {}, {} written today",
            c.batches_in_spool,
            c.samples_in_spool,
            shown_bytes(c.spool_bytes),
            shown_bytes(c.spool_written_today_bytes)
        ),
        format!(
            "samples {} collected, {} durable, dropped:{}",
            c.samples_collected,
            c.samples_acked,
            if dropped.is_empty() { " none" } else { &dropped }
        ),
        format!(
            "uplink  {} bytes/s, {} sent, {} reconnects, {} resends",
            shown_rate(sent_rate),
            shown_bytes(c.bytes_sent),
            c.reconnects,
            c.resends
        ),
    ]);
    lines
}

#[allow(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(now_count: u64, before_count: u64, now: &UnitState, before: Option<&UnitState>) -> Option<f64> {
    let passed_us = now.monotonic_us - before?.monotonic_us;
    // An agent that was started again counts from 0.
    let count = now_count.checked_sub(before_count)?;
    (passed_us > 0).then(|| count as f64 * 1e6 / passed_us as f64)
}

fn shown_number(number: f64) -> String {
    let text = format!("{number:.6}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[allow(clippy::cast_precision_loss, reason = "an age for people")]
fn shown_age(age_us: i64) -> String {
    match age_us as f64 / 1e6 {
        s if s < 0.0 => "0 s".to_owned(),
        s if s < 100.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} d", s / 86_400.0),
    }
}

#[allow(clippy::cast_precision_loss, reason = "a size for people")]
fn shown_bytes(bytes: u64) -> String {
    let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(size, _)| bytes >= *size) {
        Some((size, name)) => format!("{:.1} {name}", bytes as f64 / size as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use wire::time::Timestamp;

    use super::*;
    use crate::{unit::state::UnitCounts, uplink::LinkState};

    fn state(monotonic_us: i64, count: u64) -> UnitState {
        let signal = |signal: &str, unit: &str, value| SignalState {
            signal: signal.to_owned(),
            unit: unit.to_owned(),
            value,
            time: Some(Timestamp(1_000_000)),
            count,
        };
        UnitState {
            vehicle_id: "truck-7".to_owned(),
            agent_version: "0.1.0".to_owned(),
            now: Timestamp(3_500_000),
            monotonic_us,
            link: LinkState::CatchingUp,
            refusal: Some("telemetry: not authorized (0x87)".to_owned()),
            counts: UnitCounts { frames: count * 10, ..UnitCounts::default() },
            signals: vec![
                signal("Vehicle.Speed", "km/h", Some(SignalValue::Number(12.5))),
                signal("Vehicle.Gear", "", Some(SignalValue::Text("REVERSE".to_owned()))),
            ],
        }
    }

    #[test]
    fn rates_are_over_the_time_between_two_looks() {
        let text = draw(&state(5_000_000, 60), Some(&state(3_000_000, 20)), Size::UNBOUNDED);
        assert!(text.contains("the broker refused telemetry: not authorized"), "{text}");
        assert!(text.contains("link catching_up") && text.contains("frames  200 /s"), "{text}");
        let speed = text.lines().find(|l| l.starts_with("Vehicle.Speed")).unwrap();
        let words: Vec<&str> = speed.split_whitespace().collect();
        assert_eq!(words, ["Vehicle.Speed", "12.5", "km/h", "20.0", "2.5", "s"]);
        assert!(text.find("Vehicle.Gear").unwrap() < text.find("Vehicle.Speed").unwrap());
    }

    #[test]
    fn a_small_terminal_is_never_overrun_and_says_what_it_hides() {
        let text = draw(&state(1, 1), None, Size { columns: 20, rows: 11 });
        assert!(text.lines().count() <= 11 && text.lines().all(|l| l.chars().count() <= 20), "{text}");
        assert!(text.contains("... 1 more"), "{text}");
    }
}
