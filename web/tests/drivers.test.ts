import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Assignment, assignments, canEnd, changesOf, classesIn, dayPlus, type Driver, drivers, draftOf, driverTone, EMPTY, isAt, licenceEnd, newOf, phaseOf, phaseTone, timesChanges, timesFault, timesText } from '../src/lib/drivers';
import { changesOf as groupChangesOf, type Group, groupOptions, groups, newOf as newGroupOf, sizeText } from '../src/lib/groups';
import { Members } from '../src/lib/groups.svelte';
import { prefs } from '../src/lib/prefs.svelte';
import { livesBy } from '../src/lib/roles';
import { changes } from '../src/lib/trip';
import type { Trip, Vehicle } from '../src/lib/types';
import { knownBy } from '../src/lib/vehicle';

const NOW = '2026-11-28T12:00:00Z';
const NOW_MS = Date.parse(NOW);
const driver: Driver = {
  id: 'drv_1', organization_id: 'org_1', name: 'Ana Lund', employee_number: '4711', user_id: null, licence_number: 'L 1', licence_classes: ['B', 'CE'], licence_valid_until: '2027-01-31',
  phone: null, status: 'active', vehicle_id: null, vehicle_name: null, version: 4, created_at: NOW, updated_at: NOW,
};
const assignment: Assignment = {
  id: 'dra_1', organization_id: 'org_1', driver_id: 'drv_1', driver_name: 'Ana Lund', vehicle_id: 'veh_1', vehicle_name: 'van-1', from: '2026-11-01T06:00:12.5Z', to: null, note: null,
  made_by: 'local', version: 2, created_at: NOW, updated_at: NOW,
};
const group: Group = { id: 'grp_1', organization_id: null, name: 'Depot north', description: null, vehicle_count: 2, version: 5, created_at: NOW, updated_at: NOW };

function answering(body: unknown, status = 200) {
  const asked: { path: string; init: RequestInit }[] = [];
  vi.stubGlobal('fetch', (path: string, init: RequestInit) => (asked.push({ path, init }), Promise.resolve(new Response(JSON.stringify(body), { status }))));
  return asked;
}
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
};
afterEach(() => {
  vi.unstubAllGlobals();
  prefs.set({ units: 'metric', zone: '' });
});

describe('what is told of a driver', () => {
  it('is sent as far as it is known', () => {
    expect(newOf({ ...EMPTY, name: ' Ana ' }, '')).toEqual({ name: 'Ana' });
    expect(newOf({ ...EMPTY, name: 'Ana', licence_classes: 'ce, b', licence_valid_until: '2027-01-31' }, 'org_1')).toEqual({ name: 'Ana', licence_classes: ['B', 'CE'], licence_valid_until: '2027-01-31', organization_id: 'org_1' });
  });
  it('is changed where it is another, and null where it is taken away', () => {
    const draft = draftOf(driver);
    expect(changesOf(driver, draft)).toEqual({});
    // Classes in another order, or in small letters, are the same.
    expect(changesOf(driver, { ...draft, licence_classes: 'ce b' })).toEqual({});
    expect(changesOf(driver, { ...draft, employee_number: ' ', licence_classes: '', phone: ' 12 34 ', user_id: 'usr_1' })).toEqual({ employee_number: null, licence_classes: [], phone: '12 34', user_id: 'usr_1' });
  });
  it('has classes each once', () => expect(classesIn(' ce;B  ce,')).toEqual(['B', 'CE']));
  it('has a colour, of a later status a grey one', () => expect(['active', 'left', 'later'].map(driverTone)).toEqual(['moving', 'offline', 'offline']));
});

describe('the end of a licence', () => {
  const end = (until: string | null) => licenceEnd(until, '2026-11-28');
  it('is told in days, and warned of within thirty', () => {
    expect(end('2026-12-28')).toEqual({ day: '28 Dec 2026', when: 'in 30 days', isSoon: false });
    expect(end('2026-12-27')).toMatchObject({ when: 'in 29 days', isSoon: true });
    expect(end('2026-11-29')).toMatchObject({ when: 'in 1 day', isSoon: true });
    expect(end('2026-11-28')).toMatchObject({ when: 'today', isSoon: true });
    expect(end('2026-11-26')).toMatchObject({ when: '2 days ago', isSoon: true });
  });
  it('is a day of the calendar in any zone, and may not be known', () => {
    prefs.set({ zone: 'America/New_York' });
    expect(end('2027-01-31')?.day).toBe('31 Jan 2027');
    expect([end(null), end('soon')]).toEqual([null, null]);
  });
  it('is looked for by the day after the last of them', () => {
    expect(dayPlus('2026-11-28', 30)).toBe('2026-12-28');
    expect(dayPlus('2026-03-01', -1)).toBe('2026-02-28');
  });
});

describe('the time with a vehicle', () => {
  const at = (from: string, to: string | null) => ({ from, to });
  it('is half-open', () => {
    expect(isAt(at(NOW, null), NOW_MS)).toBe(true);
    expect(isAt(at('2026-11-01T00:00:00Z', NOW), NOW_MS)).toBe(false);
    expect([at('2026-11-01T00:00:00Z', null), at('2026-11-01T00:00:00Z', NOW), at('2026-11-29T00:00:00Z', null)].map((it) => phaseOf(it, NOW_MS))).toEqual(['now', 'over', 'planned']);
    expect(['now', 'planned', 'over'].map(phaseTone)).toEqual(['moving', 'idling', 'offline']);
  });
  it('is told since when, from when, or from when to when', () => {
    prefs.set({ zone: 'UTC' });
    expect(timesText(assignment, NOW_MS)).toBe('since 1 Nov 2026, 06:00');
    expect(timesText(at('2026-12-01T06:00:00Z', null), NOW_MS)).toBe('from 1 Dec 2026, 06:00');
    expect(timesText(at('2026-11-01T06:00:00Z', '2026-11-02T07:30:00Z'), NOW_MS)).toBe('1 Nov 2026, 06:00 – 2 Nov 2026, 07:30');
  });
  it('ends where the next begins, if it is open and began before', () => {
    expect(canEnd([assignment], NOW_MS)).toBe(true);
    expect(canEnd([assignment, { ...assignment, id: 'dra_2', to: '2026-12-01T00:00:00Z' }], NOW_MS)).toBe(false);
    expect(canEnd([assignment], Date.parse(assignment.from))).toBe(false);
    expect(canEnd([{ ...assignment, from: '2026-12-01T00:00:00Z' }], NOW_MS)).toBe(false);
  });
  it('has a length', () => {
    expect(timesFault(NOW, null)).toBe('');
    expect(timesFault(NOW, NOW)).toBe('It ends after it begins.');
    expect(timesFault(NOW, '2026-11-28T12:01:00.000Z')).toBe('');
  });
  it('is corrected where a minute is another: a field has no seconds', () => {
    expect(timesChanges(assignment, { from: '2026-11-01T06:00:00.000Z', to: null, note: null })).toEqual({});
    expect(timesChanges(assignment, { from: '2026-11-01T06:01:00.000Z', to: NOW, note: 'Late' })).toEqual({ from: '2026-11-01T06:01:00.000Z', to: NOW, note: 'Late' });
    expect(timesChanges({ ...assignment, to: NOW }, { from: assignment.from, to: null, note: null })).toEqual({ to: null });
  });
  it('of the vehicle and of the driver is asked for, and told once', async () => {
    const asked = answering({ data: [assignment], next_cursor: null });
    expect(await assignments.inTheWay({ driver_id: 'drv_1', vehicle_id: 'veh_1', from: NOW, to: undefined })).toEqual([assignment]);
    expect(asked.map(({ path }) => path)).toEqual(['vehicle_id=veh_1', 'driver_id=drv_1'].map((of) => `/v1/driver-assignments?${of}&from=2026-11-28T12%3A00%3A00Z&limit=200`));
  });
});

describe('calls', () => {
  it('change a driver by its version, and read what they did', async () => {
    const asked = answering(driver);
    await drivers.change(driver, { status: 'left' });
    await drivers.summary('drv_1', { from: NOW, to: NOW });
    expect([asked[0]?.init.method, asked[0]?.path, asked[0]?.init.body]).toEqual(['PATCH', '/v1/drivers/drv_1', '{"status":"left"}']);
    expect(asked[0]?.init.headers).toMatchObject({ 'if-match': '"4"' });
    expect(asked[1]?.path).toContain('/v1/drivers/drv_1/summary?from=');
  });
  it('move vehicles into a group', async () => {
    const asked = answering(group);
    expect(await groups.move('grp_1', { add: ['veh_1'] })).toEqual(group);
    expect([asked[0]?.path, asked[0]?.init.body]).toEqual(['/v1/groups/grp_1/vehicles', '{"add":["veh_1"]}']);
  });
  it('are what pages live by', () => {
    expect(livesBy({ page: 'fleet', part: 'drivers' })).toEqual(['GET', '/v1/drivers']);
    expect(livesBy({ page: 'fleet', part: 'groups' })).toEqual(['GET', '/v1/groups']);
  });
});

describe('groups', () => {
  it('are sent as far as they are known, and changed where they are other', () => {
    expect(newGroupOf({ name: ' North ', description: ' ' }, '')).toEqual({ name: 'North' });
    expect(newGroupOf({ name: 'North', description: 'Vans' }, 'org_1')).toEqual({ name: 'North', description: 'Vans', organization_id: 'org_1' });
    expect(groupChangesOf(group, { name: 'Depot north', description: '' })).toEqual({});
    expect(groupChangesOf({ ...group, description: 'x' }, { name: 'North', description: '' })).toEqual({ name: 'North', description: null });
  });
  it('are in order as people count, and have a size', () => {
    expect(groupOptions([{ ...group, id: 'a', name: 'Depot 10' }, { ...group, id: 'b', name: 'Depot 9' }]).map(([id]) => id)).toEqual(['b', 'a']);
    expect([0, 1, 2].map(sizeText)).toEqual(['0 vehicles', '1 vehicle', '2 vehicles']);
  });
  it('tell who of the fleet is in them, and nobody of another one', async () => {
    const asked = answering({ data: [{ vehicle_id: 'van-1' }], as_of: NOW });
    const members = new Members();
    expect(members.has('grp_1', 'van-1')).toBe(false);
    members.look('grp_1');
    await settled();
    expect(asked[0]?.path).toBe('/v1/fleet/status?group_id=grp_1');
    expect([members.has('grp_1', 'van-1'), members.has('grp_1', 'van-2'), members.has('grp_2', 'van-1'), members.isOf('grp_2')]).toEqual([true, false, false, false]);
    // What cannot be asked changes nothing.
    answering({ title: 'Away' }, 503);
    members.look('grp_1');
    await settled();
    expect([members.has('grp_1', 'van-1'), members.load.error?.status]).toEqual([true, 503]);
  });
});

describe('what drivers and groups are told beside', () => {
  it('vehicles are found by either id', () => {
    const van = { id: 'veh_1', vehicle_id: 'van-1', name: '' } as Vehicle;
    const find = knownBy([van]);
    expect([find('veh_1'), find('van-1'), find('x')]).toEqual([van, van, undefined]);
  });
  it('who drove is no change of a revision', () => {
    const trip = { id: 'trp_1', revision: 1, vehicle_id: 'v', driver_id: null, driver_name: null } as unknown as Trip;
    expect(changes(trip, { ...trip, revision: 2, driver_id: 'drv_1', driver_name: 'Ana' })).toEqual([]);
  });
});
