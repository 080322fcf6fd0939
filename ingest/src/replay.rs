//! Payloads of `quarantine` through the way of live batches again: after a key was enrolled, a
//! catalogue came, or a release understands more.
//!
//! File by file: what verifies is committed, then its rows leave `quarantine`. Killed between the
//! two, the next replay finds the samples stored and only takes the rows out, so each batch is
//! stored once. It must be alone: an ingest remembers which batches are in and would not know of
//! these.

use std::time::Duration;

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, RecordBatch},
    compute::{cast, filter_record_batch},
    datatypes::{DataType, Int64Type},
    error::ArrowError,
};
use lake::{Lake, LakeTable, OpenLakeError, TableKind, maintenance::MaintenanceError, store::LockError};
use service::SharedClock;
use tokio_util::sync::CancellationToken;
use wire::{ids::VehicleId, time::Timestamp, topics};

use crate::{
    commit::{Committer, CommitterError, Purpose},
    config::SignaturePolicy,
    intake::Incoming,
    keys::DeviceKeys,
    verify::{Verdict, Verifier},
};

const APP_ID: &str = "quarantine replay";
/// Payload bytes of one commit.
const COMMIT_BYTES: usize = 16 << 20;

/// Which rows of `quarantine` are meant; all where nothing is named.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Of this vehicle.
    pub vehicle_id: Option<VehicleId>,
    /// For this reason.
    pub reason: Option<String>,
}

/// How payloads are judged.
#[derive(Debug)]
pub struct Judgement {
    /// Whether batches must be signed.
    pub signatures: SignaturePolicy,
    /// The enrolled keys.
    pub keys: DeviceKeys,
    /// How far a vehicle's clock may have been ahead.
    pub clock_ahead_max: Duration,
}

/// What a replay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Replayed {
    /// Payloads looked at.
    pub payloads: u64,
    /// Payloads that left `quarantine`.
    pub accepted: u64,
    /// Payloads that stay.
    pub refused: u64,
    /// Samples written.
    pub samples_stored: u64,
    /// Samples that were there already.
    pub samples_duplicate: u64,
}

/// Why a replay ended early. What it had taken out of `quarantine` is stored.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Somebody writes to the lake.
    #[error("cannot replay while the lake is written to")]
    Lock(#[from] LockError),
    /// The lake cannot be opened.
    #[error("cannot open the lake")]
    Open(#[from] OpenLakeError),
    /// `quarantine` cannot be read or rewritten.
    #[error("cannot read or rewrite the quarantine")]
    Quarantine(#[from] MaintenanceError),
    /// The samples cannot be committed.
    #[error("cannot store replayed batches")]
    Commit(#[from] CommitterError),
    /// Rows of `quarantine` are not what they should be.
    #[error("cannot read rows of the quarantine")]
    Rows(#[from] ArrowError),
}

/// Replays the selected payloads.
pub async fn replay(
    lake: &Lake,
    selection: &Selection,
    judgement: Judgement,
    clock: SharedClock,
) -> Result<Replayed, ReplayError> {
    let _alone = lake.lock_alone()?;
    let mut done = Replayed::default();
    if !lake.has_table(TableKind::Quarantine).await? {
        return Ok(done);
    }
    let mut table = lake.open_table(TableKind::Quarantine).await?;
    let committer = Committer::open(lake, APP_ID.to_owned(), clock.clone()).await?;
    let mut replayer = Replayer {
        verifier: Verifier::new(
            lake.clone(),
            judgement.keys,
            judgement.signatures,
            judgement.clock_ahead_max,
        ),
        committer: committer.with_purpose(Purpose::Replay),
    };
    for path in table.file_paths()? {
        replayer.file(&mut table, &path, selection, &mut done, clock.now_us() / 1000).await?;
    }
    Ok(done)
}

struct Replayer {
    verifier: Verifier,
    committer: Committer,
}

impl Replayer {
    async fn file(
        &mut self,
        table: &mut LakeTable,
        path: &str,
        selection: &Selection,
        done: &mut Replayed,
        now_ms: i64,
    ) -> Result<(), ReplayError> {
        let mut kept = Vec::new();
        let accepted_before = done.accepted;
        for batch in table.rows_of_file(path).await? {
            let columns = Columns::of(&batch)?;
            let mut stays = Vec::with_capacity(batch.num_rows());
            for row in 0..batch.num_rows() {
                let stay = !columns.is_selected(row, selection) || !self.try_row(&columns, row, done).await;
                stays.push(stay);
                if self.committer.buffer_bytes() >= COMMIT_BYTES {
                    self.commit(done).await?;
                }
            }
            kept.push(filter_record_batch(&batch, &BooleanArray::from(stays))?);
        }
        // Stored first, then out of quarantine: never the other way round.
        self.commit(done).await?;
        if done.accepted > accepted_before {
            table.replace_rows_of_file(path, &kept, now_ms).await?;
        }
        Ok(())
    }

    /// Whether the payload may be stored; then it is buffered for the next commit.
    async fn try_row(&mut self, columns: &Columns, row: usize, done: &mut Replayed) -> bool {
        done.payloads += 1;
        let verdict = match columns.incoming(row) {
            Some((incoming, received_at)) => Some(self.verifier.verify(incoming, received_at).await),
            None => None,
        };
        if let Some(Verdict::Accept(verified)) = verdict {
            self.committer.accept(*verified);
            done.accepted += 1;
            true
        } else {
            done.refused += 1;
            false
        }
    }

    async fn commit(&mut self, done: &mut Replayed) -> Result<(), ReplayError> {
        if !self.committer.is_empty() {
            let flushed = self.committer.flush(&CancellationToken::new()).await?;
            done.samples_stored += flushed.samples_stored;
            done.samples_duplicate += flushed.samples_duplicate;
        }
        Ok(())
    }
}

/// What a replay needs of the rows of `quarantine`.
struct Columns {
    vehicle_id: ArrayRef,
    topic: ArrayRef,
    reason: ArrayRef,
    received_at: ArrayRef,
    payload: ArrayRef,
}

impl Columns {
    fn of(batch: &RecordBatch) -> Result<Self, ArrowError> {
        let column = |name: &str, kind: DataType| {
            let found = batch.column_by_name(name);
            cast(found.ok_or_else(|| ArrowError::SchemaError(format!("no column {name}")))?, &kind)
        };
        Ok(Self {
            vehicle_id: column("vehicle_id", DataType::Utf8)?,
            topic: column("topic", DataType::Utf8)?,
            reason: column("reason", DataType::Utf8)?,
            received_at: column("received_at", DataType::Int64)?,
            payload: column("payload", DataType::Binary)?,
        })
    }

    fn is_selected(&self, row: usize, selection: &Selection) -> bool {
        let vehicle = self.vehicle_id.as_string::<i32>().value(row);
        let reason = self.reason.as_string::<i32>().value(row);
        selection.vehicle_id.as_ref().is_none_or(|wanted| wanted.as_str() == vehicle)
            && selection.reason.as_ref().is_none_or(|wanted| wanted == reason)
    }

    /// The message as it came; `None` when its topic is none of ours.
    fn incoming(&self, row: usize) -> Option<(Incoming, Timestamp)> {
        let topic = self.topic.as_string::<i32>().value(row).to_owned();
        let (vehicle_id, channel) = topics::parse(&topic)?;
        let payload = self.payload.as_binary::<i32>().value(row).to_vec();
        let received_at = Timestamp(self.received_at.as_primitive::<Int64Type>().value(row));
        Some((Incoming { topic, vehicle_id, channel, payload }, received_at))
    }
}
