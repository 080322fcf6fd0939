//! Taking single rows out of a small table, file by file: `quarantine`, when payloads of it have
//! been stored as what they are.

use arrow::array::RecordBatch;
use deltalake::{
    kernel::Action,
    protocol::DeltaOperation,
    writer::{DeltaWriter, RecordBatchWriter},
};

use super::{MaintenanceError, rewrite::remove};
use crate::{
    stored::to_stored,
    table::{LakeTable, ReadError},
    writer::{Layout, properties},
};

impl LakeTable {
    /// The rows of one file of the loaded version.
    pub async fn rows_of_file(&self, path: &str) -> Result<Vec<RecordBatch>, MaintenanceError> {
        let file = self.data_files()?.into_iter().find(|file| file.add.path == path);
        let gone = || ReadError::VersionGone { table: self.kind().name(), version: self.version() };
        let date = file.ok_or_else(gone)?.date;
        Ok(self.read_file(self.version(), path, Some(&date)).await?)
    }

    /// Puts `kept` in the place of all rows of a file, as one commit. Followers see no rows.
    pub async fn replace_rows_of_file(
        &mut self,
        path: &str,
        kept: &[RecordBatch],
        now_ms: i64,
    ) -> Result<(), MaintenanceError> {
        let kind = self.kind();
        let failed = MaintenanceError::delta("rewrite", kind);
        let unsafe_to = |what: &str| MaintenanceError::FileList { table: kind.name(), what: what.to_owned() };
        let file = self.data_files()?.into_iter().find(|file| file.add.path == path);
        let file = file.ok_or_else(|| unsafe_to("the file is gone"))?;
        let writer = RecordBatchWriter::for_table(&self.table).map_err(&failed)?;
        let files = writer.arrow_schema();
        let mut writer = writer.with_writer_properties(properties(kind, Layout::Appended, &files));
        if writer.arrow_schema().fields().len() != kind.schema().fields().len() {
            return Err(unsafe_to("it has columns this release does not know"));
        }
        for batch in kept.iter().filter(|batch| batch.num_rows() > 0) {
            let batch = to_stored(batch, &files).map_err(|e| failed(e.into()))?;
            writer.write(batch).await.map_err(&failed)?;
        }
        let mut actions = vec![Action::Remove(remove(file.add, true, now_ms))];
        for mut add in writer.flush().await.map_err(&failed)? {
            add.data_change = false;
            actions.push(Action::Add(add));
        }
        self.commit_actions(actions, DeltaOperation::Delete { predicate: None }).await
    }
}
