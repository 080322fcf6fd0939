// The ready-made boards. Each chart is a query that a reader can open, change and keep; nothing here
// computes what the query does not.

import { messages as m } from '../messages';
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
      title: m.boards.utilisation,
      about: m.boards.utilisationAbout,
      charts: [
        {
          id: 'hours', title: m.boards.hoursDrivenByDay, kind: 'columns', wide: true, unit: 'h', digits: 1,
          x: 'date', y: [['moving_h', m.common.moving], ['idling_h', m.common.idling]],
          sql: `SELECT date, sum(moving_s) / 3600.0 AS moving_h, sum(idle_s) / 3600.0 AS idling_h\nFROM vehicle_day\nWHERE ${driven}\nGROUP BY date\nORDER BY date`,
          empty: m.boards.noTrip,
        },
        {
          id: 'utilisation', title: m.boards.shareOfDay, note: m.boards.shareNote, kind: 'bars', quantity: 'pct', digits: 1,
          x: 'vehicle_id', y: [['driven_pct', m.boards.driven]],
          sql: `SELECT vehicle_id, 100.0 * sum(driven_s) / (86400.0 * count(*)) AS driven_pct\nFROM vehicle_day\nWHERE ${driven}\nGROUP BY vehicle_id\nORDER BY driven_pct DESC`,
          empty: m.boards.noTrip,
        },
        {
          id: 'idle', title: m.boards.idleShare, note: m.boards.idleShareNote, kind: 'bars', quantity: 'pct', digits: 1,
          x: 'vehicle_id', y: [['idle_pct', m.common.idling]],
          sql: `SELECT vehicle_id, 100.0 * sum(idle_s) / nullif(sum(driven_s), 0) AS idle_pct\nFROM vehicle_day\nWHERE ${driven}\nGROUP BY vehicle_id\nORDER BY idle_pct DESC`,
          empty: m.boards.noTrip,
        },
        {
          id: 'standing', title: m.boards.standingNow, kind: 'table', wide: true,
          x: 'vehicle_id', y: [['start_time', m.common.since], ['latitude', m.common.latitude], ['longitude', m.common.longitude]],
          sql: `SELECT vehicle_id, start_time, latitude, longitude\nFROM latest_stops\nWHERE status = 'open'\nORDER BY start_time\nLIMIT 50`,
          empty: m.boards.nobodyStands,
        },
      ],
    },
    {
      id: 'distance',
      title: m.boards.distanceAndEnergy,
      about: m.boards.distanceAbout,
      charts: [
        {
          id: 'distance', title: m.boards.distanceByDay, kind: 'columns', wide: true, quantity: 'km', digits: 1,
          x: 'date', y: [['distance_km', m.common.distance]],
          sql: `SELECT date, sum(distance_km) AS distance_km\nFROM vehicle_day\nWHERE ${driven}\nGROUP BY date\nORDER BY date`,
          empty: m.boards.noTrip,
        },
        {
          id: 'fuel', title: m.boards.fuelByDay, kind: 'columns', quantity: 'l', digits: 1,
          x: 'date', y: [['fuel_l', m.boards.fuel]],
          sql: `SELECT date, sum(fuel_used_l) AS fuel_l\nFROM vehicle_day\nWHERE ${within} AND fuel_used_l IS NOT NULL\nGROUP BY date\nORDER BY date`,
          empty: m.boards.noFuelTrip,
        },
        {
          id: 'energy', title: m.boards.energyByDay, kind: 'columns', quantity: 'kwh', digits: 1,
          x: 'date', y: [['energy_kwh', m.boards.energy]],
          sql: `SELECT date, sum(energy_used_kwh) AS energy_kwh\nFROM vehicle_day\nWHERE ${within} AND energy_used_kwh IS NOT NULL\nGROUP BY date\nORDER BY date`,
          empty: m.boards.noElectricTrip,
        },
        {
          id: 'consumption', title: m.boards.consumptionByVehicle, note: m.boards.ofFuelTrips, kind: 'bars', quantity: 'l_100km', digits: 1,
          x: 'vehicle_id', y: [['fuel_l_per_100km', m.boards.consumption]],
          // Of trips, not of days: a day may have trips whose fuel is not known, and their distance is not in it.
          sql: `SELECT vehicle_id, sum(fuel_used_l) * 100000.0 / nullif(sum(distance_m), 0) AS fuel_l_per_100km,\n       sum(fuel_used_l) AS fuel_l, sum(distance_m) / 1000.0 AS distance_km\nFROM latest_trips\nWHERE ${within} AND fuel_used_l IS NOT NULL\nGROUP BY vehicle_id\nHAVING sum(distance_m) > 0\nORDER BY fuel_l_per_100km DESC`,
          empty: m.boards.noFuelTrip,
        },
        {
          id: 'consumption_kwh', title: m.boards.energyByDistance, note: m.boards.ofEnergyTrips, kind: 'bars', quantity: 'kwh_100km', digits: 1,
          x: 'vehicle_id', y: [['energy_kwh_per_100km', m.boards.consumption]],
          sql: `SELECT vehicle_id, sum(energy_used_kwh) * 100000.0 / nullif(sum(distance_m), 0) AS energy_kwh_per_100km,\n       sum(energy_used_kwh) AS energy_kwh, sum(distance_m) / 1000.0 AS distance_km\nFROM latest_trips\nWHERE ${within} AND energy_used_kwh IS NOT NULL\nGROUP BY vehicle_id\nHAVING sum(distance_m) > 0\nORDER BY energy_kwh_per_100km DESC`,
          empty: m.boards.noElectricTrip,
        },
        {
          id: 'far', title: m.boards.distanceByVehicle, kind: 'bars', quantity: 'km', digits: 1,
          x: 'vehicle_id', y: [['distance_km', m.common.distance]],
          sql: `SELECT vehicle_id, sum(distance_km) AS distance_km\nFROM vehicle_day\nWHERE ${driven}\nGROUP BY vehicle_id\nORDER BY distance_km DESC`,
          empty: m.boards.noTrip,
        },
      ],
    },
    {
      id: 'driving',
      title: m.boards.driving,
      about: m.boards.drivingAbout,
      charts: [
        {
          id: 'score', title: m.boards.drivingScore, note: m.boards.byDistance, kind: 'bars', unit: '', digits: 0, max: 100,
          x: 'vehicle_id', y: [['score', m.boards.score]],
          sql: `SELECT vehicle_id, sum(driving_score * distance_km) / nullif(sum(distance_km), 0) AS score\nFROM vehicle_day\nWHERE ${driven}\nGROUP BY vehicle_id\nORDER BY score`,
          empty: m.boards.noTrip,
        },
        {
          id: 'harsh', title: m.boards.harshEventsByVehicle, kind: 'bars', unit: '', digits: 0,
          x: 'vehicle_id', y: [['events', m.common.events]], by: 'kind',
          sql: `SELECT vehicle_id, kind, count(*) AS events\nFROM latest_driving_events\nWHERE ${within} AND kind LIKE 'harsh_%'\nGROUP BY vehicle_id, kind\nORDER BY sum(count(*)) OVER (PARTITION BY vehicle_id) DESC, vehicle_id, kind`,
          empty: m.boards.noHarshEvent,
        },
        {
          id: 'events', title: m.boards.drivingEventsByDay, kind: 'columns', wide: true, unit: '', digits: 0,
          x: 'date', y: [['events', m.common.events]], by: 'kind',
          sql: `SELECT date, kind, count(*) AS events\nFROM latest_driving_events\nWHERE ${within}\nGROUP BY date, kind\nORDER BY date, kind`,
          empty: m.boards.noEvent,
        },
        {
          id: 'latest', title: m.boards.hardestEvents, kind: 'table', wide: true,
          x: 'vehicle_id', y: [['start_time', m.common.when], ['kind', m.common.kind], ['severity', m.boards.severity], ['peak_mps2', m.boards.peak], ['speed_kmh', m.boards.speed], ['trip_id', m.common.trip]],
          sql: `SELECT vehicle_id, start_time, kind, severity, abs(peak_mps2) AS peak_mps2, speed_kmh, trip_id, latitude, longitude\nFROM latest_driving_events\nWHERE ${within} AND peak_mps2 IS NOT NULL\nORDER BY abs(peak_mps2) DESC\nLIMIT 50`,
          empty: m.boards.noHarshEvent,
        },
      ],
    },
    {
      id: 'faults',
      title: m.boards.faults,
      about: m.boards.faultsAbout,
      charts: [
        {
          id: 'open', title: m.boards.openFaults, kind: 'table', wide: true,
          x: 'vehicle_id', y: [['code', m.common.code], ['ecu', m.common.controlUnit], ['list', m.common.list], ['start_time', m.common.since], ['occurrences', m.common.count]],
          sql: `SELECT vehicle_id, code, ecu, list, start_time, occurrences\nFROM fault_episodes\nWHERE end_time IS NULL\nORDER BY start_time\nLIMIT 100`,
          empty: m.boards.noFaultOpen,
        },
        {
          id: 'codes', title: m.boards.frequentCodes, note: m.boards.beganInThisTime, kind: 'bars', unit: '', digits: 0,
          x: 'code', y: [['episodes', m.boards.episodes]],
          sql: `SELECT code, count(*) AS episodes, count(DISTINCT vehicle_id) AS vehicles\nFROM fault_episodes\nWHERE ${since(period, 'start_time')}\nGROUP BY code\nORDER BY episodes DESC\nLIMIT 20`,
          empty: m.boards.noFaultBegan,
        },
        {
          id: 'byvehicle', title: m.boards.episodesByVehicle, kind: 'bars', unit: '', digits: 0,
          x: 'vehicle_id', y: [['episodes', m.boards.episodes]],
          sql: `SELECT vehicle_id, count(*) AS episodes\nFROM fault_episodes\nWHERE ${since(period, 'start_time')}\nGROUP BY vehicle_id\nORDER BY episodes DESC`,
          empty: m.boards.noFaultBegan,
        },
      ],
    },
    {
      id: 'quality',
      title: m.boards.dataQuality,
      about: m.boards.qualityAbout,
      charts: [
        {
          id: 'readings', title: m.boards.readingsByDay, kind: 'columns', unit: '', digits: 0,
          x: 'date', y: [['readings', m.boards.readings]],
          sql: `SELECT date, count(*) AS readings, count(DISTINCT vehicle_id) AS vehicles\nFROM readings\nWHERE ${within}\nGROUP BY date\nORDER BY date`,
          empty: m.boards.noReading,
        },
        {
          id: 'lag', title: m.boards.lag, note: m.boards.lagNote, kind: 'line', unit: 's', digits: 1,
          x: 'date', y: [['lag_p50_s', m.boards.half], ['lag_p95_s', m.boards.nineteenOf20]],
          sql: `SELECT date, approx_percentile_cont(lag_s, 0.5) AS lag_p50_s, approx_percentile_cont(lag_s, 0.95) AS lag_p95_s\nFROM (${lag(within)}) AS lags\nGROUP BY date\nORDER BY date`,
          empty: m.boards.noReading,
        },
        {
          id: 'lag_all', title: m.boards.lagOverAll, note: m.boards.lagOverAllNote, kind: 'table', digits: 1,
          x: 'readings', y: [['lag_p50_s', m.boards.halfWithin], ['lag_p95_s', m.boards.nineteenOf20Within], ['lag_max_s', m.boards.lastWithin]],
          sql: `SELECT count(*) AS readings, approx_percentile_cont(lag_s, 0.5) AS lag_p50_s, approx_percentile_cont(lag_s, 0.95) AS lag_p95_s, max(lag_s) AS lag_max_s\nFROM (${lag(within)}) AS lags\nHAVING count(*) > 0`,
          empty: m.boards.noReading,
        },
        {
          id: 'gaps', title: m.boards.droppedSamples, note: m.boards.byReason, kind: 'bars', unit: '', digits: 0,
          x: 'reason', y: [['samples', m.boards.samples]],
          sql: `SELECT reason, sum(sample_count) AS samples, count(*) AS gaps, count(DISTINCT vehicle_id) AS vehicles\nFROM gaps\nWHERE ${within}\nGROUP BY reason\nORDER BY samples DESC`,
          empty: m.boards.nothingDropped,
        },
        {
          id: 'quarantine', title: m.boards.quarantine, note: m.boards.byReason, kind: 'bars', unit: '', digits: 0,
          x: 'reason', y: [['payloads', m.boards.payloads]],
          sql: `SELECT reason, count(*) AS payloads, count(DISTINCT vehicle_id) AS vehicles\nFROM quarantine\nWHERE ${within}\nGROUP BY reason\nORDER BY payloads DESC`,
          empty: m.boards.nothingRefused,
        },
        {
          id: 'clocks', title: m.boards.clocks, note: m.boards.clocksNote, kind: 'bars', unit: '', digits: 0,
          x: 'clock', y: [['readings', m.boards.readings]],
          sql: `SELECT coalesce(clock, 'known') AS clock, count(*) AS readings\nFROM readings\nWHERE ${within}\nGROUP BY coalesce(clock, 'known')\nORDER BY readings DESC`,
          empty: m.boards.noReading,
        },
        {
          id: 'silent', title: m.boards.silentLongest, note: m.boards.silentNote, kind: 'table',
          x: 'vehicle_id', y: [['received_at', m.boards.lastReadingReceived], ['readings', m.boards.readings]],
          // A vehicle that has been silent for longer than the time chosen is what one looks for.
          sql: `SELECT l.vehicle_id, l.received_at, coalesce(r.readings, 0) AS readings\nFROM last_reading l\nLEFT JOIN (SELECT vehicle_id, count(*) AS readings FROM readings WHERE ${within} GROUP BY vehicle_id) AS r ON r.vehicle_id = l.vehicle_id\nORDER BY l.received_at\nLIMIT 20`,
          empty: m.boards.noReading,
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
