// Devices as /v1 has them: the units in vehicles, how one is enrolled, and the certificates that let it in at the broker.

import { messages as m } from '../messages';
import { send } from './admin';
import { ApiError, call, query, segment } from './api';
import type { Tone } from './invoice';
import type { Page, Vehicle } from './types';

export const DEVICE_STATUSES = ['new', 'enrolled', 'retired'] as const;
export type DeviceStatus = (typeof DEVICE_STATUSES)[number];

export interface Device {
  id: string;
  organization_id: string | null;
  name: string;
  serial_number: string;
  hardware_model: string | null;
  /** The registry's id of the vehicle that it sits in. */
  vehicle_id: string | null;
  status: DeviceStatus;
  signing_public_key: string | null;
  /** The newest that is active. */
  certificate: { id: string; serial: string; not_after: string } | null;
  version: number;
  created_at: string;
  updated_at: string;
}

export type CertificateStatus = 'active' | 'expired' | 'revoked';

export interface Certificate {
  id: string;
  organization_id: string | null;
  device_id: string;
  vehicle_id: string | null;
  common_name: string;
  serial: string;
  fingerprint_sha256: string;
  not_before: string;
  not_after: string;
  status: CertificateStatus;
  revoked_at: string | null;
  revocation_reason: string | null;
  issued_by: 'enrolment' | 'renewal' | 'operator';
  replaced_by_id: string | null;
  created_at: string;
}

export interface Issued extends Certificate {
  certificate_pem: string;
  chain_pem: string;
}

export interface Token {
  token: string;
  expires_at: string;
}

export interface Authority {
  subject: string;
  fingerprint_sha256: string;
  not_before: string;
  not_after: string;
  certificate_pem: string;
  validity_days: number;
  crl_next_update_at: string;
}

/** What a person tells of a device. */
export interface DeviceDraft {
  name: string;
  serial_number: string;
  hardware_model: string;
  /** Empty for none. */
  vehicle_id: string;
}

interface Cut {
  cursor?: string;
  limit?: number;
}

const DEVICES = '/v1/devices';
const CERTIFICATES = '/v1/certificates';
const AUTHORITY = '/v1/certificate-authority';

export const devices = {
  path: DEVICES,
  pathOf: (id: string) => `${DEVICES}/${segment(id)}`,
  retirePath: (id: string) => `${devices.pathOf(id)}/retire`,
  tokensPath: (id: string) => `${devices.pathOf(id)}/enrolment-tokens`,
  certificatesPath: (id: string) => `${devices.pathOf(id)}/certificates`,
  certificatePath: (id: string) => `${CERTIFICATES}/${segment(id)}`,
  revokePath: (id: string) => `${devices.certificatePath(id)}/revoke`,
  listPath: CERTIFICATES,
  authorityPath: AUTHORITY,
  crlPath: `${AUTHORITY}/crl.pem`,
  list: (filter: Cut & { status?: string; vehicle_id?: string }, signal?: AbortSignal) => call<Page<Device>>(`${DEVICES}${query({ ...filter })}`, { signal }),
  get: (id: string, signal?: AbortSignal) => call<Device>(devices.pathOf(id), { signal }),
  add: (made: NewDevice) => send<Device>('POST', DEVICES, made),
  change: ({ id, version }: Device, patch: Partial<Changes>) => send<Device>('PATCH', devices.pathOf(id), patch, { 'if-match': `"${version}"` }),
  retire: (id: string) => send<Device>('POST', devices.retirePath(id)),
  /** The only answer that ever has the token. */
  token: (id: string, valid_for_h: number) => send<Token>('POST', devices.tokensPath(id), { valid_for_h }),
  certificates: (device_id: string, filter: Cut, signal?: AbortSignal) => call<Page<Certificate>>(`${CERTIFICATES}${query({ device_id, ...filter })}`, { signal }),
  certificate: (id: string, signal?: AbortSignal) => call<Certificate & Pick<Issued, 'certificate_pem'>>(devices.certificatePath(id), { signal }),
  issue: (id: string, csr_pem: string) => send<Issued>('POST', devices.certificatesPath(id), { csr_pem }),
  revoke: (id: string, reason: Reason) => send<Certificate>('POST', devices.revokePath(id), { reason }),
  /** Null where the server has none. */
  authority: async (signal?: AbortSignal): Promise<Authority | null> => {
    try {
      return await call<Authority>(AUTHORITY, { signal });
    } catch (cause) {
      if (cause instanceof ApiError && cause.status === 404) return null;
      throw cause;
    }
  },
};

interface Changes {
  name: string;
  hardware_model: string | null;
  vehicle_id: string | null;
}
interface NewDevice extends Changes {
  serial_number: string;
  organization_id?: string;
}

/** What is posted of a device to add. */
export const newOf = (draft: DeviceDraft, organization = ''): NewDevice => ({
  ...wishOf(draft),
  serial_number: draft.serial_number.trim(),
  ...(organization ? { organization_id: organization } : {}),
});

/** As it is now, for a form. */
export const draftOf = ({ name, serial_number, hardware_model, vehicle_id }: Device): DeviceDraft => ({ name, serial_number, hardware_model: hardware_model ?? '', vehicle_id: vehicle_id ?? '' });

const wishOf = ({ name, hardware_model, vehicle_id }: DeviceDraft): Changes => ({ name: name.trim(), hardware_model: hardware_model.trim() || null, vehicle_id: vehicle_id || null });

/** What of a device is to be another; a serial number stays as long as the device. */
export function changesOf(device: Device, draft: DeviceDraft): Partial<Changes> {
  const wish = wishOf(draft);
  return {
    ...(wish.name !== device.name ? { name: wish.name } : {}),
    ...(wish.hardware_model !== device.hardware_model ? { hardware_model: wish.hardware_model } : {}),
    ...(wish.vehicle_id !== device.vehicle_id ? { vehicle_id: wish.vehicle_id } : {}),
  };
}

/** Where a device can sit: in a vehicle of whose it is itself. */
export const vehiclesFor = (vehicles: readonly Vehicle[], owner: string | null): Vehicle[] => vehicles.filter(({ organization_id }) => organization_id === owner);

/** Whether it comes from one vehicle into another: the names on its certificates are the first one's. */
export const isMove = ({ vehicle_id }: Device, draft: DeviceDraft): boolean => vehicle_id !== null && draft.vehicle_id !== '' && draft.vehicle_id !== vehicle_id;

/** Why a device cannot be given a certificate, or the empty string. `hasAuthority` is null while that is not known. */
export function whyNotIssued({ status, vehicle_id }: Device, hasAuthority: boolean | null): string {
  if (status === 'retired') return m.devices.retired;
  if (vehicle_id === null) return m.devices.inNone;
  return hasAuthority === false ? m.devices.noAuthority : '';
}

export const REASONS = ['unspecified', 'key_compromise', 'affiliation_changed', 'superseded', 'cessation_of_operation'] as const;
export type Reason = (typeof REASONS)[number];

const REASON_WORDS: Record<Reason, string> = {
  unspecified: m.devices.reasons.unspecified, key_compromise: m.devices.reasons.keyCompromise, affiliation_changed: m.devices.reasons.affiliationChanged,
  superseded: m.devices.reasons.superseded, cessation_of_operation: m.devices.reasons.cessation,
};
/** A reason in words, one of a later release as it is. */
export const reasonText = (reason: string | null): string => (reason === null ? '' : ((REASON_WORDS as Partial<Record<string, string>>)[reason] ?? reason));

const ISSUERS: Record<Certificate['issued_by'], string> = { enrolment: m.devices.issuers.enrolment, renewal: m.devices.issuers.renewal, operator: m.devices.issuers.operator };
export const issuerText = (by: Certificate['issued_by']): string => ISSUERS[by] ?? by;

export const deviceTone = (status: DeviceStatus): Tone => ({ new: 'idling', enrolled: 'moving', retired: 'offline' } as Record<string, Tone>)[status] ?? 'offline';
export const certificateTone = (status: CertificateStatus): Tone => ({ active: 'moving', expired: 'offline', revoked: 'bad' } as Record<string, Tone>)[status] ?? 'offline';

const DAY_MS = 86_400_000;
const SOON_DAYS = 30;

/** Whether there are less than 30 days to an end, or none any more. */
export const isSoon = (end: string, nowMs: number): boolean => Date.parse(end) - nowMs < SOON_DAYS * DAY_MS;

/** `in 12 days`, `3 days ago`. */
export function untilText(end: string, nowMs: number): string {
  const leftMs = Date.parse(end) - nowMs;
  const days = Math.floor(Math.abs(leftMs) / DAY_MS);
  if (Number.isNaN(days)) return '';
  if (days === 0) return leftMs < 0 ? m.time.lessThanDayAgo : m.time.inLessThanDay;
  return leftMs < 0 ? m.time.wholeDaysAgo(days) : m.time.inDays(days);
}

/** A fingerprint as other tools show it: `AB:CD:…`. */
export const pairs = (hex: string): string => (hex.match(/.{1,2}/g) ?? []).join(':').toUpperCase();

/** How long a token can be good for; the server takes 1 to 720 hours. */
export const TOKEN_HOURS: readonly (readonly [hours: number, word: string])[] = [[1, m.time.anHour], [24, m.time.aDay], [168, m.time.aWeek], [720, m.time.wholeDays(30)]];

/** What is typed on the unit. The token comes by the standard input: no list of processes and no history of a shell has it. */
export const enrolCommand = (origin: string): string => `edge-agent enrol --api ${origin} --token-file - --config /etc/roadlake/edge-agent.toml`;

const REQUEST = /-----BEGIN (NEW )?CERTIFICATE REQUEST-----[\s\S]+?-----END \1?CERTIFICATE REQUEST-----/;

/** The request in what a person pasted, or what is wrong with it. Whether it is a good one, the server says. */
export function requestIn(text: string): { csr_pem: string } | { fault: string } {
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) return { fault: m.devices.request.privateKey };
  const found = REQUEST.exec(text)?.[0];
  return found ? { csr_pem: `${found}\n` } : { fault: m.devices.request.notWhole };
}

/** A name for a file with a vehicle's certificate. */
export const fileOf = ({ common_name }: Pick<Certificate, 'common_name'>, part: 'certificate' | 'chain'): string => `${common_name.replace(/[^\w.-]+/g, '-')}${part === 'chain' ? '-chain' : ''}.pem`;
