//! Which batches of which streams are already in a table: the lake is its own record.

use std::collections::HashMap;

use arrow::array::{Array, Int64Array, StringArray};
use datafusion::prelude::SessionContext;
use wire::ids::StreamId;

use crate::table::{LakeTable, ReadError};

/// An inclusive range of sequences that are accounted for.
pub type SequenceRange = (u64, u64);

impl LakeTable {
    /// The sequences of each of these streams in this table. For `gaps` these are the lost ones
    /// it tells of, and those of the batches that carried nothing else.
    pub async fn stored_sequences(
        &self,
        streams: &[StreamId],
    ) -> Result<HashMap<StreamId, Vec<SequenceRange>>, ReadError> {
        let mut columns = vec![("stream_id", "sequence", "sequence", "true")];
        if self.kind() == crate::TableKind::Gaps {
            columns = vec![
                ("stream_id", "sequence", "sequence", "NOT batch_has_samples"),
                ("lost_stream_id", "from_sequence", "to_sequence", "true"),
            ];
        }
        let list: Vec<String> = streams.iter().map(|s| format!("'{s}'")).collect();
        let list = list.join(", ");
        let mut found: HashMap<StreamId, Vec<SequenceRange>> = HashMap::new();
        for (stream, from, to, condition) in columns {
            let query = format!(
                "SELECT DISTINCT CAST({stream} AS VARCHAR) AS s, {from} AS a, {to} AS b FROM t \
                 WHERE {stream} IN ({list}) AND {from} IS NOT NULL AND {condition}"
            );
            self.collect_ranges(&query, &mut found).await?;
        }
        Ok(found)
    }

    async fn collect_ranges(
        &self,
        query: &str,
        found: &mut HashMap<StreamId, Vec<SequenceRange>>,
    ) -> Result<(), ReadError> {
        let failed = |source| self.query_error(source);
        let context = SessionContext::new();
        context.register_table("t", self.provider().await?).map_err(failed)?;
        let batches = context.sql(query).await.map_err(failed)?.collect().await.map_err(failed)?;
        for batch in batches {
            let texts = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8)
                .map_err(|e| failed(e.into()))?;
            let (Some(texts), Some(from), Some(to)) = (
                texts.as_any().downcast_ref::<StringArray>(),
                batch.column(1).as_any().downcast_ref::<Int64Array>(),
                batch.column(2).as_any().downcast_ref::<Int64Array>(),
            ) else {
                continue;
            };
            for i in 0..batch.num_rows() {
                let Ok(id) = uuid::Uuid::parse_str(texts.value(i)) else { continue };
                if let (Ok(a), Ok(b)) = (u64::try_from(from.value(i)), u64::try_from(to.value(i))) {
                    found.entry(StreamId(id)).or_default().push((a, b));
                }
            }
        }
        Ok(())
    }
}
