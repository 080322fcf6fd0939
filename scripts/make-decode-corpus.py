#!/usr/bin/env python3
"""Makes tests/data/decode-corpus/digests.jsonl.gz: what cantools decodes from seeded frames of
every message of every DBC file in tests/data, as one digest a message.

    pip install cantools==45.1.0
    scripts/make-decode-corpus.py            run in the project's root

A frame's bytes come from splitmix64 of a seed, so the test makes the same ones. Seeds whose frame
cantools cannot decode (a multiplexer of a value the file does not have) are passed over.
"""

import gzip
import hashlib
import json
import math
import pathlib
import struct
import sys

import cantools

ROOT = pathlib.Path("tests/data")
FRAMES_A_MESSAGE = 64
SEEDS_TRIED = 4096
MASK = (1 << 64) - 1


def splitmix64(state):
    state = (state + 0x9E3779B97F4A7C15) & MASK
    z = state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return state, z ^ (z >> 31)


def payload(seed, length):
    data, state = b"", seed
    while len(data) < length:
        state, word = splitmix64(state)
        data += word.to_bytes(8, "little")
    return data[:length]


def number(value):
    if isinstance(value, float):
        return "nan" if math.isnan(value) else "f" + struct.pack(">d", value).hex()
    return str(int(value))


def decoded(message, data):
    raw = message.decode(data, decode_choices=False, scaling=False)
    scaled = message.decode(data, decode_choices=False)
    named = message.decode(data, decode_choices=True)
    lines = []
    for name in sorted(raw):
        label = getattr(named[name], "name", "")
        lines.append(f"{name}={number(raw[name])},{number(scaled[name])},{label}\n")
    return len(lines), "".join(lines)


def rows(path):
    name = path.relative_to(ROOT).as_posix()
    text = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
    try:
        text = text.decode("utf-8")
    except UnicodeDecodeError:
        text = text.decode("cp1252", "replace")
    database = None
    for strict in (True, False):
        try:
            database = cantools.database.load_string(text, "dbc", strict=strict)
            break
        except Exception as error:  # cantools raises many kinds
            reason = error
    if database is None:
        print(f"{name}: cantools does not load it: {str(reason)[:120]}", file=sys.stderr)
        return
    # Of two messages of one id this project uses the later one.
    by_id = {(m.frame_id, m.is_extended_frame): m for m in database.messages}
    for (frame_id, extended), message in sorted(by_id.items()):
        if message.length == 0 or message.length > 64 or not message.signals:
            continue
        names = {signal.name for signal in message.signals}
        if any(s.multiplexer_signal not in names | {None} for s in message.signals):
            # cantools gives a multiplexer its long name and loses what depends on the short one.
            print(f"{name}: {message.name}: cantools loses its multiplexed signals", file=sys.stderr)
            continue
        digest, seeds, count = hashlib.sha256(), [], 0
        for seed in range(SEEDS_TRIED):
            if len(seeds) == FRAMES_A_MESSAGE:
                break
            try:
                signal_count, lines = decoded(message, payload(seed, message.length))
            except Exception:
                continue
            seeds.append(seed)
            count += signal_count
            digest.update(lines.encode())
        if seeds:
            yield {
                "dbc": name, "id": frame_id, "ext": extended, "length": message.length,
                "seeds": seeds if seeds != list(range(len(seeds))) else len(seeds),
                "signals": count, "sha256": digest.hexdigest()[:16],
            }


def main():
    paths = sorted(p for p in ROOT.rglob("*") if p.name.endswith((".dbc", ".dbc.gz")))
    out = [json.dumps(row, separators=(",", ":")) for path in paths for row in rows(path)]
    target = ROOT / "decode-corpus" / "digests.jsonl.gz"
    with open(target, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as zipped:
        zipped.write(("\n".join(out) + "\n").encode())
    print(f"{len(paths)} files, {len(out)} messages, {target.stat().st_size} bytes")


main()
