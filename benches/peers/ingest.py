"""Seconds that pyarrow takes to write rows as ingest does: ingest.py FILE... Prints one number.

The files are Parquet of the lake as ingest committed them. Each is read, and then written again with
the encodings it has and zstd 1 into a folder of its own; only the writing counts.
"""
import os
import sys
import tempfile
import time

import pyarrow.parquet as pq

total = 0.0
with tempfile.TemporaryDirectory() as folder:
    for file in sys.argv[1:]:
        source = pq.ParquetFile(file)
        chunks = [source.metadata.row_group(0).column(i) for i in range(source.metadata.num_columns)]
        rows = source.read()
        deltas = {c.path_in_schema: "DELTA_BINARY_PACKED" for c in chunks if "DELTA_BINARY_PACKED" in c.encodings}
        dictionaries = [c.path_in_schema for c in chunks if c.has_dictionary_page]
        start = time.perf_counter()
        pq.write_table(rows, os.path.join(folder, "t.parquet"), compression="zstd", compression_level=1,
                       use_dictionary=dictionaries, column_encoding=deltas, store_decimal_as_integer=True)
        total += time.perf_counter() - start
print(total)
