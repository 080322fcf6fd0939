// Who may come in, and what they did: organizations, people, keys and the audit log as /v1 has them.

import { call, query, segment } from './api';
import type { Organization } from './bookings';
import type { Role } from './roles';
import type { Page } from './types';

export interface User {
  id: string;
  name: string;
  email: string;
  role: Role;
  organization_id: string | null;
  is_active: boolean;
  version: number;
  created_at: string;
}

export interface ApiKey {
  id: string;
  name: string;
  prefix: string;
  role: Role;
  organization_id: string | null;
  user_id: string | null;
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
  revoked_at: string | null;
}

/** A person who signed in at the identity provider, in one browser. */
export interface SignedIn {
  id: string;
  user_id: string;
  person_name: string;
  email: string | null;
  organization_id: string | null;
  signed_in_at: string;
  last_seen_at: string;
  ends_at: string;
  is_current: boolean;
}

export interface AuditEntry {
  id: string;
  at: string;
  actor: string;
  role: string;
  organization_id: string | null;
  method: string;
  route: string;
  path: string;
  result: string;
  request_id: string;
}

interface Cut {
  organization_id?: string;
  cursor?: string;
  limit?: number;
}

/** Ask with a method and a body, as JSON. */
export const send = <T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> =>
  call(path, { method, headers: { 'content-type': 'application/json', ...headers }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });

export const admin = {
  organizations: (filter: Cut, signal?: AbortSignal) => call<Page<Organization>>(`/v1/organizations${query({ ...filter })}`, { signal }),
  addOrganization: (made: { name: string; currency: string; time_zone: string }) => send<Organization>('POST', '/v1/organizations', made),
  users: (filter: Cut, signal?: AbortSignal) => call<Page<User>>(`/v1/users${query({ ...filter })}`, { signal }),
  addUser: (made: { name: string; email: string; role: string; organization_id?: string }) => send<User>('POST', '/v1/users', made),
  changeUser: ({ id, version }: User, patch: { role?: string; is_active?: boolean }) => send<User>('PATCH', `/v1/users/${segment(id)}`, patch, { 'if-match': `"${version}"` }),
  keys: (filter: Cut, signal?: AbortSignal) => call<Page<ApiKey>>(`/v1/api-keys${query({ ...filter })}`, { signal }),
  /** The only answer that ever has the secret. */
  addKey: (made: { name: string; role: string; organization_id?: string; user_id?: string; expires_at?: string }) => send<ApiKey & { secret: string }>('POST', '/v1/api-keys', made),
  revoke: (id: string) => send<ApiKey | undefined>('DELETE', `/v1/api-keys/${segment(id)}`),
  /** One's own; an owner's are those of their organization. */
  sessions: (filter: Cut, signal?: AbortSignal) => call<Page<SignedIn>>(`/v1/sessions${query({ ...filter })}`, { signal }),
  endSession: (id: string) => call<undefined>(`/v1/sessions/${segment(id)}`, { method: 'DELETE' }),
  audit: (filter: Cut, signal?: AbortSignal) => call<Page<AuditEntry>>(`/v1/audit-log${query({ ...filter })}`, { signal }),
};

/** What an entry says became of a request. */
export const resultTone = (result: string) => (result.startsWith('done') ? 'moving' : result.startsWith('failed') ? 'bad' : result.startsWith('refused') ? 'idling' : 'parked') as 'moving' | 'bad' | 'idling' | 'parked';

/** Whether a key still opens anything. */
export function keyState(key: ApiKey, nowMs: number): 'active' | 'revoked' | 'expired' {
  if (key.revoked_at) return 'revoked';
  return key.expires_at && Date.parse(key.expires_at) <= nowMs ? 'expired' : 'active';
}
