// Queries to begin with.

import { messages as m } from '../messages';

export const EXAMPLES: readonly { name: string; query: string }[] = [
  {
    name: m.sql.examples.distanceByDay,
    query: 'SELECT vehicle_id, date, sum(distance_m) / 1000.0 AS distance_km, max(speed_max_kmh) AS top_kmh\nFROM latest_trips\nGROUP BY vehicle_id, date\nORDER BY date DESC, vehicle_id',
  },
  {
    name: m.sql.examples.longestTrips,
    query: 'SELECT trip_id, vehicle_id, start_time, distance_m / 1000.0 AS distance_km, duration_s / 60 AS minutes\nFROM latest_trips\nORDER BY distance_m DESC\nLIMIT 50',
  },
  {
    name: m.sql.examples.lastPlaces,
    query: 'SELECT vehicle_id, max(ts) AS ts,\n       last_value(latitude ORDER BY ts) AS latitude, last_value(longitude ORDER BY ts) AS longitude\nFROM readings\nGROUP BY vehicle_id\nORDER BY vehicle_id',
  },
  {
    name: m.sql.examples.meanSpeed,
    query: "SELECT time_bucket(INTERVAL '10 minutes', ts) AS step, avg(speed_kmh) AS mean_kmh, max(speed_kmh) AS top_kmh\nFROM readings\nWHERE date >= current_date() - INTERVAL '7 days'\nGROUP BY step\nORDER BY step",
  },
  {
    name: m.sql.examples.harshDrivingByVehicle,
    query: "SELECT vehicle_id, kind, count(*) AS events\nFROM latest_driving_events\nWHERE kind LIKE 'harsh_%'\nGROUP BY vehicle_id, kind\nORDER BY vehicle_id, kind",
  },
  {
    name: m.sql.examples.signals,
    query: 'SELECT signal, count(DISTINCT vehicle_id) AS vehicles, count(*) AS samples, min(value) AS low, max(value) AS high\nFROM signals\nGROUP BY signal\nORDER BY samples DESC',
  },
  { name: m.sql.examples.faults, query: 'SELECT vehicle_id, ecu, code, start_time, occurrences\nFROM fault_episodes\nWHERE end_time IS NULL\nORDER BY start_time' },
];
