// An invoice's lines as a reader wants them: by trip, with a subtotal each.

import { messages as m } from '../messages';
import { paths } from './paths';
import type { InvoiceLine } from './types';

export interface TripLines {
  trip_id: string;
  vehicle_id: string;
  start_time: string;
  revision: number;
  lines: InvoiceLine[];
  amount_minor: number;
}

/** Group lines by trip, in the order the server gave them. Whole minor units: no rounding here. */
export function byTrip(lines: readonly InvoiceLine[]): TripLines[] {
  const groups = new Map<string, TripLines>();
  for (const line of lines) {
    const group = groups.get(line.trip_id) ?? {
      trip_id: line.trip_id,
      vehicle_id: line.vehicle_id,
      start_time: line.trip_start_time,
      revision: line.trip_revision,
      lines: [],
      amount_minor: 0,
    };
    group.lines.push(line);
    group.amount_minor += line.amount_minor;
    group.revision = Math.max(group.revision, line.trip_revision);
    groups.set(line.trip_id, group);
  }
  return [...groups.values()];
}

/** The one tax rate of all lines, or null when they differ. */
export function taxPercent(lines: readonly InvoiceLine[]): string | null {
  const rates = new Set(lines.map((line) => line.tax_percent));
  return rates.size === 1 ? ([...rates][0] ?? null) : null;
}

export type Document = 'invoices' | 'credit-notes';

/** What there is of a document as a file. */
export function filesOf(of: Document, id: string): { kind: string; path: string }[] {
  const path = `/v1/${of}/${encodeURIComponent(id)}`;
  const pdf = { kind: 'PDF', path: `${path}/pdf` };
  return of === 'invoices' ? [pdf, { kind: 'CSV', path: `${path}/csv` }] : [pdf];
}

export type Tone = 'moving' | 'idling' | 'parked' | 'offline' | 'bad';

/** The colour of each state of an invoice; one that this console does not know yet is grey. */
export const invoiceTone = (status: string): Tone => ({ draft: 'parked', finalized: 'idling', paid: 'moving', void: 'offline' } as Record<string, Tone>)[status] ?? 'offline';

export const noteWord = (kind: string): string => (kind === 'debit' ? m.notes.debitNote : m.notes.creditNote);

/** What a charge is for, where this console has a page of it: a booking, or the invoice that was paid late. */
export function chargeOf(reference: string): { href: string; word: string } | null {
  if (/^bkg_[0-9a-z]+$/.test(reference)) return { href: paths.booking(reference), word: m.invoice.ofBooking };
  const invoice = /^inv_[0-9a-z]+/.exec(reference)?.[0];
  return invoice ? { href: paths.invoice(invoice), word: m.invoice.ofInvoice } : null;
}

/** What an address says of overdue, as the server is asked. */
export const overdueOf = (param: string): 'true' | 'false' | undefined => (param === 'yes' ? 'true' : param === 'no' ? 'false' : undefined);
