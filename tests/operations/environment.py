#!/usr/bin/env python3
"""Starts the programs with the environment that configs/kubernetes gives them, and asks what its probes ask. Only what
is elsewhere is another: folders and ports are of this machine, secrets are made here, the lake is a folder, and the
api's database a file; there is neither broker nor Redis, which all of them must bear.

    environment.py FOLDER     where the programs are
"""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import kustomize

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "configs/kubernetes"
TIME_S = 120
# Overlay, workload, and what /ready says in the end without broker and Redis; in the order of what makes the lake.
STARTED = [
    ("production", "ingest", {"broker": "starting", "lake": "ready"}),
    ("production", "analytics", {"analytics": "ready", "postgres": "ready"}),
    ("production", "api", {"database": "ready"}),
    ("single-node", "roadlake", {"database": "ready"}),
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def secrets(folder, template):
    """The files of the projected secrets, with something in them that can be read as what it is."""
    made = folder / "made"
    if not made.exists():
        made.mkdir()
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
            + ["-subj", "/CN=localhost", "-keyout", made / "tls.key", "-out", made / "tls.crt"],
            check=True, capture_output=True,
        )
    texts = {
        "tls.crt": (made / "tls.crt").read_text(), "ca.crt": (made / "tls.crt").read_text(),
        "tls.key": (made / "tls.key").read_text(), "url": "redis://127.0.0.1:1/0",
        "campaigns": "0a" * 32, "commands": "0b" * 32,
    }
    for volume in template["spec"]["volumes"]:
        for source in volume.get("projected", {}).get("sources", []):
            for item in source["secret"]["items"]:
                path = folder / "secrets" / item["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(texts.get(item["key"], "kept-to-oneself") + "\n")


def environment(folder, container, lake):
    """What is set, and where it answers."""
    said, at = {"PATH": os.environ["PATH"], "TMPDIR": str(folder)}, None
    mounts = {m["mountPath"]: folder / m["name"] for m in container["volumeMounts"] if m["mountPath"] != "/tmp"}
    for path in mounts.values():
        path.mkdir(exist_ok=True)
    for entry in container["env"]:
        name, value = entry["name"], entry.get("value")
        source = entry.get("valueFrom", {})
        if "fieldRef" in source:
            value = "0"
        elif "configMapKeyRef" in source:
            value = {"location": str(lake), "region": "eu-central-1"}[source["configMapKeyRef"]["key"]]
        elif name == "ROADLAKE_API__DATABASE":
            value = str(folder / "api.db")
        elif name == "ROADLAKE_API__DATABASE_PASSWORD_FILE":
            continue
        elif name.endswith("BROKER__EXTERNAL"):
            value = "127.0.0.1:1"
        elif name.endswith("LISTEN"):
            port = free_port()
            value = f"127.0.0.1:{port}"
            if re.search(r"(HTTP|API)__LISTEN$", name):
                at = port
        for place, path in mounts.items():
            value = value.replace(place, str(path))
        said[name] = value
    return said, at


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return None, str(error)


def start(programs, folder, overlay, name, wanted):
    resources = kustomize.build(FOLDER / "overlays" / overlay)
    template = next(kustomize.pod_template(r) for r in resources if kustomize.pod_template(r) and r["metadata"]["name"] == name)
    container = template["spec"]["containers"][0]
    secrets(folder, template)
    variables, port = environment(folder, container, folder.parent / "lake")
    arguments = [a.replace("/data", str(folder / "data")) for a in container.get("args", [])]
    with open(folder / "log", "w") as log:
        process = subprocess.Popen([programs / name, *arguments], env=variables, stdout=log, stderr=log, cwd=folder)
    try:
        until, last = time.monotonic() + TIME_S, None
        while time.monotonic() < until and process.poll() is None:
            alive, last = get(port, container["livenessProbe"]["httpGet"]["path"]), get(port, container["readinessProbe"]["httpGet"]["path"])
            if alive[0] == 200 and last[0] in (200, 503) and wanted.items() <= json.loads(last[1])["parts"].items():
                break
            time.sleep(0.1)
        else:
            sys.exit(f"{name} of {overlay}: {last}, not {wanted}; its log ends\n" + "\n".join((folder / "log").read_text().splitlines()[-20:]))
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=template["spec"]["terminationGracePeriodSeconds"])
        if code != 0:
            sys.exit(f"{name} of {overlay}: ended with {code}\n" + (folder / "log").read_text()[-2000:])
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    print(f"environment: {name} of {overlay} starts, says {json.loads(last[1])['parts']}, and stops in time")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: environment.py FOLDER")
    with tempfile.TemporaryDirectory() as folder:
        for overlay, name, wanted in STARTED:
            own = pathlib.Path(folder) / name
            own.mkdir()
            start(pathlib.Path(sys.argv[1]).resolve(), own, overlay, name, wanted)


main()
