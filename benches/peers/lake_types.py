"""How the lake's columns are best written: the tables in docs/lake.md. Bytes a sample, rows a second to
write, and CPU time to read, by physical type, encoding, order, row group and zstd level.

    lake_types.py LAKE VEHICLE [VEHICLE_COUNT]

LAKE is the folder of a lake with the readings and signals of VEHICLE, as ingest made them (`roadlake
demo` leaves one, its real car is car-3ba199e2). They are multiplied into a fleet of vehicles that are no
copies: each begins elsewhere in the drive, on a track that is turned and moved, with counters of its own,
and with one step more, less or none, by chance, in each value of what fluctuates and in each time of what
comes by frames. Parquet is
written by pyarrow throughout, so that only the settings differ; DuckDB writes its own beside it.

CPU time of one core, the least of five runs; needs pyarrow, duckdb, polars, datafusion and deltalake.
"""
import math
import os
import sys
import tempfile
import time

import datafusion
import duckdb
import numpy as np
import polars
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

HEAD = ["vehicle_id", "ts", "received_at", "stream_id", "sequence"]
COUNTERS = {"odometer_km", "fuel_used_l", "energy_used_kwh"}
# What lake/src/schema.rs stores as DECIMAL(18, scale).
DECIMALS = {"latitude": 7, "longitude": 7, "altitude_m": 2, "odometer_km": 3, "fuel_used_l": 4, "energy_used_kwh": 4}
DELTA = "DELTA_BINARY_PACKED"
TIMES = pa.timestamp("us", "UTC")
# zstd, rows of a row group, rows of a page.
SETTINGS = [(1, 131_072, 20_000), (3, 131_072, 20_000), (6, 131_072, 20_000), (9, 131_072, 20_000),
            (15, 131_072, 20_000), (6, 131_072, 65_536), (6, 1 << 20, 20_000), (6, 32_768, 20_000)]
DAY_US = 86_400_000_000


def rows_of(lake, table, vehicle):
    rows = DeltaTable(os.path.join(lake, table)).to_pyarrow_table(filters=[("vehicle_id", "=", vehicle)])
    return rows.drop_columns(["date"]).sort_by([("ts", "ascending"), ("sequence", "ascending")])


def step_of(values):
    """The least distance of two values: the resolution of their signal."""
    distances = np.diff(np.unique(values))
    distances = distances[distances > 1e-9]
    return distances.min() if len(distances) else 0.0


class Fleet:
    """Vehicles that drive as one did, each in its own way."""

    def __init__(self, count):
        self.count = count
        self.random = np.random.default_rng(7)
        self.starts = self.random.integers(0, 6 * 3600, count) * 1_000_000
        self.phases = self.random.random(count)
        self.turns = self.random.uniform(0, 2 * math.pi, count)
        self.places = np.column_stack([self.random.uniform(35, 60, count), self.random.uniform(-10, 30, count)])
        self.streams = [f"{n[:8]}-{n[8:12]}-4{n[13:16]}-a{n[17:20]}-{n[20:]}" for n in
                        (self.random.bytes(16).hex() for _ in range(count))]

    def of(self, rows, times_vary):
        return pa.concat_tables(self.vehicle(rows, i, times_vary) for i in range(self.count)).combine_chunks()

    def vehicle(self, rows, i, times_vary):
        n = len(rows)
        first = int(self.phases[i] * n) if i else 0
        order = np.roll(np.arange(n), -first)
        ts = rows["ts"].cast(pa.int64()).to_numpy()
        span = int(ts[-1] - ts[0]) + 1_000_000
        own = (ts - ts[first]) % span
        own = np.where(np.arange(n) >= first, ts - ts[first], ts - ts[first] + span)[order]
        if times_vary and i:
            # 50 us are the step of this log's clock; the signals of one frame share a time.
            instants, place = np.unique(own, return_inverse=True)
            own = (instants + self.random.integers(0, 3, len(instants)) * 50)[place]
        at = ts[0] // DAY_US * DAY_US + int(self.starts[i]) + own
        # A batch of 10 s is received a while after its end, readings and signals in turn.
        batches, place = np.unique(at // 10_000_000, return_inverse=True)
        late = self.random.exponential(60_000, len(batches)).astype(np.int64) + 1_050_000
        columns = {
            "vehicle_id": pa.array([f"van-{i:04d}"] * n),
            "ts": pa.array(at).cast(TIMES),
            "received_at": pa.array(((batches + 1) * 10_000_000 + late)[place]).cast(TIMES),
            "stream_id": pa.array([self.streams[i]] * n),
            "sequence": pa.array(2 * place + 1 + int(times_vary)),
        }
        taken = rows.take(order)
        for name in rows.column_names[len(HEAD):]:
            columns[name] = taken[name]
        if i and "value" in columns:
            columns["value"] = self.varied_signals(taken)
        elif i:
            for name, column in list(columns.items())[len(HEAD):]:
                if pa.types.is_floating(column.type) and column.null_count < n:
                    columns[name] = self.varied(name, column)
            if columns["latitude"].null_count < n:
                self.turn(columns, i)
        return pa.table(columns)

    def varied(self, name, column):
        if name in ("latitude", "longitude"):
            return column
        values = column.to_numpy()
        step = step_of(values[~np.isnan(values)])
        if name in COUNTERS:
            moved = values + round(self.random.uniform(0, 200_000), 0)
        else:
            moved = values + self.moves(values) * step
        return pa.array(moved, mask=np.isnan(values))

    def moves(self, values):
        """Steps by which values differ from the drive's: by chance, or all alike where it holds them for long."""
        known = values[~np.isnan(values)]
        if np.count_nonzero(np.diff(known)) < len(known) / 3:
            return np.full(len(values), self.random.integers(0, 10))
        return self.random.integers(-1, 2, len(values))

    def varied_signals(self, rows):
        values, signals = rows["value"].to_numpy().copy(), rows["signal"].to_numpy(zero_copy_only=False)
        for signal in np.unique(signals):
            own = signals == signal
            values[own] += self.moves(values[own]) * step_of(values[own][~np.isnan(values[own])])
        return pa.array(values, mask=np.isnan(values))

    def turn(self, columns, i):
        latitude, longitude = columns["latitude"].to_numpy(), columns["longitude"].to_numpy()
        known = ~(np.isnan(latitude) | np.isnan(longitude))
        first = np.argmax(known)
        north, east = latitude - latitude[first], longitude - longitude[first]
        sine, cosine = math.sin(self.turns[i]), math.cos(self.turns[i])
        turned = {"latitude": cosine * north - sine * east, "longitude": sine * north + cosine * east}
        for (name, offset), place in zip(turned.items(), self.places[i]):
            # The step of this log's receiver.
            columns[name] = pa.array(np.rint((offset + place) * 1e6) * 1e-6, mask=~known)


def decimals(rows, scales):
    for i, name in enumerate(rows.column_names):
        if name in scales:
            wide = pc.round(rows[name], scales[name]).cast(pa.decimal128(38, scales[name]), safe=False)
            rows = rows.set_column(i, name, wide.cast(pa.decimal128(18, scales[name])))
    return rows


def measured(rows):
    return [n for n in rows.column_names if n not in HEAD + ["signal", "text", "clock"]]


def samples_of(rows):
    return len(rows) if "signal" in rows.column_names else sum(len(rows) - rows[n].null_count for n in measured(rows))


def least(what, runs=5):
    times = []
    for _ in range(runs):
        start = time.process_time()
        what()
        times.append(time.process_time() - start)
    return min(times)


def write(rows, file, encodings, plain=(), level=3, group_rows=131_072, page_rows=20_000):
    pq.write_table(
        rows, file, compression="zstd", compression_level=level, row_group_size=group_rows,
        use_dictionary=[n for n in rows.column_names if n not in encodings and n not in plain
                        and not pa.types.is_boolean(rows[n].type)],
        column_encoding=encodings, store_decimal_as_integer=True, max_rows_per_page=page_rows, write_page_index=True,
        write_statistics=["vehicle_id", "ts", "received_at", "sequence", "signal"])


def read_times(file, rows, queries):
    duck = duckdb.connect()
    duck.execute("SET threads = 1")
    config = datafusion.SessionConfig().with_target_partitions(1)
    context = datafusion.SessionContext(config)
    context.register_parquet("t", file)
    frame = polars.SQLContext(t=polars.scan_parquet(file), eager=False)
    shown = []
    for query in queries:
        of_duck = query.replace("FROM t", f"FROM '{file}'")
        shown.append(" / ".join(f"{least(run) * 1000:.0f}" for run in (
            lambda: duck.execute(of_duck).fetchall(),
            lambda: context.sql(query).collect(),
            lambda: frame.execute(query).collect())))
    return shown


def report(name, rows, samples, writer, queries):
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "t.parquet")
        seconds = least(lambda: writer(file), 3)
        size = os.path.getsize(file)
        shown = read_times(file, rows, queries) if queries else []
        print(f"| {name} | {size / samples:.2f} | {size / len(rows):.2f} | {len(rows) / seconds / 1e6:.2f} | "
              + " | ".join(shown) + " |", flush=True)
        return size


def sizes(rows, writer):
    """Bytes a row of each column."""
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "t.parquet")
        writer(file)
        metadata = pq.ParquetFile(file).metadata
        total = {}
        for g in range(metadata.num_row_groups):
            for c in range(metadata.num_columns):
                chunk = metadata.row_group(g).column(c)
                total[chunk.path_in_schema] = total.get(chunk.path_in_schema, 0) + chunk.total_compressed_size
    print("    " + ", ".join(f"{n} {b / len(rows):.2f}" for n, b in total.items() if b / len(rows) >= 0.01))


def peers(rows, samples, queries):
    duck = duckdb.connect()
    duck.execute("SET threads = 1")
    duck.register("rows", rows)
    sizes = [report("pyarrow: dictionary, zstd 3", rows, samples,
                    lambda file: pq.write_table(rows, file, compression="zstd", compression_level=3), queries)]
    for version in ("V1", "V2"):
        copy = f"(FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION {version})"
        sizes.append(report(f"DuckDB, zstd, {version}", rows, samples,
                            lambda file: duck.execute(f"COPY rows TO '{file}' {copy}"), queries))
    return sizes


def head(table, rows, samples, queries):
    print(f"\n{table}: {len(rows)} rows, {samples} samples; queries (DuckDB / DataFusion / Polars, CPU ms): "
          + "; ".join(queries))
    print("| written as | bytes a sample | bytes a row | million rows/s |" + " |" * len(queries))
    print("| --- " * (4 + len(queries)) + "|")


def by_settings(what, rows, samples, encodings, queries, peer):
    for level, group_rows, page_rows in SETTINGS:
        name = f"{what}: zstd {level}, row groups of {group_rows}, pages of {page_rows}"
        size = report(name, rows, samples, lambda f: write(
            rows, f, encodings, level=level, group_rows=group_rows, page_rows=page_rows), queries)
        print(f"    of the peers' bytes: {', '.join(f'{size / p:.2f}' for p in peer)}")


def of_readings(rows, vehicle):
    rows = rows.sort_by([(n, "ascending") for n in ("vehicle_id", "ts", "stream_id", "sequence")])
    queries = ["SELECT avg(speed_kmh), min(latitude), max(longitude), avg(altitude_m), max(odometer_km) FROM t",
               "SELECT count(*) FROM t WHERE latitude > 45 AND longitude < 10",
               f"SELECT avg(speed_kmh), min(latitude), max(longitude) FROM t WHERE vehicle_id = '{vehicle}'"]
    samples = samples_of(rows)
    head("readings", rows, samples, queries)
    peer = peers(rows, samples, queries)
    rising = {"ts": DELTA, "received_at": DELTA, "sequence": DELTA}
    numbers = [n for n in measured(rows) if pa.types.is_floating(rows[n].type)]
    report("doubles: dictionary (as before)", rows, samples, lambda f: write(rows, f, rising), queries)
    report("doubles: plain", rows, samples, lambda f: write(rows, f, rising, plain=numbers), queries)
    split = rising | {n: "BYTE_STREAM_SPLIT" for n in numbers}
    report("doubles: byte-stream split", rows, samples, lambda f: write(rows, f, split), queries)
    # A hundredth of what most are measured in; a thousandth and less where it is finer.
    every = decimals(rows, {n: DECIMALS.get(n, 4) for n in numbers})
    deltas = rising | {n: DELTA for n in numbers}
    report("all decimals: delta", every, samples, lambda f: write(every, f, deltas), queries)
    report("all decimals: dictionary", every, samples, lambda f: write(every, f, rising), queries)
    for names in (["latitude", "longitude"], list(DECIMALS)):
        some = decimals(rows, {n: DECIMALS[n] for n in names})
        own = rising | {n: DELTA for n in names}
        report(f"decimals, delta: {', '.join(names)}", some, samples, lambda f: write(some, f, own), queries)
    by_settings("these", some, samples, own, queries, peer)
    own.pop("received_at")
    report("these, received_at by dictionary", some, samples, lambda f: write(some, f, own), queries)
    sizes(rows, lambda f: write(rows, f, rising))
    sizes(some, lambda f: write(some, f, own | rising))


def of_signals(rows, vehicle):
    by_time = [(n, "ascending") for n in ("vehicle_id", "ts", "stream_id", "sequence", "signal")]
    by_signal = [by_time[0], by_time[-1]] + by_time[1:-1]
    signal = rows["signal"][0].as_py()
    queries = [f"SELECT avg(value) FROM t WHERE signal = '{signal}'",
               f"SELECT signal, avg(value) FROM t WHERE vehicle_id = '{vehicle}' GROUP BY signal",
               f"SELECT avg(value) FROM t WHERE vehicle_id = '{vehicle}' AND signal = '{signal}'"]
    samples = len(rows)
    head("signals", rows, samples, queries)
    peer = None
    for order, key in (("by time", by_time), ("by signal, then time", by_signal)):
        ordered = rows.sort_by(key).combine_chunks()
        print(f"| **{order}** |" + " |" * (3 + len(queries)))
        found = peers(ordered, samples, queries)
        peer = peer or found
        rising = {"ts": DELTA, "received_at": DELTA, "sequence": DELTA}
        report("deltas, values by dictionary", ordered, samples, lambda f: write(ordered, f, rising), queries)
        split = rising | {"value": "BYTE_STREAM_SPLIT"}
        report("deltas, values byte-stream split", ordered, samples, lambda f: write(ordered, f, split), queries)
        fine = decimals(ordered, {"value": 5})
        whole = rising | {"value": DELTA}
        report("deltas, values DECIMAL(18, 5) by delta", fine, samples, lambda f: write(fine, f, whole), queries)
        by_settings("deltas, values by dictionary", ordered, samples, rising, queries, peer)
        own = {"ts": DELTA, "sequence": DELTA}
        report("received_at by dictionary", ordered, samples, lambda f: write(ordered, f, own), queries)
        sizes(ordered, lambda f: write(ordered, f, rising))


def main():
    lake, vehicle = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 100
    fleet = Fleet(count)
    wanted = f"van-{count // 2:04d}"
    of_readings(fleet.of(rows_of(lake, "readings", vehicle), False), wanted)
    of_signals(fleet.of(rows_of(lake, "signals", vehicle), True), wanted)


main()
