#!/usr/bin/env python3
"""Writes base/broker/config.yaml: configs/brokers/rmqtt and mosquitto.acl as a ConfigMap, with the nodes' names in the
cluster. --check only says whether it is as it would be written."""
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
BROKERS = HERE.parent / "brokers"
FILES = ["rmqtt/rmqtt.toml", "rmqtt/rmqtt-cluster-raft.toml", "rmqtt/rmqtt-retainer.toml", "mosquitto.acl"]


def written():
    lines = [
        "# Made by broker-config.py of configs/brokers: change those.",
        "apiVersion: v1",
        "kind: ConfigMap",
        "metadata:",
        "  name: rmqtt",
        "data:",
    ]
    for file in FILES:
        path = BROKERS / file
        text = re.sub(r"\b(\d)@broker-\1:", r"\1@rmqtt-\1.rmqtt-nodes:", path.read_text())
        lines.append(f"  {path.name}: |")
        # The comments stay in the samples.
        kept = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        lines += [f"    {line}" for line in kept]
    return "\n".join(lines) + "\n"


def main():
    target = HERE / "base/broker/config.yaml"
    if sys.argv[1:] == ["--check"]:
        if target.read_text() != written():
            sys.exit("broker-config: base/broker/config.yaml is not what configs/brokers says; run broker-config.py")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        target.write_text(written())


main()
