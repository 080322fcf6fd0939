import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Fleet } from '../src/lib/fleet.svelte';
import type { FleetItem } from '../src/lib/types';

const item = (vehicle_id: string, received_at: string): FleetItem => ({ vehicle_id, name: '', received_at, ts: received_at, latitude: 1, longitude: 2, state: 'moving' }) as FleetItem;

/** A stream that was asked for, in place of the one by fetch. */
class Source {
  static all: Source[] = [];
  isOpen = true;
  end: () => void = () => undefined;
  constructor(
    readonly listener: { opened: () => void; event: (data: string) => void },
    readonly signal: AbortSignal,
  ) {
    Source.all.push(this);
    signal.addEventListener('abort', () => (this.isOpen = false));
  }
  static get open(): Source[] {
    return Source.all.filter(({ isOpen }) => isOpen);
  }
}
vi.mock('../src/lib/stream', () => ({
  listen: (_: string, listener: Source['listener'], signal: AbortSignal) => {
    const source = new Source(listener, signal);
    return new Promise<void>((resolve) => (source.end = resolve));
  },
}));

let answers: ((items: FleetItem[]) => void)[] = [];
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
};

beforeEach(() => {
  vi.useFakeTimers();
  Source.all = [];
  answers = [];
  vi.stubGlobal('fetch', () => new Promise((resolve) => answers.push((data) => resolve({ ok: true, text: () => Promise.resolve(JSON.stringify({ data, as_of: 'never' })) }))));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('the stream', () => {
  it('is one, however often it is asked for at once', async () => {
    const fleet = new Fleet();
    fleet.start();
    fleet.start();
    fleet.retry();
    fleet.retry();
    for (const answer of answers) answer([]);
    await settled();
    expect(Source.all).toHaveLength(1);
    fleet.retry();
    answers.at(-1)?.([]);
    await settled();
    expect(Source.all).toHaveLength(2);
    expect(Source.open).toHaveLength(1);
  });
  it('is closed with its page, also when the page went while it was being opened', async () => {
    const fleet = new Fleet();
    fleet.start();
    fleet.stop();
    answers[0]?.([]);
    await settled();
    expect(Source.all).toHaveLength(0);
    fleet.start();
    answers[1]?.([]);
    await settled();
    expect(Source.open).toHaveLength(1);
    fleet.stop();
    expect(Source.open).toHaveLength(0);
  });
  it('that was lost is opened anew by itself, and goes on trying while it cannot be', async () => {
    const fleet = new Fleet();
    fleet.start();
    answers[0]?.([item('a', '2026-01-01T00:00:00Z')]);
    await settled();
    Source.all[0]?.listener.opened();
    expect([fleet.link, fleet.lostAt]).toEqual(['live', null]);
    Source.all[0]?.end();
    await settled();
    expect([fleet.link, fleet.items.length]).toEqual(['reconnecting', 1]);
    // The first planned try finds nobody, the second does.
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('refused')));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(fleet.link).toBe('reconnecting');
    vi.stubGlobal('fetch', () => Promise.resolve(new Response(JSON.stringify({ data: [], as_of: 'never' }))));
    await vi.advanceTimersByTimeAsync(2_000);
    Source.open[0]?.listener.opened();
    expect([fleet.link, fleet.lostAt, fleet.error, Source.open.length]).toEqual(['live', null, null, 1]);
    fleet.stop();
  });
  it('does not come back to life by a try that was planned', async () => {
    const fleet = new Fleet();
    fleet.start();
    answers[0]?.([]);
    await settled();
    Source.all[0]?.end();
    await settled();
    expect(fleet.link).toBe('reconnecting');
    fleet.stop();
    vi.advanceTimersByTime(60_000);
    await settled();
    expect(answers).toHaveLength(1);
  });
  it('is not undone by an older snapshot, nor ended by half an event', async () => {
    const fleet = new Fleet();
    fleet.start();
    answers[0]?.([item('v', '2026-01-01T00:00:00Z')]);
    await settled();
    const [source] = Source.all;
    source?.listener.opened();
    expect(fleet.link).toBe('live');
    source?.listener.event(JSON.stringify(item('v', '2026-01-01T00:00:09Z')));
    source?.listener.event('{"vehicle_id":');
    source?.end();
    await settled();
    vi.advanceTimersByTime(1000);
    answers[1]?.([item('v', '2026-01-01T00:00:05Z'), item('w', '2026-01-01T00:00:05Z')]);
    await settled();
    vi.advanceTimersByTime(1000);
    expect(fleet.items.map(({ vehicle_id, received_at }) => [vehicle_id, received_at.slice(17, 19)])).toEqual([['v', '09'], ['w', '05']]);
    expect(fleet.skewMs).toBe(0);
    fleet.stop();
  });
  it('keeps vehicles by name, also one that is renamed, and shows a large fleet less often', async () => {
    const fleet = new Fleet();
    fleet.start();
    const named = (id: string, name: string, at = '2026-01-01T00:00:00Z') => ({ ...item(id, at), name });
    answers[0]?.([named('a', 'Van 10'), named('b', 'Van 9'), named('c', '')]);
    await settled();
    expect(fleet.items.map(({ vehicle_id }) => vehicle_id)).toEqual(['c', 'b', 'a']);
    const tell = (it: FleetItem) => Source.all[0]?.listener.event(JSON.stringify(it));
    tell(named('a', 'Bus', '2026-01-01T00:00:09Z'));
    vi.advanceTimersByTime(200);
    expect(fleet.items.map(({ vehicle_id }) => vehicle_id)).toEqual(['a', 'c', 'b']);
    for (let index = 0; index < 5000; index += 1) tell(named(`v${index}`, `v${index}`));
    vi.advanceTimersByTime(200);
    expect(fleet.items).toHaveLength(5003);
    tell(named('a', 'Zug', '2026-01-01T00:00:19Z'));
    vi.advanceTimersByTime(400);
    expect(fleet.items[0]?.name).toBe('Bus');
    vi.advanceTimersByTime(600);
    expect(fleet.items.at(-1)?.name).toBe('Zug');
    fleet.stop();
  });
  it('keeps a trail of each vehicle, shorter where there are many, anew after a leap', async () => {
    const fleet = new Fleet();
    fleet.start();
    answers[0]?.(Array.from({ length: 10_000 }, (_, index) => item(`v${index}`, '2026-01-01T00:00:00Z')));
    await settled();
    const tell = (second: number, longitude: number) => {
      Source.all[0]?.listener.event(JSON.stringify({ ...item('v0', `2026-01-01T00:00:${second}Z`), longitude }));
      vi.advanceTimersByTime(1000);
    };
    for (let step = 0; step < 20; step += 1) tell(10 + step, 2 + step / 1000);
    expect(fleet.trails.get('v0')).toHaveLength(12);
    expect(fleet.trails.get('v0')?.at(-1)).toEqual([2.019, 1]);
    tell(40, 60);
    expect(fleet.trails.get('v0')).toEqual([[60, 1]]);
    fleet.stop();
  });
});
