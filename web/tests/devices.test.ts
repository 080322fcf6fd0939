import { afterEach, describe, expect, it, vi } from 'vitest';
import { changesOf, type Device, devices, draftOf, enrolCommand, fileOf, isMove, isSoon, issuerText, newOf, pairs, reasonText, REASONS, requestIn, TOKEN_HOURS, untilText, vehiclesFor, whyNotIssued } from '../src/lib/devices';
import type { Vehicle } from '../src/lib/types';
import { vehicleOptions } from '../src/lib/vehicle';

const NOW = '2026-11-28T12:00:00Z';
const NOW_MS = Date.parse(NOW);
const inDays = (days: number): string => new Date(NOW_MS + days * 86_400_000).toISOString();
const device: Device = {
  id: 'dev_1', organization_id: 'org_1', name: 'Unit 7', serial_number: 'SN-7', hardware_model: null, vehicle_id: 'veh_1', status: 'enrolled',
  signing_public_key: null, certificate: { id: 'crt_1', serial: 'ab', not_after: NOW }, version: 3, created_at: NOW, updated_at: NOW,
};
const vehicle = (id: string, over: Partial<Vehicle> = {}): Vehicle => ({ id, vehicle_id: `van-${id}`, name: '', organization_id: null, odometer_km: null, trip_count: 0, distance_m: 0, last_seen: null, state: null, created_at: NOW, ...over });

describe('a device', () => {
  it('is added with what was told of it, trimmed', () => {
    const draft = { name: ' Unit 7 ', serial_number: ' SN-7 ', hardware_model: ' ', vehicle_id: '' };
    expect(newOf(draft)).toEqual({ name: 'Unit 7', serial_number: 'SN-7', hardware_model: null, vehicle_id: null });
    expect(newOf({ ...draft, hardware_model: 'TCU 2', vehicle_id: 'veh_1' }, 'org_1')).toMatchObject({ hardware_model: 'TCU 2', vehicle_id: 'veh_1', organization_id: 'org_1' });
  });
  it('is sent what is another, and no more', () => {
    expect(changesOf(device, draftOf(device))).toEqual({});
    expect(changesOf(device, { ...draftOf(device), name: 'Unit 8 ', serial_number: 'another' })).toEqual({ name: 'Unit 8' });
    expect(changesOf({ ...device, hardware_model: 'TCU 2' }, { ...draftOf(device), hardware_model: '' })).toEqual({ hardware_model: null });
    expect(changesOf(device, { ...draftOf(device), vehicle_id: 'veh_2' })).toEqual({ vehicle_id: 'veh_2' });
  });
  it('moves from a vehicle into another, and not when it is put into its first', () => {
    expect(isMove(device, draftOf(device))).toBe(false);
    expect(isMove(device, { ...draftOf(device), vehicle_id: 'veh_2' })).toBe(true);
    expect(isMove(device, { ...draftOf(device), vehicle_id: '' })).toBe(false);
    expect(isMove({ ...device, vehicle_id: null }, { ...draftOf(device), vehicle_id: 'veh_2' })).toBe(false);
  });
  it('sits in a vehicle of whose it is', () => {
    const all = [vehicle('1'), vehicle('2', { organization_id: 'org_1' })];
    expect(vehiclesFor(all, 'org_1').map(({ id }) => id)).toEqual(['2']);
    expect(vehiclesFor(all, null).map(({ id }) => id)).toEqual(['1']);
  });
  it('tells why it is given no certificate', () => {
    expect(whyNotIssued(device, true)).toBe('');
    // Not known yet, or not for this key: the server says.
    expect(whyNotIssued(device, null)).toBe('');
    expect(whyNotIssued(device, false)).toContain('no certificate authority');
    expect(whyNotIssued({ ...device, vehicle_id: null }, false)).toContain('sits in no vehicle');
    expect(whyNotIssued({ ...device, status: 'retired', vehicle_id: null }, true)).toContain('retired');
  });
});

describe('vehicles to choose from', () => {
  it('are by name as people count, under the id that is asked for', () => {
    const all = [vehicle('10', { name: 'Van 10' }), vehicle('2', { name: 'Van 2' }), vehicle('3')];
    expect(vehicleOptions(all, 'id')).toEqual([['2', 'Van 2'], ['10', 'Van 10'], ['3', 'van-3']]);
    expect(vehicleOptions(all, 'vehicle_id').map(([value]) => value)).toEqual(['van-2', 'van-10', 'van-3']);
  });
});

describe('the end of a certificate', () => {
  it('is near for thirty days', () => {
    expect([90, 30, 29.9, 0, -5].map((days) => isSoon(inDays(days), NOW_MS))).toEqual([false, false, true, true, true]);
  });
  it('is told in days', () => {
    expect([90, 1.5, 0.5, -0.5, -3].map((days) => untilText(inDays(days), NOW_MS))).toEqual(['in 90 days', 'in 1 day', 'in less than a day', 'less than a day ago', '3 days ago']);
    expect(untilText('', NOW_MS)).toBe('');
  });
});

describe('words of certificates', () => {
  it('are there for each reason, and for one of a later release', () => {
    for (const reason of REASONS) expect(reasonText(reason)).toMatch(/^[A-Z][^_]+$/);
    expect([reasonText(null), reasonText('ca_compromise')]).toEqual(['', 'ca_compromise']);
    expect(issuerText('renewal')).toBe('As a renewal');
    expect(issuerText('dance' as never)).toBe('dance');
  });
  it('show a fingerprint as other tools do', () => expect(pairs('0a1bff')).toBe('0A:1B:FF'));
  it('name a file by the vehicle', () => {
    expect(fileOf({ common_name: 'van-7' }, 'certificate')).toBe('van-7.pem');
    expect(fileOf({ common_name: '../van 7' }, 'chain')).toBe('..-van-7-chain.pem');
  });
});

describe('a request that is pasted', () => {
  const REQUEST = '-----BEGIN CERTIFICATE REQUEST-----\nMIH0\n-----END CERTIFICATE REQUEST-----';
  it('is found in what is around it', () => {
    expect(requestIn(`Certificate Request:\n    Data:\n${REQUEST}\n\nbye`)).toEqual({ csr_pem: `${REQUEST}\n` });
    const old = REQUEST.replaceAll('CERTIFICATE', 'NEW CERTIFICATE');
    expect(requestIn(old)).toEqual({ csr_pem: `${old}\n` });
  });
  it('that is none, or cut, is told', () => {
    for (const text of ['', 'MIH0', REQUEST.slice(0, -10), REQUEST.replaceAll(' REQUEST', '')]) expect(requestIn(text)).toMatchObject({ fault: expect.stringContaining('whole request') as string });
  });
  it('with a private key beside it is not sent', () => {
    for (const kind of ['', 'EC ', 'ENCRYPTED ']) expect(requestIn(`-----BEGIN ${kind}PRIVATE KEY-----\nMIG\n${REQUEST}`)).toMatchObject({ fault: expect.stringContaining('private key') as string });
  });
});

describe('an enrolment', () => {
  it('is typed without the token', () => expect(enrolCommand('https://fleet.example')).toBe('edge-agent enrol --api https://fleet.example --token-file - --config /etc/roadlake/edge-agent.toml'));
  it('has a token for as long as the server takes', () => {
    for (const [hours] of TOKEN_HOURS) expect(hours >= 1 && hours <= 720).toBe(true);
  });
});

describe('calls', () => {
  afterEach(() => vi.unstubAllGlobals());
  const answering = (status: number, body: unknown) => {
    const asked: { path: string; init: RequestInit }[] = [];
    vi.stubGlobal('fetch', (path: string, init: RequestInit) => (asked.push({ path, init }), Promise.resolve(new Response(JSON.stringify(body), { status }))));
    return asked;
  };
  it('that change a device are of the version that was seen', async () => {
    const asked = answering(200, device);
    await devices.change(device, { vehicle_id: null });
    expect(asked[0]?.path).toBe('/v1/devices/dev_1');
    expect(asked[0]?.init).toMatchObject({ method: 'PATCH', body: '{"vehicle_id":null}', headers: { 'if-match': '"3"' } });
  });
  it('for a list leave out what is not filtered by', async () => {
    const asked = answering(200, { data: [] });
    await devices.list({ status: 'new', vehicle_id: undefined, limit: 50 });
    await devices.certificates('dev_1', { limit: 25 });
    expect(asked.map(({ path }) => path)).toEqual(['/v1/devices?status=new&limit=50', '/v1/certificates?device_id=dev_1&limit=25']);
  });
  it('find no authority where there is none, and fail where that is not known', async () => {
    answering(404, { title: 'Not found', detail: 'no certificate authority' });
    expect(await devices.authority()).toBeNull();
    answering(503, { title: 'Busy' });
    await expect(devices.authority()).rejects.toMatchObject({ status: 503 });
  });
});
