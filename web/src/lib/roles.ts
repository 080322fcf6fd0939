// What a role is called, and which call each page lives by: a page whose call the key may not make is not offered.

import type { Route } from './paths';

export const ROLES = ['owner', 'dispatcher', 'analyst', 'driver', 'billing', 'device_admin'] as const;
export type Role = (typeof ROLES)[number];

type Page = Route['page'];
type Call = readonly [method: string, path: string];

const LIVES_BY: Record<Exclude<Page, 'missing' | keyof typeof PARTS>, Call> = {
  live: ['GET', '/v1/fleet/status'],
  vehicle: ['GET', '/v1/vehicles/any'],
  trips: ['GET', '/v1/trips'],
  trip: ['GET', '/v1/trips/any'],
  bookings: ['GET', '/v1/bookings'],
  booking: ['GET', '/v1/bookings/any'],
  book: ['POST', '/v1/bookings'],
  campaigns: ['GET', '/v1/campaign-sets'],
  campaign: ['GET', '/v1/campaign-sets/any'],
  newCampaign: ['POST', '/v1/campaign-sets'],
  deployment: ['GET', '/v1/campaign-deployments/any'],
  reports: ['POST', '/v1/sql'],
  sql: ['POST', '/v1/sql'],
  invoices: ['GET', '/v1/invoices'],
  invoice: ['GET', '/v1/invoices/any'],
};
const PARTS: Record<'alerts' | 'fleet' | 'maintenance' | 'billing' | 'admin', Record<string, Call>> = {
  alerts: { raised: ['GET', '/v1/alerts'], rules: ['GET', '/v1/alert-rules'] },
  fleet: { drivers: ['GET', '/v1/drivers'], groups: ['GET', '/v1/groups'] },
  maintenance: { due: ['GET', '/v1/maintenance-due'], schedules: ['GET', '/v1/maintenance-schedules'], 'work-orders': ['GET', '/v1/work-orders'] },
  billing: { wallets: ['GET', '/v1/wallets'], payments: ['GET', '/v1/payments'], tariffs: ['GET', '/v1/tariffs'], dunning: ['GET', '/v1/organizations/any/dunning-policy'] },
  admin: { organizations: ['GET', '/v1/organizations'], people: ['GET', '/v1/users'], keys: ['GET', '/v1/api-keys'], sessions: ['GET', '/v1/sessions'], devices: ['GET', '/v1/devices'], webhooks: ['GET', '/v1/webhook-endpoints'], audit: ['GET', '/v1/audit-log'] },
};

/** What a page asks of the server first; null where it asks nothing. */
export function livesBy(route: Route): Call | null {
  if (route.page === 'missing') return null;
  if (route.page === 'alerts' || route.page === 'fleet' || route.page === 'maintenance' || route.page === 'billing' || route.page === 'admin') return PARTS[route.page][route.part] ?? null;
  return LIVES_BY[route.page];
}
