// The geofences that the live map and its panel share, and who is in them.

import { ApiError } from './api';
import { boundsOf } from './drawing';
import { Gate } from './gate';
import { geofences, type Found, type Geofence, type InsideItem } from './geofences';
import type { Bounds } from './geometry';
import { Load } from './load.svelte';
import type { Page } from './types';

export class Geofences {
  items = $state.raw<Geofence[]>([]);
  readonly load = new Load<Found>();

  async refresh(): Promise<void> {
    if ((await this.load.run((signal) => geofences.all(signal), 'keep')) && this.load.value && !this.load.error) this.items = this.load.value.items;
  }

  /** One that was added or changed. */
  put(item: Geofence): void {
    const isKnown = this.items.some(({ id }) => id === item.id);
    this.items = isKnown ? this.items.map((known) => (known.id === item.id ? item : known)) : [...this.items, item];
  }

  drop(id: string): void {
    this.items = this.items.filter((item) => item.id !== id);
  }
}

interface Placed {
  vehicle_id: string;
  latitude: number | null;
  longitude: number | null;
}

/** Vehicles that are counted of one geofence. */
const COUNTED_MAX = 200;
/** Geofences that are asked at one look: the server takes a hundred requests a second. */
const ASKED_MAX = 60;
const ASKED_AT_ONCE = 4;
/** Slack of the box around a geofence, in degrees: the server's last word is on who is inside. */
const SLACK_DEG = 1e-4;

export interface Inside {
  ids: ReadonlySet<string>;
  /** Whether there are more than are counted. */
  isCut: boolean;
}

function mayBeIn([west, south, east, north]: Bounds, { latitude, longitude }: Placed): boolean {
  if (latitude == null || longitude == null || latitude < south - SLACK_DEG || latitude > north + SLACK_DEG) return false;
  // A circle across the 180th meridian goes on beyond it.
  return [longitude, longitude - 360, longitude + 360].some((at) => at >= west - SLACK_DEG && at <= east + SLACK_DEG);
}

/** Geofences that somebody may be in, by the boxes around them. Only these are worth a question. */
export const worthAsking = (items: readonly Geofence[], places: readonly Placed[]): Geofence[] =>
  items.filter(({ geometry }) => {
    const box = boundsOf(geometry);
    return places.some((place) => mayBeIn(box, place));
  });

/** Nobody is in one that was taken away meanwhile. */
function gone(cause: unknown): Page<InsideItem> {
  if (cause instanceof ApiError && cause.status === 404) return { data: [] };
  throw cause;
}

/** Who is in which geofence, as the server says; nobody is in those that are not worth a question. */
export class Occupancy {
  /** Of those that were asked; one that is not here has nobody, as far as `isWhole`. */
  readonly found = new Load<{ by: ReadonlyMap<string, Inside>; isWhole: boolean }>();

  async look(items: readonly Geofence[], places: readonly Placed[]): Promise<void> {
    const asked = worthAsking(items, places);
    const gate = new Gate(ASKED_AT_ONCE);
    await this.found.run(async (signal) => {
      const answers = asked.slice(0, ASKED_MAX).map(({ id }) =>
        gate.run(async (): Promise<[string, Inside]> => {
          const { data, next_cursor } = await geofences.inside(id, { limit: COUNTED_MAX }, signal).catch(gone);
          return [id, { ids: new Set(data.map(({ vehicle_id }) => vehicle_id)), isCut: Boolean(next_cursor) }];
        }, signal),
      );
      return { by: new Map(await Promise.all(answers)), isWhole: asked.length <= ASKED_MAX };
    }, 'keep');
  }

  count(id: string): number {
    return this.found.value?.by.get(id)?.ids.size ?? 0;
  }

  has(id: string, vehicle: string): boolean {
    return this.found.value?.by.get(id)?.ids.has(vehicle) ?? false;
  }

  stop(): void {
    this.found.stop();
  }
}
