// The live fleet: a snapshot first, then the stream of changes, and the snapshot again whenever the
// stream had to be opened anew, so that nothing missed in between stays missing.

import { api, ApiError } from './api';
import { haversine } from './geometry';
import type { FleetItem } from './types';

export type Link = 'connecting' | 'live' | 'reconnecting';

const FLUSH_MS = 200;
const TRAIL_POINTS = 240;
/** A step longer than this is another journey, not a road between: the trail starts anew. */
const TRAIL_STEP_MAX_M = 5_000;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 15_000;

function extended(trail: [number, number][], longitude: number, latitude: number): [number, number][] {
  const last = trail.at(-1);
  if (!last) return [[longitude, latitude]];
  if (last[0] === longitude && last[1] === latitude) return trail;
  const step = haversine({ longitude: last[0], latitude: last[1] }, { longitude, latitude });
  return step > TRAIL_STEP_MAX_M ? [[longitude, latitude]] : [...trail.slice(1 - TRAIL_POINTS), [longitude, latitude]];
}

export class Fleet {
  /** Every vehicle by its latest state, ordered by name. */
  items = $state.raw<FleetItem[]>([]);
  /** Where each vehicle has been since the page was opened. */
  trails = $state.raw<ReadonlyMap<string, [number, number][]>>(new Map());
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
  #flushTimer: ReturnType<typeof setTimeout> | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #retryMs = FIRST_RETRY_MS;
  #source: EventSource | undefined;
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
    this.#source?.close();
    this.#source = undefined;
  }

  async #open(): Promise<void> {
    this.#close();
    const turn = this.#turn;
    try {
      await this.#snapshot(turn);
    } catch (cause) {
      if (turn !== this.#turn) return;
      this.error = cause instanceof ApiError ? cause : new ApiError('The fleet cannot be shown', String(cause), 0);
      this.#later();
      return;
    }
    if (turn !== this.#turn) return;
    const source = new EventSource('/v1/tracking');
    this.#source = source;
    let opened = false;
    source.onopen = () => {
      // EventSource reconnects by itself; what passed while it was away is in the snapshot.
      if (opened) void this.#snapshot(turn).catch(() => undefined);
      opened = true;
      this.link = 'live';
      this.lostAt = null;
      this.#retryMs = FIRST_RETRY_MS;
    };
    source.onerror = () => {
      this.#lost();
      if (source.readyState === EventSource.CLOSED) this.#later();
    };
    const take = (event: MessageEvent<string>): void => this.#take(event.data);
    for (const kind of ['message', 'vehicle']) source.addEventListener(kind, take as EventListener);
  }

  async #snapshot(turn: number): Promise<void> {
    const { data, as_of } = await api.fleet();
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
    this.#flushTimer ??= setTimeout(() => this.#flush(), FLUSH_MS);
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
    for (const [id, item] of this.#pending) {
      this.#byId.set(id, item);
      if (item.latitude == null || item.longitude == null) continue;
      this.#trails.set(id, extended(this.#trails.get(id) ?? [], item.longitude, item.latitude));
    }
    this.#pending.clear();
    this.items = [...this.#byId.values()].sort((a, b) =>
      (a.name || a.vehicle_id).localeCompare(b.name || b.vehicle_id, undefined, { numeric: true }),
    );
    this.trails = new Map(this.#trails);
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
