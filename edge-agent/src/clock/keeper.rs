//! Says what time it is, how sure that is, and how far off earlier batches of this boot are.
//!
//! Two clocks: the wall clock, which anybody may set, and the time since boot, which runs on.
//! Their difference says when the wall clock was set ([`TimeKeeper::look`]). Time is known
//! * by the wall clock, past [`RELEASE_TIME`], when the file that says so is there, when nothing
//!   on this machine would make that file, or when the clock was set while the agent ran;
//! * otherwise by the time since boot, when a GNSS receiver told the time of this boot, or it was
//!   known in this boot before.
//!
//! An *era* is a stretch in which times are by one such rule and no clock was set. Bounds: the
//! file is looked for once a second, the memory written at most every ten minutes beyond changes.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use service::{SharedClock, clock::micros, logs::chain};
use tracing::{info, warn};
use wire::{batch::ClockState, ids::StreamId, time::Timestamp};

use super::{ClockSettings, RELEASE_TIME, memory::Memory};
use crate::metrics;

/// A wall clock that moves by more between two looks was set; less is slewing.
const STEP_US: i64 = 1_000_000;
/// Longest time for reading both clocks, and how often that is tried.
const READ_TIME_MAX_US: i64 = 10_000;
const READ_TRIES: usize = 10;
/// How often the file is looked for.
const LOOK_INTERVAL_US: i64 = 1_000_000;
/// A frame waits no longer than this to be taken.
const FRAME_AGE_MAX_US: i64 = 60_000_000;
/// A frame may seem to be from so far ahead, as clocks are read one after the other.
const FRAME_AHEAD_MAX_US: i64 = 1_000_000;
/// How often the time is remembered while it is known.
const REMEMBER_INTERVAL_US: i64 = 600_000_000;

/// A stretch of time by one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Era {
    /// How sure its times are.
    pub(crate) clock: ClockState,
    /// Which rule it is by.
    rule: Rule,
    /// The times of its samples less the wall clock's.
    shift_us: i64,
    /// The same less the time since boot.
    offset_us: i64,
}

impl Era {
    /// The time since boot at a time of this era.
    pub(crate) fn since_boot_us(self, time: Timestamp) -> i64 {
        time.0.saturating_sub(self.offset_us)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Wall,
    SinceBoot,
    Provisional,
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The clock was set: batches of before end, streams go on.
    Step,
    /// Time became known, or unknown: what follows is in streams of its own.
    Knowledge,
}

/// What is to become of a batch of a stream that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    /// It goes as it was written.
    AsIs,
    /// It goes with its times moved by so much.
    Moved(i64),
    /// It waits for the time to be known.
    Held,
}

/// Keeps the time of one agent of live sources.
#[derive(Debug)]
pub(crate) struct TimeKeeper {
    settings: ClockSettings,
    folder: PathBuf,
    clock: SharedClock,
    started_us: i64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    memory: Memory,
    era: Era,
    /// Wall clock less time since boot, at the last look.
    wall_us: i64,
    /// The same before the clock was last set, and when that was since boot.
    before: Option<(i64, i64)>,
    was_set: bool,
    is_vouched: bool,
    next_look_us: i64,
    next_remember_us: i64,
}

impl ClockSettings {
    /// Whether somebody vouches for the wall clock, or nobody on this machine ever does.
    fn is_vouched(&self) -> bool {
        let file = &self.synchronized_file;
        file.exists() || file.parent().is_none_or(|folder| !folder.exists())
    }
}

impl State {
    /// The rule by which times go now.
    fn rule(&self, wall_now_us: i64) -> Rule {
        if wall_now_us >= RELEASE_TIME.0 && (self.is_vouched || self.was_set) {
            Rule::Wall
        } else if self.memory.known_us.is_some() {
            Rule::SinceBoot
        } else {
            Rule::Provisional
        }
    }
}

impl TimeKeeper {
    /// Of the agent whose spool is in `folder`.
    pub(crate) fn open(settings: ClockSettings, folder: &Path, clock: SharedClock) -> Self {
        let boot = std::fs::read_to_string(&settings.boot_id_file).unwrap_or_default();
        let (wall_now_us, boot_us) = both(&clock);
        let wall_us = wall_now_us.saturating_sub(boot_us);
        let mut state = State {
            memory: Memory::load(folder, boot.trim()),
            era: Era { clock: ClockState::Synchronized, rule: Rule::Wall, shift_us: 0, offset_us: wall_us },
            wall_us,
            before: None,
            was_set: false,
            is_vouched: false,
            next_look_us: i64::MIN,
            next_remember_us: i64::MIN,
        };
        state.is_vouched = settings.is_vouched();
        let rule = state.rule(wall_now_us);
        let keeper = Self {
            settings,
            folder: folder.to_owned(),
            clock,
            started_us: boot_us,
            state: Mutex::new(state),
        };
        keeper.begin_era(&mut keeper.state(), rule, boot_us);
        if keeper.era().clock != ClockState::Synchronized {
            warn!(
                hold_s = keeper.settings.hold_max.as_secs(),
                "the time is not known yet; batches wait for it"
            );
        }
        keeper
    }

    /// Looks at the clocks; called before frames are taken.
    pub(crate) fn look(&self) -> Option<Change> {
        let (wall_now_us, boot_us) = both(&self.clock);
        let mut state = self.state();
        let offset_us = wall_now_us.saturating_sub(boot_us);
        let moved_us = offset_us.saturating_sub(state.wall_us);
        let is_step = moved_us.saturating_abs() > STEP_US;
        if is_step {
            state.before = Some((state.wall_us, boot_us));
            state.was_set = true;
            metrics::clock_step();
            warn!(moved_ms = moved_us / 1000, "the wall clock was set");
        }
        state.wall_us = offset_us;
        if boot_us >= state.next_look_us {
            state.next_look_us = boot_us.saturating_add(LOOK_INTERVAL_US);
            state.is_vouched = self.settings.is_vouched();
        }
        let (was, rule) = (state.era, state.rule(wall_now_us));
        if rule == was.rule && !is_step {
            // The wall clock may be slewed.
            state.era.offset_us = offset_us.saturating_add(was.shift_us);
            self.remember(&mut state, boot_us);
            return None;
        }
        self.begin_era(&mut state, rule, boot_us);
        if state.era.clock != was.clock {
            return Some(Change::Knowledge);
        }
        let jump_us = moved_us.saturating_add(state.era.shift_us).saturating_sub(was.shift_us);
        (is_step || jump_us.saturating_abs() > STEP_US).then_some(Change::Step)
    }

    fn begin_era(&self, state: &mut State, rule: Rule, boot_us: i64) {
        let wall_us = state.wall_us;
        let before = state.memory.clone();
        let memory = &mut state.memory;
        let clock =
            if rule == Rule::Provisional { ClockState::Unsynchronized } else { ClockState::Synchronized };
        let offset_us = match rule {
            Rule::Wall => {
                memory.known_us.get_or_insert(wall_us);
                wall_us
            }
            Rule::SinceBoot => memory.known_us.unwrap_or(wall_us),
            Rule::Provisional => {
                let at_least_us = memory.last_known_us.max(RELEASE_TIME.0).saturating_sub(boot_us);
                *memory.provisional_us.get_or_insert(wall_us.max(at_least_us))
            }
        };
        if memory.provisional_us.is_some() && before.known_us.is_none() && memory.known_us.is_some() {
            let moved_ms =
                memory.known_us.unwrap_or(0).saturating_sub(memory.provisional_us.unwrap_or(0)) / 1000;
            info!(moved_ms, "the time is known; what was collected before is set right when it is sent");
        }
        state.era = Era { clock, rule, shift_us: offset_us.saturating_sub(wall_us), offset_us };
        if state.memory != before {
            self.store(&state.memory);
        }
    }

    /// Keeps the time for a boot that does not know it.
    fn remember(&self, state: &mut State, boot_us: i64) {
        if state.era.clock == ClockState::Synchronized && boot_us >= state.next_remember_us {
            state.next_remember_us = boot_us.saturating_add(REMEMBER_INTERVAL_US);
            let now_us = boot_us.saturating_add(state.wall_us).saturating_add(state.era.shift_us);
            state.memory.last_known_us = now_us;
            self.store(&state.memory);
        }
    }

    fn store(&self, memory: &Memory) {
        if let Err(error) = memory.store(&self.folder) {
            warn!(error = %chain(&error), "cannot remember the time; after a restart batches without it stay flagged");
        }
    }

    /// A receiver told the time. It counts when nothing better is known.
    pub(crate) fn tell_utc(&self, utc: Timestamp) {
        let boot_us = self.clock.boot_us();
        let mut state = self.state();
        if utc >= RELEASE_TIME && state.memory.known_us.is_none() {
            state.memory.known_us = Some(utc.0.saturating_sub(boot_us));
            info!("a receiver has told the time; what was collected before is set right when it is sent");
            self.store(&state.memory);
        }
    }

    /// The era of now.
    pub(crate) fn era(&self) -> Era {
        self.state().era
    }

    /// Now, by the era's rule.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_us().saturating_add(self.era().shift_us))
    }

    /// The time of a frame that the wall clock stamped, just now or before it was last set.
    pub(crate) fn date(&self, stamped: Timestamp) -> Timestamp {
        let boot_us = self.clock.boot_us();
        let state = self.state();
        let is_fresh = |offset_us: i64, until_us: i64| {
            let age_us = until_us.saturating_sub(stamped.0.saturating_sub(offset_us));
            (-FRAME_AHEAD_MAX_US..=FRAME_AGE_MAX_US).contains(&age_us)
        };
        let mut time = stamped;
        if let Some((before_us, set_us)) = state.before
            && boot_us.saturating_sub(set_us) <= FRAME_AGE_MAX_US
            && !is_fresh(state.wall_us, boot_us)
            && is_fresh(before_us, set_us)
        {
            time = time.plus_us(state.wall_us.saturating_sub(before_us));
        }
        time.plus_us(state.era.shift_us)
    }

    /// Whether a stamp is of the wall clock as it was at the last look.
    pub(crate) fn is_current(&self, stamped: Timestamp) -> bool {
        let boot_us = self.clock.boot_us();
        let age_us = boot_us.saturating_sub(stamped.0.saturating_sub(self.state().wall_us));
        (-FRAME_AHEAD_MAX_US..=FRAME_AGE_MAX_US).contains(&age_us)
    }

    /// Streams are about to take batches: those of an unknown time are noted first.
    pub(crate) fn enroll(&self, ids: &[StreamId]) {
        let mut state = self.state();
        if state.era.clock == ClockState::Unsynchronized {
            state.memory.enroll(ids.iter().map(|id| id.0));
            self.store(&state.memory);
        }
    }

    /// What is to become of the batches of a stream.
    pub(crate) fn sending(&self, stream_id: StreamId) -> Sending {
        let held_us = self.clock.boot_us().saturating_sub(self.started_us);
        let state = self.state();
        if !state.memory.streams.contains(&stream_id.0) {
            return Sending::AsIs;
        }
        match (state.memory.known_us, state.memory.provisional_us) {
            (Some(known_us), Some(provisional_us)) => Sending::Moved(known_us.saturating_sub(provisional_us)),
            _ if held_us < micros(self.settings.hold_max) => Sending::Held,
            _ => Sending::AsIs,
        }
    }

    /// The streams that wait for the time to be known.
    pub(crate) fn held(&self) -> Vec<StreamId> {
        let streams: Vec<StreamId> = self.state().memory.streams.iter().copied().map(StreamId).collect();
        streams.into_iter().filter(|id| self.sending(*id) == Sending::Held).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both clocks at one moment. A thread that is put aside between two readings would see the wall
/// clock set, so they are read again then.
fn both(clock: &SharedClock) -> (i64, i64) {
    let mut boot_us = clock.boot_us();
    for _ in 0..READ_TRIES {
        let (wall_us, after_us) = (clock.now_us(), clock.boot_us());
        if after_us.saturating_sub(boot_us) <= READ_TIME_MAX_US {
            return (wall_us, boot_us);
        }
        boot_us = after_us;
    }
    (clock.now_us(), boot_us)
}

#[cfg(test)]
mod tests {
    use service::clock::ManualClock;
    use uuid::Uuid;

    use super::*;

    fn id(n: u128) -> StreamId {
        StreamId(Uuid::from_u128(n))
    }

    /// A keeper of a boot called `boot`, on a unit where a file would vouch for its clock.
    fn keeper(folder: &Path, boot: &str, clock: &std::sync::Arc<ManualClock>) -> TimeKeeper {
        std::fs::create_dir_all(folder.join("run")).unwrap();
        std::fs::write(folder.join("boot"), boot).unwrap();
        let settings = ClockSettings {
            synchronized_file: folder.join("run/synchronized"),
            boot_id_file: folder.join("boot"),
            ..ClockSettings::default()
        };
        TimeKeeper::open(settings, folder, std::sync::Arc::clone(clock) as SharedClock)
    }

    #[test]
    fn a_frame_stamped_before_the_clock_was_set_gets_the_time_of_after() {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(5_000_000);
        let keeper = keeper(folder.path(), "a", &clock);
        let before = Timestamp(5_000_000);
        assert!(keeper.is_current(before));
        assert_eq!(keeper.date(before), RELEASE_TIME);
        let set = RELEASE_TIME.plus_us(86_400_000_000);
        clock.set_wall(set.0);
        // Neither file nor receiver: but nobody sets a clock to a time that he does not know.
        assert_eq!(keeper.look(), Some(Change::Knowledge));
        assert_eq!(keeper.look(), None);
        assert!(!keeper.is_current(before) && keeper.is_current(set));
        assert_eq!((keeper.date(before), keeper.date(set)), (set, set));
        clock.set_wall(set.0 - 3_000_000);
        assert_eq!(keeper.look(), Some(Change::Step));
        assert_eq!(keeper.now(), set.plus_us(-3_000_000));
    }

    #[test]
    fn what_became_known_holds_for_the_boot_and_is_the_least_for_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(0);
        let first = keeper(folder.path(), "a", &clock);
        first.enroll(&[id(1)]);
        assert_eq!((first.sending(id(1)), first.sending(id(2))), (Sending::Held, Sending::AsIs));
        clock.advance(std::time::Duration::from_secs(60));
        let noon = RELEASE_TIME.plus_us(1_000_000_000_000);
        first.tell_utc(noon);
        let moved = Sending::Moved(noon.0 - 60_000_000 - RELEASE_TIME.0);
        assert_eq!((first.sending(id(1)), first.look()), (moved, Some(Change::Knowledge)));
        assert_eq!((first.now(), first.era().clock), (noon, ClockState::Synchronized));
        first.look();

        let again = keeper(folder.path(), "a", &clock);
        assert_eq!((again.sending(id(1)), again.now()), (moved, noon));
        // A later word of the receiver does not change what is sent again.
        again.tell_utc(noon.plus_us(5_000_000));
        assert_eq!(again.sending(id(1)), moved);

        let next = keeper(folder.path(), "b", &ManualClock::at(0));
        assert_eq!((next.sending(id(1)), next.era().clock), (Sending::AsIs, ClockState::Unsynchronized));
        assert_eq!(next.now(), noon);
    }

    #[test]
    fn a_wall_clock_is_believed_where_it_is_vouched_for_or_nobody_ever_would() {
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(RELEASE_TIME.0 + 1);
        let held = keeper(folder.path(), "a", &clock);
        assert_eq!((held.era().clock, held.now().0), (ClockState::Unsynchronized, RELEASE_TIME.0 + 1));
        std::fs::write(folder.path().join("run/synchronized"), "").unwrap();
        clock.advance(std::time::Duration::from_secs(2));
        assert_eq!((held.look(), held.era().clock), (Some(Change::Knowledge), ClockState::Synchronized));
        let settings =
            ClockSettings { synchronized_file: folder.path().join("none/such"), ..ClockSettings::default() };
        let plain = TimeKeeper::open(settings.clone(), folder.path(), clock.clone());
        assert_eq!(plain.era().clock, ClockState::Synchronized);
        let unset = tempfile::tempdir().unwrap();
        let unset = TimeKeeper::open(settings, unset.path(), ManualClock::at(0));
        assert_eq!(unset.era().clock, ClockState::Unsynchronized);
    }
}
