import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { api, ApiError } from '../src/lib/api';
import { Connection, connection } from '../src/lib/connection.svelte';
import { Load } from '../src/lib/load.svelte';
import { registerServiceWorker } from '../src/lib/service-worker';

beforeEach(() => void vi.useFakeTimers());
afterEach(async () => {
  connection.heard();
  await vi.runOnlyPendingTimersAsync();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const away = (): ApiError => new ApiError('The server cannot be reached', 'x', 0, '', [], true);

describe('what could not be read', () => {
  it('comes by itself, after longer and longer, and its error is in view meanwhile', async () => {
    const load = new Load<string>();
    const asked: number[] = [];
    const done = load.run((_signal) => (asked.push(Date.now()), asked.length < 4 ? Promise.reject(away()) : Promise.resolve('here')));
    await vi.advanceTimersByTimeAsync(0);
    expect([load.error?.title, load.busy]).toEqual(['The server cannot be reached', false]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await done).toBe(true);
    expect([load.value, load.error]).toEqual(['here', null]);
    const [first = 0] = asked;
    expect(asked.map((at) => at - first)).toEqual([0, 1_000, 3_000, 7_000]);
  });
  it('comes at once when something else is answered or there is a network again', async () => {
    const target = new EventTarget();
    connection.watch(target as unknown as Window);
    for (const back of [() => (connection.unheard(), connection.heard()), () => void target.dispatchEvent(new Event('online'))]) {
      const load = new Load<string>();
      let isAway = true;
      void load.run((_signal) => (isAway ? Promise.reject(away()) : Promise.resolve('here')));
      await vi.advanceTimersByTimeAsync(20_000);
      isAway = false;
      back();
      await vi.advanceTimersByTimeAsync(0);
      expect(load.value).toBe('here');
    }
  });
  it('is not asked again once the page left it, another took its place, or it changes something', async () => {
    const [left, replaced, change] = [new Load<string>(), new Load<string>(), new Load<string>()];
    const asked = { left: 0, replaced: 0, change: 0, broken: 0 };
    const failing = (what: keyof typeof asked) => (_signal: AbortSignal) => ((asked[what] += 1), Promise.reject<string>(away()));
    void left.run(failing('left'));
    const old = replaced.run(failing('replaced'));
    void change.run(() => ((asked.change += 1), Promise.reject(away())));
    void new Load<string>().run((_signal) => ((asked.broken += 1), Promise.reject(new ApiError('Broken', 'x', 500))));
    await vi.advanceTimersByTimeAsync(0);
    left.stop();
    expect(left.cancelled).toBe(false);
    await replaced.run(() => Promise.resolve('new'));
    await vi.advanceTimersByTimeAsync(120_000);
    expect(await old).toBe(false);
    expect(asked).toEqual({ left: 1, replaced: 1, change: 1, broken: 1 });
  });
  it('waits until somebody looks at the page', async () => {
    const page = Object.assign(new EventTarget(), { hidden: true });
    const own = new Connection(page as unknown as Document);
    let isOver = false;
    void own.again(0).then(() => (isOver = true));
    await vi.advanceTimersByTimeAsync(120_000);
    expect(isOver).toBe(false);
    page.hidden = false;
    page.dispatchEvent(new Event('visibilitychange'));
    await vi.advanceTimersByTimeAsync(1);
    expect(isOver).toBe(true);
  });
});

describe('a request', () => {
  it('tells whether the server is there, and whether asking again is of use', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('refused')));
    await expect(api.trips({})).rejects.toMatchObject({ status: 0, isPassing: true });
    expect(connection.lostAt).not.toBeNull();
    for (const [status, isPassing] of [[503, true], [500, false], [404, false]] as const) {
      vi.stubGlobal('fetch', () => Promise.resolve(new Response('{}', { status })));
      await expect(api.trips({})).rejects.toMatchObject({ status, isPassing });
    }
    expect(connection.lostAt).toBeNull();
    expect(connection.heardAt).not.toBeNull();
  });
  it('that costs little is made while there is no other, until it is answered', async () => {
    const own = new Connection(undefined);
    let asked = 0;
    const back = vi.fn();
    own.onback = back;
    own.probe = () => ((asked += 1), asked === 3 ? Promise.resolve(own.heard()) : Promise.reject(away()));
    own.unheard();
    await vi.advanceTimersByTimeAsync(120_000);
    expect([asked, own.lostAt, back.mock.calls.length]).toEqual([3, null, 1]);
  });
});

describe('the service worker', () => {
  it('is asked for in a build alone, where the browser has one', () => {
    const asked: string[] = [];
    const container = { register: (path: string) => (asked.push(path), Promise.reject<ServiceWorkerRegistration>(new Error('no'))) };
    expect(registerServiceWorker({ isBuilt: false, isSecure: true, container })).toBe(false);
    expect(registerServiceWorker({ isBuilt: true, isSecure: false, container })).toBe(false);
    expect(registerServiceWorker({ isBuilt: true, isSecure: true, container: undefined })).toBe(false);
    expect(registerServiceWorker({ isBuilt: true, isSecure: true, container })).toBe(true);
    expect(asked).toEqual(['/service-worker.js']);
  });
});
