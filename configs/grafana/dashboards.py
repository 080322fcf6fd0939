#!/usr/bin/env python3
"""Writes the dashboards beside it, dashboards/*.json: `configs/grafana/dashboards.py`, or with --check only
tells whether they are as written. A panel is a title, a unit of Grafana's, and queries with their legends;
tests/operations/panels.py asks each of them of a running demo."""
import json
import pathlib
import sys

FOLDER = pathlib.Path(__file__).parent / "dashboards"
WIDTH, HEIGHT = 12, 8


def rate(metric, by="job", more=""):
    return f"sum by ({by}) (rate({metric}{more}[$__rate_interval]))"


def quantile(metric, by, q="0.95"):
    return f'max by ({by}) ({metric}{{quantile="{q}"}})'


# name: (title, what it shows, panels); a panel is (title, unit, [(query, legend)]); SQL begins with SELECT.
DASHBOARDS = {
    "fleet": ("Fleet", "Vehicles, trips and driving, from metrics and from the lake by the Postgres protocol.", [
        ("Vehicles seen today", "short",
         [("SELECT count(DISTINCT vehicle_id) AS vehicles FROM readings WHERE date >= CURRENT_DATE", "vehicles")]),
        ("Kilometres by vehicle, seven days", "lengthkm",
         [("SELECT vehicle_id, round(sum(distance_km)) AS km FROM vehicle_day WHERE date >= CURRENT_DATE - 7 "
           "GROUP BY vehicle_id ORDER BY km DESC LIMIT 20", "")]),
        ("The last trips", "short",
         [("SELECT vehicle_id, start_time, distance_m, duration_s FROM latest_trips "
           "ORDER BY start_time DESC LIMIT 20", "")]),
        ("Driving events by kind", "short",
         [("SELECT kind, count(*) AS events FROM latest_driving_events GROUP BY kind ORDER BY events DESC", "")]),
        ("Trips made and revised", "ops", [(rate("roadlake_analytics_trip_rows_total", "outcome"), "{{outcome}}")]),
        ("Vehicles whose last trip is open", "short", [("sum by (job) (roadlake_analytics_open_trips_count)", "open")]),
        ("Vehicles derived again", "ops", [(rate("roadlake_analytics_vehicles_derived_total"), "vehicles")]),
        ("Stops and driving events written", "ops", [
            (rate("roadlake_analytics_stop_rows_total"), "stops"),
            (rate("roadlake_analytics_event_rows_total"), "events")]),
        ("Time of a pass over new readings", "s",
         [(quantile("roadlake_analytics_pass_duration_seconds", "job"), "95th percentile")]),
        ("Passes that failed", "ops", [(rate("roadlake_analytics_pass_failures_total"), "failed")]),
    ]),
    "ingest": ("Ingest", "From the broker to the lake.", [
        ("Telemetry messages", "ops", [("roadlake:ingest_messages:rate1m", "received")]),
        ("Samples by what became of them", "ops", [(rate("roadlake_ingest_samples_total", "outcome"), "{{outcome}}")]),
        ("From receipt to the lake, the latest shards", "s",
         [("topk(5, max by (shard) (roadlake_ingest_lag_seconds))", "shard {{shard}}")]),
        ("Payload that waits for a commit", "bytes", [("sum by (job) (roadlake_ingest_buffer_bytes)", "waiting")]),
        ("Vehicles whose ack waits for the broker", "short", [("sum by (job) (roadlake_ingest_acks_waiting)", "waiting")]),
        ("Commits by table", "ops", [(rate("roadlake_ingest_commits_total", "table"), "{{table}}")]),
        ("Time of a commit, 95th percentile", "s",
         [(quantile("roadlake_ingest_commit_duration_seconds", "table"), "{{table}}")]),
        ("Quarantined by reason", "ops", [(rate("roadlake_ingest_batches_quarantined_total", "reason"), "{{reason}}")]),
        ("Under pressure", "ops", [
            (rate("roadlake_ingest_waits_told_total"), "told to wait"),
            (rate("roadlake_ingest_messages_shed_total"), "messages left"),
            (rate("roadlake_ingest_commit_retries_total", "table"), "commits refused: {{table}}")]),
        ("The broker", "ops", [
            (rate("roadlake_ingest_broker_disconnects_total"), "connections lost"),
            (rate("roadlake_ingest_messages_ignored_total"), "on foreign topics")]),
        ("Last known states by Redis", "ops", [
            (rate("roadlake_ingest_last_states_shared_total"), "shared"),
            (rate("roadlake_ingest_last_states_shed_total"), "not shared")]),
        ("Objectives: bad share of six hours", "percentunit", [
            ("roadlake:acks_bad:ratio6h", "acks"), ("roadlake:freshness_bad:ratio6h", "freshness")]),
    ]),
    "lake": ("Lake", "Files, order and maintenance, told by the instance that does maintenance.", [
        ("Bytes by table", "bytes", [("max by (table) (roadlake_ingest_lake_bytes)", "{{table}}")]),
        ("Files by table", "short", [("max by (table) (roadlake_ingest_lake_files)", "{{table}}")]),
        ("Files that are not in order", "short",
         [("max by (table) (roadlake_ingest_lake_compaction_debt_files)", "{{table}}")]),
        ("Files put in order", "ops", [(rate("roadlake_ingest_lake_rewritten_files_total", "table"), "{{table}}")]),
        ("Bytes put in order", "Bps", [(rate("roadlake_ingest_lake_rewritten_bytes_total", "table"), "{{table}}")]),
        ("Time of a pass", "s",
         [(quantile("roadlake_ingest_lake_compaction_duration_seconds", "table"), "{{table}}")]),
        ("Retired files deleted", "ops", [(rate("roadlake_ingest_lake_vacuumed_files_total", "table"), "{{table}}")]),
        ("Passes that failed", "ops", [(rate("roadlake_ingest_lake_maintenance_failures_total", "table"), "{{table}}")]),
        ("Version of readings derived, of trips followed", "short", [
            ("max by (job) (roadlake_analytics_readings_version_count)", "readings"),
            ("max by (job) (roadlake_api_trips_version_count)", "trips")]),
    ]),
    "api": ("Api", "Requests, queries, billing.", [
        ("Requests by outcome", "reqps", [(rate("roadlake_api_requests_total", "outcome"), "{{outcome}}")]),
        ("Requests by method", "reqps", [(rate("roadlake_api_requests_total", "method"), "{{method}}")]),
        ("Time of a request, 95th percentile", "s",
         [(quantile("roadlake_api_request_duration_seconds", "method"), "{{method}}")]),
        ("Objectives: bad share of six hours", "percentunit", [
            ("roadlake:api_bad:ratio6h", "errors"), ("roadlake:api_latency_bad:ratio6h", "latency")]),
        ("Queries by outcome", "ops", [(rate("roadlake_analytics_queries_total", "outcome"), "{{outcome}}")]),
        ("Trips taken from the lake", "ops", [
            (rate("roadlake_api_trip_revisions_total"), "revisions"),
            (rate("roadlake_api_follow_failures_total"), "looks that failed")]),
        ("Invoice lines and evidence", "ops", [
            (rate("roadlake_api_invoice_lines_total"), "lines"),
            (rate("roadlake_api_evidence_checks_total", "outcome"), "evidence {{outcome}}")]),
        ("Payments", "ops", [
            (rate("payment_attempts_total", "payment_method"), "tried by {{payment_method}}"),
            (rate("payment_success_total"), "succeeded"),
            (rate("payment_failure_total", "error_type"), "{{error_type}}")]),
        ("Time of the gateway's answer", "s",
         [(quantile("payment_processing_duration_seconds", "job"), "95th percentile")]),
    ]),
    "agents": ("Agents", "What agents read, keep and send; of those whose metrics are scraped.", [
        ("Frames read", "ops", [(rate("roadlake_edge_frames_total", "instance"), "{{instance}}")]),
        ("Samples put in the spool", "ops", [(rate("roadlake_edge_samples_total", "table"), "{{table}}")]),
        ("Batches in the spool, sent, acknowledged", "ops", [
            (rate("roadlake_edge_batches_total", "instance"), "{{instance}} spooled"),
            (rate("roadlake_edge_sent_batches_total", "instance"), "{{instance}} sent"),
            (rate("roadlake_edge_acked_batches_total", "instance"), "{{instance}} acknowledged")]),
        ("Sent", "Bps", [(rate("roadlake_edge_sent_bytes_total", "instance"), "{{instance}}")]),
        ("Spool", "bytes", [("max by (instance) (roadlake_edge_spool_bytes)", "{{instance}}")]),
        ("Batches that wait for a durable ack", "short",
         [("max by (instance) (roadlake_edge_spool_batches)", "{{instance}}")]),
        ("Written to the disk today", "bytes",
         [("max by (instance) (roadlake_edge_spool_written_today_bytes)", "{{instance}}")]),
        ("Connections made, windows sent again, waits", "ops", [
            (rate("roadlake_edge_connections_total", "instance"), "{{instance}} connections"),
            (rate("roadlake_edge_resends_total", "instance"), "{{instance}} again"),
            (rate("roadlake_edge_waits_total", "instance"), "{{instance}} waits")]),
        ("Dropped and lost", "ops", [
            (rate("roadlake_edge_dropped_samples_total", "reason"), "samples: {{reason}}"),
            (rate("roadlake_edge_lost_frames_total", "reason"), "frames: {{reason}}")]),
        ("Buses", "short", [
            ("max by (instance) (roadlake_edge_interfaces_out)", "{{instance}} interfaces out"),
            (rate("roadlake_edge_bus_events_total", "kind"), "{{kind}}")]),
        ("Faults", "ops", [
            (rate("roadlake_edge_fault_events_total", "event"), "{{event}}"),
            (rate("roadlake_edge_fault_reports_total", "protocol"), "lists read: {{protocol}}")]),
        ("Asked of control units", "ops", [(rate("roadlake_edge_polled_requests_total", "outcome"), "{{outcome}}")]),
        ("Campaigns", "ops", [
            (rate("roadlake_edge_campaign_triggers_total", "outcome"), "triggers {{outcome}}"),
            (rate("roadlake_edge_campaign_samples_total", "outcome"), "samples {{outcome}}")]),
        ("Commands", "ops", [(rate("roadlake_edge_commands_total", "outcome"), "{{outcome}}")]),
    ]),
}


def target(letter, query, legend):
    if query.startswith("SELECT"):
        return {"refId": letter, "datasource": {"type": "grafana-postgresql-datasource", "uid": "roadlake-sql"},
                "format": "table", "rawQuery": True, "rawSql": query}
    return {"refId": letter, "datasource": {"type": "prometheus", "uid": "roadlake-prometheus"},
            "expr": query, "legendFormat": legend}


def dashboard(name, title, description, panels):
    def panel(index, title, unit, queries):
        targets = [target("ABCDEFGH"[i], *q) for i, q in enumerate(queries)]
        is_table = "rawSql" in targets[0]
        return {"id": index + 1, "title": title, "type": "table" if is_table else "timeseries",
                "datasource": targets[0]["datasource"], "targets": targets,
                "gridPos": {"x": WIDTH * (index % 2), "y": HEIGHT * (index // 2), "w": WIDTH, "h": HEIGHT},
                "fieldConfig": {"defaults": {"unit": unit}, "overrides": []}}
    return {"uid": f"roadlake-{name}", "title": f"Roadlake: {title}", "description": description,
            "tags": ["roadlake"], "schemaVersion": 39, "refresh": "30s", "timezone": "utc",
            "time": {"from": "now-6h", "to": "now"},
            "panels": [panel(i, *p) for i, p in enumerate(panels)]}


def main():
    is_check = sys.argv[1:] == ["--check"]
    FOLDER.mkdir(exist_ok=True)
    wanted = {FOLDER / f"{name}.json": json.dumps(dashboard(name, *d), indent=1, ensure_ascii=False) + "\n"
              for name, d in DASHBOARDS.items()}
    if not is_check:
        for path, text in wanted.items():
            path.write_text(text)
        return
    stale = [p.name for p, text in wanted.items() if not p.exists() or p.read_text() != text]
    stale += [p.name for p in FOLDER.iterdir() if p not in wanted]
    if stale:
        sys.exit(f"dashboards: {', '.join(sorted(stale))} is not what dashboards.py writes; run it")


if __name__ == "__main__":
    main()
