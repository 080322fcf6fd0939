import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { api, ApiError, Cancelled, post } from '../src/lib/api';
import { allows, door, routeOf } from '../src/lib/door';
import { KeyBox, readKey } from '../src/lib/key';
import { type Me, wordsOf } from '../src/lib/caller';
import { Session } from '../src/lib/session.svelte';

const KEY = `rlk_${'a'.repeat(12)}_${'0'.repeat(64)}`;
const NEXT = `rlk_${'b'.repeat(12)}_${'1'.repeat(64)}`;
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 40; turn += 1) await Promise.resolve();
};

function storage(held: Record<string, string> = {}) {
  const kept = new Map(Object.entries(held));
  return { kept, getItem: (name: string) => kept.get(name) ?? null, setItem: (name: string, text: string) => void kept.set(name, text), removeItem: (name: string) => void kept.delete(name) };
}

/** One browser's storage as its tabs have it: what one changes, the others are told. */
function shared() {
  const kept = new Map<string, string>();
  const tabs: { listener?: (event: unknown) => void; area?: unknown }[] = [];
  let told = 0;
  const change = (by: unknown, key: string, text: string | null): void => {
    if ((kept.get(key) ?? null) === text) return;
    if (text === null) kept.delete(key);
    else kept.set(key, text);
    for (const tab of tabs.filter(({ area }) => area !== by)) queueMicrotask(() => ((told += 1), tab.listener?.({ key, newValue: text, storageArea: tab.area })));
  };
  return {
    told: () => told,
    tab: () => {
      const area = { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, text: string) => change(area, key, text), removeItem: (key: string) => change(area, key, null) };
      const own: (typeof tabs)[number] = { area };
      tabs.push(own);
      vi.stubGlobal('window', { addEventListener: (_: string, listener: (event: unknown) => void) => (own.listener = listener) });
      return area;
    },
  };
}

/** A server with keys: who each is, and what was asked of it. */
class Server {
  people = new Map<string, Partial<Me>>();
  refusal = 'unauthorized';
  asked: { path: string; method: string; key: string; headers: Record<string, string> }[] = [];
  /** Its answer where it answers other than by the key. */
  status = 0;
  /** What nobody may. */
  denied = '';
  fetch = (path: string, init: RequestInit = {}): Promise<Response> => {
    const headers = { ...(init.headers as Record<string, string>) };
    const key = (headers.authorization ?? '').replace('Bearer ', '');
    this.asked.push({ path, method: init.method ?? 'GET', key, headers });
    if (this.status === -1) return Promise.reject(new TypeError('refused'));
    if (path === this.denied) return Promise.resolve(new Response('{"type":"urn:roadlake:problem:denied"}', { status: 403 }));
    const me = this.people.get(key);
    if (!me || this.status) return Promise.resolve(new Response(JSON.stringify({ type: `urn:roadlake:problem:${this.refusal}`, title: 'Unauthorized', detail: 'no' }), { status: this.status || 401 }));
    const whole = { actor: 'local', key_name: null, user_id: null, person_name: null, role: 'owner', organization_id: null, organization_name: null, expires_at: null, may: ['GET /v1/trips', 'GET /v1/trips/{id}', 'POST /v1/bookings'], ...me };
    return Promise.resolve(new Response(JSON.stringify(path === '/v1/me' ? whole : { data: [key], next_cursor: null })));
  };
}

let server: Server;
let left: (string | undefined)[];
/** Tabs of one browser: what one says, the others hear. */
let channels: { onmessage: ((event: MessageEvent) => void) | null; postMessage: (data: unknown) => void }[];

function tab(session = storage(), device = storage()) {
  const channel: (typeof channels)[number] = {
    onmessage: null,
    postMessage: (data) => channels.filter((other) => other !== channel).forEach((other) => other.onmessage?.({ data } as MessageEvent)),
  };
  channels.push(channel);
  return new Session({ box: new KeyBox({ session, device }), channel, leave: (href) => void left.push(href) });
}

beforeEach(() => {
  server = new Server();
  left = [];
  channels = [];
  vi.stubGlobal('fetch', server.fetch);
});
afterEach(() => {
  Object.assign(door, { key: '', routes: null, who: '', anew: () => Promise.resolve(false), changed: () => undefined });
  vi.unstubAllGlobals();
});

describe('a key', () => {
  it('is read as it is pasted, and nothing that a header would not take is one', () => {
    expect(readKey(`  ${KEY}\n`)).toBe(KEY);
    expect(readKey(`Authorization: Bearer ${KEY}`)).toBe(KEY);
    expect(readKey('open sesame')).toBe('open sesame');
    for (const wrong of ['', '  ', 'ключ', 'a\u0000b', 'a\nb', 'x'.repeat(513)]) expect(readKey(wrong)).toBeNull();
  });
  it('is kept where it is asked to be, and in one place alone', () => {
    const [session, device] = [storage(), storage()];
    const box = new KeyBox({ session, device });
    box.store(KEY, 'device');
    expect(box.stored()).toEqual({ key: KEY, keep: 'device' });
    box.store(NEXT, 'session');
    expect([session.kept.size, device.kept.size]).toEqual([1, 0]);
    box.clear();
    expect(box.stored()).toBeNull();
    expect(new KeyBox({ session: undefined, device: undefined }).stored()).toBeNull();
  });
  it('is in no words of its refusal', () => {
    for (const [status, kind] of [[401, 'unauthorized'], [401, 'key-expired'], [401, 'key-revoked'], [401, 'key-inactive'], [429, 'too-many']] as const) {
      const { title, detail } = wordsOf(new ApiError('Unauthorized', 'raw', status, kind));
      expect(title).not.toBe('Unauthorized');
      expect(detail).not.toContain('raw');
    }
  });
});

describe('what a key may', () => {
  const routes = ['GET /v1/trips/{id}', 'POST /v1/sql', 'GET /v1/invoices/{id}/lines/{line_id}/evidence'].map(routeOf);
  it('is told by method and route, whatever the id and the query', () => {
    expect(allows(routes, 'GET', '/v1/trips/trp_1?x=/')).toBe(true);
    expect(allows(routes, 'GET', '/v1/invoices/a/lines/b/evidence')).toBe(true);
    for (const [method, path] of [['GET', '/v1/trips'], ['POST', '/v1/trips/a'], ['GET', '/v1/trips/a/positions'], ['POST', '/v1/sqlx']] as const) expect(allows(routes, method, path)).toBe(false);
    expect(allows(null, 'GET', '/v1/anything')).toBe(true);
  });
});

describe('a session', () => {
  it('needs no key where the server asks for none, and has nothing to sign out of', async () => {
    server.people.set('', {});
    const session = tab();
    await session.start();
    expect([session.state, session.hasKey]).toEqual(['in', false]);
    expect(server.asked.map(({ headers }) => 'authorization' in headers)).toEqual([false]);
  });
  it('shows the way in where a key is asked for, and proves the key before it is kept', async () => {
    server.people.set(KEY, { actor: 'key_1', key_name: 'desk' });
    const kept = storage();
    const session = tab(kept);
    await session.start();
    expect([session.state, session.why]).toEqual(['out', null]);
    expect(await session.signIn(NEXT, 'session')).toBe(false);
    expect([session.why?.title, kept.kept.size]).toEqual(['This server does not know that key', 0]);
    expect(await session.signIn('не ключ', 'session')).toBe(false);
    expect(session.why?.title).toBe('That is not a key');
    expect(await session.signIn(` ${KEY} `, 'session')).toBe(true);
    expect([session.state, session.name, session.hasKey, [...kept.kept.values()]]).toEqual(['in', 'desk', true, [KEY]]);
    expect((await api.trips({})).data).toEqual([KEY]);
    expect(server.asked.every(({ path }) => !path.includes(KEY))).toBe(true);
  });
  it('goes on with the key that is kept, and without one that is of another server', async () => {
    server.people.set(KEY, { actor: 'key_1' });
    const session = tab(storage(), storage({ 'roadlake.key': KEY }));
    await session.start();
    expect([session.state, door.key]).toEqual(['in', KEY]);
    server.people.set('', {});
    const stale = storage({ 'roadlake.key': NEXT });
    const other = tab(stale);
    await other.start();
    expect([other.state, other.hasKey, stale.kept.size]).toEqual(['in', false, 0]);
  });
  it('tells a kept key that ended from one that was never there', async () => {
    server.refusal = 'key-expired';
    const session = tab(storage({ 'roadlake.key': KEY }));
    await session.start();
    expect([session.state, session.why?.title]).toEqual(['out', 'This key has expired']);
  });
  it('does not ask for a key where the server is only away, and keeps the one it has', async () => {
    server.status = -1;
    const kept = storage({ 'roadlake.key': KEY });
    const session = tab(kept);
    await session.start();
    expect([session.state, kept.kept.size]).toEqual(['away', 1]);
    server.status = 0;
    server.people.set(KEY, { actor: 'key_1' });
    await session.retry();
    expect(session.state).toBe('in');
  });
});

describe('a key that is refused later', () => {
  async function signedIn(): Promise<Session> {
    server.people.set(KEY, { actor: 'key_1' });
    const session = tab();
    await session.start();
    await session.signIn(KEY, 'session');
    server.people.delete(KEY);
    return session;
  }
  it('holds what was asked until the same caller is back, and sends it once more', async () => {
    const session = await signedIn();
    server.refusal = 'key-revoked';
    const [read, wrote] = [api.trips({}), post<{ data: string[] }>('/v1/bookings', '{"a":1}', { 'idempotency-key': 'k' })];
    await settled();
    expect([session.state, session.why?.title, session.me?.actor]).toEqual(['out', 'This key was revoked', 'key_1']);
    server.people.set(NEXT, { actor: 'key_2' });
    expect(await session.signIn(NEXT, 'session')).toBe(true);
    expect([(await read).data, (await wrote).data]).toEqual([[NEXT], [NEXT]]);
    const sent = server.asked.filter(({ method }) => method === 'POST');
    expect(sent.map(({ key, headers }) => [key, headers['idempotency-key']])).toEqual([[KEY, 'k'], [NEXT, 'k']]);
    expect(left).toEqual([]);
  });
  it.each([{ user_id: 'usr_2' }, { organization_id: 'org_2' }, { role: 'driver' as const }, { may: ['GET /v1/trips'] }])('gives another caller (%o) a page loaded anew, with nothing of the one before', async (other) => {
    const session = await signedIn();
    const read = api.trips({}).then(() => 'answered', () => 'refused');
    await settled();
    server.people.set(NEXT, { actor: 'key_2', ...other });
    expect(await session.signIn(NEXT, 'session')).toBe(true);
    expect([left, session.state]).toEqual([[undefined], 'out']);
    expect(await Promise.race([read, settled().then(() => 'held')])).toBe('held');
  });
  it('lets go of what nobody waits for any more', async () => {
    const session = await signedIn();
    const page = new AbortController();
    const read = api.trips({}, page.signal);
    await settled();
    page.abort();
    await expect(read).rejects.toBeInstanceOf(Cancelled);
    expect(session.state).toBe('out');
  });
  it('asks nothing that it may not, and says why', async () => {
    server.people.set(KEY, { actor: 'key_1', role: 'driver', organization_name: 'Acme' });
    const session = tab();
    await session.start();
    await session.signIn(KEY, 'session');
    const before = server.asked.length;
    await expect(api.sql('SELECT 1')).rejects.toMatchObject({ status: 403, kind: 'denied', detail: expect.stringContaining('Acme’s driver') as string });
    expect([server.asked.length, session.mayOpen({ page: 'sql' }), session.mayOpen({ page: 'trips' })]).toEqual([before, false, true]);
  });
});

describe('a role that changes', () => {
  it('is asked for again when the server refuses, once', async () => {
    server.people.set(KEY, { actor: 'key_1', role: 'owner' });
    const session = tab();
    await session.start();
    await session.signIn(KEY, 'session');
    server.people.set(KEY, { actor: 'key_1', role: 'driver', may: ['POST /v1/bookings'] });
    server.denied = '/v1/trips';
    await Promise.all([api.trips({}), api.trips({})].map((asked) => expect(asked).rejects.toMatchObject({ status: 403 })));
    await settled();
    expect(server.asked.filter(({ path }) => path === '/v1/me')).toHaveLength(3);
    expect([session.state, session.me?.role, session.mayOpen({ page: 'trips' })]).toEqual(['in', 'driver', false]);
  });
});

describe('tabs of one browser', () => {
  it('share a key of this session, and sign out together', async () => {
    server.people.set(KEY, { actor: 'key_1' });
    const one = tab();
    await one.start();
    const two = tab();
    await two.start();
    expect([one.state, two.state]).toEqual(['out', 'out']);
    await one.signIn(KEY, 'session');
    await settled();
    expect(two.state).toBe('in');
    // One that is opened later asks those that are there.
    const three = tab();
    await three.start();
    await settled();
    expect(three.state).toBe('in');
    three.signOut();
    expect(left).toEqual([undefined, undefined, '/']);
    expect(door.key).toBe('');
  });
  it('share one that is kept on the device, and hear when it is taken away, without telling each other for ever', async () => {
    server.people.set(KEY, { actor: 'key_1' });
    const device = shared();
    const sessions: Session[] = [];
    for (let made = 0; made < 3; made += 1) {
      const session = new Session({ box: new KeyBox({ session: storage(), device: device.tab() }), channel: null, leave: (href) => void left.push(href) });
      sessions.push(session);
      await session.start();
    }
    await sessions[0]?.signIn(KEY, 'device');
    await settled();
    expect(sessions.map(({ state }) => state)).toEqual(['in', 'in', 'in']);
    expect(device.told()).toBe(2);
    sessions[2]?.signOut();
    await settled();
    expect([left, sessions.slice(0, 2).map(({ state }) => state)]).toEqual([['/'], ['out', 'out']]);
  });
  it('leave a page that waits to who it is of', async () => {
    server.people.set(KEY, { actor: 'key_1', role: 'driver' });
    const one = tab();
    await one.start();
    await one.signIn(KEY, 'session');
    server.people.delete(KEY);
    const read = api.trips({}).catch(() => 'refused');
    await settled();
    server.people.set(NEXT, { actor: 'key_2', role: 'owner' });
    const two = tab();
    await two.start();
    await two.signIn(NEXT, 'session');
    await settled();
    expect([one.state, two.state, left]).toEqual(['out', 'in', []]);
    expect(await Promise.race([read, settled().then(() => 'held')])).toBe('held');
  });
  it('leave one alone that needs no key', async () => {
    server.people.set('', {});
    server.people.set(KEY, { actor: 'key_1' });
    const one = tab();
    await one.start();
    const two = tab(storage({ 'roadlake.key': KEY }));
    await two.start();
    two.signOut();
    expect([left, one.state]).toEqual([['/'], 'in']);
  });
});
