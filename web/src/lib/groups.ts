// Groups as /v1 has them: which vehicles are looked at together.

import { messages as m } from '../messages';
import { send } from './admin';
import { api, call, query, segment } from './api';
import { all } from './bookings';
import type { Page, Vehicle } from './types';

export interface Group {
  id: string;
  organization_id: string | null;
  name: string;
  description: string | null;
  vehicle_count: number;
  version: number;
  created_at: string;
  updated_at: string;
}

export interface GroupWish {
  name: string;
  description: string | null;
}

const GROUPS = '/v1/groups';
const PAGE_MAX = 200;
const PAGES_MAX = 20;
/** As many can join or leave at once. */
export const MOVED_MAX = 1_000;

export const groups = {
  path: GROUPS,
  pathOf: (id: string) => `${GROUPS}/${segment(id)}`,
  vehiclesPath: (id: string) => `${groups.pathOf(id)}/vehicles`,
  list: (filter: { q?: string; cursor?: string; limit?: number }, signal?: AbortSignal) => call<Page<Group>>(`${GROUPS}${query(filter)}`, { signal }),
  /** What a person chooses from. */
  all: (signal?: AbortSignal): Promise<Group[]> => all((cursor) => groups.list({ limit: PAGE_MAX, cursor }, signal), PAGES_MAX),
  get: (id: string, signal?: AbortSignal) => call<Group>(groups.pathOf(id), { signal }),
  add: (made: Partial<GroupWish> & { organization_id?: string }) => send<Group>('POST', GROUPS, made),
  change: ({ id, version }: Group, patch: Partial<GroupWish>) => send<Group>('PATCH', groups.pathOf(id), patch, { 'if-match': `"${version}"` }),
  remove: (id: string) => send<undefined>('DELETE', groups.pathOf(id)),
  vehicles: (id: string, filter: { cursor?: string; limit?: number }, signal?: AbortSignal): Promise<Page<Vehicle>> => api.vehicles({ group_id: id, ...filter }, signal),
  /** All or none of them; ids are the registry's. */
  move: (id: string, vehicles: { add?: readonly string[]; remove?: readonly string[] }) => send<Group>('POST', groups.vehiclesPath(id), vehicles),
};

const wishOf = ({ name, description }: { name: string; description: string }): GroupWish => ({ name: name.trim(), description: description.trim() || null });

/** What is posted of a group to add. */
export const newOf = (draft: { name: string; description: string }, organization: string): Partial<GroupWish> & { organization_id?: string } => {
  const { name, description } = wishOf(draft);
  return { name, ...(description === null ? {} : { description }), ...(organization ? { organization_id: organization } : {}) };
};

/** What of a group is to be another. */
export function changesOf(was: Group, draft: { name: string; description: string }): Partial<GroupWish> {
  const wish = wishOf(draft);
  return { ...(wish.name === was.name ? {} : { name: wish.name }), ...(wish.description === was.description ? {} : { description: wish.description }) };
}

/** To choose one of them, by name as people count. */
export const groupOptions = (items: readonly Group[]): (readonly [value: string, word: string])[] =>
  items.map(({ id, name }) => [id, name] as const).sort((a, b) => a[1].localeCompare(b[1], undefined, { numeric: true }));

/** `12 vehicles`. */
export const sizeText = (count: number): string => m.common.vehicleCount(count);
