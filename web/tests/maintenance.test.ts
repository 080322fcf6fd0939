import { afterEach, describe, expect, it, vi } from 'vitest';
import { dueTone, intervalText, isOpen, kmText, leftDays, leftKm, leftText, maintenance, namesOf, orderTone, type Schedule, whomText, type WorkOrder } from '../src/lib/maintenance';
import { changesOf, dayOf, type Draft, doneFaultsOf, type DoneDraft, doneOf, draftOf, EMPTY, faultsOf, kmIn, newOf, numberIn, orderChangesOf, orderDraftOf, recordOf, remindDaysBy, remindKmBy, repairOf } from '../src/lib/maintenance-forms';
import { parse, paths } from '../src/lib/paths';
import { prefs } from '../src/lib/prefs.svelte';
import { livesBy } from '../src/lib/roles';
import type { Vehicle } from '../src/lib/types';

const NOW = '2026-11-28T12:00:00Z';
const schedule: Schedule = {
  id: 'msc_1', organization_id: null, name: 'Oil and filter', description: null, every_km: 15_000, every_days: 365, remind_km: 1_500, remind_days: 14,
  vehicle_ids: [], is_enabled: true, version: 3, created_at: NOW, updated_at: NOW,
};
const order: WorkOrder = {
  id: 'wko_1', organization_id: null, vehicle_id: 'veh_1', vehicle_name: 'van-1', schedule_id: null, title: 'Left door', notes: null, status: 'open', is_automatic: false,
  opened_at: NOW, due_at: null, assigned_to: null, started_at: null, closed_at: null, odometer_km: null, cost: null, cancel_reason: null, version: 2, updated_at: NOW,
};
const vehicle = (id: string, name = ''): Vehicle => ({ id: `veh_${id}`, vehicle_id: `van-${id}`, name, organization_id: null, odometer_km: null, trip_count: 0, distance_m: 0, last_seen: null, state: null, created_at: NOW });
const vehicles = [vehicle('1', 'Van 1'), vehicle('2')];
const draft: Draft = { ...EMPTY, name: 'Oil', every_km: '15,000' };
const done: DoneDraft = { day: '2026-11-28', odometer: '', cost: '', currency: '', notes: '' };
const TODAY = '2026-11-28';

afterEach(() => prefs.set({ units: 'metric', zone: '' }));

describe('what is left', () => {
  it('is told in the reader’s unit, and past its end as over', () => {
    expect([1_200, 35.44, 0, -35, null].map(leftKm)).toEqual(['1,200 km', '35.4 km', '0 km', '35 km over', '–']);
    prefs.set({ units: 'imperial' });
    expect([leftKm(-1_609.344), kmText(1.609344)]).toEqual(['1,000 mi over', '1 mi']);
  });
  it('is told in days', () => expect([12, 1, 0, -1, -3, null].map(leftDays)).toEqual(['12 days', '1 day', 'today', '1 day over', '3 days over', '–']));
  it('is one line where there is room for one', () => {
    expect(leftText({ left_km: -35, left_days: 12 })).toBe('35 km over, 12 days');
    expect(leftText({ left_km: null, left_days: 0 })).toBe('today');
    expect(leftText({ left_km: null, left_days: null })).toBe('Not known');
  });
  it('has a colour, one of a later release a grey one', () => {
    expect(['ok', 'due_soon', 'overdue', 'unknown', 'later'].map(dueTone)).toEqual(['moving', 'idling', 'bad', 'offline', 'offline']);
    expect(['open', 'in_progress', 'done', 'cancelled', 'later'].map(orderTone)).toEqual(['idling', 'moving', 'parked', 'offline', 'offline']);
    expect((['open', 'in_progress', 'done', 'cancelled'] as const).map((status) => isOpen({ status }))).toEqual([true, true, false, false]);
  });
});

describe('a schedule', () => {
  it('is told in words', () => {
    expect(intervalText(schedule)).toBe('15,000 km or 365 days');
    expect(intervalText({ every_km: null, every_days: 1 })).toBe('1 day');
    const named = namesOf(vehicles);
    expect([[], ['veh_1'], ['veh_9'], ['veh_1', 'veh_2']].map((vehicle_ids) => whomText({ vehicle_ids }, named))).toEqual(['All vehicles', 'Van 1', 'veh_9', '2 vehicles']);
    expect([named('veh_2'), named('veh_9', 'van-9')]).toEqual(['van-2', 'van-9']);
  });
  it('reads numbers as people write them', () => {
    expect(['15000', '15,000', '1 250 000', '12.5', ' 7 '].map(numberIn)).toEqual([15_000, 15_000, 1_250_000, 12.5, 7]);
    for (const text of ['', '12,5', '1e3', '-1', 'km', '1,00']) expect(numberIn(text)).toBeNaN();
    prefs.set({ units: 'imperial' });
    expect(kmIn('10')).toBeCloseTo(16.09344);
  });
  it('reminds as the server does where nothing is told', () => {
    expect([15_000, 9].map(remindKmBy)).toEqual([1_500, 0]);
    expect([365, 10].map(remindDaysBy)).toEqual([14, 5]);
  });
  it('tells what is wrong at its field', () => {
    expect(faultsOf(draft)).toEqual({});
    expect(Object.keys(faultsOf({ ...EMPTY, choice: { isAll: false, ids: [] } }))).toEqual(['name', 'every_km', 'vehicle_ids']);
    expect(Object.keys(faultsOf({ ...draft, every_km: '0.2', every_days: '1.5' }))).toEqual(['every_km', 'every_days']);
    expect(Object.keys(faultsOf({ ...draft, every_km: '1,000,001', every_days: '3651' }))).toEqual(['every_km', 'every_days']);
    expect(Object.keys(faultsOf({ ...draft, every_days: '10', remind_km: '15000', remind_days: '10' }))).toEqual(['remind_km', 'remind_days']);
    // What reminds of no limit is of no matter.
    expect(faultsOf({ ...draft, every_km: '', every_days: '10', remind_km: 'x', remind_days: '0' })).toEqual({});
  });
  it('is added with what was told of it, and the rest is the server’s', () => {
    expect(newOf(draft, vehicles, '')).toEqual({ name: 'Oil', every_km: 15_000, vehicle_ids: [] });
    expect(newOf({ ...draft, name: ' Oil ', description: ' All of it ', every_days: '90', remind_days: '7', choice: { isAll: false, ids: ['van-2'] } }, vehicles, 'org_1')).toEqual({
      name: 'Oil', description: 'All of it', every_km: 15_000, every_days: 90, remind_days: 7, vehicle_ids: ['veh_2'], organization_id: 'org_1',
    });
    prefs.set({ units: 'imperial' });
    expect(newOf({ ...draft, every_km: '6,000' }, vehicles, '')).toMatchObject({ every_km: 9_656 });
  });
  it('is sent what is another, and no more', () => {
    expect(changesOf(schedule, draftOf(schedule, vehicles), vehicles)).toEqual({});
    const was = draftOf(schedule, vehicles);
    expect(changesOf(schedule, { ...was, name: 'Oil', every_days: '', remind_days: '14' }, vehicles)).toEqual({ name: 'Oil', every_days: null });
    expect(changesOf(schedule, { ...was, remind_km: '' }, vehicles)).toEqual({});
    expect(changesOf({ ...schedule, remind_km: 200 }, { ...was, remind_km: '' }, vehicles)).toEqual({ remind_km: 1_500 });
    expect(changesOf(schedule, { ...was, every_km: '20,000', remind_km: '1000' }, vehicles)).toEqual({ every_km: 20_000, remind_km: 1_000 });
    expect(changesOf(schedule, { ...was, choice: { isAll: false, ids: ['van-1'] } }, vehicles)).toEqual({ vehicle_ids: ['veh_1'] });
  });
  it('keeps vehicles that are not known here, and the kilometres that miles round', () => {
    const some = { ...schedule, every_km: 10_001, vehicle_ids: ['veh_9', 'veh_1'] };
    expect(draftOf(some, vehicles).choice).toEqual({ isAll: false, ids: ['veh_9', 'van-1'] });
    prefs.set({ units: 'imperial' });
    expect(draftOf(some, vehicles).every_km).toBe('6214');
    expect(changesOf(some, { ...draftOf(some, vehicles), name: 'Oil' }, vehicles)).toEqual({ name: 'Oil' });
  });
});

describe('a work order', () => {
  it('of a repair has what was told of it, and a day in the reader’s zone', () => {
    expect(repairOf({ vehicle_id: 'veh_1', title: ' Door ', notes: '', assigned_to: ' ', due_day: '' })).toEqual({ vehicle_id: 'veh_1', title: 'Door' });
    prefs.set({ zone: 'Europe/Copenhagen' });
    expect(repairOf({ vehicle_id: 'veh_1', title: 'Door', notes: 'It jams', assigned_to: 'North', due_day: '2026-12-01' })).toEqual({ vehicle_id: 'veh_1', title: 'Door', notes: 'It jams', assigned_to: 'North', due_at: '2026-11-30T23:00:00.000Z' });
    expect(dayOf('2026-11-30T23:30:00Z')).toBe('2026-12-01');
  });
  it('is sent what is another, and the same day is none', () => {
    const due = { ...order, due_at: '2026-12-01T15:30:00Z', notes: 'It jams' };
    expect(orderChangesOf(due, orderDraftOf(due))).toEqual({});
    expect(orderChangesOf(due, { ...orderDraftOf(due), notes: ' ', due_day: '', assigned_to: 'North' })).toEqual({ notes: null, due_at: null, assigned_to: 'North' });
  });
});

describe('work that was done', () => {
  it('tells what is wrong at its field', () => {
    expect(doneFaultsOf(done, TODAY)).toEqual({});
    expect(Object.keys(doneFaultsOf({ ...done, day: '2026-11-29', odometer: 'x', cost: '12', currency: 'E' }, TODAY))).toEqual(['day', 'odometer', 'currency']);
    expect(Object.keys(doneFaultsOf({ ...done, day: '', cost: '12.345', currency: 'eur' }, TODAY))).toEqual(['day', 'cost']);
  });
  it('today is when the server takes it, and another day from its beginning', () => {
    prefs.set({ zone: 'UTC' });
    expect(doneOf(done, TODAY)).toEqual({});
    expect(doneOf({ day: '2026-11-27', odometer: '12,345.67', cost: '120.5', currency: 'eur', notes: ' Both sides ' }, TODAY)).toEqual({
      done_at: '2026-11-27T00:00:00.000Z', odometer_km: 12_345.7, cost: { amount_minor: 12_050, currency: 'EUR' }, notes: 'Both sides',
    });
    expect(recordOf('veh_1', { ...done, odometer: '10' })).toEqual({ vehicle_id: 'veh_1', done_at: '2026-11-28T00:00:00.000Z', odometer_km: 10 });
    prefs.set({ units: 'imperial' });
    expect(recordOf('veh_1', { ...done, odometer: '10' })).toMatchObject({ odometer_km: 16.1 });
  });
});

describe('calls', () => {
  afterEach(() => vi.unstubAllGlobals());
  const answering = (body: unknown) => {
    const asked: { path: string; init: RequestInit }[] = [];
    vi.stubGlobal('fetch', (path: string, init: RequestInit) => (asked.push({ path, init }), Promise.resolve(new Response(JSON.stringify(body)))));
    return asked;
  };
  it('give a row of what is due an id of its own', async () => {
    const asked = answering({ data: [{ vehicle_id: 'veh_1', schedule_id: 'msc_1' }, { vehicle_id: 'veh_2', schedule_id: 'msc_1' }], next_cursor: 'c' });
    const { data, next_cursor } = await maintenance.due({ status: 'overdue', vehicle_id: undefined, limit: 50 });
    expect(asked[0]?.path).toBe('/v1/maintenance-due?status=overdue&limit=50');
    expect([new Set(data.map(({ id }) => id)).size, next_cursor]).toEqual([2, 'c']);
  });
  it('tell an order that is started meanwhile once, as it is then', async () => {
    const asked: string[] = [];
    vi.stubGlobal('fetch', (path: string) => {
      asked.push(path);
      const started = { ...order, status: 'in_progress' };
      return Promise.resolve(new Response(JSON.stringify({ data: path.includes('in_progress') ? [started] : [order, { ...order, id: 'wko_2' }] })));
    });
    expect((await maintenance.openOrders('van-1', 20)).map(({ id, status }) => [id, status])).toEqual([['wko_1', 'in_progress'], ['wko_2', 'open']]);
    expect(asked).toEqual(['/v1/work-orders?vehicle_id=van-1&status=open&limit=20', '/v1/work-orders?vehicle_id=van-1&status=in_progress&limit=20']);
  });
  it('that change are of the version that was seen', async () => {
    const asked = answering(order);
    await maintenance.changeOrder(order, { status: 'in_progress' });
    await maintenance.changeSchedule(schedule, { is_enabled: false });
    expect(asked.map(({ path, init }) => [path, init.method, init.body, (init.headers as Record<string, string>)['if-match']])).toEqual([
      ['/v1/work-orders/wko_1', 'PATCH', '{"status":"in_progress"}', '"2"'],
      ['/v1/maintenance-schedules/msc_1', 'PATCH', '{"is_enabled":false}', '"3"'],
    ]);
  });
});

describe('the pages of maintenance', () => {
  it('have addresses, and each lives by a call', () => {
    for (const part of ['due', 'schedules', 'work-orders'] as const) {
      const route = parse(paths.maintenance(part));
      expect(route).toEqual({ page: 'maintenance', part });
      expect(livesBy(route)?.[0]).toBe('GET');
    }
    expect(paths.maintenance('due', { vehicle: 'veh_1' })).toBe('/maintenance?vehicle=veh_1');
    expect(parse(new URL(paths.maintenance('work-orders', { order: 'wko_1' }), 'http://x').pathname)).toEqual({ page: 'maintenance', part: 'work-orders' });
    expect(parse('/maintenance/x')).toEqual({ page: 'missing', path: '/maintenance/x' });
  });
});
