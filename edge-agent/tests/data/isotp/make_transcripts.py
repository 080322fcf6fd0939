"""Writes transcripts.jsonl: conversations of two can-isotp 2.0.7 peers (MIT), for isotp/tests.rs.

Usage: pip install can-isotp==2.0.7 && python make_transcripts.py > transcripts.jsonl
"""

import json
import time

import isotp

A, B = 0x7E0, 0x7E8


def payload(count):
    return bytes((7 * i + count) & 0xFF for i in range(count))


def run(mode, frame_bytes, padding, block_size, st_min, count):
    wire, log = {"A": [], "B": []}, []

    def peer(me, other, address):
        def send(message):
            log.append(f"{me}:{bytes(message.data).hex().upper()}")
            wire[other].append(message)

        def receive(_timeout=0):
            return wire[me].pop(0) if wire[me] else None

        params = {
            "blocksize": block_size,
            "stmin": st_min,
            "tx_padding": padding,
            "tx_data_length": frame_bytes,
            "can_fd": frame_bytes > 8,
            "max_frame_size": 100_000,
        }
        return isotp.TransportLayerLogic(receive, send, address, params=params)

    if mode == "normal":
        a = isotp.Address(isotp.AddressingMode.Normal_11bits, txid=A, rxid=B)
        b = isotp.Address(isotp.AddressingMode.Normal_11bits, txid=B, rxid=A)
    else:
        extended = isotp.AddressingMode.Extended_11bits
        a = isotp.Address(extended, txid=A, rxid=B, target_address=0x33, source_address=0xF1)
        b = isotp.Address(extended, txid=B, rxid=A, target_address=0xF1, source_address=0x33)
    sender, receiver = peer("A", "B", a), peer("B", "A", b)
    sender.send(payload(count))
    got = None
    deadline = time.time() + 20
    while got is None and time.time() < deadline:
        sender.process()
        receiver.process()
        got = receiver.recv()
    assert bytes(got) == payload(count), (mode, frame_bytes, count)
    return {
        "mode": mode,
        "frame_bytes": frame_bytes,
        "padding": padding,
        "block_size": block_size,
        "st_min": st_min,
        "count": count,
        "frames": log,
    }


CASES = [
    (mode, 8, padding, block_size, st_min, count)
    for mode in ("normal", "extended")
    for padding, block_size, st_min, count in [
        (0xCC, 0, 0, 1),
        (None, 0, 0, 5),
        (0xCC, 0, 0, 6),
        (None, 0, 0, 7),
        (0xCC, 0, 0, 8),
        (0x55, 1, 0, 20),
        (None, 2, 1, 62),
        (0xAA, 8, 0, 200),
    ]
] + [
    ("normal", 64, None, 0, 0, 7),
    ("normal", 64, None, 0, 0, 8),
    ("normal", 64, None, 0, 0, 62),
    ("normal", 64, None, 0, 0, 63),
    ("normal", 64, None, 3, 0, 700),
    ("extended", 32, None, 0, 0, 29),
    ("extended", 32, None, 0, 0, 30),
    ("extended", 32, None, 4, 0, 300),
    ("normal", 12, None, 0, 0, 40),
    ("normal", 64, None, 0, 0, 5000),
]

for case in CASES:
    print(json.dumps(run(*case), separators=(",", ":")))
