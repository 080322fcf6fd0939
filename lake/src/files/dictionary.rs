//! A text column whose rows are keys already, as a Parquet column chunk.
//!
//! The writer of the `parquet` crate hashes the text of every row to find its place in the dictionary, and
//! compares it with the least and the greatest so far; half of the time of a commit went there. Who
//! makes rows of telemetry knows a vehicle's name once a batch, so rows come with keys
//! ([`DictionaryArray`]) and the chunk is made of these: a dictionary page of the texts, and data pages of
//! keys in Parquet's RLE/bit-packed hybrid (parquet-format, Encodings.md, "RLE_DICTIONARY"), each of
//! as many rows as the crate's own pages have.

use std::sync::Arc;

use arrow::{
    array::{Array, DictionaryArray, StringArray},
    datatypes::Int32Type,
};
use bytes::Bytes;
use parquet::{
    basic::{BoundaryOrder, Compression, Encoding, Type},
    column::{
        page::{CompressedPage, Page, PageWriter},
        writer::ColumnCloseResult,
    },
    data_type::ByteArray,
    errors::{ParquetError, Result},
    file::{
        metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder},
        properties::WriterProperties,
        statistics::{Statistics, ValueStatistics},
        writer::{SerializedPageWriter, TrackedWrite},
    },
    schema::types::ColumnDescPtr,
};

/// Texts of a dictionary page; with more the column is written by the `parquet` crate, which gives a
/// dictionary up when it does not pay.
const DICTIONARY_BYTES_MAX: usize = 1 << 20;

/// The array whose keys can be written as they are: all rows have one, and the dictionary is small.
pub(super) fn keyed(column: &dyn Array) -> Option<&DictionaryArray<Int32Type>> {
    let keyed = column.as_any().downcast_ref::<DictionaryArray<Int32Type>>()?;
    let texts = keyed.values().as_any().downcast_ref::<StringArray>()?;
    let is_small = texts.values().len() + 4 * texts.len() <= DICTIONARY_BYTES_MAX;
    (keyed.null_count() == 0 && texts.null_count() == 0 && !keyed.is_empty() && is_small).then_some(keyed)
}

/// The chunk of a required column, to be spliced into a row group.
pub(super) fn chunk(
    column: &ColumnDescPtr,
    properties: &WriterProperties,
    rows: &DictionaryArray<Int32Type>,
) -> Result<(Bytes, ColumnCloseResult)> {
    let texts = rows.values().as_any().downcast_ref::<StringArray>();
    let texts = texts.ok_or_else(|| ParquetError::General("a dictionary of texts".to_owned()))?;
    let Compression::ZSTD(level) = properties.compression(column.path()) else {
        return Err(ParquetError::NYI("keys without zstd".to_owned()));
    };
    let mut zstd = zstd::bulk::Compressor::new(level.compression_level())?;
    let mut out = Sink { file: TrackedWrite::new(Vec::new()), uncompressed_bytes: 0 };

    let dictionary = Page::DictionaryPage {
        buf: zstd.compress(&plain(texts))?.into(),
        num_values: u32_of(texts.len())?,
        encoding: Encoding::PLAIN,
        is_sorted: false,
    };
    let (dictionary_offset, _) = out.write(dictionary, plain_len(texts))?;

    let keys: &[i32] = rows.keys().values();
    let bit_width = bit_width(texts.len());
    let (mut offsets, mut index) = (OffsetIndexBuilder::new(), ColumnIndexBuilder::new(Type::BYTE_ARRAY));
    let mut data_offset = None;
    let mut all = Used::new(texts.len());
    for page in keys.chunks(properties.data_page_row_count_limit().max(1)) {
        let mut raw = vec![bit_width];
        hybrid(page, bit_width, &mut raw);
        let data = Page::DataPage {
            buf: zstd.compress(&raw)?.into(),
            num_values: u32_of(page.len())?,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let (offset, bytes) = out.write(data, raw.len())?;
        data_offset.get_or_insert(offset);
        offsets.append_row_count(i64_of(page.len())?);
        offsets.append_offset_and_size(offset, i32_of(bytes)?);
        let mut used = Used::new(texts.len());
        page.iter().for_each(|&key| used.add(key));
        let (least, greatest) = used.bounds(texts)?;
        index.append(false, least.into(), greatest.into(), 0);
        all.join(&used);
    }
    index.set_boundary_order(BoundaryOrder::UNORDERED);

    let (least, greatest) = all.bounds(texts)?;
    let statistics = ValueStatistics::new(
        Some(ByteArray::from(least)),
        Some(ByteArray::from(greatest)),
        None,
        Some(0),
        false,
    );
    let bytes = out.file.into_inner()?;
    let metadata = ColumnChunkMetaData::builder(Arc::clone(column))
        .set_compression(properties.compression(column.path()))
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
        .set_num_values(i64_of(keys.len())?)
        .set_total_compressed_size(i64_of(bytes.len())?)
        .set_total_uncompressed_size(i64_of(out.uncompressed_bytes)?)
        .set_dictionary_page_offset(Some(dictionary_offset))
        .set_data_page_offset(data_offset.unwrap_or_default())
        .set_statistics(Statistics::ByteArray(statistics))
        .build()?;
    let close = ColumnCloseResult {
        bytes_written: bytes.len() as u64,
        rows_written: keys.len() as u64,
        metadata,
        bloom_filter: None,
        column_index: Some(index.build()?),
        offset_index: Some(offsets.build()),
    };
    Ok((bytes.into(), close))
}

/// Pages one after the other.
struct Sink {
    file: TrackedWrite<Vec<u8>>,
    uncompressed_bytes: usize,
}

impl Sink {
    /// Where the page begins, and its bytes with their header.
    fn write(&mut self, page: Page, uncompressed_bytes: usize) -> Result<(i64, usize)> {
        let page = CompressedPage::new(page, uncompressed_bytes);
        let header_and_data = SerializedPageWriter::new(&mut self.file).write_page(page)?;
        self.uncompressed_bytes += header_and_data.uncompressed_size;
        let offset = i64::try_from(header_and_data.offset).map_err(too_large)?;
        Ok((offset, usize::try_from(header_and_data.bytes_written).map_err(too_large)?))
    }
}

/// Which texts there are.
struct Used(Vec<bool>);

impl Used {
    fn new(count: usize) -> Self {
        Self(vec![false; count])
    }

    fn add(&mut self, key: i32) {
        if let Some(is_used) = usize::try_from(key).ok().and_then(|key| self.0.get_mut(key)) {
            *is_used = true;
        }
    }

    fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(is_used, other)| *is_used |= other);
    }

    /// The least and the greatest of them, by their bytes.
    fn bounds<'a>(&self, texts: &'a StringArray) -> Result<(&'a str, &'a str)> {
        let used = || (0..texts.len()).filter(|&i| self.0.get(i) == Some(&true)).map(|i| texts.value(i));
        let none = || ParquetError::General("a page without a text".to_owned());
        Ok((used().min().ok_or_else(none)?, used().max().ok_or_else(none)?))
    }
}

fn plain_len(texts: &StringArray) -> usize {
    texts.iter().flatten().map(|text| 4 + text.len()).sum()
}

/// Each text after its length (Encodings.md, "PLAIN").
fn plain(texts: &StringArray) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain_len(texts));
    for text in texts.iter().flatten() {
        out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// Bits of the greatest key.
fn bit_width(texts: usize) -> u8 {
    u8::try_from(usize::BITS - texts.saturating_sub(1).leading_zeros()).unwrap_or(32).max(1)
}

/// Values of a bit-packed run come by eight.
const GROUP: usize = 8;

/// Appends keys as runs: what repeats at least eight times as its count, the rest packed.
fn hybrid(keys: &[i32], bit_width: u8, out: &mut Vec<u8>) {
    let mut packed_from = 0;
    let mut at = 0;
    while at < keys.len() {
        let run = keys[at..].iter().take_while(|&&key| key == keys[at]).count();
        // Packed values end where a group does: the run lends what lacks.
        let lent = (packed_from..at).len().next_multiple_of(GROUP) - (at - packed_from);
        if run >= lent + GROUP {
            pack(&keys[packed_from..at + lent], bit_width, out);
            varint((run - lent) << 1, out);
            let value = keys[at].to_le_bytes();
            out.extend_from_slice(&value[..usize::from(bit_width.div_ceil(8))]);
            packed_from = at + run;
        }
        at += run;
    }
    pack(&keys[packed_from..], bit_width, out);
}

/// One bit-packed run, its last group filled with zeros.
fn pack(keys: &[i32], bit_width: u8, out: &mut Vec<u8>) {
    if keys.is_empty() {
        return;
    }
    let groups = keys.len().div_ceil(GROUP);
    varint(groups << 1 | 1, out);
    let end = out.len() + groups * usize::from(bit_width);
    let (mut buffer, mut bits) = (0_u64, 0);
    for &key in keys {
        buffer |= u64::from(key.cast_unsigned()) << bits;
        bits += u32::from(bit_width);
        while bits >= 8 {
            out.push(buffer.to_le_bytes()[0]);
            buffer >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(buffer.to_le_bytes()[0]);
    }
    out.resize(end, 0);
}

fn varint(mut value: usize, out: &mut Vec<u8>) {
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn too_large(_: std::num::TryFromIntError) -> ParquetError {
    ParquetError::General("a page or chunk beyond what Parquet can tell".to_owned())
}

fn u32_of(n: usize) -> Result<u32> {
    u32::try_from(n).map_err(too_large)
}

fn i32_of(n: usize) -> Result<i32> {
    i32::try_from(n).map_err(too_large)
}

fn i64_of(n: usize) -> Result<i64> {
    i64::try_from(n).map_err(too_large)
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{ArrayRef, AsArray, Int32Array, RecordBatch},
        compute::cast,
        datatypes::{DataType, Field, Schema},
    };
    use parquet::{
        arrow::arrow_reader::{
            ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
        },
        basic::ZstdLevel,
        file::{
            metadata::PageIndexPolicy, page_index::column_index::ColumnIndexMetaData,
            properties::EnabledStatistics,
        },
    };

    use super::*;
    use crate::files::row_group;

    /// A file of this column by us, and by the `parquet` crate's own writer of texts.
    fn written(keys: &[i32], texts: &[String], page_rows: usize) -> (Bytes, Bytes) {
        let keyed = DictionaryArray::new(
            Int32Array::from(keys.to_vec()),
            Arc::new(StringArray::from(texts.to_vec())),
        );
        let plain = cast(&keyed, &DataType::Utf8).unwrap();
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap()))
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_data_page_row_count_limit(page_rows)
            .set_write_batch_size(page_rows)
            .build();
        let file = |column: ArrayRef| -> Bytes {
            let schema = Arc::new(Schema::new(vec![Field::new("name", column.data_type().clone(), false)]));
            let rows = RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap();
            let mut bytes = Vec::new();
            let options = parquet::arrow::arrow_writer::ArrowWriterOptions::new()
                .with_properties(properties.clone())
                .with_skip_arrow_metadata(true);
            let writer =
                parquet::arrow::ArrowWriter::try_new_with_options(&mut bytes, schema, options).unwrap();
            let (mut writer, columns) = writer.into_serialized_writer().unwrap();
            row_group(&mut writer, columns.create_column_writers(0).unwrap(), &rows).unwrap();
            writer.close().unwrap();
            bytes.into()
        };
        (file(Arc::new(keyed)), file(plain))
    }

    fn read(file: &Bytes, selection: Option<RowSelection>) -> Vec<String> {
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let mut builder =
            ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options).unwrap();
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        builder
            .build()
            .unwrap()
            .flat_map(|batch| {
                let batch = batch.unwrap();
                let names = batch.column(0).as_string::<i32>();
                names.iter().map(|name| name.unwrap().to_owned()).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Runs and changes of all lengths, by a small generator that needs no crate.
    fn keys(seed: u64, count: usize, texts: usize) -> Vec<i32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % below
        };
        let mut keys = Vec::with_capacity(count);
        while keys.len() < count {
            let (key, run) = (next(texts), if next(3) == 0 { next(70) } else { 1 });
            keys.extend(std::iter::repeat_n(i32::try_from(key).unwrap(), run));
        }
        keys.truncate(count);
        keys
    }

    #[test]
    fn another_s_reader_reads_what_was_written_and_another_s_writer_says_the_same_of_it() {
        for (seed, count, texts, page_rows) in [
            (1, 1, 1, 10),
            (2, 7, 1, 10),
            (3, 8, 2, 8),
            (4, 1000, 3, 64),
            (5, 4321, 17, 1000),
            (6, 3000, 300, 999),
            (7, 2000, 70_000, 500),
            (8, 20_001, 2, 20_000),
        ] {
            let names: Vec<String> = (0..texts).map(|i| format!("name-{}-é", i * 7919 % texts)).collect();
            let keys = keys(seed, count, texts);
            let wanted: Vec<String> =
                keys.iter().map(|&key| names[usize::try_from(key).unwrap()].clone()).collect();
            let (ours, theirs) = written(&keys, &names, page_rows);
            assert!(read(&ours, None) == wanted, "seed {seed}");
            // By the page index: only what lies in the middle.
            let (from, to) = (count / 3, count / 3 + count.div_ceil(3));
            let middle = RowSelection::from(vec![
                RowSelector::skip(from),
                RowSelector::select(to - from),
                RowSelector::skip(count - to),
            ]);
            assert!(read(&ours, Some(middle)) == wanted[from..to], "seed {seed}");
            if texts < 1000 {
                assert_eq!(told(&ours), told(&theirs), "seed {seed}");
            }
        }
    }

    /// Least and greatest of the chunk and of each page.
    fn told(file: &Bytes) -> (Vec<u8>, Vec<u8>, String) {
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options).unwrap();
        let chunk = builder.metadata().row_group(0).column(0);
        let statistics = chunk.statistics().unwrap();
        let bound = |bytes: Option<&[u8]>| bytes.unwrap().to_vec();
        let index = &builder.metadata().column_index().unwrap()[0][0];
        let ColumnIndexMetaData::BYTE_ARRAY(index) = index else { panic!("{index:?}") };
        let pages: Vec<_> = (0..usize::try_from(index.num_pages()).unwrap())
            .map(|page| (index.min_value(page), index.max_value(page)))
            .collect();
        (bound(statistics.min_bytes_opt()), bound(statistics.max_bytes_opt()), format!("{pages:?}"))
    }
}
