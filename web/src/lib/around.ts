// What is around a trip in the lake: its events, and the stops before and after it.

import { messages as m } from '../messages';
import { api } from './api';
import { duration, minute } from './format';
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
  latitude: number | null;
  longitude: number | null;
}

/** A stop on the map. */
export interface StopMark {
  when: 'before' | 'after';
  text: string;
  latitude: number;
  longitude: number;
}

/** The stops that have a place, each with how long it was. */
export function stopMarks(around: Pick<Around, 'before' | 'after'> | null): StopMark[] {
  return (['before', 'after'] as const).flatMap((when) => {
    const stop = around?.[when];
    if (stop?.latitude == null || stop.longitude == null) return [];
    const text = stop.status === 'open' ? m.trip.standsSinceWhen(minute(stop.start_time)) : m.trip.stoodFor(duration(stop.duration_s));
    return [{ when, text, latitude: stop.latitude, longitude: stop.longitude }];
  });
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
      `SELECT stop_id, trip_id, status, start_time, end_time, duration_s, idle_s, latitude, longitude FROM latest_stops WHERE vehicle_id = ${literal(it.vehicle_id)} AND date BETWEEN DATE '${first}' - INTERVAL '31 days' AND DATE '${last}' AND (trip_id = ${literal(it.id)} OR end_time = TIMESTAMP ${literal(it.start_time)})`,
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
