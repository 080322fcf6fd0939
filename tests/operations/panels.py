#!/usr/bin/env python3
"""Asks every query of the dashboards, and evaluates every rule, on a live Prometheus that scrapes running
programs: the demo, a server that keeps its lake in order every two seconds, and an agent that feeds it. SQL goes
to the demo by psql. A query that returns nothing within the time fails.

What neither of them can show (a broken bus, a declined payment) comes from an exporter in this file, with labels
and values that stand in the code: NOT_IN_A_DEMO. Nothing that the programs do serve may come from there alone.

    panels.py ROADLAKE EDGE_AGENT     the two programs
"""
import http.server
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIME_S = 300
# Metric: (label, value), of what cannot happen in a demo. Counters count at every scrape.
NOT_IN_A_DEMO = {
    "payment_attempts_total": ("payment_method", "card"),
    "payment_success_total": None,
    "payment_failure_total": ("error_type", "declined"),
    "payment_processing_duration_seconds": ("quantile", "0.95"),
    "roadlake_analytics_pass_failures_total": None,
    "roadlake_api_evidence_checks_total": ("outcome", "agrees"),
    "roadlake_api_follow_failures_total": None,
    "roadlake_edge_bus_events_total": ("kind", "bus_off"),
    "roadlake_edge_campaign_samples_total": ("outcome", "collected"),
    "roadlake_edge_campaign_triggers_total": ("outcome", "fired"),
    "roadlake_edge_commands_total": ("outcome", "unverified"),
    "roadlake_edge_dropped_samples_total": ("reason", "spool_full"),
    "roadlake_edge_fault_events_total": ("event", "raise"),
    "roadlake_edge_fault_reports_total": ("protocol", "obd"),
    "roadlake_edge_interfaces_out": None,
    "roadlake_edge_lost_frames_total": ("reason", "kernel"),
    "roadlake_edge_polled_requests_total": ("outcome", "positive"),
    "roadlake_edge_resends_total": None,
    "roadlake_edge_waits_total": None,
    "roadlake_ingest_broker_disconnects_total": None,
    "roadlake_ingest_commit_retries_total": ("table", "readings"),
    "roadlake_ingest_lake_maintenance_failures_total": ("table", "readings"),
    "roadlake_ingest_lake_vacuumed_files_total": ("table", "readings"),
    "roadlake_ingest_last_states_shared_total": None,
    "roadlake_ingest_last_states_shed_total": None,
    "roadlake_ingest_messages_shed_total": None,
    "roadlake_ingest_waits_told_total": None,
}


class StandIn(http.server.BaseHTTPRequestHandler):
    scrapes = 0

    def do_GET(self):
        StandIn.scrapes += 1
        lines = []
        for name, label in NOT_IN_A_DEMO.items():
            labels = '{%s="%s"}' % label if label else ""
            lines.append(f"{name}{labels} {StandIn.scrapes}")
        body = ("\n".join(lines) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url, body=None):
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()
    except OSError:
        return ""


def publish(port, topic, payload):
    """One MQTT 3.1.1 message with QoS 0."""
    def packet(kind, body):
        length, head = len(body), bytes([kind])
        while True:
            digit, length = length % 128, length // 128
            head += bytes([digit | (128 if length else 0)])
            if not length:
                return head + body
    text = lambda t: len(t).to_bytes(2, "big") + t.encode()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        s.sendall(packet(0x10, text("MQTT") + b"\x04\x02\x00\x3c" + text(f"panels-{time.time_ns()}")))
        if s.recv(4)[:1] != b"\x20":
            sys.exit("panels: the broker refuses the connection")
        s.sendall(packet(0x30, text(topic) + payload) + b"\xe0\x00")
        # Until the broker has read it all and closes.
        while s.recv(64):
            pass


def check_names(queries):
    """Every metric that is asked for is on the page of metrics, which a test compares with the code; every
    label value of the stand-in is in the code."""
    page = set(re.findall(r"`(\w+)` \|", (ROOT / "docs/metrics.md").read_text()))
    code = "".join(p.read_text() for c in ("edge-agent", "ingest", "analytics", "api", "wire", "lake")
                   for p in (ROOT / c / "src").rglob("*.rs"))
    asked = set(re.findall(r"(?<![\w:])((?:roadlake_|payment_(?!method))\w+)", "\n".join(queries)))
    faults = [f"{name}: no such metric in docs/metrics.md" for name in sorted(asked | set(NOT_IN_A_DEMO))
              if name not in page]
    faults += [f"{name}: stood in for, and no query asks for it" for name in sorted(set(NOT_IN_A_DEMO) - asked)]
    faults += [f"{name}: {label[1]!r} is not in the code" for name, label in NOT_IN_A_DEMO.items()
               if label and label[0] != "quantile" and f'"{label[1]}"' not in code]
    return faults


def read_all():
    """(where, metric query) and (where, SQL) of dashboards and rules."""
    import yaml
    metric, sql = [], []
    for path in sorted((ROOT / "configs/grafana/dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                where = f"{path.stem}: {panel['title']} {target['refId']}"
                if "rawSql" in target:
                    sql.append((where, target["rawSql"]))
                else:
                    metric.append((where, target["expr"].replace("$__rate_interval", "1m")))
    rules = [rule for path in sorted((ROOT / "configs/prometheus/rules").glob("*.yml"))
             for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
    # Records must give something; alerts must not, but their metrics must exist.
    metric += [(f"rule {r['record']}", r["record"]) for r in rules if "record" in r]
    alerts = [r for r in rules if "alert" in r]
    return metric, sql, alerts


def check_alerts(alerts):
    import yaml
    page = (ROOT / "docs/operations/alerts.md").read_text()
    parts = set(re.findall(r"^## (\w+)$", page, re.M))
    names = {a["alert"] for a in alerts}
    faults = [f"{n}: no part in docs/operations/alerts.md" for n in sorted(names - parts)]
    faults += [f"{n}: a part in docs/operations/alerts.md and no alert" for n in sorted(parts - names)]
    told, quiet = set(), set()
    for path in (ROOT / "configs/prometheus/tests").glob("*.yml"):
        for test in yaml.safe_load(path.read_text())["tests"]:
            for expected in test["alert_rule_test"]:
                (told if expected["exp_alerts"] else quiet).add(expected["alertname"])
    faults += [f"{n}: no test says when it is told" for n in sorted(names - told)]
    faults += [f"{n}: no test says when it is quiet" for n in sorted(names - quiet)]
    for a in alerts:
        if a["annotations"]["runbook"] != f"docs/operations/alerts.md#{a['alert'].lower()}":
            faults.append(f"{a['alert']}: its runbook is {a['annotations']['runbook']}")
    return faults


def run(roadlake, edge_agent, work, started):
    import os
    import yaml
    metric, sql, alerts = read_all()
    faults = check_names([q for _, q in metric] + [a["expr"] for a in alerts]
                         + [p.read_text() for p in (ROOT / "configs/prometheus/rules").glob("*.yml")])
    faults += check_alerts(alerts)
    if faults:
        return faults

    api, mqtt, postgres = free_port(), free_port(), free_port()
    server, server_mqtt, unit, prometheus = (free_port() for _ in range(4))
    stand_in = http.server.ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=stand_in.serve_forever, daemon=True).start()

    def start(name, *command, **more):
        log = open(work / f"{name}.log", "w")
        environment = dict(os.environ, **more)
        started.append((name, subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=ROOT)))

    start("demo", roadlake, "demo", "--data", work / "demo", "--listen", f"127.0.0.1:{api}",
          "--mqtt-listen", f"127.0.0.1:{mqtt}", "--postgres-listen", f"127.0.0.1:{postgres}", "--vehicles", "4")
    start("serve", roadlake, "serve", "--data", work / "serve", "--listen", f"127.0.0.1:{server}",
          "--mqtt-listen", f"127.0.0.1:{server_mqtt}",
          ROADLAKE_SERVE__INGEST__MAINTENANCE__COMPACTION_INTERVAL="2s",
          ROADLAKE_SERVE__INGEST__MAINTENANCE__LOOSE_FILES_MIN="2")
    (work / "agent.toml").write_text(
        f'version = 1\nvehicle_id = "panels-1"\nspool_folder = "{work}/spool"\n[source]\nkind = "simulate"\nspeed = "20"\n'
        f'[uplink]\nbroker = "127.0.0.1:{server_mqtt}"\n[unit]\nlisten = "127.0.0.1:{unit}"\n')
    start("agent", edge_agent, "run", "--config", work / "agent.toml")

    # The file as shipped, but for where the programs listen and how often it looks.
    config = yaml.safe_load((ROOT / "configs/prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(ROOT / "configs/prometheus" / f) for f in config["rule_files"]]
    targets = {"roadlake": [f"127.0.0.1:{api}", f"127.0.0.1:{server}"], "edge-agent": [f"127.0.0.1:{unit}"]}
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": targets.pop(job["job_name"])}]
    if targets:
        return [f"prometheus.yml: no job {name}" for name in targets]
    config["scrape_configs"].append(
        {"job_name": "stand-in", "static_configs": [{"targets": ["127.0.0.1:%d" % stand_in.server_port]}]})
    (work / "prometheus.yml").write_text(yaml.safe_dump(config))
    start("prometheus", "prometheus", f"--config.file={work}/prometheus.yml", f"--storage.tsdb.path={work}/tsdb",
          f"--web.listen-address=127.0.0.1:{prometheus}", "--log.level=error")

    def stir():
        """What a demo does not do by itself: requests of each kind, a payload that is none, a topic that is none."""
        get(f"http://127.0.0.1:{api}/v1/vehicles")
        get(f"http://127.0.0.1:{api}/v1/sql", json.dumps({"query": "SELECT 1"}).encode())
        # The second is no vehicle's id.
        for vehicle in ("nobody-1", "Nobody_1"):
            shard = zlib.crc32(vehicle.encode()) % 256
            publish(mqtt, f"rl/v1/{shard}/{vehicle}/telemetry", b"none of ours")

    def ask(query):
        text = get(f"http://127.0.0.1:{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": query}))
        answer = json.loads(text) if text else {"status": "starting"}
        if answer["status"] == "error":
            sys.exit(f"panels: {query}: {answer['error']}")
        return answer.get("data", {}).get("result")

    def ask_sql(query):
        done = subprocess.run(["psql", "-X", "-A", "-t", "-h", "127.0.0.1", "-p", str(postgres), "-U", "grafana",
                               "-c", query, "roadlake"], capture_output=True, text=True, check=False)
        if done.returncode == 1:
            sys.exit(f"panels: {query}: {done.stderr}")
        return done.stdout.strip()

    def open_questions(left, how):
        return [(where, query) for where, query in left if not how(query)]

    deadline, count = time.monotonic() + TIME_S, len(metric) + len(sql)
    left_metric, left_sql = metric, sql
    while (left_metric or left_sql) and time.monotonic() < deadline:
        for name, process in started:
            if process.poll() is not None:
                return [f"{name} ended: {(work / (name + '.log')).read_text()[-2000:]}"]
        if get(f"http://127.0.0.1:{api}/ready"):
            stir()
            left_sql = open_questions(left_sql, ask_sql)
        left_metric = open_questions(left_metric, ask)
        # A scrape later there may be more.
        time.sleep(1)
    faults = [f"{where}: nothing within {TIME_S} s: {query}" for where, query in left_metric + left_sql]
    served = {r["metric"]["__name__"] for r in ask('{__name__=~"roadlake_.*|payment_.*", job!="stand-in"}') or []}
    alone = sorted(set(re.findall(r"(?<![\w:])((?:roadlake_|payment_(?!method))\w+)", "\n".join(q for _, q in metric)))
                   - served - set(NOT_IN_A_DEMO))
    faults += [f"{name}: asked for, and nobody serves it" for name in alone]
    health = json.loads(get(f"http://127.0.0.1:{prometheus}/api/v1/rules"))
    faults += [f"rule {r['name']}: {r['lastError']}" for g in health["data"]["groups"] for r in g["rules"]
               if r["health"] == "err"]
    if not faults:
        print(f"panels: {count} queries answered, {len(alerts)} alerts evaluated and each has its part and tests")
    return faults


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: panels.py ROADLAKE EDGE_AGENT")
    started, began = [], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            faults = run(*sys.argv[1:], pathlib.Path(folder), started)
        finally:
            for _, process in reversed(started):
                process.terminate()
            for _, process in started:
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
    for fault in faults:
        print(f"panels: {fault}", file=sys.stderr)
    print(f"panels: {time.monotonic() - began:.0f} s")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
