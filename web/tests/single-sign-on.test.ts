import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError, api, post } from '../src/lib/api';
import { type Me, wordsOfEnd } from '../src/lib/caller';
import { door } from '../src/lib/door';
import { KeyBox } from '../src/lib/key';
import { Session } from '../src/lib/session.svelte';
import { closeWindow, endSession, failureWords, KEYS_ALONE, offered, offerOf, openWindow, placeOf, providerHref, startHref } from '../src/lib/single-sign-on';
import { listen } from '../src/lib/stream';
import type { Channel } from '../src/lib/tabs';

const KEY = `rlk_${'a'.repeat(12)}_${'0'.repeat(64)}`;
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 60; turn += 1) await Promise.resolve();
};
const problem = (status: number, kind = 'unauthorized') => new Response(JSON.stringify({ type: `urn:roadlake:problem:${kind}`, title: 'No', detail: 'no' }), { status });

function storage(held: Record<string, string> = {}) {
  const kept = new Map(Object.entries(held));
  return { kept, getItem: (name: string) => kept.get(name) ?? null, setItem: (name: string, text: string) => void kept.set(name, text), removeItem: (name: string) => void kept.delete(name) };
}

/** One browser and its server: the cookie is of all tabs, and a key that is given wins. */
class Browser {
  cookie: Partial<Me> | null = null;
  keys = new Map<string, Partial<Me>>();
  ended = 'session-ended';
  asked: { path: string; method: string; key: string }[] = [];
  signOut: () => Response = () => {
    if (!this.cookie) return problem(401);
    this.cookie = null;
    return new Response('{"provider_sign_out_url":"https://id.example/end"}');
  };
  device = storage();
  left: (string | undefined)[] = [];
  #channels: Channel[] = [];

  readonly fetch = (path: string, init: RequestInit = {}): Promise<Response> => {
    const key = ({ ...(init.headers as Record<string, string>) }.authorization ?? '').replace('Bearer ', '');
    this.asked.push({ path, method: init.method ?? 'GET', key });
    if (path === '/v1/sign-out') return Promise.resolve(this.signOut());
    const by = key ? this.keys.get(key) : this.cookie;
    if (!by) return Promise.resolve(problem(401, key ? 'unauthorized' : this.ended));
    const me = { actor: key ? 'key_1' : by.user_id, key_name: null, user_id: 'usr_1', person_name: 'Anna', role: 'owner', organization_id: 'org_1', organization_name: 'Acme', expires_at: null, may: ['GET /v1/trips', 'POST /v1/bookings'], ...by };
    return Promise.resolve(new Response(JSON.stringify(path === '/v1/me' ? me : { data: [me.person_name], next_cursor: null })));
  };

  tab(session = storage()): Session {
    const channel: Channel = {
      onmessage: null,
      postMessage: (data) => this.#channels.filter((other) => other !== channel).forEach((other) => other.onmessage?.({ data } as MessageEvent)),
    };
    this.#channels.push(channel);
    return new Session({ box: new KeyBox({ session, device: this.device }), channel, leave: (href) => void this.left.push(href) });
  }

  async open(kept?: Record<string, string>): Promise<Session> {
    const session = this.tab(storage(kept));
    await session.start();
    return session;
  }
}

const anna = (more: Partial<Me> = {}): Partial<Me> => ({ user_id: 'usr_1', signed_in_by: 'oidc', email: 'anna@fleet.example', ends_at: '2026-03-01T20:00:00Z', ...more });

let browser: Browser;
let seen: () => void;
beforeEach(() => {
  browser = new Browser();
  vi.stubGlobal('fetch', browser.fetch);
  vi.stubGlobal('document', { visibilityState: 'visible', addEventListener: (_: string, listener: () => void) => (seen = listener) });
});
afterEach(() => {
  Object.assign(door, { key: '', turn: 0, routes: null, who: '', anew: () => Promise.resolve(false), changed: () => undefined });
  vi.unstubAllGlobals();
});

describe('what is offered', () => {
  it('is what the server says, as far as it can be understood', () => {
    expect(offerOf({ api_keys: true, oidc: { label: ' Acme ID ', start_path: '/v1/sign-in/start' } })).toEqual({ hasKeys: true, provider: { label: 'Acme ID', startPath: '/v1/sign-in/start' } });
    expect(offerOf({ api_keys: false, oidc: { label: '', start_path: '/v1/sign-in/start' } })).toEqual({ hasKeys: false, provider: { label: 'Single sign-on', startPath: '/v1/sign-in/start' } });
    for (const none of [{ api_keys: true, oidc: null }, { api_keys: false }, null, 'x', { oidc: { label: 'x' } }, ...['//evil.example', 'https://evil.example', 'javascript:alert(1)', '/\\evil'].map((start_path) => ({ oidc: { start_path } }))]) expect(offerOf(none)).toEqual(KEYS_ALONE);
  });
  it('is the key alone where the server knows nothing of it, and unknown where it fails', async () => {
    for (const [answer, expected] of [[new Response('{"api_keys":true,"oidc":null}'), KEYS_ALONE], [problem(404), KEYS_ALONE], [problem(503), null], [new Response('<html>'), null]] as const) {
      vi.stubGlobal('fetch', () => Promise.resolve(answer));
      expect(await offered()).toEqual(expected);
    }
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('refused')));
    expect(await offered()).toBeNull();
  });
});

describe('the way to the provider', () => {
  it('ends where it began, without what failed before', () => {
    expect(placeOf({ pathname: '/trips', search: '?vehicle=a%26b&sign_in_error=cancelled' })).toBe('/trips?vehicle=a%26b');
    expect(placeOf({ pathname: '/', search: '?sign_in_error=expired' })).toBe('/');
    for (const pathname of ['//evil.example', '/nowhere', '/v1/me']) expect(placeOf({ pathname, search: '' })).toBe('/');
    const href = startHref('/v1/sign-in/start', '/trips?vehicle=a%26b');
    expect(new URL(href, 'http://x').searchParams.get('return_to')).toBe('/trips?vehicle=a%26b');
    expect(href.startsWith('/v1/sign-in/start?')).toBe(true);
  });
  it('says why it failed in words for each code, and some for one that is new', () => {
    const codes = ['cancelled', 'expired', 'no_account', 'inactive', 'unverified_email', 'provider'];
    expect(new Set(codes.map((code) => failureWords(code)?.title)).size).toBe(codes.length);
    expect(failureWords('')).toBeNull();
    for (const odd of ['constructor', '<b>']) expect(failureWords(odd)).toEqual(failureWords('new'));
  });
  it('goes on only to an address of the web', () => {
    expect(providerHref('https://id.example/end?x=1')).toBe('https://id.example/end?x=1');
    for (const none of [null, undefined, 7, '', '/end', 'javascript:alert(1)']) expect(providerHref(none)).toBeNull();
  });
  it('has a window of its own that knows later what it was for, and the tab that opened it is none', () => {
    vi.useFakeTimers();
    const kept = storage();
    vi.stubGlobal('sessionStorage', kept);
    let copy = new Map<string, string>();
    const close = vi.fn();
    vi.stubGlobal('window', { open: () => ((copy = new Map(kept.kept)), {}), close });
    expect(openWindow('/v1/sign-in/start')).toBe(true);
    closeWindow();
    vi.runAllTimers();
    expect([copy.size, kept.kept.size, close.mock.calls.length]).toEqual([1, 0, 0]);
    vi.stubGlobal('sessionStorage', storage(Object.fromEntries(copy)));
    closeWindow();
    closeWindow();
    vi.runAllTimers();
    expect(close).toHaveBeenCalledTimes(1);
    vi.stubGlobal('window', { open: () => null });
    expect(openWindow('/v1/sign-in/start')).toBe(false);
    vi.useRealTimers();
  });
});

describe('a session of the browser', () => {
  it('is known by asking without a key, opens the page and can be signed out of', async () => {
    browser.cookie = anna();
    const session = await browser.open();
    expect([session.state, session.name, session.isSignedIn, session.hasKey, session.isOfProvider]).toEqual(['in', 'Anna', true, false, true]);
    expect((await api.trips({})).data).toEqual(['Anna']);
    expect(browser.asked.every(({ key }) => key === '')).toBe(true);
    await expect(api.sql('SELECT 1')).rejects.toMatchObject({ title: 'Not for your role', kind: 'denied' });
  });
  it('gives way to a key that is kept, and stands in for one that is refused', async () => {
    browser.cookie = anna();
    browser.keys.set(KEY, { user_id: null, key_name: 'desk', person_name: null });
    const by = await browser.open({ 'roadlake.key': KEY });
    expect([by.hasKey, by.isOfProvider, door.key]).toEqual([true, false, KEY]);
    browser.keys.clear();
    const other = await browser.open({ 'roadlake.key': KEY });
    expect([other.state, other.isOfProvider, door.key]).toEqual(['in', true, '']);
  });
  it('that ends holds what was asked until the same person is back, and sends it once more', async () => {
    browser.cookie = anna();
    const session = await browser.open();
    browser.cookie = null;
    const [read, wrote] = [api.trips({}), post<{ data: string[] }>('/v1/bookings', '{}', { 'idempotency-key': 'k' })];
    await settled();
    expect([session.state, session.why?.title, session.why?.isOfSession, session.name]).toEqual(['out', 'Your session has ended', true, 'Anna']);
    // Signed in in another tab, or in the window that this one opened.
    browser.cookie = anna({ ends_at: '2026-03-02T08:00:00Z' });
    await browser.open();
    await settled();
    expect([session.state, (await read).data, (await wrote).data, browser.left]).toEqual(['in', ['Anna'], ['Anna'], []]);
    expect(browser.asked.filter(({ method }) => method === 'POST')).toHaveLength(2);
  });
  it('that was begun anew does not end by an answer from before', async () => {
    browser.cookie = anna();
    const session = await browser.open();
    let late: (answer: Response) => void = () => undefined;
    vi.stubGlobal('fetch', (path: string, init: RequestInit) => (path.startsWith('/v1/trips') ? new Promise<Response>((resolve) => (late = resolve)) : browser.fetch(path, init)));
    const read = api.trips({});
    browser.cookie = null;
    const wrote = post('/v1/bookings', '{}');
    await settled();
    expect(session.state).toBe('out');
    browser.cookie = anna({ ends_at: '2026-03-02T08:00:00Z' });
    await browser.open();
    await settled();
    vi.stubGlobal('fetch', browser.fetch);
    late(problem(401, 'session-ended'));
    await Promise.all([read, wrote]);
    expect(session.state).toBe('in');
  });
  it('opens the stream too, which waits where it has ended', async () => {
    browser.cookie = anna();
    const session = await browser.open();
    browser.cookie = null;
    const listening = listen('/v1/tracking', { opened: () => undefined, event: () => undefined }, new AbortController().signal);
    await settled();
    expect(session.state).toBe('out');
    expect(browser.asked.at(-1)).toEqual({ path: '/v1/tracking', method: 'GET', key: '' });
    browser.cookie = anna({ ends_at: '2026-03-02T08:00:00Z' });
    await browser.open();
    await listening;
    expect(session.state).toBe('in');
  });
  it.each([['usr_2', 'That is somebody else'], ['usr_1', 'You may do other things now']])('of %s with another role leaves a page that waits, and says so', async (user_id, title) => {
    browser.cookie = anna();
    const one = await browser.open();
    browser.cookie = null;
    const read = api.trips({}).catch(() => 'refused');
    await settled();
    browser.cookie = anna({ user_id, role: 'driver', person_name: 'Boris' });
    const two = await browser.open();
    await settled();
    expect([one.state, one.why?.title, two.state, browser.left]).toEqual(['out', title, 'in', []]);
    expect(await Promise.race([read, settled().then(() => 'held')])).toBe('held');
    // To leave it ends nothing of theirs.
    one.startAnew();
    expect([browser.left, two.state, browser.asked.some(({ path }) => path === '/v1/sign-out')]).toEqual([['/'], 'in', false]);
  });
  it('of somebody else gives an open page of the one before anew', async () => {
    browser.cookie = anna();
    await browser.open();
    browser.cookie = anna({ user_id: 'usr_2', person_name: 'Boris' });
    await browser.open();
    await settled();
    expect(browser.left).toEqual([undefined]);
  });
  it('is looked at again when its tab is', async () => {
    browser.cookie = anna();
    const session = await browser.open();
    browser.cookie = null;
    browser.ended = 'session-inactive';
    seen();
    await settled();
    expect([session.state, session.why?.title]).toEqual(['out', 'You are no longer active']);
    browser.cookie = anna();
    seen();
    await settled();
    expect(session.state).toBe('in');
  });
  it('is not asked for again and again where there is none', async () => {
    const session = await browser.open();
    const before = browser.asked.length;
    seen();
    await settled();
    expect([session.state, browser.asked.length]).toEqual(['out', before]);
  });
  it('leaves a key alone that another tab keeps on the device', async () => {
    browser.cookie = anna();
    const session = await browser.open();
    browser.device.kept.set('roadlake.key', KEY);
    browser.cookie = null;
    void api.trips({}).catch(() => undefined);
    await settled();
    expect([session.state, browser.device.kept.get('roadlake.key')]).toEqual(['out', KEY]);
  });
});

describe('signing out', () => {
  it('ends it at the server first, then in every tab, and goes on to the provider', async () => {
    browser.cookie = anna();
    const [one, two] = [await browser.open(), await browser.open()];
    let leftBefore = -1;
    const { signOut } = browser;
    browser.signOut = () => ((leftBefore = browser.left.length), signOut());
    expect(await one.signOut()).toBeNull();
    expect([leftBefore, browser.left, browser.cookie, browser.device.kept.size, two.me?.user_id]).toEqual([0, [undefined, 'https://id.example/end'], null, 0, 'usr_1']);
  });
  it('says so where the server does not hear of it, and all is as before', async () => {
    browser.cookie = anna();
    const session = await browser.open();
    browser.signOut = () => problem(503);
    expect(await session.signOut()).toMatchObject({ status: 503 });
    expect([session.state, session.busy, browser.left]).toEqual(['in', false, []]);
    expect((await api.trips({})).data).toEqual(['Anna']);
  });
  it('is no news to what is refused meanwhile', async () => {
    browser.cookie = anna();
    const session = await browser.open();
    const { signOut } = browser;
    browser.signOut = () => {
      const answer = signOut();
      void api.trips({}).catch(() => undefined);
      return answer;
    };
    await session.signOut();
    await settled();
    expect([session.state, browser.left]).toEqual(['in', ['https://id.example/end']]);
  });
  it('of a key ends a session beside it, and asks nothing where there is none', async () => {
    browser.keys.set(KEY, {});
    const alone = await browser.open({ 'roadlake.key': KEY });
    void alone.signOut();
    expect([browser.left, browser.asked.some(({ path }) => path === '/v1/sign-out')]).toEqual([['/'], false]);
    browser = new Browser();
    vi.stubGlobal('fetch', browser.fetch);
    browser.cookie = anna();
    browser.keys.set(KEY, {});
    await browser.open();
    const by = await browser.open({ 'roadlake.key': KEY });
    await by.signOut();
    expect([browser.cookie, browser.left]).toEqual([null, [undefined, 'https://id.example/end']]);
  });
  it('takes one that is over already as done', async () => {
    expect(await endSession()).toBeNull();
    browser.signOut = () => new Response('{"provider_sign_out_url":null}');
    expect(await endSession()).toBeNull();
    browser.signOut = () => problem(403, 'cross-site');
    await expect(endSession()).rejects.toBeInstanceOf(ApiError);
  });
  it('by others has words', () => {
    for (const kind of ['session-ended', 'session-inactive', 'unauthorized']) expect(wordsOfEnd(new ApiError('Unauthorized', 'raw', 401, kind)).detail).not.toContain('raw');
  });
});
