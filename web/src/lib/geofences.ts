// Geofences as /v1 has them: places that are watched, and who is in them.

import { send } from './admin';
import { call, query, segment } from './api';
import type { FleetItem, Page } from './types';

export type Position = [longitude: number, latitude: number];

export type Geometry =
  | { type: 'Polygon'; coordinates: Position[][] }
  | { type: 'MultiPolygon'; coordinates: Position[][][] }
  | { type: 'Circle'; centre: Position; radius_m: number };

export const KINDS = ['depot', 'customer', 'site', 'parking', 'charging', 'workshop', 'restricted', 'other'] as const;
export type Kind = (typeof KINDS)[number];

export interface Geofence {
  id: string;
  /** Whose vehicles it watches; null for everybody's. */
  organization_id: string | null;
  name: string;
  kind: Kind;
  colour: string;
  tags: string[];
  geometry: Geometry;
  version: number;
  created_at: string;
}

/** What a person can tell of one. */
export interface Wanted {
  name: string;
  kind: Kind;
  colour: string;
  tags: string[];
  geometry: Geometry;
}

export interface InsideItem extends FleetItem {
  /** By the vehicle's own clock; null until it was noted, a moment later. */
  entered_at: string | null;
}

const GEOFENCES = '/v1/geofences';
const PAGE_MAX = 200;
/** An organization has at most 1,000; the operator sees everybody's. */
const PAGES_MAX = 20;
export const COLOUR_DEFAULT = '#2563eb';

export interface Found {
  items: Geofence[];
  /** Whether there are more than are shown. */
  isCut: boolean;
}

export const geofences = {
  path: GEOFENCES,
  pathOf: (id: string) => `${GEOFENCES}/${segment(id)}`,
  all: async (signal?: AbortSignal): Promise<Found> => {
    const items: Geofence[] = [];
    let cursor: string | null | undefined;
    for (let look = 0; look < PAGES_MAX; look += 1) {
      const page: Page<Geofence> = await call<Page<Geofence>>(`${GEOFENCES}${query({ limit: PAGE_MAX, cursor })}`, { signal });
      items.push(...page.data);
      cursor = page.next_cursor;
      if (!cursor) break;
    }
    return { items, isCut: Boolean(cursor) };
  },
  get: (id: string, signal?: AbortSignal) => call<Geofence>(geofences.pathOf(id), { signal }),
  add: (made: Wanted & { organization_id?: string }) => send<Geofence>('POST', GEOFENCES, made),
  change: ({ id, version }: Geofence, patch: Partial<Wanted>) => send<Geofence>('PATCH', geofences.pathOf(id), patch, { 'if-match': `"${version}"` }),
  remove: (id: string) => send<undefined>('DELETE', geofences.pathOf(id)),
  inside: (id: string, filter: { cursor?: string; limit?: number }, signal?: AbortSignal) => call<Page<InsideItem>>(`${geofences.pathOf(id)}/vehicles${query(filter)}`, { signal }),
};

/** What of a geofence is other than it was; empty where nothing is. */
export function changesOf(was: Wanted, wanted: Wanted): Partial<Wanted> {
  const isSame = (key: keyof Wanted): boolean => JSON.stringify(was[key]) === JSON.stringify(wanted[key]);
  return Object.fromEntries((['name', 'kind', 'colour', 'tags', 'geometry'] as const).filter((key) => !isSame(key)).map((key) => [key, wanted[key]]));
}

/** The words in what a person wrote, apart by commas, as the server keeps them. */
export const tagsIn = (text: string): string[] => [...new Set(text.split(',').map((word) => word.trim().toLowerCase()).filter(Boolean))].sort();

export interface Filter {
  /** Part of the name or of a tag, in any case. */
  text: string;
  kind: string;
}

export function matching(items: readonly Geofence[], { text, kind }: Filter): Geofence[] {
  const sought = text.trim().toLowerCase();
  return items.filter((item) => (!kind || item.kind === kind) && (!sought || [item.name, ...item.tags].some((word) => word.toLowerCase().includes(sought))));
}
