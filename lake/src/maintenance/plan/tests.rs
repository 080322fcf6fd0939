use super::*;

const MB: u64 = 1 << 20;
const DAY: &str = "2026-11-23";
const NOW_MS: i64 = 1_795_000_000_000;

fn policy() -> CompactionPolicy {
    CompactionPolicy { loose_files_min: 3, settle: Duration::from_secs(60), ..CompactionPolicy::default() }
}

/// A file of vehicles `first` to `last`; of `run`, or loose.
fn file(run: Option<&str>, bytes: u64, (first, last): (&str, &str), age_s: i64) -> DataFile {
    let stats = serde_json::json!({
        "numRecords": 10, "minValues": {"vehicle_id": first}, "maxValues": {"vehicle_id": last}
    });
    let tags = run.map(|run| {
        let tag = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
        [tag(ORDER_TAG, "a,b"), tag(RUN_TAG, run)].into_iter().collect()
    });
    let add = Add {
        path: format!("{run:?}-{first}-{last}-{bytes}"),
        partition_values: [(PARTITION.to_owned(), Some(DAY.to_owned()))].into_iter().collect(),
        size: i64::try_from(bytes).unwrap(),
        modification_time: NOW_MS - age_s * 1000,
        data_change: true,
        stats: Some(stats.to_string()),
        tags,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    };
    DataFile::of(add, "a,b").unwrap()
}

/// Of each job, the ranges of its files.
fn planned(files: Vec<DataFile>) -> Vec<Vec<(String, String)>> {
    let mut jobs: Vec<Vec<_>> = jobs(files, &policy(), NOW_MS)
        .into_iter()
        .map(|job| job.files.into_iter().filter_map(|f| f.vehicles).collect())
        .collect();
    jobs.iter_mut().for_each(|ranges| ranges.sort());
    jobs
}

fn ranges(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[test]
fn a_busy_day_waits_for_enough_loose_files() {
    let loose = |n: usize| (0..n).map(|_| file(None, MB, ("a", "z"), 5)).collect::<Vec<_>>();
    assert!(planned(loose(2)).is_empty());
    assert_eq!(planned(loose(3)), [ranges(&[("a", "z"); 3])]);
}

#[test]
fn a_busy_day_takes_along_only_sorted_files_of_like_size() {
    let mut files: Vec<_> = (0..3).map(|_| file(None, MB, ("a", "z"), 5)).collect();
    files.push(file(Some("1"), 5 * MB, ("b", "b"), 500));
    files.push(file(Some("2"), 50 * MB, ("c", "c"), 500));
    assert_eq!(planned(files), [ranges(&[("a", "z"), ("a", "z"), ("a", "z"), ("b", "b")])]);
}

#[test]
fn one_loose_file_of_a_settled_day_is_put_in_order() {
    assert_eq!(planned(vec![file(None, MB, ("a", "z"), 61)]), [ranges(&[("a", "z")])]);
}

#[test]
fn a_day_in_order_is_left_alone() {
    let files = vec![
        file(Some("1"), 128 * MB, ("a", "f"), 500),
        file(Some("1"), 128 * MB, ("f", "k"), 500),
        file(Some("2"), 90 * MB, ("l", "z"), 500),
    ];
    assert!(planned(files).is_empty());
}

#[test]
fn late_data_rewrites_only_files_of_the_same_vehicles() {
    let files = vec![
        file(Some("1"), 128 * MB, ("a", "f"), 500),
        file(Some("1"), 128 * MB, ("g", "k"), 500),
        file(Some("1"), 128 * MB, ("l", "z"), 500),
        file(None, MB, ("h", "i"), 70),
    ];
    assert_eq!(planned(files), [ranges(&[("g", "k"), ("h", "i")])]);
}

#[test]
fn runs_a_busy_day_left_are_merged_when_it_has_settled() {
    let files = vec![file(Some("1"), 60 * MB, ("a", "z"), 500), file(Some("2"), 60 * MB, ("b", "y"), 400)];
    assert_eq!(planned(files), [ranges(&[("a", "z"), ("b", "y")])]);
}

#[test]
fn many_small_pieces_of_a_settled_day_become_one_run() {
    let piece = |n: u8| {
        let name = char::from(n).to_string();
        file(Some(&name), MB, (&name, &name), 500)
    };
    let large = || file(Some("1"), 128 * MB, ("0", "9"), 500);
    assert!(planned(vec![large(), piece(b'a'), piece(b'b')]).is_empty());
    assert_eq!(planned(vec![large(), piece(b'a'), piece(b'b'), piece(b'c')]).len(), 1);
}

#[test]
fn a_day_that_fits_one_file_becomes_one_whoever_s_rows_it_has() {
    let files = vec![file(None, MB, ("a", "a"), 70), file(None, MB, ("b", "b"), 70)];
    assert_eq!(planned(files), [ranges(&[("a", "a"), ("b", "b")])]);
    assert!(planned(vec![file(Some("1"), MB, ("a", "b"), 70)]).is_empty());
}

#[test]
fn a_file_of_unknown_vehicles_may_hold_any() {
    let mut unknown = file(None, MB, ("a", "a"), 70);
    unknown.vehicles = None;
    let jobs = jobs(vec![unknown, file(Some("1"), MB, ("x", "z"), 500)], &policy(), NOW_MS);
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].files.len(), 2);
}

#[test]
fn files_in_another_order_are_loose() {
    let sorted = file(Some("1"), MB, ("a", "z"), 500);
    assert!(!sorted.is_loose());
    assert!(DataFile::of(sorted.add, "a,b,c").unwrap().is_loose());
}

#[test]
fn small_days_share_a_commit_and_large_ones_do_not() {
    let job = |bytes: u64| Job { date: DAY.to_owned(), files: vec![file(None, bytes, ("a", "z"), 70)] };
    let shares = commits(vec![job(MB), job(MB), job(600 * MB), job(MB)], &policy());
    assert_eq!(shares.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1]);
    assert!(commits(Vec::new(), &policy()).is_empty());
}
