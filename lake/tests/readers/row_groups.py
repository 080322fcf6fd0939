"""Which rows a Parquet reader must look at in a sorted day of `signals`, by size of row group and with
and without bloom filters: the table in docs/lake.md. Run it with the Python of `setup`.

    python row_groups.py FOLDER
"""
import os
import statistics
import sys
import time

import duckdb
import pyarrow.parquet as pq

RARE = "Vehicle.Powertrain.Signal07a"
WANTED = [("vehicle_id", "van-0150"), ("signal", "Vehicle.Powertrain.Signal07"), ("signal", RARE)]
BLOOM = {name: {"ndv": 512, "fpp": 0.01} for name in ("vehicle_id", "signal")}

folder = sys.argv[1]
connection = duckdb.connect()
connection.execute("SET threads = 1")
# 300 vehicles, 40 signals at 1 Hz for 6 minutes, and one that every thirtieth vehicle has once.
rows = connection.sql(f"""
    SELECT printf('van-%04d', v) AS vehicle_id, timestamptz '2026-11-23 00:00:00+00' + to_seconds(t) AS ts,
           timestamptz '2026-11-23 00:00:10+00' + to_seconds(t) AS received_at, md5(v::varchar) AS stream_id,
           (t / 10)::bigint + 1 AS sequence, printf('Vehicle.Powertrain.Signal%02d', g) AS signal,
           ((hash(v * 7 + g) % 1000) + round(20 * sin((t + g) / 30.0), 1))::double AS value
    FROM range(300) a(v), range(360) b(t), range(40) c(g)
    UNION ALL
    SELECT printf('van-%04d', v), timestamptz '2026-11-23 00:03:00+00',
           timestamptz '2026-11-23 00:03:10+00', md5(v::varchar), 19, '{RARE}', 1.0
    FROM range(0, 300, 30) a(v)
    ORDER BY vehicle_id, ts, stream_id, sequence, signal""").to_arrow_table()
deltas = {name: "DELTA_BINARY_PACKED" for name in ("ts", "received_at", "sequence")}


def groups(metadata, column, wanted):
    """Row groups that least and greatest values do not rule out."""
    place = [metadata.schema.column(i).name for i in range(metadata.num_columns)].index(column)
    found = (metadata.row_group(g).column(place).statistics for g in range(metadata.num_row_groups))
    return sum(s.min <= wanted <= s.max for s in found)


def query_ms(file, column, wanted):
    times = []
    for _ in range(7):
        start = time.perf_counter()
        connection.execute(f"SELECT sum(value) FROM '{file}' WHERE {column} = '{wanted}'").fetchall()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


for group_rows, bloom in ((1 << 20, None), (131_072, None), (32_768, None), (131_072, BLOOM)):
    file = os.path.join(folder, "row_groups.parquet")
    options = {"bloom_filter_options": bloom} if bloom else {}
    start = time.perf_counter()
    pq.write_table(rows, file, compression="zstd", compression_level=3, row_group_size=group_rows,
                   use_dictionary=["vehicle_id", "stream_id", "signal", "value"],
                   column_encoding=deltas, write_page_index=True, **options)
    elapsed = time.perf_counter() - start
    metadata = pq.ParquetFile(file).metadata
    shown = "; ".join(f"{wanted}: {groups(metadata, column, wanted)} groups, {query_ms(file, column, wanted):.1f} ms"
                      for column, wanted in WANTED)
    print(f"{group_rows} rows{', bloom' if bloom else ''}: {os.path.getsize(file) / rows.num_rows:.2f} bytes a row,"
          f" written in {elapsed:.1f} s, {metadata.num_row_groups} groups; {shown}")
    os.remove(file)
