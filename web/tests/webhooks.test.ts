import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Delivery, type Endpoint, answerOf, isDue, namesIn, stateOf, webhooks, whyDisabled } from '../src/lib/webhooks';

const NOW = '2026-11-28T12:00:00Z';
const endpoint: Endpoint = { id: 'whe_1', organization_id: null, url: 'https://example.com/', description: '', event_types: [], is_enabled: true, failing_since: null, version: 3, created_at: NOW };
const delivery: Delivery = {
  id: 'whd_1', endpoint_id: 'whe_1', event_position: 7, event_id: 'evt_1', event_type: 'TripCompleted', status: 'pending', attempt_count: 0,
  next_attempt_at: NOW, last_attempt_at: null, last_status: null, last_error: null, delivered_at: null, created_at: NOW,
};

describe('an endpoint', () => {
  it('is enabled, failing or disabled', () => {
    expect(stateOf(endpoint)).toBe('enabled');
    expect(stateOf({ ...endpoint, failing_since: NOW })).toBe('failing');
    expect(stateOf({ ...endpoint, failing_since: NOW, is_enabled: false })).toBe('disabled');
  });
  it('tells why it is disabled', () => {
    const gone = { ...delivery, last_status: 410, last_attempt_at: NOW };
    expect(whyDisabled({ ...endpoint, is_enabled: false }, [gone])).toBe('by_hand');
    const failing = { ...endpoint, is_enabled: false, failing_since: NOW };
    expect(whyDisabled(failing, [gone])).toBe('gone');
    expect(whyDisabled(failing, [{ ...gone, last_status: 503 }])).toBe('failing');
    // Gone once, enabled again, and something else since: that is why.
    const later = { ...delivery, id: 'whd_2', last_status: 503, last_attempt_at: '2026-11-29T12:00:00Z' };
    expect(whyDisabled(failing, [gone, later])).toBe('failing');
    expect(whyDisabled(failing, [{ ...later, last_attempt_at: '2026-11-27T12:00:00Z' }, gone, delivery])).toBe('gone');
  });
});

describe('a delivery', () => {
  it('tells the answer, or what came instead', () => {
    expect(answerOf({ ...delivery, last_status: 503 })).toBe('503');
    expect(answerOf({ ...delivery, last_error: 'no answer in 15 s' })).toBe('no answer in 15 s');
    expect(answerOf(delivery)).toBe('');
  });
  it('is due when its time has come and it is still to be told', () => {
    expect(isDue(delivery, Date.parse(NOW))).toBe(true);
    expect(isDue(delivery, Date.parse(NOW) - 1)).toBe(false);
    expect(isDue({ ...delivery, next_attempt_at: null }, Date.parse(NOW))).toBe(false);
    expect(isDue({ ...delivery, status: 'failed' }, Date.parse(NOW))).toBe(false);
  });
});

describe('names of events', () => {
  it('are apart by spaces or commas, and letters and digits alone', () => {
    expect(namesIn(' TripCompleted, TripRevised\nInvoicePaid ')).toEqual(['TripCompleted', 'TripRevised', 'InvoicePaid']);
    expect(namesIn('')).toEqual([]);
    expect(namesIn('Trip-Completed')).toBeNull();
    expect(namesIn('T'.repeat(61))).toBeNull();
  });
});

describe('calls', () => {
  afterEach(() => vi.unstubAllGlobals());
  const answering = (status: number, body: unknown) => {
    const asked: { path: string; init: RequestInit }[] = [];
    vi.stubGlobal('fetch', (path: string, init: RequestInit) => (asked.push({ path, init }), Promise.resolve(new Response(body === undefined ? null : JSON.stringify(body), { status }))));
    return asked;
  };
  it('of what is taken away have no answer to read', async () => {
    const asked = answering(204, undefined);
    await expect(webhooks.remove('whe_1')).resolves.toBeUndefined();
    expect([asked[0]?.init.method, asked[0]?.path]).toEqual(['DELETE', '/v1/webhook-endpoints/whe_1']);
  });
  it('change what is there by its version', async () => {
    const asked = answering(200, endpoint);
    await webhooks.change(endpoint, { is_enabled: false });
    expect(asked[0]?.init.headers).toMatchObject({ 'if-match': '"3"' });
    expect(asked[0]?.init.body).toBe('{"is_enabled":false}');
  });
  it('read the body of a delivery from the log of events, and no other event’s', async () => {
    const event = { position: 7, event_type: 'TripCompleted', timestamp: NOW, data: { distance_m: 1 } };
    const asked = answering(200, { data: [event], next_after: 7 });
    expect(JSON.parse(await webhooks.body(delivery))).toEqual({ type: 'TripCompleted', timestamp: NOW, data: event });
    expect(asked[0]?.path).toBe('/v1/events?after=6&limit=1');
    answering(200, { data: [{ ...event, position: 8 }], next_after: 8 });
    expect(await webhooks.body(delivery)).toBe('');
  });
});
