import { describe, expect, it } from 'vitest';
import { minorOf, type Wallet, walletOf } from '../src/lib/billing';
import { byTrip, chargeOf, invoiceTone, noteWord, overdueOf, taxPercent } from '../src/lib/invoice';
import { monthBefore } from '../src/lib/period';
import { INVOICE_STATUSES, type InvoiceLine } from '../src/lib/types';

const line = (id: string, trip: string, amount: number, tax = '25', revision = 1): InvoiceLine => ({
  id,
  kind: 'usage',
  trip_id: trip,
  trip_revision: revision,
  trip_start_time: '2024-03-01T10:00:00Z',
  trip_end_time: '2024-03-01T11:00:00Z',
  vehicle_id: 'v',
  description: 'Distance',
  component: 'DISTANCE',
  quantity: '1',
  unit: 'km',
  unit_price: '1.00',
  amount_minor: amount,
  billed_before_minor: 0,
  tax_percent: tax,
  tariff_id: 'tar_1',
  tariff_version: 1,
  lake_version: 1,
  row_hash: '',
});

describe('lines by trip', () => {
  it('keeps the order of trips and sums whole minor units', () => {
    const groups = byTrip([line('1', 'b', 100), line('2', 'a', 7), line('3', 'b', -30, '25', 2)]);
    expect(groups.map((group) => [group.trip_id, group.amount_minor, group.revision])).toEqual([['b', 70, 2], ['a', 7, 1]]);
    expect(groups[0]?.lines.map(({ id }) => id)).toEqual(['1', '3']);
  });
  it('one tax rate is named, several are not', () => {
    expect(taxPercent([line('1', 'a', 1), line('2', 'a', 1)])).toBe('25');
    expect(taxPercent([line('1', 'a', 1), line('2', 'a', 1, '0')])).toBeNull();
    expect(taxPercent([])).toBeNull();
  });
});

describe('states', () => {
  it('of an invoice have a colour each, and one not known yet is grey', () => {
    expect(new Set(INVOICE_STATUSES.map(invoiceTone)).size).toBe(INVOICE_STATUSES.length);
    expect(invoiceTone('disputed')).toBe('offline');
  });
  it('notes have their kind in words', () => expect([noteWord('credit'), noteWord('debit')]).toEqual(['Credit note', 'Debit note']));
});

describe('an amount that is written', () => {
  it('is exact in minor units, or none', () => {
    expect(minorOf('50', 'EUR')).toBe(5000);
    expect(minorOf(' 1.1 ', 'EUR')).toBe(110);
    expect(minorOf('0,07', 'EUR')).toBe(7);
    expect(minorOf('1200', 'JPY')).toBe(1200);
    for (const text of ['', '0', '-5', '1.234', '12,345', '1e3', 'ten', '1.2.3', '99999999999']) expect(minorOf(text, 'EUR')).toBeNull();
    expect(minorOf('1.5', 'JPY')).toBeNull();
  });
});

describe('a charge', () => {
  it('leads to what it is for, where there is a page of it', () => {
    expect(chargeOf('bkg_0190a')).toEqual({ href: '/bookings/bkg_0190a', word: 'Booking' });
    expect(chargeOf('inv_0190a:late-fee')).toEqual({ href: '/invoices/inv_0190a', word: 'Invoice' });
    for (const other of ['', 'bkg_', 'bkg_a/../b', 'x inv_1']) expect(chargeOf(other)).toBeNull();
  });
});

describe('billing by address', () => {
  it('asks the server for overdue or not, and for neither where the address says nothing it knows', () => {
    expect(['yes', 'no', '', 'constructor'].map(overdueOf)).toEqual(['true', 'false', undefined, undefined]);
  });
  it('opens the wallet it names, that of an organization or none, else the first', () => {
    const wallets = [{ id: 'w1', organization_id: 'o1' }, { id: 'w2', organization_id: 'o2' }] as Wallet[];
    expect([['', ''], ['w2', 'o1'], ['', 'o2'], ['', 'o3'], ['gone', '']].map(([wallet = '', of = '']) => walletOf(wallets, wallet, of)?.id)).toEqual(['w1', 'w2', 'w2', undefined, 'w1']);
  });
  it('previews the month before, also in January', () => {
    expect(monthBefore(Date.parse('2026-01-31T23:59:59Z'))).toBe('2025-12');
    expect(monthBefore(Date.parse('2026-03-31T00:00:00Z'))).toBe('2026-02');
  });
});
