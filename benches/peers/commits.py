"""Milliseconds that deltalake takes to append rows to a table: commits.py TABLE COPY. Prints a JSON list.

The table is copied first, so that it stays as it is. The rows are those of its newest file; each append is one
commit, by a table that is open already, as a writer holds it.
"""
import json
import os
import shutil
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

source, copy = sys.argv[1:3]
shutil.copytree(source, copy)
table = DeltaTable(copy)
adds = pa.table(table.get_add_actions(flatten=True)).select(["path", "modification_time", "partition.date"])
newest = max(adds.to_pylist(), key=lambda add: add["modification_time"])
rows = pq.read_table(os.path.join(copy, newest["path"]), partitioning=None)
rows = rows.append_column("date", pa.array([newest["partition.date"]] * len(rows), pa.date32()))
times = []
for _ in range(20):
    start = time.perf_counter()
    write_deltalake(table, rows, mode="append")
    times.append((time.perf_counter() - start) * 1e3)
shutil.rmtree(copy)
print(json.dumps(times))
