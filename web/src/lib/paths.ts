// The console's addresses, each written once: links are made here, and route.svelte.ts reads them.

type Query = Record<string, string | null | undefined>;

export const PAGES = { alerts: 'alerts', trips: 'trips', invoices: 'invoices', vehicles: 'vehicles', reports: 'reports', sql: 'sql', bookings: 'bookings', campaigns: 'campaigns', deployments: 'campaign-deployments', fleet: 'fleet', maintenance: 'maintenance', billing: 'billing', admin: 'admin' } as const;

/** What billing has beside invoices. */
export const BILLING_PARTS = ['wallets', 'payments', 'tariffs', 'dunning'] as const;
export type BillingPart = (typeof BILLING_PARTS)[number];
export const ADMIN_PARTS = ['organizations', 'people', 'keys', 'sessions', 'devices', 'webhooks', 'audit'] as const;
export type AdminPart = (typeof ADMIN_PARTS)[number];
/** Who drives, and what is looked at together; maintenance is of the fleet as well, at addresses of its own. */
export const FLEET_PARTS = ['drivers', 'groups'] as const;
export type FleetPart = (typeof FLEET_PARTS)[number];
/** The first of them is the area's own address. */
export const MAINTENANCE_PARTS = ['due', 'schedules', 'work-orders'] as const;
export type MaintenancePart = (typeof MAINTENANCE_PARTS)[number];
/** The first of them is the area's own address. */
export const ALERT_PARTS = ['raised', 'rules'] as const;
export type AlertPart = (typeof ALERT_PARTS)[number];

const NEW = 'new';

function made(parts: readonly string[], query: Query = {}): string {
  const set = Object.entries(query).flatMap(([name, value]) => (value ? [[name, value]] : []));
  return `/${parts.map(encodeURIComponent).join('/')}${set.length ? `?${new URLSearchParams(set)}` : ''}`;
}

export const paths = {
  live: (vehicle?: string, query?: { group?: string }) => made([], { vehicle, ...query }),
  alerts: (part?: AlertPart, query?: { vehicle?: string; rule?: string; status?: string; alert?: string }) => made(part && part !== 'raised' ? [PAGES.alerts, part] : [PAGES.alerts], query),
  trips: (vehicle?: string, query?: { driver?: string; group?: string; from?: string; to?: string }) => made([PAGES.trips], { vehicle, ...query }),
  trip: (id: string) => made([PAGES.trips, id]),
  invoices: (query?: { of?: string; status?: string; overdue?: string }) => made([PAGES.invoices], query),
  invoice: (id: string, query?: { note?: string }) => made([PAGES.invoices, id], query),
  vehicle: (id: string) => made([PAGES.vehicles, id]),
  reports: (board?: string, query?: { days?: string | null }) => made(board ? [PAGES.reports, board] : [PAGES.reports], query),
  sql: (query?: { query: string; view?: string; x?: string; y?: string; by?: string }) => made([PAGES.sql], query),
  bookings: () => made([PAGES.bookings]),
  booking: (id: string) => made([PAGES.bookings, id]),
  /** Where one is made; its address is no booking's id. */
  book: (vehicle?: string) => made([PAGES.bookings, NEW], { vehicle }),
  campaigns: () => made([PAGES.campaigns]),
  campaign: (id: string) => made([PAGES.campaigns, id]),
  newCampaign: () => made([PAGES.campaigns, NEW]),
  deployment: (id: string) => made([PAGES.deployments, id]),
  fleet: (part: FleetPart, query?: { driver?: string; group?: string }) => made([PAGES.fleet, part], query),
  maintenance: (part?: MaintenancePart, query?: { vehicle?: string; schedule?: string; order?: string }) => made(part && part !== 'due' ? [PAGES.maintenance, part] : [PAGES.maintenance], query),
  billing: (part: BillingPart, query?: { wallet?: string; of?: string }) => made([PAGES.billing, part], query),
  admin: (part?: AdminPart, query?: { device?: string; vehicle?: string }) => made(part ? [PAGES.admin, part] : [PAGES.admin], query),
  docs: () => '/docs',
};

export type Route =
  | { page: 'live' }
  | { page: 'alerts'; part: AlertPart }
  | { page: 'trips' }
  | { page: 'trip'; id: string }
  | { page: 'invoices' }
  | { page: 'invoice'; id: string }
  | { page: 'vehicle'; id: string }
  | { page: 'reports'; board: string }
  | { page: 'sql' }
  | { page: 'bookings' }
  | { page: 'booking'; id: string }
  | { page: 'book' }
  | { page: 'campaigns' }
  | { page: 'campaign'; id: string }
  | { page: 'newCampaign' }
  | { page: 'deployment'; id: string }
  | { page: 'fleet'; part: FleetPart }
  | { page: 'maintenance'; part: MaintenancePart }
  | { page: 'billing'; part: BillingPart }
  | { page: 'admin'; part: AdminPart }
  | { page: 'missing'; path: string };

/** Which page a path is. */
export function parse(path: string): Route {
  let parts: string[];
  try {
    parts = path.split('/').filter(Boolean).map(decodeURIComponent);
  } catch {
    return { page: 'missing', path };
  }
  const [first, second, extra] = parts;
  if (extra === undefined) {
    if (first === undefined) return { page: 'live' };
    const alerts = second === undefined ? ALERT_PARTS[0] : ALERT_PARTS.find((part) => part === second);
    if (first === PAGES.alerts && alerts) return { page: 'alerts', part: alerts };
    if (first === PAGES.trips) return second ? { page: 'trip', id: second } : { page: 'trips' };
    if (first === PAGES.invoices) return second ? { page: 'invoice', id: second } : { page: 'invoices' };
    if (first === PAGES.vehicles && second) return { page: 'vehicle', id: second };
    if (first === PAGES.reports) return { page: 'reports', board: second ?? '' };
    if (first === PAGES.sql && second === undefined) return { page: 'sql' };
    if (first === PAGES.bookings) return second === NEW ? { page: 'book' } : second ? { page: 'booking', id: second } : { page: 'bookings' };
    if (first === PAGES.campaigns) return second === NEW ? { page: 'newCampaign' } : second ? { page: 'campaign', id: second } : { page: 'campaigns' };
    if (first === PAGES.deployments && second) return { page: 'deployment', id: second };
    const fleet = second === undefined ? FLEET_PARTS[0] : FLEET_PARTS.find((part) => part === second);
    if (first === PAGES.fleet && fleet) return { page: 'fleet', part: fleet };
    const maintenance = second === undefined ? MAINTENANCE_PARTS[0] : MAINTENANCE_PARTS.find((part) => part === second);
    if (first === PAGES.maintenance && maintenance) return { page: 'maintenance', part: maintenance };
    const billing = BILLING_PARTS.find((part) => part === second);
    if (first === PAGES.billing && billing) return { page: 'billing', part: billing };
    const admin = second === undefined ? ADMIN_PARTS[0] : ADMIN_PARTS.find((part) => part === second);
    if (first === PAGES.admin && admin) return { page: 'admin', part: admin };
  }
  return { page: 'missing', path };
}
