import { afterEach, describe, expect, it, vi } from 'vitest';
import { copyText } from '../src/lib/clipboard';
import { parse, paths } from '../src/lib/paths';

describe('addresses', () => {
  it('are read as they are written, whatever an id holds', () => {
    for (const id of ['v-1', 'a/b', 'ä ?#%']) {
      expect(parse(paths.vehicle(id))).toEqual({ page: 'vehicle', id });
      expect(parse(paths.trip(id))).toEqual({ page: 'trip', id });
      expect(parse(new URL(paths.invoice(id, { note: 'crn_1' }), 'http://x').pathname)).toEqual({ page: 'invoice', id });
    }
    expect(parse(paths.live())).toEqual({ page: 'live' });
    expect(parse(paths.trips())).toEqual({ page: 'trips' });
    expect(parse(paths.invoices())).toEqual({ page: 'invoices' });
    expect(parse(paths.sql())).toEqual({ page: 'sql' });
    expect(parse(paths.booking('bkg_1'))).toEqual({ page: 'booking', id: 'bkg_1' });
    expect(parse(new URL(paths.book('v'), 'http://x').pathname)).toEqual({ page: 'book' });
    expect(parse(paths.campaigns())).toEqual({ page: 'campaigns' });
    expect(parse(paths.campaign('cst_1'))).toEqual({ page: 'campaign', id: 'cst_1' });
    expect(parse(paths.newCampaign())).toEqual({ page: 'newCampaign' });
    expect(parse(paths.deployment('cdp_1'))).toEqual({ page: 'deployment', id: 'cdp_1' });
    expect(parse(paths.billing('wallets'))).toEqual({ page: 'billing', part: 'wallets' });
    expect(parse(paths.billing('dunning'))).toEqual({ page: 'billing', part: 'dunning' });
    expect(parse(paths.admin())).toEqual({ page: 'admin', part: 'organizations' });
    expect(parse(paths.admin('sessions'))).toEqual({ page: 'admin', part: 'sessions' });
    expect(parse(paths.admin('webhooks'))).toEqual({ page: 'admin', part: 'webhooks' });
    expect(parse(new URL(paths.admin('devices', { device: 'dev_1' }), 'http://x').pathname)).toEqual({ page: 'admin', part: 'devices' });
    expect(parse(paths.admin('audit'))).toEqual({ page: 'admin', part: 'audit' });
    expect(parse(paths.reports('faults'))).toEqual({ page: 'reports', board: 'faults' });
    expect(new URL(paths.trips('a&b'), 'http://x').searchParams.get('vehicle')).toBe('a&b');
    expect(parse(paths.fleet('drivers'))).toEqual({ page: 'fleet', part: 'drivers' });
    expect(parse(new URL(paths.fleet('groups', { group: 'grp_1' }), 'http://x').pathname)).toEqual({ page: 'fleet', part: 'groups' });
    expect(parse('/fleet')).toEqual({ page: 'fleet', part: 'drivers' });
    expect(paths.trips(undefined, { driver: 'drv_1', from: '2026-11-01' })).toBe('/trips?driver=drv_1&from=2026-11-01');
    expect(paths.live(undefined, { group: 'grp_1' })).toBe('/?group=grp_1');
  });
  it('that are none are missing, and end nothing', () => {
    for (const path of ['/nowhere', '/trips/a/b', '/vehicles', '/campaign-deployments', '/fleet/x', '/billing', '/billing/x', '/admin/x', '/trips/%E0%A4%A']) expect(parse(path)).toEqual({ page: 'missing', path });
  });
});

describe('the clipboard', () => {
  afterEach(() => vi.unstubAllGlobals());
  it('that is not there, or refuses, is told', async () => {
    vi.stubGlobal('navigator', {});
    expect(await copyText('x')).toBe(false);
    vi.stubGlobal('navigator', { clipboard: { writeText: () => Promise.reject(new Error('NotAllowedError')) } });
    expect(await copyText('x')).toBe(false);
    vi.stubGlobal('navigator', { clipboard: { writeText: () => Promise.resolve() } });
    expect(await copyText('x')).toBe(true);
  });
});
