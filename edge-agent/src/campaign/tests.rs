//! Expressions, plans and engines; what an agent makes of them is in `tests/campaigns.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

use std::sync::Arc;

use proptest::prelude::*;
use wire::{
    batch::Table,
    catalog::{Catalog, ColumnDef, ValueKind},
    time::Timestamp,
};

use super::{
    check::condition,
    engine::{Emitted, Engine},
    expr::{Binary, Expr, Function, Kind, Unary},
    parse::parse,
    program::{Known, View},
    *,
};
use crate::map::{MappedSample, RawValue};

mod expressions;
mod sets;

const SPEED: u32 = 0;
const COOLANT: u32 = 1;
const IGNITION: u32 = 2;
const GEAR: u32 = 3;
const START_US: i64 = 1_700_000_000_000_000;

fn catalog() -> Catalog {
    let column = |column_id, signal: &str, unit: &str, scale: f64| ColumnDef {
        column_id,
        table: Table::Signals,
        signal: signal.to_owned(),
        unit: unit.to_owned(),
        scale,
        offset: 0.0,
        kind: ValueKind::Raw,
        labels: Vec::new(),
    };
    let mut gear = column(GEAR, "Vehicle.Powertrain.Transmission.CurrentGear", "", 1.0);
    gear.labels = vec![(0, "Neutral".to_owned()), (1, "First".to_owned())];
    Catalog {
        vss_release: wire::catalogue::VSS_RELEASE.to_owned(),
        columns: vec![
            column(SPEED, "Vehicle.Speed", "km/h", 0.1),
            column(COOLANT, "Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature", "celsius", 1.0),
            column(IGNITION, "Vehicle.IsIgnitionOn", "", 1.0),
            gear,
        ],
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp(START_US + ms * 1000)
}

/// What a condition says of speed in km/h, coolant in degrees, ignition and gear.
fn says(text: &str, values: [Option<f64>; 4]) -> bool {
    let program = condition(&parse(text).unwrap(), &catalog()).unwrap_or_else(|e| panic!("{text}: {e}"));
    let known = values
        .map(|v| v.map(|value| Known { raw: RawValue::Number(value), value, time: at(0), changed_by: 7 }));
    let view = View { known: &known, now: at(0), stale_us: 1_000_000, frame: 7 };
    program.run(&view, &mut vec![None; usize::from(program.timer_count)]).is_true
}

fn refused(text: &str) -> String {
    parse(text).and_then(|e| condition(&e, &catalog())).unwrap_err().to_string()
}

fn set(campaigns: &str) -> CampaignSet {
    CampaignSet::parse(&format!("version = 1\nid = \"test\"\nrevision = 1\n{campaigns}")).unwrap()
}

fn plan_within(campaigns: &str, bounds: Bounds) -> Arc<Plan> {
    let vehicle = "car-1".parse().unwrap();
    Arc::new(Plan::compile(&set(campaigns), &vehicle, &catalog(), bounds).unwrap())
}

fn plan(campaigns: &str) -> Arc<Plan> {
    plan_within(campaigns, Bounds::default())
}

fn engine(campaigns: &str) -> Engine {
    Engine::new(plan(campaigns), &Spent::default())
}

/// (milliseconds, column, raw value)
type Frames = Vec<(i64, u32, i64)>;

fn run(engine: &mut Engine, frames: &[(i64, u32, i64)]) -> Vec<Emitted> {
    let mut out = Vec::new();
    for &(ms, column_id, raw) in frames {
        let sample = MappedSample { column_id, value: RawValue::Raw(raw) };
        engine.observe(at(ms), column_id, &[sample], &mut |e| out.push(e));
    }
    out
}

/// Milliseconds and raw values of a campaign's column.
fn of(plan: &Plan, emitted: &[Emitted], signal: &str) -> Vec<(i64, f64)> {
    let column = plan.catalog().columns.iter().find(|c| c.signal == signal).unwrap().column_id;
    let number = |value| match value {
        RawValue::Raw(raw) => f64::from(i32::try_from(raw).unwrap()),
        RawValue::Number(number) => number,
    };
    let of_column = emitted.iter().filter(|e| e.column_id == column);
    of_column.map(|e| (e.time.since_us(at(0)) / 1000, number(e.value))).collect()
}

/// Speed at 10 Hz, 0.1 km/h more each time, and the coolant, cold but from `hot` on, at 1 Hz.
fn drive(seconds: i64, hot: &[std::ops::Range<i64>]) -> Frames {
    let mut frames = Frames::new();
    for i in 0..seconds * 10 {
        if i % 10 == 0 {
            let is_hot = hot.iter().any(|range| range.contains(&(i / 10)));
            frames.push((i * 100, COOLANT, if is_hot { 115 } else { 80 }));
        }
        frames.push((i * 100, SPEED, i));
    }
    frames
}

const HOT: &str = "Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature >= 110 celsius";

fn overheat(keys: &str) -> String {
    format!(
        "[[campaign]]\nname = \"overheat\"\nwhen = \"{HOT}\"\n{keys}\n[[campaign.collect]]\nsignals = [\"Vehicle.Speed\"]\n"
    )
}

#[test]
fn a_window_is_exact_to_the_sample_before_and_after_its_trigger() {
    let mut engine = engine(&overheat("before = \"2s\"\nafter = \"1s\""));
    let plan = plan(&overheat("before = \"2s\"\nafter = \"1s\""));
    let emitted = run(&mut engine, &drive(20, std::slice::from_ref(&(10..12))));
    let expected: Vec<(i64, f64)> = (80..110).map(|i| (i * 100, i as f64)).collect();
    assert_eq!(of(&plan, &emitted, "Vehicle.Speed#overheat"), expected);
    assert_eq!(of(&plan, &emitted, "Vehicle#overheat"), [(10_000, 1.0)]);
    assert_eq!(engine.counts().triggers, 1);
}

#[test]
fn windows_that_overlap_take_a_sample_once() {
    let keys = "before = \"5s\"\nafter = \"2s\"";
    let mut engine = engine(&overheat(keys));
    let emitted = run(&mut engine, &drive(40, &[10..11, 13..14, 14..16, 30..31]));
    let expected: Vec<(i64, f64)> = (50..150).chain(250..320).map(|i| (i * 100, i as f64)).collect();
    let mut speed = of(&plan(&overheat(keys)), &emitted, "Vehicle.Speed#overheat");
    assert!(speed.windows(2).all(|w| w[0].0 < w[1].0));
    speed.dedup();
    assert_eq!(speed, expected);
    assert_eq!(engine.counts().triggers, 3);
}

#[test]
fn triggers_too_soon_are_counted_and_collect_nothing() {
    let mut engine = engine(&overheat("min_interval = \"10s\"\nafter = \"1s\""));
    run(&mut engine, &drive(40, &[10..11, 15..16, 19..22, 30..31]));
    // The one at 19 s holds on past the 10 s: it is still the same one.
    assert_eq!((engine.counts().triggers, engine.counts().suppressed), (2, 2));
}

#[test]
fn hysteresis_holds_until_its_own_condition_comes() {
    let until = "until = \"Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature < 90 celsius\"";
    let coolant = |values: &[i64]| -> Frames {
        values.iter().enumerate().map(|(i, v)| (i64::try_from(i).unwrap() * 1000, COOLANT, *v)).collect()
    };
    let frames = coolant(&[80, 111, 105, 111, 95, 112, 89, 111]);
    let mut with = engine(&overheat(until));
    run(&mut with, &frames);
    assert_eq!(with.counts().triggers, 2);
    let mut without = engine(&overheat(""));
    run(&mut without, &frames);
    assert_eq!(without.counts().triggers, 4);
}

#[test]
fn a_condition_held_for_a_time_triggers_at_the_first_frame_after_it() {
    let text = overheat("").replace("celsius\"", "celsius for 2500ms\"");
    let mut engine = engine(&text);
    let plan = plan(&text);
    let emitted = run(&mut engine, &drive(30, &[5..7, 10..20]));
    assert_eq!(of(&plan, &emitted, "Vehicle#overheat"), [(12_500, 1.0)]);
}

#[test]
fn while_it_holds_is_from_before_to_after() {
    let keys = "span = \"while\"\nbefore = \"1s\"\nafter = \"2s\"";
    let emitted = run(&mut engine(&overheat(keys)), &drive(40, std::slice::from_ref(&(10..20))));
    let expected: Vec<(i64, f64)> = (90..220).map(|i| (i * 100, i as f64)).collect();
    assert_eq!(of(&plan(&overheat(keys)), &emitted, "Vehicle.Speed#overheat"), expected);
}

#[test]
fn silence_ends_what_was_held() {
    let keys = "span = \"while\"\nstale_after = \"3s\"";
    let mut frames = drive(11, std::slice::from_ref(&(10..11)));
    frames.extend((110..300).map(|i| (i * 100, SPEED, i)));
    let emitted = run(&mut engine(&overheat(keys)), &frames);
    let speed = of(&plan(&overheat(keys)), &emitted, "Vehicle.Speed#overheat");
    assert_eq!((speed.first().unwrap().0, speed.last().unwrap().0), (10_000, 13_000));
}

fn always(collect: &str) -> String {
    format!("[[campaign]]\nname = \"all\"\n[[campaign.collect]]\nsignals = [\"Vehicle.Speed\"]\n{collect}\n")
}

fn speeds(text: &str, signal: &str, frames: &[(i64, u32, i64)]) -> Vec<(i64, f64)> {
    of(&plan(text), &run(&mut engine(text), frames), signal)
}

#[test]
fn each_way_of_taking_samples_takes_its_own() {
    let frames = drive(4, &[]);
    let name = "Vehicle.Speed#all";
    assert_eq!(speeds(&always(""), name, &frames).len(), 40);
    let thinned = speeds(&always("one_of = 7"), name, &frames);
    assert_eq!(thinned.iter().map(|s| s.0).collect::<Vec<_>>(), [0, 700, 1400, 2100, 2800, 3500]);
    let slower = speeds(&always("min_interval = \"1s\""), name, &frames);
    assert_eq!(slower.iter().map(|s| s.0).collect::<Vec<_>>(), [0, 1000, 2000, 3000]);
    // Raw 1 is 0.1 km/h: the change must be greater than 0.5 m/s = 1.8 km/h.
    let changes = speeds(&always("take = \"change\"\ndead_band = \"0.5 m/s\""), name, &frames);
    assert_eq!(changes, [(0, 0.0), (1900, 19.0), (3800, 38.0)]);
    // The state at a whole second is what the last frame before it said.
    let grid = speeds(&always("take = \"every\"\ninterval = \"1s\""), name, &frames);
    assert_eq!(grid, [(1000, 9.0), (2000, 19.0), (3000, 29.0)]);
}

#[test]
fn aggregates_are_of_whole_intervals_and_miss_no_sample() {
    let text = always("take = \"aggregate\"\ninterval = \"1s\"\nof = [\"mean\", \"max\", \"min\"]");
    let (plan, mut engine) = (plan(&text), engine(&text));
    let mut emitted = run(&mut engine, &drive(3, &[]));
    engine.flush(&mut |e| emitted.push(e));
    let near = |found: Vec<(i64, f64)>, expected: [(i64, f64); 3]| {
        assert!(
            found.iter().zip(&expected).all(|(f, e)| f.0 == e.0 && (f.1 - e.1).abs() < 1e-9),
            "{found:?}"
        );
        assert_eq!(found.len(), 3);
    };
    near(of(&plan, &emitted, "Vehicle.Speed#all.min"), [(1000, 0.0), (2000, 1.0), (2900, 2.0)]);
    near(of(&plan, &emitted, "Vehicle.Speed#all.mean"), [(1000, 0.45), (2000, 1.45), (2900, 2.45)]);
    near(of(&plan, &emitted, "Vehicle.Speed#all.max"), [(1000, 0.9), (2000, 1.9), (2900, 2.9)]);
}

#[test]
fn a_grid_is_sampled_in_the_time_before_a_trigger_too() {
    let text = overheat("before = \"3s\"\nafter = \"2s\"") + "take = \"every\"\ninterval = \"1s\"\n";
    let emitted = run(&mut engine(&text), &drive(20, std::slice::from_ref(&(10..11))));
    let times: Vec<i64> = of(&plan(&text), &emitted, "Vehicle.Speed#overheat").iter().map(|s| s.0).collect();
    assert_eq!(times, [8000, 9000, 10_000, 11_000]);
}

#[test]
fn a_daily_cap_counts_what_it_keeps_out_and_refills_with_the_day() {
    let text = format!("[[campaign]]\nbytes_per_day_max = \"60\"\n{}", &always("")["[[campaign]]\n".len()..]);
    let mut engine = engine(&text);
    run(&mut engine, &drive(10, &[]));
    let counts = engine.counts();
    assert_eq!(counts.samples + counts.capped, 100);
    // Three bytes a sample: two for its time, one for its difference.
    assert_eq!((counts.samples, engine.spent().bytes), (20, 60));
    let tomorrow: Frames = drive(1, &[]).iter().map(|f| (f.0 + 86_400_000, f.1, f.2)).collect();
    run(&mut engine, &tomorrow);
    assert_eq!(engine.counts().samples, 30);
    // And what was spent is not spent again after a restart.
    let mut again = Engine::new(plan(&text), &engine.spent());
    run(&mut again, &tomorrow);
    assert!(again.counts().samples < 20, "{:?}", again.counts());
}

#[test]
fn with_the_set_s_cap_in_sight_low_priority_stops_first() {
    let campaign = |name: &str, priority: &str| {
        format!(
            "[[campaign]]\nname = \"{name}\"\npriority = \"{priority}\"\n[[campaign.collect]]\nsignals = [\"Vehicle.Speed\"]\n"
        )
    };
    let text = campaign("low", "low") + &campaign("high", "high");
    let bounds = Bounds { bytes_per_day_max: 1000, ..Bounds::default() };
    let plan = plan_within(&text, bounds);
    let mut engine = Engine::new(Arc::clone(&plan), &Spent::default());
    let emitted = run(&mut engine, &drive(60, &[]));
    let count = |signal: &str| of(&plan, &emitted, signal).len() as u64;
    let spent = engine.spent();
    assert!(spent.bytes > 990 && spent.bytes <= 1000, "{spent:?}");
    assert!(spent.by_campaign["low"] <= 352 && spent.by_campaign["high"] >= 640, "{spent:?}");
    assert_eq!(count("Vehicle.Speed#low") + count("Vehicle.Speed#high") + engine.counts().capped, 1200);
}

#[test]
fn the_ring_stays_within_its_bytes_and_a_trigger_says_what_it_lacks() {
    let text = overheat("before = \"10min\"");
    let bounds = Bounds { ring_bytes_max: 10_000, ..Bounds::default() };
    let plan = plan_within(&text, bounds);
    let mut engine = Engine::new(Arc::clone(&plan), &Spent::default());
    let emitted = run(&mut engine, &drive(300, std::slice::from_ref(&(299..300))));
    assert!(engine.ring_bytes() <= 10_000, "{}", engine.ring_bytes());
    assert_eq!(engine.counts().cut_short, 1);
    let kept = of(&plan, &emitted, "Vehicle.Speed#overheat");
    assert!(kept.len() > 150 && kept.windows(2).all(|w| w[1].0 - w[0].0 == 100), "{}", kept.len());
    assert_eq!(kept.last().unwrap().0, 298_900);
}

#[test]
fn a_reload_amid_everything_loses_and_doubles_no_sample() {
    let keys = "before = \"3s\"\nafter = \"5s\"";
    let text = overheat(keys) + &always("take = \"aggregate\"\ninterval = \"1s\"\nof = [\"max\"]");
    let frames = drive(40, &[10..11, 25..26]);
    let whole = run(&mut engine(&text), &frames);
    let plan_before = plan(&text);
    // Another campaign in front moves every column id.
    let more = "[[campaign]]\nname = \"more\"\n[[campaign.collect]]\nsignals = [\"Vehicle.IsIgnitionOn\"]\n";
    let plan_after = plan(&(more.to_owned() + &text));
    for cut in (0..frames.len()).step_by(37) {
        let mut old = engine(&text);
        let first = run(&mut old, &frames[..cut]);
        let mut new = Engine::new(Arc::clone(&plan_after), &Spent::default());
        new.adopt(&mut old);
        let mut rest = Vec::new();
        old.flush(&mut |e| rest.push(e));
        assert_eq!(rest, [], "nothing is left behind");
        let rest = run(&mut new, &frames[cut..]);
        for signal in ["Vehicle.Speed#overheat", "Vehicle#overheat", "Vehicle.Speed#all.max"] {
            let mut found = of(&plan_before, &first, signal);
            found.extend(of(&plan_after, &rest, signal));
            assert_eq!(found, of(&plan_before, &whole, signal), "{signal} cut at {cut}");
        }
    }
}
