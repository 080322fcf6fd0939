import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const SOURCE = readFileSync(new URL('../src/service-worker.js', import.meta.url), 'utf8');
const ORIGIN = 'https://fleet.example';

/** The worker of one release in a browser of our own, whose caches outlive it as a browser's do. */
function worker(release, caches, server) {
  const listeners = {};
  const self = {
    location: { origin: ORIGIN },
    addEventListener: (type, listener) => (listeners[type] = listener),
    skipWaiting: () => Promise.resolve(),
    clients: { claim: () => Promise.resolve() },
  };
  class Request {
    constructor(path, init = {}) {
      Object.assign(this, { url: new URL(path, ORIGIN).href, method: 'GET', mode: 'cors', headers: new Headers(), ...init });
    }
  }
  const fetch = (request) => server(new URL(request.url).pathname);
  const code = SOURCE.replace('__RELEASE__', release).replace("['__SHELL__']", JSON.stringify(['/', '/favicon.svg', `/assets/index-${release}.js`])).replace("['__REST__']", JSON.stringify(['/assets/Area-1.js', '/assets/Area-2.js']));
  new Function('self', 'caches', 'fetch', 'Request', 'setTimeout', code)(self, caches.open(fetch), fetch, Request, (act) => setTimeout(act, 5));
  const until = async (type) => {
    let waited;
    listeners[type]({ waitUntil: (promise) => (waited = promise) });
    await waited;
  };
  return {
    keepRest: async () => {
      let waited;
      listeners.message({ data: 'rest', waitUntil: (promise) => (waited = promise) });
      await waited;
    },
    begin: async () => (await until('install'), await until('activate')),
    /** What it answers, or undefined where it lets the request pass. */
    ask: async (path, init) => {
      let answer;
      const after = [];
      listeners.fetch({ request: new Request(path, init), respondWith: (promise) => (answer = promise), waitUntil: (promise) => after.push(promise) });
      const response = await answer;
      await Promise.all(after);
      return response?.text();
    },
  };
}

function storage() {
  const kept = new Map();
  const pathOf = (request) => (typeof request === 'string' ? request : new URL(request.url).pathname);
  const open = (fetch) => ({
    keys: () => Promise.resolve([...kept.keys()]),
    delete: (name) => Promise.resolve(kept.delete(name)),
    open: (name) => {
      const files = kept.get(name) ?? new Map();
      kept.set(name, files);
      return Promise.resolve({
        addAll: async (requests) => {
          for (const request of requests) files.set(pathOf(request), await fetch(request));
        },
        // As a browser does: what varies by a header of the request is another answer.
        add: async (path) => {
          const answer = await fetch({ url: new URL(path, ORIGIN).href });
          if (!answer.ok) throw new TypeError('not kept');
          files.set(path, answer);
        },
        match: (request, { ignoreVary = false } = {}) => Promise.resolve(ignoreVary || !files.get(pathOf(request))?.headers.has('vary') ? files.get(pathOf(request))?.clone() : undefined),
        put: (request, response) => Promise.resolve(files.set(pathOf(request), response)),
      });
    },
  });
  return { open, names: () => [...kept.keys()], files: (name) => [...(kept.get(name)?.keys() ?? [])] };
}

const up = (path) => Promise.resolve(new Response(`now ${path}`, { headers: { vary: 'origin' } }));
const down = () => Promise.reject(new TypeError('refused'));
const bad = () => Promise.resolve(new Response('bad gateway', { status: 502 }));
const never = () => new Promise(() => undefined);
const PAGE = { mode: 'navigate' };

describe('the service worker', () => {
  it('has the page and its files without a server, and where the server is slow or what stands before it answers', async () => {
    const caches = storage();
    let server = up;
    const own = worker('a', caches, (path) => server(path));
    await own.begin();
    expect(await own.ask('/trips', PAGE)).toBe('now /trips');
    for (server of [down, bad, never]) {
      expect(await own.ask('/vehicles/van-1?x=1', PAGE)).toBe('now /');
      expect(await own.ask('/assets/index-a.js')).toBe('now /assets/index-a.js');
      expect(await own.ask('/favicon.svg')).toBe('now /favicon.svg');
    }
  });
  it('keeps a part of the console once it came, and nothing that went wrong', async () => {
    const caches = storage();
    let server = up;
    const own = worker('a', caches, (path) => server(path));
    await own.begin();
    await own.ask('/assets/Unit-1.js');
    server = bad;
    expect(await own.ask('/assets/Unit-1.js')).toBe('now /assets/Unit-1.js');
    expect(await own.ask('/assets/Unit-2.js')).toBe('bad gateway');
    expect(caches.files('roadlake-console-a')).toEqual(['/', '/favicon.svg', '/assets/index-a.js', '/assets/Unit-1.js']);
  });
  it('keeps the rest when it is told to, going on where it was cut off', async () => {
    const caches = storage();
    const asked = [];
    let server = (path) => (asked.push(path), path.endsWith('2.js') ? down() : up(path));
    const own = worker('a', caches, (path) => server(path));
    await own.begin();
    asked.length = 0;
    await own.keepRest().catch(() => undefined);
    await own.keepRest().catch(() => undefined);
    expect(asked).toEqual(['/assets/Area-1.js', '/assets/Area-2.js', '/assets/Area-2.js']);
    server = up;
    await own.keepRest();
    server = down;
    expect(await own.ask('/assets/Area-2.js')).toBe('now /assets/Area-2.js');
  });
  it('lets pass what the server knows, basemaps, other servers, and what is sent', async () => {
    const own = worker('a', storage(), up);
    await own.begin();
    for (const [path, init] of [
      ['/v1/trips'],
      ['/v1/sign-in/start', PAGE],
      ['/docs', PAGE],
      ['/docs/openapi.json'],
      ['/basemap.pmtiles', { headers: new Headers({ range: 'bytes=0-9' }) }],
      ['/basemap.pmtiles'],
      ['/robots.txt', PAGE],
      ['https://tiles.example/assets/1.pbf'],
      ['/trips', { ...PAGE, method: 'POST' }],
    ])
      expect(await own.ask(path, init)).toBeUndefined();
  });
  it('of a new release takes the place of the old, and leaves what is not its own', async () => {
    const caches = storage();
    await caches.open(up).open('somebody else’s');
    await worker('a', caches, up).begin();
    await worker('b', caches, up).begin();
    expect(caches.names()).toEqual(['somebody else’s', 'roadlake-console-b']);
  });
});
