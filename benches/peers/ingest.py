"""Seconds that pyarrow takes to write rows as ingest does: ingest.py FILE... Prints two numbers.

The files are Parquet of the lake as ingest committed them. Each is read, and then written again with
the encodings it has and zstd 1 into a folder of its own; only the writing counts. The second number is
with each file synced to the disk, as ingest does before it acknowledges.
"""
import os
import sys
import tempfile
import time

import pyarrow.parquet as pq

total = synced = 0.0
with tempfile.TemporaryDirectory() as folder:
    for file in sys.argv[1:]:
        source = pq.ParquetFile(file)
        chunks = [source.metadata.row_group(0).column(i) for i in range(source.metadata.num_columns)]
        rows = source.read()
        deltas = {c.path_in_schema: "DELTA_BINARY_PACKED" for c in chunks if "DELTA_BINARY_PACKED" in c.encodings}
        dictionaries = [c.path_in_schema for c in chunks if c.has_dictionary_page]
        path = os.path.join(folder, "t.parquet")
        start = time.perf_counter()
        pq.write_table(rows, path, compression="zstd", compression_level=1,
                       use_dictionary=dictionaries, column_encoding=deltas, store_decimal_as_integer=True)
        total += time.perf_counter() - start
        with open(path, "rb") as written:
            os.fsync(written.fileno())
        synced += time.perf_counter() - start
print(total, synced)
