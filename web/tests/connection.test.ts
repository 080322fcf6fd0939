import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { api, ApiError } from '../src/lib/api';
import { Connection, connection } from '../src/lib/connection.svelte';
import { Load } from '../src/lib/load.svelte';
import { Part } from '../src/lib/part.svelte';
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

describe('a part of the console', () => {
  it('that did not come as the server was away comes once it is back', async () => {
    connection.probe = () => (connection.unheard(), Promise.reject(away()));
    let isAway = true;
    const part = new Part(() => (isAway ? Promise.reject(new TypeError('not loaded')) : Promise.resolve('here')));
    await vi.advanceTimersByTimeAsync(5_000);
    expect([part.value, part.failed]).toEqual([null, true]);
    isAway = false;
    connection.probe = () => Promise.resolve(connection.heard());
    await vi.advanceTimersByTimeAsync(60_000);
    expect([part.value, part.failed]).toEqual(['here', false]);
  });
  it('that another release has replaced is asked for once, and one that is left no more', async () => {
    let asked = 0;
    const of = () => ((asked += 1), Promise.reject(new TypeError('not loaded')));
    connection.probe = () => Promise.resolve();
    const replaced = new Part(of);
    await vi.advanceTimersByTimeAsync(60_000);
    expect([replaced.failed, asked]).toEqual([true, 1]);
    connection.probe = () => (connection.unheard(), Promise.reject(away()));
    const left = new Part(of);
    await vi.advanceTimersByTimeAsync(0);
    left.stop();
    connection.heard();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toBe(2);
    connection.probe = () => Promise.resolve();
  });
});

describe('the service worker', () => {
  const browser = () => {
    const asked: string[] = [];
    const ready = Promise.resolve({ active: { postMessage: (text: string) => asked.push(text) } }) as unknown as Promise<ServiceWorkerRegistration>;
    const container = { ready, register: (path: string) => (asked.push(path), ready) };
    return { asked, container };
  };
  it('is asked for in a build alone, where the browser has one', () => {
    const { asked, container } = browser();
    const all = { isBuilt: true, isSecure: true, isSparing: false, container };
    for (const less of [{ isBuilt: false }, { isSecure: false }, { container: undefined }]) expect(registerServiceWorker({ ...all, ...less })).toBe(false);
    expect(asked).toEqual([]);
    expect(registerServiceWorker(all)).toBe(true);
    expect(asked).toEqual(['/service-worker.js']);
    expect(registerServiceWorker({ ...all, container: { ...container, register: () => Promise.reject(new Error('no')) } })).toBe(true);
  });
  it('keeps the rest once the page has had time, unless the reader wants little traffic', async () => {
    for (const isSparing of [false, true]) {
      const { asked, container } = browser();
      registerServiceWorker({ isBuilt: true, isSecure: true, isSparing, container });
      await vi.advanceTimersByTimeAsync(10_000);
      expect(asked).toHaveLength(1);
      await vi.advanceTimersByTimeAsync(10_000);
      expect(asked.slice(1)).toEqual(isSparing ? [] : ['rest']);
    }
  });
});
