// The live fleet: a snapshot first, then the stream of changes, and the snapshot again whenever the
// stream had to be opened anew, so that nothing missed in between stays missing.

import { messages as m } from '../messages';
import { api, ApiError, Cancelled } from './api';
import { haversine } from './geometry';
import { listen } from './stream';
import type { FleetItem } from './types';

export type Link = 'connecting' | 'live' | 'reconnecting';

/** Shown at most so often: a small fleet as it moves, one of thousands once a second. */
const FLUSH_MS_LEAST = 200;
const FLUSH_MS_MOST = 1_000;
const FLUSH_US_A_VEHICLE = 200;
/** Of all trails together: a large fleet has shorter ones. */
const TRAIL_POINTS_ALL = 120_000;
const TRAIL_POINTS_MAX = 240;
const TRAIL_POINTS_LEAST = 12;
/** A step longer than this is another journey, not a road between: the trail starts anew. */
const TRAIL_STEP_MAX_M = 5_000;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 15_000;

/** Add where a vehicle is to where it was; the oldest goes. */
function extend(trail: [number, number][], longitude: number, latitude: number, points_max: number): void {
  const last = trail.at(-1);
  if (last && last[0] === longitude && last[1] === latitude) return;
  const step = last ? haversine({ longitude: last[0], latitude: last[1] }, { longitude, latitude }) : 0;
  if (step > TRAIL_STEP_MAX_M) trail.length = 0;
  trail.push([longitude, latitude]);
  if (trail.length > points_max) trail.splice(0, trail.length - points_max);
}

const byName = new Intl.Collator(undefined, { numeric: true });

export class Fleet {
  /** Every vehicle by its latest state, ordered by name. */
  items = $state.raw<FleetItem[]>([]);
  /** Where each vehicle has been since the page was opened. */
  trails = $state.raw<ReadonlyMap<string, readonly [number, number][]>>(new Map());
  link = $state<Link>('connecting');
  /** When the stream was lost, by this machine's clock; null while it flows. */
  lostAt = $state<number | null>(null);
  loaded = $state(false);
  error = $state.raw<ApiError | null>(null);
  /** This machine's clock minus the server's: ages are told by the server's clock. */
  skewMs = $state(0);

  #byId = new Map<string, FleetItem>();
  #trails = new Map<string, [number, number][]>();
  #pending = new Map<string, FleetItem>();
  /** Ids by name: sorted anew only when a vehicle comes or is renamed. */
  #order: string[] = [];
  #flushTimer: ReturnType<typeof setTimeout> | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #retryMs = FIRST_RETRY_MS;
  #stream: AbortController | undefined;
  /** The opening that counts; an older one that is still waiting for its snapshot gives up. */
  #turn = 0;
  #running = false;

  start(): void {
    if (this.#running) return;
    this.#running = true;
    void this.#open();
  }

  /** Close the stream: the page is left, or laid aside by the browser. */
  stop(): void {
    this.#running = false;
    this.#close();
    this.link = 'connecting';
  }

  name(vehicleId: string): string {
    return this.#byId.get(vehicleId)?.name || vehicleId;
  }

  #close(): void {
    this.#turn += 1;
    clearTimeout(this.#retryTimer);
    this.#stream?.abort();
    this.#stream = undefined;
  }

  async #open(): Promise<void> {
    this.#close();
    const turn = this.#turn;
    try {
      await this.#snapshot(turn);
    } catch (cause) {
      if (turn !== this.#turn || cause instanceof Cancelled) return;
      this.error = cause instanceof ApiError ? cause : new ApiError(m.errors.fleetNotShown, String(cause), 0);
      this.#later();
      return;
    }
    if (turn !== this.#turn) return;
    const stream = new AbortController();
    this.#stream = stream;
    const opened = (): void => {
      this.link = 'live';
      this.lostAt = null;
      this.#retryMs = FIRST_RETRY_MS;
    };
    // However it ends, it is opened anew: what passed meanwhile is in the next snapshot.
    await listen('/v1/tracking', { opened, event: (data) => this.#take(data) }, stream.signal).catch(() => undefined);
    if (turn === this.#turn) this.#later();
  }

  async #snapshot(turn: number): Promise<void> {
    const asking = new AbortController();
    this.#stream = asking;
    const { data, as_of } = await api.fleet(asking.signal);
    if (turn !== this.#turn) return;
    const at = Date.parse(as_of);
    if (Number.isFinite(at)) this.skewMs = Date.now() - at;
    for (const item of data) this.#put(item);
    this.loaded = true;
    this.error = null;
    this.#flush();
  }

  #take(text: string): void {
    let value: FleetItem | FleetItem[] | { data: FleetItem[] };
    try {
      value = JSON.parse(text) as typeof value;
    } catch {
      // An event that was cut; the next one of the vehicle is whole.
      return;
    }
    for (const item of Array.isArray(value) ? value : 'data' in value ? value.data : [value]) this.#put(item);
    this.#flushTimer ??= setTimeout(() => this.#flush(), this.#flushMs());
  }

  // A snapshot may be older than what the stream told while it was under way.
  #put(item: FleetItem): void {
    const known = this.#pending.get(item.vehicle_id) ?? this.#byId.get(item.vehicle_id);
    if (known && Date.parse(item.received_at) < Date.parse(known.received_at)) return;
    this.#pending.set(item.vehicle_id, item);
  }

  #flush(): void {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    let isOrdered = this.#order.length > 0;
    const points_max = Math.max(TRAIL_POINTS_LEAST, Math.min(TRAIL_POINTS_MAX, Math.floor(TRAIL_POINTS_ALL / Math.max(1, this.#byId.size))));
    for (const [id, item] of this.#pending) {
      if (this.#byId.get(id)?.name !== item.name) isOrdered = false;
      this.#byId.set(id, item);
      if (item.latitude == null || item.longitude == null) continue;
      const trail = this.#trails.get(id) ?? [];
      extend(trail, item.longitude, item.latitude, points_max);
      this.#trails.set(id, trail);
    }
    this.#pending.clear();
    if (!isOrdered) {
      const named = [...this.#byId.values()].map(({ vehicle_id, name }) => ({ vehicle_id, name: name || vehicle_id }));
      this.#order = named.sort((a, b) => byName.compare(a.name, b.name)).map(({ vehicle_id }) => vehicle_id);
    }
    this.items = this.#order.flatMap((id) => this.#byId.get(id) ?? []);
    this.trails = new Map(this.#trails);
  }

  #flushMs(): number {
    return Math.max(FLUSH_MS_LEAST, Math.min(FLUSH_MS_MOST, (this.#byId.size * FLUSH_US_A_VEHICLE) / 1000));
  }

  /** Ask at once instead of at the next try. */
  retry(): void {
    this.#retryMs = FIRST_RETRY_MS;
    void this.#open();
  }

  #lost(): void {
    this.link = 'reconnecting';
    this.lostAt ??= Date.now();
  }

  #later(): void {
    this.#lost();
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => void this.#open(), this.#retryMs);
    this.#retryMs = Math.min(LONGEST_RETRY_MS, this.#retryMs * 2);
  }
}

export const fleet = new Fleet();
