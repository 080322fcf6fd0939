// Webhooks as /v1 has them: addresses that are told of events, and what became of each call.

import { send } from './admin';
import { call, query, segment } from './api';
import type { Tone } from './invoice';
import type { Page } from './types';

export interface Endpoint {
  id: string;
  organization_id: string | null;
  url: string;
  description: string;
  /** Empty for all. */
  event_types: string[];
  is_enabled: boolean;
  failing_since: string | null;
  version: number;
  created_at: string;
}

export const STATUSES = ['pending', 'delivered', 'failed'] as const;
export type Status = (typeof STATUSES)[number];

export interface Delivery {
  id: string;
  endpoint_id: string;
  event_position: number;
  event_id: string;
  event_type: string;
  status: Status;
  attempt_count: number;
  next_attempt_at: string | null;
  last_attempt_at: string | null;
  last_status: number | null;
  last_error: string | null;
  delivered_at: string | null;
  created_at: string;
}

/** What can be told of an endpoint by a person. */
export interface Wanted {
  url: string;
  description: string;
  event_types: string[];
}

interface Event {
  position: number;
  event_type: string;
  timestamp: string;
}

interface Cut {
  cursor?: string;
  limit?: number;
}

/** What fleets and their books are mostly told of; any other name of an event can be given as well. */
export const EVENT_TYPES = [
  'TripCompleted', 'TripRevised', 'TripWithdrawn', 'VehicleRegistered', 'VehicleChanged',
  'BookingRequested', 'BookingConfirmed', 'BookingExtended', 'BookingStarted', 'BookingFinished', 'BookingSettled', 'BookingGivenUp', 'BookingEnded',
  'InvoiceOpened', 'InvoiceFinalized', 'InvoicePaid', 'InvoicePaidInPart', 'InvoiceRefunded', 'InvoiceVoided', 'CreditNoteIssued', 'DebitNoteIssued',
  'WalletOpened', 'WalletToppedUp', 'OrganizationCreated', 'TariffCreated', 'TariffRevised',
  'GeofenceEntered', 'GeofenceExited', 'CampaignDeployed', 'CommandIssued', 'CommandAnswered',
  'DeviceRegistered', 'DeviceChanged', 'DevicePlaced', 'DeviceRemoved', 'DeviceEnrolled', 'DeviceRetired', 'CertificateIssued', 'CertificateReplaced', 'CertificateRevoked',
  'MaintenanceScheduleCreated', 'MaintenanceScheduleChanged', 'MaintenanceScheduleDeleted', 'MaintenanceBegun', 'MaintenanceOdometerKnown', 'MaintenanceDueSoon', 'MaintenanceOverdue', 'MaintenanceDone',
  'WorkOrderOpened', 'WorkOrderChanged', 'WorkOrderStarted', 'WorkOrderCompleted', 'WorkOrderCancelled',
  'DriverRegistered', 'DriverChanged', 'DriverLeft', 'DriverAssigned', 'DriverAssignmentChanged', 'DriverAssignmentEnded', 'DriverAssignmentRemoved',
  'AlertRaised', 'AlertRevised', 'AlertEnded', 'AlertWithdrawn', 'AlertAcknowledged', 'AlertRuleCreated', 'AlertRuleChanged', 'AlertRuleDeleted',
  'GroupCreated', 'GroupChanged', 'GroupDeleted', 'VehicleJoinedGroup', 'VehicleLeftGroup',
] as const;

const ENDPOINTS = '/v1/webhook-endpoints';
const GONE = 410;

export const webhooks = {
  pathOf: (id: string) => `${ENDPOINTS}/${segment(id)}`,
  list: (filter: Cut, signal?: AbortSignal) => call<Page<Endpoint>>(`${ENDPOINTS}${query({ ...filter })}`, { signal }),
  get: (id: string, signal?: AbortSignal) => call<Endpoint>(webhooks.pathOf(id), { signal }),
  /** This answer and that of `rotate` are the only ones that have the secret. */
  add: (made: Wanted & { organization_id?: string }) => send<Endpoint & { secret: string }>('POST', ENDPOINTS, made),
  change: ({ id, version }: Endpoint, patch: Partial<Wanted> & { is_enabled?: boolean }) => send<Endpoint>('PATCH', webhooks.pathOf(id), patch, { 'if-match': `"${version}"` }),
  remove: (id: string) => send<undefined>('DELETE', webhooks.pathOf(id)),
  rotate: (id: string) => send<Endpoint & { secret: string }>('POST', `${webhooks.pathOf(id)}/rotate-secret`),
  ping: (id: string) => send<Delivery>('POST', `${webhooks.pathOf(id)}/ping`),
  deliveries: (id: string, filter: Cut & { status?: string }, signal?: AbortSignal) => call<Page<Delivery>>(`${webhooks.pathOf(id)}/deliveries${query({ ...filter })}`, { signal }),
  replay: ({ id, endpoint_id }: Delivery) => send<Delivery>('POST', `${webhooks.pathOf(endpoint_id)}/deliveries/${segment(id)}/replay`),
  /** What is posted at each attempt, for those who may read the log of events. */
  body: async ({ event_position }: Delivery, signal?: AbortSignal) => {
    const { data } = await call<{ data: Event[] }>(`/v1/events${query({ after: event_position - 1, limit: 1 })}`, { signal });
    const event = data.find(({ position }) => position === event_position);
    return event ? bodyOf(event) : '';
  },
};

const bodyOf = (event: Event): string => JSON.stringify({ type: event.event_type, timestamp: event.timestamp, data: event }, null, 2);

export type EndpointState = 'enabled' | 'failing' | 'disabled';

export const stateOf = ({ is_enabled, failing_since }: Endpoint): EndpointState => (!is_enabled ? 'disabled' : failing_since ? 'failing' : 'enabled');

export const endpointTone = (state: EndpointState): Tone => ({ enabled: 'moving', failing: 'bad', disabled: 'offline' })[state] as Tone;
export const deliveryTone = (status: Status): Tone => ({ pending: 'idling', delivered: 'moving', failed: 'bad' })[status] as Tone;

/** Why nothing is told to an endpoint that is disabled, as far as it and its newest deliveries say. */
export function whyDisabled({ failing_since }: Endpoint, deliveries: readonly Delivery[] = []): 'by_hand' | 'gone' | 'failing' {
  if (!failing_since) return 'by_hand';
  // The last attempt of all disabled it: nothing is attempted since.
  const last = deliveries.filter(({ last_attempt_at }) => last_attempt_at !== null).reduce<Delivery | null>((newest, item) => (newest && Date.parse(newest.last_attempt_at ?? '') >= Date.parse(item.last_attempt_at ?? '') ? newest : item), null);
  return last?.last_status === GONE ? 'gone' : 'failing';
}

/** What came back at the last attempt: `200`, or what came instead of an answer. */
export const answerOf = ({ last_status, last_error }: Delivery): string => (last_status !== null ? String(last_status) : (last_error ?? ''));

/** Whether its next attempt is now: what becomes of it is known in a moment. */
export const isDue = ({ status, next_attempt_at }: Delivery, nowMs: number): boolean => status === 'pending' && next_attempt_at !== null && Date.parse(next_attempt_at) <= nowMs;

/** The names in what a person wrote, apart by spaces or commas; null where one cannot be an event's. */
export function namesIn(text: string): string[] | null {
  const names = text.split(/[\s,]+/).filter(Boolean);
  return names.every((name) => /^[A-Za-z0-9]{1,60}$/.test(name)) ? names : null;
}
