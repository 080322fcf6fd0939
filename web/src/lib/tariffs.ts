// Tariffs as /v1 has them, in words, and what a booking would cost by one. Money is whole minor units and
// decimal texts: exact arithmetic, no float. What the server makes of a booking is what counts.

import { messages as m } from '../messages';
import { call, query, segment } from './api';
import { decimalString } from './format';
import type { Page } from './types';

export interface Tier {
  up_to?: string | null;
  price: string;
  flat_price?: string;
}

export type Tiers = { mode: 'graduated' | 'volume'; steps: Tier[] } | { mode: 'package'; size: string; price: string };

export const COMPONENTS = ['FLAT', 'DISTANCE', 'TIME', 'IDLE', 'ENERGY', 'MINIMUM', 'MAXIMUM'] as const;
export type ComponentType = (typeof COMPONENTS)[number];

export interface PriceComponent {
  type: ComponentType;
  price?: string;
  step_size?: number;
  tiers?: Tiers | null;
}

export interface TariffTerms {
  name: string;
  currency: string;
  tax_percent: string;
  elements: { components: PriceComponent[]; restrictions?: Record<string, unknown> }[];
  min_price?: string | null;
  max_price?: string | null;
  booking_kept_percent?: string | null;
  time_zone?: string | null;
}

export interface Tariff extends TariffTerms {
  id: string;
  version: number;
  created_at: string;
}

export interface TariffPreview {
  month: string;
  currency: string;
  customers: { organization_id: string; organization_name: string; trip_count: number; current_minor: number; preview_minor: number; difference_minor: number }[];
  current_minor: number;
  preview_minor: number;
  difference_minor: number;
}

const IDENTITY = ['id', 'version', 'created_at'];

export const tariffs = {
  list: (filter: { cursor?: string; limit?: number }, signal?: AbortSignal) => call<Page<Tariff>>(`/v1/tariffs${query(filter)}`, { signal }),
  get: (id: string, signal?: AbortSignal) => call<Tariff>(`/v1/tariffs/${segment(id)}`, { signal }),
  /** What an organization pays by. */
  idOf: async (organization: string, signal?: AbortSignal): Promise<string> => (await call<{ tariff_id: string }>(`/v1/organizations/${segment(organization)}/tariff`, { signal })).tariff_id,
  of: async (organization: string, signal?: AbortSignal): Promise<Tariff> => tariffs.get(await tariffs.idOf(organization, signal), signal),
  choose: (organization: string, tariff_id: string) =>
    call<unknown>(`/v1/organizations/${segment(organization)}/tariff`, { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ tariff_id }) }),
  change: (tariff: Tariff, terms: TariffTerms) =>
    call<Tariff>(`/v1/tariffs/${segment(tariff.id)}`, { method: 'PUT', headers: { 'content-type': 'application/json', 'if-match': `"${tariff.version}"` }, body: JSON.stringify(terms) }),
  preview: (tariff: TariffTerms, month: string | undefined, signal?: AbortSignal) =>
    call<TariffPreview>('/v1/tariff-previews', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ tariff, ...(month ? { month } : {}) }), signal }),
};

/** A tariff without what names it: what a preview and a new version take. */
export const termsOf = (tariff: Tariff): TariffTerms => Object.fromEntries(Object.entries(tariff).filter(([key, value]) => !IDENTITY.includes(key) && value !== null)) as unknown as TariffTerms;

const UNITS: Record<ComponentType, string> = { FLAT: m.tariffs.units.trip, DISTANCE: m.tariffs.units.km, TIME: m.tariffs.units.hour, IDLE: m.tariffs.units.hourIdling, ENERGY: m.tariffs.units.kwh, MINIMUM: m.tariffs.units.least, MAXIMUM: m.tariffs.units.most };

export const unitOf = (type: string): string => UNITS[type as ComponentType] ?? type;

/** A component as a person reads it: `0.29 a km`, `from 0.20 a km, in tiers`. */
export function componentText({ type, price, tiers }: PriceComponent): string {
  if (tiers) {
    const prices = tiers.mode === 'package' ? [tiers.price] : tiers.steps.map((step) => step.price);
    return m.tariffs.inTiers(prices.map((text) => decimalString(text, 2)).join(' / '), tiers.mode === 'package' ? m.tariffs.forEach(decimalString(tiers.size)) : unitOf(type));
  }
  return type === 'MINIMUM' ? m.tariffs.atLeast(decimalString(price, 2)) : type === 'MAXIMUM' ? m.tariffs.atMost(decimalString(price, 2)) : m.tariffs.price(decimalString(price, 2), unitOf(type));
}

export const terms = (tariff: TariffTerms): string[] => tariff.elements.flatMap(({ components }) => components.map(componentText));
