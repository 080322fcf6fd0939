//! How long work is coming along: on the terminal that shows errors, and only where that is one.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often what has no steps shows that it is alive.
const TICK: Duration = Duration::from_millis(120);

/// A line that is gone when the work is done, however it ends.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Work of so many steps, each of which is named when it begins; nothing is shown to programs.
    pub(crate) fn steps(count: usize, is_json: bool) -> Self {
        Self(drawn(ProgressBar::new(count as u64), "{bar:32} {pos}/{len}  {msg} {elapsed}", is_json))
    }

    /// Work of which it is not known how much there is.
    pub(crate) fn of(what: &'static str, is_json: bool) -> Self {
        let bar = drawn(ProgressBar::new_spinner(), "{spinner} {msg} {elapsed}", is_json);
        bar.set_message(what);
        Self(bar)
    }

    /// Rows of a file, of which the number is told with each of them.
    pub(crate) fn rows(is_json: bool) -> Self {
        Self(drawn(ProgressBar::new(0), "{bar:40} {pos}/{len} rows, {eta} left", is_json))
    }

    /// A step begins; those before it are done.
    pub(crate) fn begin(&self, at: usize, name: &'static str) {
        self.0.set_position(at as u64);
        self.0.set_message(name);
    }

    /// So many of so many are done.
    pub(crate) fn reach(&self, done: usize, total: usize) {
        self.0.set_length(total as u64);
        self.0.set_position(done as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn drawn(bar: ProgressBar, template: &str, is_json: bool) -> ProgressBar {
    if is_json {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template(template);
    let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(TICK);
    bar
}
