//! A long answer is streamed in bounded memory. A process of its own, so that its peak is of this alone.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

use analytics::{
    Analytics, LakeSettings,
    engine::{Limits, Piece, StreamFormat},
};
use service::clock::SystemClock;

/// The most memory this process has ever had, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Bytes of an answer of so many rows.
async fn read(analytics: &Analytics, rows: u64, format: StreamFormat) -> u64 {
    let query = format!(
        "SELECT value, repeat(CAST(value AS VARCHAR) || ' ', 30) AS name FROM generate_series(1, {rows})"
    );
    let mut answer = analytics.sql_stream(None, &query, (format, None)).await.unwrap();
    let mut bytes = 0;
    loop {
        match answer.next().await.unwrap().unwrap() {
            Piece::Bytes(piece) => bytes += u64::try_from(piece.len()).unwrap(),
            Piece::End { is_truncated } => {
                assert!(!is_truncated);
                return bytes;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_answer_takes_the_memory_of_a_short_one() {
    let dir = tempfile::tempdir().unwrap();
    let lake = LakeSettings::folder(dir.path());
    let analytics = Analytics::create(&lake, Limits::default(), SystemClock::shared()).await.unwrap();
    for format in [StreamFormat::Csv, StreamFormat::Arrow, StreamFormat::Parquet] {
        // Long enough for what the allocator keeps.
        read(&analytics, 100_000, format).await;
        let before_kib = peak_kib();
        let bytes = read(&analytics, 500_000, format).await;
        let grown_kib = peak_kib() - before_kib;
        // Parquet's are pressed.
        let is_pressed = format == StreamFormat::Parquet;
        assert!(is_pressed || bytes > 100_000_000, "{bytes} bytes are too few to show anything");
        assert!(grown_kib < 32 << 10, "{format:?}: {bytes} bytes took {grown_kib} KiB more");
    }
}
