// The ready-made boards. Each chart is a query that a reader can open, change and keep; nothing here
// computes what the query does not.

import { paths } from './paths';
import type { Quantity } from './units';

export interface Chart {
  id: string;
  title: string;
  /** What is counted, where the title does not say. */
  note?: string;
  kind: 'columns' | 'bars' | 'line' | 'table';
  sql: string;
  /** The column across; `vehicle_id` becomes names and links. */
  x: string;
  /** The columns up, each with its word. */
  y: readonly (readonly [column: string, word: string])[];
  /** A column whose values split the one measure. */
  by?: string;
  /** Unit of the measures, in the reader's system; or a plain word. */
  quantity?: Quantity;
  unit?: string;
  digits?: number;
  max?: number;
  wide?: boolean;
  /** Shown where the query gives no rows. */
  empty: string;
}

export interface Board {
  id: string;
  title: string;
  about: string;
  charts: readonly Chart[];
}

export const PERIODS = ['7', '30', '90', 'all'] as const;
export type Period = (typeof PERIODS)[number];

/** The condition on `date`, which keeps other days from being read: so many days of UTC, today's among them. */
export function since(period: Period, column = 'date'): string {
  return period === 'all' ? `${column} IS NOT NULL` : `${column} >= current_date() - INTERVAL '${Number(period) - 1} days'`;
}

/** The rows that a query itself stops at, or null. */
export function limitOf(sql: string): number | null {
  const found = /\bLIMIT (\d+)\s*$/i.exec(sql);
  return found ? Number(found[1]) : null;
}

const lag = (within: string): string => `SELECT date, date_part('epoch', received_at) - date_part('epoch', ts) AS lag_s FROM readings WHERE ${within}`;

export function boards(period: Period): readonly Board[] {
  const within = since(period);
  // A day of events alone has a row in vehicle_day too: nothing is divided by its trips.
  const driven = `${within} AND trip_count > 0`;
  return [
    {
      id: 'utilisation',
      title: 'Utilisation',
      about: 'How much vehicles drive and how much of it they stand with a running engine.',
      charts: [
        {
          id: 'hours', title: 'Hours driven by day', kind: 'columns', wide: true, unit: 'h', digits: 1,
          x: 'date', y: [['moving_h', 'Moving'], ['idling_h', 'Idling']],
          sql: `SELECT date, sum(moving_s) / 3600.0 AS moving_h, sum(idle_s) / 3600.0 AS idling_h\nFROM vehicle_day\nWHERE ${driven}\nGROUP BY date\nORDER BY date`,
          empty: 'No trip in this time.',
        },
        {
          id: 'utilisation', title: 'Share of the day driven', note: 'Of the 24 hours of each day with a trip, by vehicle', kind: 'bars', quantity: 'pct', digits: 1,
          x: 'vehicle_id', y: [['driven_pct', 'Driven']],
          sql: `SELECT vehicle_id, 100.0 * sum(driven_s) / (86400.0 * count(*)) AS driven_pct\nFROM vehicle_day\nWHERE ${driven}\nGROUP BY vehicle_id\nORDER BY driven_pct DESC`,
          empty: 'No trip in this time.',
        },
        {
          id: 'idle', title: 'Idle share', note: 'Of the time from start to end of trips, by vehicle', kind: 'bars', quantity: 'pct', digits: 1,
          x: 'vehicle_id', y: [['idle_pct', 'Idling']],
          sql: `SELECT vehicle_id, 100.0 * sum(idle_s) / nullif(sum(driven_s), 0) AS idle_pct\nFROM vehicle_day\nWHERE ${driven}\nGROUP BY vehicle_id\nORDER BY idle_pct DESC`,
          empty: 'No trip in this time.',
        },
        {
          id: 'standing', title: 'Standing now, the longest first', kind: 'table', wide: true,
          x: 'vehicle_id', y: [['start_time', 'Since'], ['latitude', 'Latitude'], ['longitude', 'Longitude']],
          sql: `SELECT vehicle_id, start_time, latitude, longitude\nFROM latest_stops\nWHERE status = 'open'\nORDER BY start_time\nLIMIT 50`,
          empty: 'No vehicle stands: none has ended a trip yet.',
        },
      ],
    },
    {
      id: 'distance',
      title: 'Distance and energy',
      about: 'How far, and what it took.',
      charts: [
        {
          id: 'distance', title: 'Distance by day', kind: 'columns', wide: true, quantity: 'km', digits: 1,
          x: 'date', y: [['distance_km', 'Distance']],
          sql: `SELECT date, sum(distance_km) AS distance_km\nFROM vehicle_day\nWHERE ${driven}\nGROUP BY date\nORDER BY date`,
          empty: 'No trip in this time.',
        },
        {
          id: 'fuel', title: 'Fuel by day', kind: 'columns', quantity: 'l', digits: 1,
          x: 'date', y: [['fuel_l', 'Fuel']],
          sql: `SELECT date, sum(fuel_used_l) AS fuel_l\nFROM vehicle_day\nWHERE ${within} AND fuel_used_l IS NOT NULL\nGROUP BY date\nORDER BY date`,
          empty: 'No trip whose fuel is known.',
        },
        {
          id: 'energy', title: 'Energy by day', kind: 'columns', quantity: 'kwh', digits: 1,
          x: 'date', y: [['energy_kwh', 'Energy']],
          sql: `SELECT date, sum(energy_used_kwh) AS energy_kwh\nFROM vehicle_day\nWHERE ${within} AND energy_used_kwh IS NOT NULL\nGROUP BY date\nORDER BY date`,
          empty: 'No trip of an electric drive.',
        },
        {
          id: 'consumption', title: 'Consumption by vehicle', note: 'Of trips whose fuel is known', kind: 'bars', quantity: 'l_100km', digits: 1,
          x: 'vehicle_id', y: [['fuel_l_per_100km', 'Consumption']],
          // Of trips, not of days: a day may have trips whose fuel is not known, and their distance is not in it.
          sql: `SELECT vehicle_id, sum(fuel_used_l) * 100000.0 / nullif(sum(distance_m), 0) AS fuel_l_per_100km,\n       sum(fuel_used_l) AS fuel_l, sum(distance_m) / 1000.0 AS distance_km\nFROM latest_trips\nWHERE ${within} AND fuel_used_l IS NOT NULL\nGROUP BY vehicle_id\nHAVING sum(distance_m) > 0\nORDER BY fuel_l_per_100km DESC`,
          empty: 'No trip whose fuel is known.',
        },
        {
          id: 'consumption_kwh', title: 'Energy by distance', note: 'By vehicle, of trips whose energy is known', kind: 'bars', quantity: 'kwh_100km', digits: 1,
          x: 'vehicle_id', y: [['energy_kwh_per_100km', 'Consumption']],
          sql: `SELECT vehicle_id, sum(energy_used_kwh) * 100000.0 / nullif(sum(distance_m), 0) AS energy_kwh_per_100km,\n       sum(energy_used_kwh) AS energy_kwh, sum(distance_m) / 1000.0 AS distance_km\nFROM latest_trips\nWHERE ${within} AND energy_used_kwh IS NOT NULL\nGROUP BY vehicle_id\nHAVING sum(distance_m) > 0\nORDER BY energy_kwh_per_100km DESC`,
          empty: 'No trip of an electric drive.',
        },
        {
          id: 'far', title: 'Distance by vehicle', kind: 'bars', quantity: 'km', digits: 1,
          x: 'vehicle_id', y: [['distance_km', 'Distance']],
          sql: `SELECT vehicle_id, sum(distance_km) AS distance_km\nFROM vehicle_day\nWHERE ${driven}\nGROUP BY vehicle_id\nORDER BY distance_km DESC`,
          empty: 'No trip in this time.',
        },
      ],
    },
    {
      id: 'driving',
      title: 'Driving',
      about: 'Harsh events and the score made of them: 100 without any, 50 with twenty low ones in 100 km.',
      charts: [
        {
          id: 'score', title: 'Driving score', note: 'By vehicle, days weighted by distance', kind: 'bars', unit: '', digits: 0, max: 100,
          x: 'vehicle_id', y: [['score', 'Score']],
          sql: `SELECT vehicle_id, sum(driving_score * distance_km) / nullif(sum(distance_km), 0) AS score\nFROM vehicle_day\nWHERE ${driven}\nGROUP BY vehicle_id\nORDER BY score`,
          empty: 'No trip in this time.',
        },
        {
          id: 'harsh', title: 'Harsh events by vehicle', kind: 'bars', unit: '', digits: 0,
          x: 'vehicle_id', y: [['events', 'Events']], by: 'kind',
          sql: `SELECT vehicle_id, kind, count(*) AS events\nFROM latest_driving_events\nWHERE ${within} AND kind LIKE 'harsh_%'\nGROUP BY vehicle_id, kind\nORDER BY sum(count(*)) OVER (PARTITION BY vehicle_id) DESC, vehicle_id, kind`,
          empty: 'No harsh event in this time.',
        },
        {
          id: 'events', title: 'Driving events by day', kind: 'columns', wide: true, unit: '', digits: 0,
          x: 'date', y: [['events', 'Events']], by: 'kind',
          sql: `SELECT date, kind, count(*) AS events\nFROM latest_driving_events\nWHERE ${within}\nGROUP BY date, kind\nORDER BY date, kind`,
          empty: 'No event in this time.',
        },
        {
          id: 'latest', title: 'The hardest events', kind: 'table', wide: true,
          x: 'vehicle_id', y: [['start_time', 'When'], ['kind', 'Kind'], ['severity', 'Severity'], ['peak_mps2', 'Peak'], ['speed_kmh', 'Speed'], ['trip_id', 'Trip']],
          sql: `SELECT vehicle_id, start_time, kind, severity, abs(peak_mps2) AS peak_mps2, speed_kmh, trip_id, latitude, longitude\nFROM latest_driving_events\nWHERE ${within} AND peak_mps2 IS NOT NULL\nORDER BY abs(peak_mps2) DESC\nLIMIT 50`,
          empty: 'No harsh event in this time.',
        },
      ],
    },
    {
      id: 'faults',
      title: 'Faults',
      about: 'Trouble codes that control units told, from when to when.',
      charts: [
        {
          id: 'open', title: 'There now, the longest first', kind: 'table', wide: true,
          x: 'vehicle_id', y: [['code', 'Code'], ['ecu', 'Control unit'], ['list', 'List'], ['start_time', 'Since'], ['occurrences', 'Count']],
          sql: `SELECT vehicle_id, code, ecu, list, start_time, occurrences\nFROM fault_episodes\nWHERE end_time IS NULL\nORDER BY start_time\nLIMIT 100`,
          empty: 'No fault is open. Vehicles that tell trouble codes (OBD, UDS, J1939) appear here with their first one.',
        },
        {
          id: 'codes', title: 'Most frequent codes', note: 'Episodes that began in this time', kind: 'bars', unit: '', digits: 0,
          x: 'code', y: [['episodes', 'Episodes']],
          sql: `SELECT code, count(*) AS episodes, count(DISTINCT vehicle_id) AS vehicles\nFROM fault_episodes\nWHERE ${since(period, 'start_time')}\nGROUP BY code\nORDER BY episodes DESC\nLIMIT 20`,
          empty: 'No fault began in this time.',
        },
        {
          id: 'byvehicle', title: 'Episodes by vehicle', kind: 'bars', unit: '', digits: 0,
          x: 'vehicle_id', y: [['episodes', 'Episodes']],
          sql: `SELECT vehicle_id, count(*) AS episodes\nFROM fault_episodes\nWHERE ${since(period, 'start_time')}\nGROUP BY vehicle_id\nORDER BY episodes DESC`,
          empty: 'No fault began in this time.',
        },
      ],
    },
    {
      id: 'quality',
      title: 'Data quality',
      about: 'What was lost, refused or late on its way here.',
      charts: [
        {
          id: 'readings', title: 'Readings by day', kind: 'columns', unit: '', digits: 0,
          x: 'date', y: [['readings', 'Readings']],
          sql: `SELECT date, count(*) AS readings, count(DISTINCT vehicle_id) AS vehicles\nFROM readings\nWHERE ${within}\nGROUP BY date\nORDER BY date`,
          empty: 'No reading in this time.',
        },
        {
          id: 'lag', title: 'From the vehicle’s clock to the lake', note: 'Half of a day’s readings, and 19 of 20, came within', kind: 'line', unit: 's', digits: 1,
          x: 'date', y: [['lag_p50_s', 'Half'], ['lag_p95_s', '19 of 20']],
          sql: `SELECT date, approx_percentile_cont(lag_s, 0.5) AS lag_p50_s, approx_percentile_cont(lag_s, 0.95) AS lag_p95_s\nFROM (${lag(within)}) AS lags\nGROUP BY date\nORDER BY date`,
          empty: 'No reading in this time.',
        },
        {
          id: 'lag_all', title: 'The same over the whole time', note: 'Of all readings at once: percentiles of days have no mean', kind: 'table', digits: 1,
          x: 'readings', y: [['lag_p50_s', 'Half within'], ['lag_p95_s', '19 of 20 within'], ['lag_max_s', 'The last within']],
          sql: `SELECT count(*) AS readings, approx_percentile_cont(lag_s, 0.5) AS lag_p50_s, approx_percentile_cont(lag_s, 0.95) AS lag_p95_s, max(lag_s) AS lag_max_s\nFROM (${lag(within)}) AS lags\nHAVING count(*) > 0`,
          empty: 'No reading in this time.',
        },
        {
          id: 'gaps', title: 'Samples that agents had to drop', note: 'By reason', kind: 'bars', unit: '', digits: 0,
          x: 'reason', y: [['samples', 'Samples']],
          sql: `SELECT reason, sum(sample_count) AS samples, count(*) AS gaps, count(DISTINCT vehicle_id) AS vehicles\nFROM gaps\nWHERE ${within}\nGROUP BY reason\nORDER BY samples DESC`,
          empty: 'Nothing was dropped.',
        },
        {
          id: 'quarantine', title: 'Payloads in quarantine', note: 'By reason', kind: 'bars', unit: '', digits: 0,
          x: 'reason', y: [['payloads', 'Payloads']],
          sql: `SELECT reason, count(*) AS payloads, count(DISTINCT vehicle_id) AS vehicles\nFROM quarantine\nWHERE ${within}\nGROUP BY reason\nORDER BY payloads DESC`,
          empty: 'Nothing was refused.',
        },
        {
          id: 'clocks', title: 'Clocks of vehicles', note: 'Readings by how far their time can be believed', kind: 'bars', unit: '', digits: 0,
          x: 'clock', y: [['readings', 'Readings']],
          sql: `SELECT coalesce(clock, 'known') AS clock, count(*) AS readings\nFROM readings\nWHERE ${within}\nGROUP BY coalesce(clock, 'known')\nORDER BY readings DESC`,
          empty: 'No reading in this time.',
        },
        {
          id: 'silent', title: 'Silent the longest', note: 'By all there ever was; readings are those of this time', kind: 'table',
          x: 'vehicle_id', y: [['received_at', 'Last reading received'], ['readings', 'Readings']],
          // A vehicle that has been silent for longer than the time chosen is what one looks for.
          sql: `SELECT l.vehicle_id, l.received_at, coalesce(r.readings, 0) AS readings\nFROM last_reading l\nLEFT JOIN (SELECT vehicle_id, count(*) AS readings FROM readings WHERE ${within} GROUP BY vehicle_id) AS r ON r.vehicle_id = l.vehicle_id\nORDER BY l.received_at\nLIMIT 20`,
          empty: 'No reading in this time.',
        },
      ],
    },
  ];
}

/** The same query in the workbench, shown as the board shows it. */
export function workbenchLink({ sql, kind, x, y, by }: Pick<Chart, 'sql' | 'kind' | 'x' | 'y' | 'by'>): string {
  const view = kind === 'table' ? '' : kind === 'line' ? 'line' : 'bar';
  return paths.sql({ query: sql, ...(view ? { view, x, y: y.map(([column]) => column).join(','), by: by ?? '-' } : {}) });
}
