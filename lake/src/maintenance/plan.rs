//! Which files of a day should become which: pure decisions over the list of files.

use std::{collections::BTreeMap, time::Duration};

use deltalake::kernel::Add;

use super::CompactionPolicy;
use crate::schema::PARTITION;

/// The tag of a file that maintenance wrote: the columns it is sorted by.
pub(crate) const ORDER_TAG: &str = "roadlake.sorted_by";
/// The tag with the run a sorted file belongs to: files of one run never overlap in order.
pub(crate) const RUN_TAG: &str = "roadlake.run";
/// Bytes of rewritten files that go into one commit.
pub(super) const COMMIT_BYTES: u64 = 512 << 20;

/// A file of a table, as planning sees it.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// The day (partition) it belongs to.
    pub(crate) date: String,
    /// Its bytes.
    pub(crate) bytes: u64,
    /// Its rows, where the log tells.
    pub(crate) rows: Option<u64>,
    /// When it was written.
    pub(crate) modified_ms: i64,
    /// The run it belongs to; `None` for a loose file, whose rows are in no known order.
    pub(crate) run: Option<String>,
    /// Least and greatest vehicle, where the log tells.
    pub(crate) vehicles: Option<(String, String)>,
    /// Its entry in the log.
    pub(crate) add: Add,
}

/// The files of one day that are to be replaced by one sorted run.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) date: String,
    pub(crate) files: Vec<DataFile>,
}

impl Job {
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.bytes).sum()
    }
}

impl DataFile {
    /// From an entry of the log; `order` is the sort order of the table now, so files sorted by
    /// an earlier release's order count as loose.
    pub(crate) fn of(add: Add, order: &str) -> Result<Self, String> {
        let date = add.partition_values.get(PARTITION).cloned().flatten();
        let date = date.ok_or_else(|| format!("{} is of no day", add.path))?;
        let tag = |name: &str| add.tags.as_ref()?.get(name)?.clone();
        let run = tag(RUN_TAG).filter(|_| tag(ORDER_TAG).as_deref() == Some(order));
        let stats: Option<serde_json::Value> =
            add.stats.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let vehicle = |of: &str| Some(stats.as_ref()?.get(of)?.get("vehicle_id")?.as_str()?.to_owned());
        Ok(Self {
            date,
            bytes: u64::try_from(add.size).unwrap_or(0),
            rows: stats.as_ref().and_then(|s| s.get("numRecords")?.as_u64()),
            modified_ms: add.modification_time,
            run,
            vehicles: vehicle("minValues").zip(vehicle("maxValues")),
            add,
        })
    }

    fn is_loose(&self) -> bool {
        self.run.is_none()
    }
}

/// What is to be rewritten, day by day.
///
/// A day that still gets data: once it has enough loose files they become one sorted run,
/// together with those sorted files that are not much larger than what is gathered already. So a
/// row is rewritten a number of times that grows with the logarithm of its day.
///
/// A day that has settled: files that overlap in their range of vehicles become one run, if any
/// of them is loose or they are of several runs; all of a day that fits one file. So late data costs a rewrite of the files that
/// hold the same vehicles, and a day in order costs nothing.
pub(crate) fn jobs(files: Vec<DataFile>, policy: &CompactionPolicy, now_ms: i64) -> Vec<Job> {
    let mut days: BTreeMap<String, Vec<DataFile>> = BTreeMap::new();
    for file in files {
        days.entry(file.date.clone()).or_default().push(file);
    }
    let day = |(date, files): (String, Vec<DataFile>)| {
        let parts = if is_settled(&files, policy.settle, now_ms) {
            settled(files, policy)
        } else {
            busy(files, policy).into_iter().collect()
        };
        parts.into_iter().map(move |files| Job { date: date.clone(), files })
    };
    days.into_iter().flat_map(day).collect()
}

/// Shares out jobs over commits: whole jobs, until the bytes are enough for one.
pub(crate) fn commits(jobs: Vec<Job>, policy: &CompactionPolicy) -> Vec<Vec<Job>> {
    let bytes_max = COMMIT_BYTES.max(policy.file_bytes_target);
    let mut shares: Vec<Vec<Job>> = Vec::new();
    let mut bytes = u64::MAX;
    for job in jobs {
        if bytes >= bytes_max {
            shares.push(Vec::new());
            bytes = 0;
        }
        bytes = bytes.saturating_add(job.bytes());
        if let Some(share) = shares.last_mut() {
            share.push(job);
        }
    }
    shares
}

/// Files that wait for a rewrite: the debt of compaction.
pub(crate) fn debt(files: &[DataFile]) -> u64 {
    files.iter().filter(|f| f.is_loose()).count() as u64
}

/// Whether the newest of the day's loose files is old enough; sorted files are our own doing.
fn is_settled(files: &[DataFile], settle: Duration, now_ms: i64) -> bool {
    let newest_ms = files.iter().filter(|f| f.is_loose()).map(|f| f.modified_ms).max();
    let settle_ms = i64::try_from(settle.as_millis()).unwrap_or(i64::MAX);
    let newest_ms = newest_ms.or_else(|| files.iter().map(|f| f.modified_ms).max());
    newest_ms.is_none_or(|newest| now_ms.saturating_sub(newest) >= settle_ms)
}

fn busy(files: Vec<DataFile>, policy: &CompactionPolicy) -> Option<Vec<DataFile>> {
    let (mut gathered, mut sorted): (Vec<_>, Vec<_>) = files.into_iter().partition(DataFile::is_loose);
    if gathered.len() < policy.loose_files_min.max(2) {
        return None;
    }
    let mut bytes: u64 = gathered.iter().map(|f| f.bytes).sum();
    sorted.sort_by_key(|f| f.bytes);
    for file in sorted {
        if file.bytes > bytes.saturating_mul(2) || file.bytes >= policy.file_bytes_target / 2 {
            break;
        }
        bytes = bytes.saturating_add(file.bytes);
        gathered.push(file);
    }
    Some(gathered)
}

fn settled(mut files: Vec<DataFile>, policy: &CompactionPolicy) -> Vec<Vec<DataFile>> {
    let small = files.iter().filter(|f| !f.is_loose() && f.bytes < policy.file_bytes_target / 4).count();
    if small >= policy.loose_files_min.max(2) {
        // Late data has left many small pieces.
        return vec![files];
    }
    // A day of one file's size is one file. And a file whose vehicles are not known may hold any.
    let is_one = files.iter().map(|f| f.bytes).sum::<u64>() <= policy.file_bytes_target;
    if is_one || files.iter().any(|f| f.vehicles.is_none()) {
        return if needs_rewrite(&files) { vec![files] } else { Vec::new() };
    }
    files.sort_by(|a, b| a.vehicles.cmp(&b.vehicles));
    let mut groups: Vec<Vec<DataFile>> = Vec::new();
    let mut end: Option<String> = None;
    for file in files {
        let Some((first, last)) = file.vehicles.clone() else { continue };
        let overlaps = end.as_ref().is_some_and(|end| first <= *end);
        match groups.last_mut() {
            Some(group) if overlaps => group.push(file),
            _ => groups.push(vec![file]),
        }
        end = Some(end.map_or(last.clone(), |end| end.max(last)));
    }
    groups.retain(|group| needs_rewrite(group));
    groups
}

/// Whether files that overlap are anything but parts of one run.
fn needs_rewrite(files: &[DataFile]) -> bool {
    let mut runs = files.iter().map(|f| f.run.as_ref());
    let first = runs.next().flatten();
    first.is_none() || runs.any(|run| run != first)
}

#[cfg(test)]
mod tests;
