// What is around a trip in the lake: its events, and the stops before and after it.

import { api } from './api';
import { literal, objects } from './sql';
import type { DrivingEvent } from './trip';
import type { Trip } from './types';

export interface Stop {
  stop_id: string;
  status: string;
  start_time: string;
  end_time: string | null;
  duration_s: number | null;
  idle_s: number | null;
}

export interface Around {
  events: DrivingEvent[];
  before: Stop | undefined;
  after: Stop | undefined;
  isCut: boolean;
}

export async function readAround(it: Trip, signal: AbortSignal): Promise<Around> {
  const [first, last] = [it.start_time.slice(0, 10), it.end_time.slice(0, 10)];
  const [events, stops] = await Promise.all([
    api.sql(`SELECT * FROM latest_driving_events WHERE trip_id = ${literal(it.id)} AND during = 'trip' AND date BETWEEN DATE '${first}' AND DATE '${last}' ORDER BY start_time`, { signal }),
    api.sql(
      `SELECT stop_id, trip_id, status, start_time, end_time, duration_s, idle_s FROM latest_stops WHERE vehicle_id = ${literal(it.vehicle_id)} AND date BETWEEN DATE '${first}' - INTERVAL '31 days' AND DATE '${last}' AND (trip_id = ${literal(it.id)} OR end_time = TIMESTAMP ${literal(it.start_time)})`,
      { signal },
    ),
  ]);
  const found = objects<Stop & { trip_id: string }>(stops);
  return {
    events: objects<DrivingEvent>(events),
    before: found.find(({ trip_id }) => trip_id !== it.id),
    after: found.find(({ trip_id }) => trip_id === it.id),
    isCut: events.is_truncated,
  };
}
