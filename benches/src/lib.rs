//! What every bench does alike: options, timing, chance, a table with the peers beside ours.
//!
//! Owns no figures: a bench measures, a [`Report`] says. Timing takes the median of some runs and
//! shows the least and the greatest, since the machine is rarely alone. Ours and its peers take
//! turns within one run, so that what disturbs one disturbs the other.

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

#[cfg(feature = "lake")]
pub mod mqtt;
pub mod process;
#[cfg(feature = "lake")]
pub mod recorded;
mod report;
pub mod samples;

pub use report::{Report, Row};

/// How a bench was called.
#[derive(Debug, Clone)]
pub struct Options {
    /// JSON lines for a program instead of a table for people.
    pub is_json: bool,
    /// Timed runs; the median counts.
    pub run_count: usize,
}

impl Options {
    /// From the command line: `--json`, `--runs N`. What cargo adds (`--bench`) is passed over.
    pub fn from_args() -> anyhow::Result<Self> {
        let mut options = Self { is_json: false, run_count: 9 };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--json" => options.is_json = true,
                "--runs" => {
                    let count = args.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
                    options.run_count =
                        count.ok_or_else(|| anyhow::anyhow!("--runs wants a number above 0"))?;
                }
                "--bench" => {}
                other => anyhow::bail!("unknown option {other}; there are --json and --runs N"),
            }
        }
        Ok(options)
    }
}

/// Runs a bench and prints its report.
pub fn main(name: &str, bench: impl FnOnce(&Options, &mut Report) -> anyhow::Result<()>) -> ExitCode {
    let mut report = Report::new(name);
    let result = Options::from_args().and_then(|options| {
        bench(&options, &mut report)?;
        Ok(options)
    });
    match result {
        Ok(options) => {
            print!("{}", if options.is_json { report.json() } else { report.table() });
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// How long something takes.
#[allow(clippy::disallowed_methods, reason = "service's clock has microseconds; a frame takes nanoseconds")]
pub fn time<T>(what: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let made = std::hint::black_box(what());
    (start.elapsed(), made)
}

/// A measured figure: the median of its runs and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// Half of the runs were below.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Figure {
    /// Of the runs; all zero when there were none.
    pub fn of(runs: &[f64]) -> Self {
        let mut sorted = runs.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |i: usize| sorted.get(i).copied().unwrap_or_default();
        Self { median: at(sorted.len() / 2), min: at(0), max: at(sorted.len().saturating_sub(1)) }
    }

    /// A figure that is the same at every run, as a size is.
    pub fn exact(value: f64) -> Self {
        Self { median: value, min: value, max: value }
    }
}

/// A seeded source of chance (SplitMix64, public domain): the same stream at every run.
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is above 0.
    pub fn below(&mut self, end: usize) -> usize {
        let wide = u128::from(self.bits()) * end as u128;
        usize::try_from(wide >> 64).unwrap_or_default()
    }
}

/// The workspace's folder.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The folder that `benches/peers/setup` filled, by `ROADLAKE_BENCH_PEERS`.
pub fn peers() -> Option<PathBuf> {
    std::env::var_os("ROADLAKE_BENCH_PEERS").map(PathBuf::from).filter(|p| p.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_not_moved_by_one_wild_run() {
        let figure = Figure::of(&[3.0, 1.0, 1000.0, 2.0, 2.5]);
        assert_eq!(figure, Figure { median: 2.5, min: 1.0, max: 1000.0 });
    }

    #[test]
    fn chance_is_the_same_at_every_run_and_below_its_end() {
        let (mut one, mut other) = (Chance(1), Chance(1));
        for _ in 0..1000 {
            let number = one.below(7);
            assert!(number < 7);
            assert_eq!(number, other.below(7));
        }
    }
}
