// Campaigns as /v1 has them: what vehicles collect beyond the default. A set is what an author writes; a
// deployment is a signed copy of it, on its way to vehicles.

import { messages as m } from '../messages';
import { send } from './admin';
import { call, type Fault, query, segment } from './api';
import type { Tone } from './invoice';
import type { ErrorPlace } from './sql';
import type { Page } from './types';

export interface CampaignSet {
  id: string;
  organization_id: string | null;
  name: string;
  description: string;
  text: string;
  version: number;
  created_at: string;
  changed_at: string;
}

/** What an author gives. */
export interface Draft {
  name: string;
  description: string;
  text: string;
}

export type Fit = 'fits' | 'refused' | 'unknown';

export interface CheckLine {
  campaign: string;
  when: string;
  what: string;
  signals: string[];
}

export interface CheckItem {
  vehicle_id: string;
  fit: Fit;
  collects: CheckLine[];
  faults: string[];
}

export const UPTAKES = ['in_force', 'pending', 'refused', 'replaced'] as const;
export type Uptake = (typeof UPTAKES)[number];
export type UptakeCounts = Record<Uptake, number>;

export interface Deployment {
  id: string;
  organization_id: string | null;
  /** Null of one that ends campaigns. */
  campaign_set_id: string | null;
  name: string;
  revision: number;
  hash: string;
  text: string;
  uptake: UptakeCounts;
  created_at: string;
}

export interface Target {
  vehicle_id: string;
  uptake: Uptake;
  refusal: string | null;
  published_at: string | null;
}

/** For whom: all of the caller's vehicles, or those. */
export interface Choice {
  isAll: boolean;
  ids: string[];
}

interface Cut {
  cursor?: string;
  limit?: number;
}

const SETS = '/v1/campaign-sets';
const DEPLOYMENTS = '/v1/campaign-deployments';

export const campaigns = {
  setsPath: SETS,
  deploymentsPath: DEPLOYMENTS,
  pathOf: (id: string) => `${SETS}/${segment(id)}`,
  list: (filter: Cut, signal?: AbortSignal) => call<Page<CampaignSet>>(`${SETS}${query({ ...filter })}`, { signal }),
  get: (id: string, signal?: AbortSignal) => call<CampaignSet>(campaigns.pathOf(id), { signal }),
  add: (made: Draft & { organization_id?: string }) => send<CampaignSet>('POST', SETS, made),
  /** Refused with 412 where it is at another version by now. */
  change: ({ id, version }: Pick<CampaignSet, 'id' | 'version'>, draft: Draft) => send<CampaignSet>('PATCH', campaigns.pathOf(id), draft, { 'if-match': `"${version}"` }),
  remove: (id: string) => send<undefined>('DELETE', campaigns.pathOf(id)),
  check: async (id: string, choice: Choice, signal?: AbortSignal) =>
    (await call<{ data: CheckItem[] }>(`${campaigns.pathOf(id)}/check`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(vehiclesOf(choice)), signal })).data,
  deployments: (filter: Cut & { campaign_set_id?: string }, signal?: AbortSignal) => call<Page<Deployment>>(`${DEPLOYMENTS}${query({ ...filter })}`, { signal }),
  deployment: (id: string, signal?: AbortSignal) => call<Deployment>(`${DEPLOYMENTS}/${segment(id)}`, { signal }),
  /** A vehicle is once in a deployment: its id is the item's. */
  targets: async (id: string, filter: Cut & { uptake?: string }, signal?: AbortSignal): Promise<Page<Target & { id: string }>> => {
    const { data, next_cursor } = await call<Page<Target>>(`${DEPLOYMENTS}/${segment(id)}/vehicles${query({ ...filter })}`, { signal });
    return { data: data.map((target) => ({ ...target, id: target.vehicle_id })), next_cursor };
  },
};

/** What a new set starts from: every vehicle that tells its speed runs it. */
export const EXAMPLE = `# docs/campaigns.md explains every key. The set's name and revision are filled in when it is deployed.

[[campaign]]
name = "fast"
description = "Every sample of the speed, from ten seconds before a drive above 50 km/h to ten after."
bytes_per_day_max = "1MiB"
when = "Vehicle.Speed > 50 km/h for 3s"
until = "Vehicle.Speed < 45 km/h"
min_interval = "1min"
before = "10s"
after = "10s"

[[campaign.collect]]
signals = ["Vehicle.Speed"]
take = "all"

# Beside the trigger: three numbers a minute.
[[campaign]]
name = "speed-by-minute"
priority = "low"

[[campaign.collect]]
signals = ["Vehicle.Speed"]
take = "aggregate"
interval = "1min"
of = ["min", "mean", "max"]
`;

/** As the server takes a name. */
export const NAME_PATTERN = '[a-z0-9\\-]{1,64}';

const vehiclesOf = ({ isAll, ids }: Choice): { all_vehicles: true } | { vehicle_ids: string[] } => (isAll ? { all_vehicles: true } : { vehicle_ids: [...ids].sort() });

/** What is posted to deploy; without a set it ends campaigns. The same wish is the same body. */
export const deploymentOf = (setId: string | null, choice: Choice) => ({ campaign_set_id: setId, ...vehiclesOf(choice) });

/** How many of the known vehicles a choice is; zero is nothing to do. */
export const countOf = ({ isAll, ids }: Choice, known: number): number => (isAll ? known : ids.length);

/** `1 vehicle`, `2 vehicles`, `all 12 vehicles`. */
export function vehiclesText(choice: Choice, known: number): string {
  const count = countOf(choice, known);
  return choice.isAll ? m.campaigns.allOf(count) : m.common.vehicleCount(count);
}

export const fitTone = (fit: Fit): Tone => ({ fits: 'moving', refused: 'bad', unknown: 'idling' })[fit] as Tone;
export const uptakeTone = (uptake: Uptake): Tone => ({ in_force: 'moving', pending: 'idling', refused: 'bad', replaced: 'parked' })[uptake] as Tone;

export const totalOf = (counts: UptakeCounts): number => UPTAKES.reduce((sum, uptake) => sum + counts[uptake], 0);

/** Each part of the vehicles that there is, as a share of all of them. */
export function sharesOf(counts: UptakeCounts): { uptake: Uptake; count: number; share_percent: number }[] {
  const total = totalOf(counts);
  return UPTAKES.filter((uptake) => counts[uptake] > 0).map((uptake) => ({ uptake, count: counts[uptake], share_percent: (counts[uptake] / total) * 100 }));
}

/** `12 in force, 1 pending`. */
export const uptakeText = (counts: UptakeCounts): string => sharesOf(counts).map(({ uptake, count }) => m.campaigns.uptakes[uptake](count)).join(', ') || m.campaigns.noVehicles;

/** What a part of the vehicles means to who deployed. */
export function uptakeHint(uptake: Uptake, isPublished: boolean): string {
  if (uptake === 'in_force') return m.campaigns.runsIt;
  if (uptake === 'refused') return m.campaigns.goesOn;
  if (uptake === 'replaced') return m.campaigns.laterOne;
  return isPublished ? m.campaigns.sentNotTold : m.campaigns.notSent;
}

/** Vehicles to which a set is the same are told of once; those that refuse it come first. */
export function grouped(items: readonly CheckItem[]): { fit: Fit; vehicles: string[]; collects: CheckLine[]; faults: string[] }[] {
  const groups = new Map<string, ReturnType<typeof grouped>[number]>();
  for (const { vehicle_id, fit, collects, faults } of items) {
    const key = JSON.stringify([fit, collects, faults]);
    const group = groups.get(key) ?? { fit, vehicles: [], collects: gathered(collects), faults };
    group.vehicles.push(vehicle_id);
    groups.set(key, group);
  }
  const order: readonly Fit[] = ['refused', 'unknown', 'fits'];
  return [...groups.values()].sort((a, b) => order.indexOf(a.fit) - order.indexOf(b.fit));
}

/** Lines that differ by their signals alone are one. */
function gathered(lines: readonly CheckLine[]): CheckLine[] {
  const rows = new Map<string, CheckLine>();
  for (const line of lines) {
    const key = JSON.stringify([line.campaign, line.when, line.what]);
    const row = rows.get(key) ?? { ...line, signals: [] };
    row.signals.push(...line.signals);
    rows.set(key, row);
  }
  return [...rows.values()];
}

export type FaultsOf = Partial<Record<keyof Draft, string>>;

/** What the server does not take of a set, each at its field; null where it is none of them. */
export function faultsOf(faults: readonly Fault[]): FaultsOf | null {
  const found: FaultsOf = {};
  for (const { field, message } of faults) if (field === 'name' || field === 'description' || field === 'text') found[field] = message;
  return Object.keys(found).length > 0 ? found : null;
}

/** Where in the text a fault is, as far as it says. Only what cannot be read has a place in what the author wrote. */
export function placeOf(fault: string | undefined, text: string): Pick<ErrorPlace, 'from' | 'to'> | null {
  const told = /^cannot be read: [^\n]*line (\d+),? column (\d+)/.exec(fault ?? '');
  if (!told) return null;
  const lines = text.split('\n');
  const [row, column] = [Number(told[1]) - 1, Number(told[2]) - 1];
  const line = lines[row];
  if (line === undefined) return null;
  const start = lines.slice(0, row).reduce((sum, before) => sum + before.length + 1, 0);
  return { from: start + Math.min(column, line.length), to: start + line.length };
}
