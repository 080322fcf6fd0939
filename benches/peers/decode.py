"""Nanoseconds a frame of cantools itself: decode.py FILE.dbc FRAMES. Prints one number."""
import struct
import sys
import time

import cantools

FRAME_COUNT = 20_000


def main():
    database = cantools.database.load_file(sys.argv[1], strict=False)
    with open(sys.argv[2], "rb") as file:
        content = file.read(16 * FRAME_COUNT)
    frames = []
    for offset in range(0, len(content), 16):
        number, length = struct.unpack_from("<IB", content, offset)
        frames.append((number, content[offset + 8 : offset + 8 + length]))
    start = time.perf_counter_ns()
    for number, data in frames:
        try:
            database.decode_message(number, data, decode_choices=False)
        except cantools.database.DecodeError:
            # A multiplexer value that the file does not know: cantools gives up the frame.
            pass
    print((time.perf_counter_ns() - start) / len(frames))


main()
