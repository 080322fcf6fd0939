import { afterEach, describe, expect, it, vi } from 'vitest';
import { asksElse, askFaultsOf, dayBars, draftOf, longOf, longText, newDraft, periodOf, RULE_EXAMPLES, ruleChangesOf, ruleFaultsOf, ruleOf, secondsOf, trialOf } from '../src/lib/alert-rules';
import { type AlertRule, alertRules, alerts, alertTone, around, detailsOf, lasted, ruleState, ruleTone, saidText, takenBy } from '../src/lib/alerts';
import { OpenAlerts } from '../src/lib/open-alerts.svelte';
import { parse, paths } from '../src/lib/paths';
import { prefs } from '../src/lib/prefs.svelte';
import { livesBy } from '../src/lib/roles';

const NOW = '2026-11-29T12:00:00Z';
const NOW_MS = Date.parse(NOW);
const rule: AlertRule = {
  id: 'alr_1', organization_id: null, name: 'Too fast', description: null, severity: 'warning', query: 'SELECT vehicle_id, ts FROM readings WHERE speed_kmh > 130',
  look_back_s: 3600, look_ahead_s: 0, quiet_s: 90, min_duration_s: 0, notify: true, is_enabled: true, reads: ['readings'], version: 4, created_at: NOW, updated_at: NOW,
  evaluated_at: null, fault: null, open_count: 0,
};
const moment = { vehicle_id: 'van-1', key: null, started_at: NOW, last_at: '2026-11-29T12:07:05Z', value: null, message: null, details: {} };

afterEach(() => {
  vi.unstubAllGlobals();
  prefs.set({ units: 'metric', zone: '' });
});

describe('an alert', () => {
  it('tells how long it was so, and so far while it is', () => {
    expect([lasted({ ...moment, status: 'ended' }), lasted({ ...moment, status: 'open' }), lasted(moment)]).toEqual(['7 min 05 s', '7 min 05 s so far', '7 min 05 s']);
    const once = { started_at: NOW, last_at: NOW };
    expect([lasted({ ...once, status: 'ended' }), lasted({ ...once, status: 'open' }), lasted(once), lasted({ started_at: '', last_at: NOW })]).toEqual(['A moment', '0 s so far', 'A moment', '–']);
  });
  it('says its message, or its value', () => {
    expect([saidText({ message: 'at 131 km/h', value: 131.2 }), saidText({ message: null, value: 131.2567 }), saidText({ message: null, value: null })]).toEqual(['at 131 km/h', '131.26', '–']);
  });
  it('tells its details in the reader’s units and zone', () => {
    prefs.set({ units: 'imperial', zone: 'Asia/Tokyo' });
    const told = detailsOf({ distance_km: 16.09344, ecu: 'engine', at: NOW, occurrences: 3, gone: null, of: ['a'] });
    expect(told.map(({ name, text }) => `${name} ${text}`)).toEqual(['distance_km 10 mi', 'ecu engine', 'at 2026-11-29 21:00:00', 'occurrences 3', 'gone –', 'of ["a"]']);
  });
  it('tells who took it on', () => {
    const me = { actor: 'usr_1', name: 'Ada' };
    expect([null, 'local', 'operator', 'usr_1', 'usr_2'].map((actor) => takenBy(actor, me))).toEqual(['–', 'This machine', 'The operator', 'Ada', 'usr_2']);
  });
  it('has a colour, and a time around it', () => {
    expect((['open', 'ended', 'withdrawn'] as const).map(alertTone)).toEqual(['bad', 'parked', 'offline']);
    expect(around(moment)).toEqual({ vehicleId: 'van-1', fromMs: NOW_MS - 600_000, toMs: NOW_MS + 1_025_000 });
  });
});

describe('a rule', () => {
  it('is enabled, failing or disabled', () => {
    const states = [rule, { ...rule, fault: 'no' }, { ...rule, fault: 'no', is_enabled: false }].map(ruleState);
    expect([states, states.map(ruleTone)]).toEqual([['enabled', 'failing', 'disabled'], ['moving', 'bad', 'offline']]);
  });
  it('has its times in units that are whole', () => {
    expect([0, 90, 600, 3600, 86_400, 90_000].map(longText)).toEqual(['0 min', '90 s', '10 min', '1 h', '1 d', '25 h']);
    for (const seconds of [0, 1, 90, 600, 5400, 604_800]) expect(secondsOf(longOf(seconds))).toBe(seconds);
    expect([secondsOf({ amount: '1.5', unit: 'h' }), secondsOf({ amount: '', unit: 'h' }), secondsOf({ amount: '-1', unit: 's' })]).toEqual([5400, NaN, NaN]);
  });
  it('that is new is as the server has it where nothing is told', () => {
    const draft = { ...newDraft(), name: ' Fast ', query: ' SELECT 1 ' };
    expect(ruleOf(draft)).toEqual({ name: 'Fast', description: null, severity: 'warning', query: 'SELECT 1', look_back_s: 3600, look_ahead_s: 0, quiet_s: 600, min_duration_s: 0, notify: true, is_enabled: true });
    expect(ruleOf(draft, 'org_1').organization_id).toBe('org_1');
  });
  it('can begin with an example', () => {
    for (const example of RULE_EXAMPLES) expect(ruleFaultsOf(newDraft(example)), example.name).toEqual({});
    const coolant = RULE_EXAMPLES.find(({ limits }) => limits.look_ahead_s);
    expect(ruleOf(newDraft(coolant))).toMatchObject({ name: coolant?.name, severity: 'critical', look_ahead_s: 300, look_back_s: 3600 });
  });
  it('tells what is wrong at its field; a name is not needed to try it', () => {
    const draft = { ...newDraft(), look_back_s: { amount: '8', unit: 'd' as const }, quiet_s: { amount: '0', unit: 's' as const }, min_duration_s: { amount: 'long', unit: 's' as const } };
    expect(Object.keys(ruleFaultsOf(draft)).sort()).toEqual(['look_back_s', 'min_duration_s', 'name', 'query', 'quiet_s']);
    expect(ruleFaultsOf(draft).look_back_s).toBe('From 0 min to 7 d.');
    expect(askFaultsOf(draft)).not.toHaveProperty('name');
  });
  it('sends what is another, and knows whether it asks something else', () => {
    const draft = draftOf(rule);
    expect([ruleChangesOf(rule, draft), asksElse(rule, draft)]).toEqual([{}, false]);
    const named = { ...draft, name: 'Faster', description: 'Call', notify: false };
    expect([ruleChangesOf(rule, named), asksElse(rule, named)]).toEqual([{ name: 'Faster', description: 'Call', notify: false }, false]);
    // The same time in another unit is the same.
    const quiet = { ...draft, quiet_s: { amount: '1.5', unit: 'min' as const } };
    expect([ruleChangesOf(rule, quiet), asksElse(rule, quiet)]).toEqual([{}, false]);
    const other = { ...draft, look_ahead_s: { amount: '5', unit: 'min' as const } };
    expect([ruleChangesOf(rule, other), asksElse(rule, other)]).toEqual([{ look_ahead_s: 300 }, true]);
  });
});

describe('a trial', () => {
  const own = (from: string, to: string) => periodOf({ span: 'own', from, to }, NOW_MS, 'Europe/Copenhagen');
  it('is of the days up to now, or of days of one’s own', () => {
    expect(periodOf({ span: '7', from: '', to: '' }, NOW_MS)).toEqual({ from: '2026-11-22T12:00:00.000Z', to: '2026-11-29T12:00:00.000Z' });
    expect(own('2026-10-24', '2026-10-25')).toEqual({ from: '2026-10-23T22:00:00.000Z', to: '2026-10-25T23:00:00.000Z' });
    expect([own('', '2026-10-25'), own('2026-10-26', '2026-10-24'), own('2026-01-01', '2026-10-24')]).toEqual([
      { fault: 'Give the first day and the last.' }, { fault: 'The first day is before the last.' }, { fault: 'At most 92 days.' },
    ]);
  });
  it('asks what the rule would', () => {
    const period = { from: '2026-11-22T12:00:00.000Z', to: NOW };
    expect(trialOf(draftOf(rule), period, 'org_1')).toEqual({ query: rule.query, ...period, look_back_s: 3600, look_ahead_s: 0, quiet_s: 90, min_duration_s: 0, organization_id: 'org_1' });
  });
  it('has a bar a day, those without an alert too', () => {
    const days = [{ date: '2026-11-27', alert_count: 2 }, { date: '2026-11-29', alert_count: 1 }];
    expect(dayBars({ days }, { from: '2026-11-26T12:00:00Z', to: NOW })).toEqual([
      { label: '26 Nov', values: [0] }, { label: '27 Nov', values: [2] }, { label: '28 Nov', values: [0] }, { label: '29 Nov', values: [1] },
    ]);
  });
});

describe('calls', () => {
  const answering = (status: number, body: unknown) => {
    const asked: { path: string; init: RequestInit }[] = [];
    vi.stubGlobal('fetch', (path: string, init: RequestInit) => (asked.push({ path, init }), Promise.resolve(new Response(body === undefined ? null : JSON.stringify(body), { status }))));
    return asked;
  };
  it('go where they belong', async () => {
    const asked = answering(200, { data: [] });
    await alerts.list({ status: 'open', is_acknowledged: 'false', limit: 5 });
    await alertRules.change(rule, { notify: false });
    await alertRules.try(trialOf(draftOf(rule), { from: NOW, to: NOW }));
    expect(asked.map(({ path, init }) => `${init.method ?? 'GET'} ${path}`)).toEqual(['GET /v1/alerts?status=open&is_acknowledged=false&limit=5', 'PATCH /v1/alert-rules/alr_1', 'POST /v1/alert-rules:try']);
    expect(asked[1]?.init.headers).toMatchObject({ 'if-match': '"4"' });
    expect(alerts.acknowledgePath('alt_1')).toBe('/v1/alerts/alt_1/acknowledge');
  });
  it('count what is open and nobody has taken on', async () => {
    const open = new OpenAlerts();
    expect([open.count, open.text]).toEqual([null, '']);
    answering(200, { data: [moment, moment] });
    await open.look();
    expect([open.count, open.text]).toEqual([2, '2']);
    answering(500, {});
    await open.look();
    expect(open.text).toBe('2');
    answering(200, { data: Array(100).fill(moment) });
    await open.look();
    expect(open.text).toBe('99+');
    answering(200, { data: [] });
    await open.look();
    expect([open.count, open.text]).toEqual([0, '']);
  });
});

describe('pages of alerts', () => {
  it('have addresses, and a call that each lives by', () => {
    expect([paths.alerts(), paths.alerts('raised', { vehicle: 'van-1', status: 'open' }), paths.alerts('rules', { rule: 'alr_1' })]).toEqual(['/alerts', '/alerts?vehicle=van-1&status=open', '/alerts/rules?rule=alr_1']);
    expect([parse('/alerts'), parse('/alerts/rules'), parse('/alerts/x').page]).toEqual([{ page: 'alerts', part: 'raised' }, { page: 'alerts', part: 'rules' }, 'missing']);
    expect([livesBy({ page: 'alerts', part: 'raised' }), livesBy({ page: 'alerts', part: 'rules' })]).toEqual([['GET', '/v1/alerts'], ['GET', '/v1/alert-rules']]);
  });
});
