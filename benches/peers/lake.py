"""Bytes of rows of the lake as others write them: lake.py FILE... Prints JSON, bytes by writer.

The files are Parquet of one table. Their rows are taken in their order, with doubles for decimals, and
written file by file: by pyarrow with dictionaries and zstd 3, by DuckDB with zstd in both versions of
Parquet it knows.
"""
import json
import os
import sys
import tempfile

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq


def doubles(rows):
    for i, field in enumerate(rows.schema):
        if pa.types.is_decimal(field.type):
            rows = rows.set_column(i, field.name, rows[field.name].cast(pa.float64()))
    return rows


def main():
    connection = duckdb.connect()
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        written = os.path.join(folder, "t.parquet")

        def add(name):
            sizes[name] = sizes.get(name, 0) + os.path.getsize(written)

        for file in sys.argv[1:]:
            rows = doubles(pq.ParquetFile(file).read())
            pq.write_table(rows, written, compression="zstd", compression_level=3)
            add("pyarrow, dictionary, zstd 3")
            for version in ("V1", "V2"):
                connection.execute(
                    f"COPY rows TO '{written}' (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION {version})")
                add(f"DuckDB, zstd, {version}")
    print(json.dumps(sizes))


main()
