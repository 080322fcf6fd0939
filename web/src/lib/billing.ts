// Wallets and payments as /v1 has them.

import { call, query, segment } from './api';
import type { Tone } from './invoice';
import type { Page } from './types';

export interface Wallet {
  id: string;
  organization_id: string;
  currency: string;
  balance_minor: number;
  held_minor: number;
  available_minor: number;
  version: number;
  created_at: string;
}

export interface Entry {
  id: string;
  transaction_id: string;
  kind: string;
  account: string;
  counter_account: string;
  currency: string;
  amount_minor: number;
  reference: string;
  created_at: string;
}

export interface Hold {
  id: string;
  wallet_id: string;
  status: 'held' | 'captured' | 'released' | 'expired';
  amount_minor: number;
  captured_minor: number;
  currency: string;
  reason: string;
  expires_at: string;
  created_at: string;
  closed_at: string | null;
}

export interface Payment {
  id: string;
  invoice_id: string;
  status: 'pending' | 'requires_action' | 'succeeded' | 'failed';
  method: 'card' | 'wallet';
  amount_minor: number;
  refunded_minor: number;
  currency: string;
  error_type: string | null;
  action_url: string | null;
  created_at: string;
  updated_at: string;
}

export interface Refund {
  id: string;
  payment_id: string;
  status: 'pending' | 'succeeded' | 'failed';
  amount_minor: number;
  currency: string;
  reason: string;
  created_at: string;
}

interface Cut {
  cursor?: string;
  limit?: number;
}

export const billing = {
  wallets: (filter: Cut & { organization_id?: string }, signal?: AbortSignal) => call<Page<Wallet>>(`/v1/wallets${query({ ...filter })}`, { signal }),
  entries: (wallet: string, filter: Cut, signal?: AbortSignal) => call<Page<Entry>>(`/v1/wallets/${segment(wallet)}/entries${query({ ...filter })}`, { signal }),
  holds: (wallet_id: string, filter: Cut, signal?: AbortSignal) => call<Page<Hold>>(`/v1/wallet-holds${query({ wallet_id, ...filter })}`, { signal }),
  payments: (filter: Cut & { invoice_id?: string }, signal?: AbortSignal) => call<Page<Payment>>(`/v1/payments${query({ ...filter })}`, { signal }),
  refunds: (payment_id: string, signal?: AbortSignal) => call<{ data: Refund[] }>(`/v1/refunds${query({ payment_id })}`, { signal }),
  topUpPath: (wallet: string) => `/v1/wallets/${segment(wallet)}/top-ups`,
  releasePath: (hold: string) => `/v1/wallet-holds/${segment(hold)}/release`,
  confirmPath: (payment: string) => `/v1/payments/${segment(payment)}/confirm`,
  invoicePath: (invoice: string, act: 'finalize' | 'mark-paid' | 'void') => `/v1/invoices/${segment(invoice)}/${act}`,
};

export const paymentTone = (status: string): Tone => (({ pending: 'idling', requires_action: 'idling', succeeded: 'moving', failed: 'bad' }) as Record<string, Tone>)[status] ?? 'offline';
export const holdTone = (status: string): Tone => (({ held: 'idling', captured: 'moving', released: 'parked' }) as Record<string, Tone>)[status] ?? 'offline';

/** Digits behind the point of a currency. */
export const digitsOf = (currency: string): number => new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2;

/** An amount as a person writes it, in minor units: exact, or null where it is none or has too many digits. */
export function minorOf(text: string, currency: string): number | null {
  const digits = digitsOf(currency);
  const match = /^(\d{1,10})(?:[.,](\d+))?$/.exec(text.trim());
  const fraction = match?.[2] ?? '';
  if (!match || fraction.length > digits) return null;
  const minor = Number(`${match[1]}${fraction.padEnd(digits, '0')}`);
  return minor > 0 && Number.isSafeInteger(minor) ? minor : null;
}

/** The wallet that an address is about: itself, or that of an organization, which may have none; else the first. */
export const walletOf = (wallets: readonly Wallet[], wallet: string, organization: string): Wallet | undefined =>
  wallets.find(({ id }) => id === wallet) ?? (organization ? wallets.find(({ organization_id }) => organization_id === organization) : wallets[0]);
