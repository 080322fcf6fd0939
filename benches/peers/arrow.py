"""Bytes a sample of Arrow IPC with zstd: arrow.py SAMPLES SECONDS... Prints one number an interval.

SAMPLES has rows of time_us i64, signal u64, value f64. A batch is one IPC stream of one record
batch, rows sorted by signal then time, times from the start of the batch: its smallest plain form.
"""
import array
import sys

import pyarrow as pa


def size(times, signals, values):
    order = sorted(range(len(times)), key=lambda i: (signals[i], times[i]))
    batch = pa.record_batch(
        {
            "signal": pa.array([signals[i] for i in order], pa.uint16()),
            "time_us": pa.array([times[i] - times[0] for i in order], pa.int32()),
            "value": pa.array([values[i] for i in order], pa.float64()),
        }
    )
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=9))
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return sink.getvalue().size


def main():
    with open(sys.argv[1], "rb") as file:
        content = file.read()
    # The three columns lie side by side in rows of 24 bytes.
    integers, floats = array.array("q", content), array.array("d", content)
    times, signals, values = integers[0::3], integers[1::3], floats[2::3]
    for seconds in map(int, sys.argv[2:]):
        total, first = 0, 0
        while first < len(times):
            end = first
            while end < len(times) and times[end] < times[first] + seconds * 1_000_000:
                end += 1
            total += size(times[first:end], signals[first:end], values[first:end])
            first = end
        print(total / len(times))


main()
