// The units in vehicles as /v1 has them: how each is, what it runs, and the commands it is sent.

import { messages as m } from '../messages';
import { ApiError, call, query, segment } from './api';
import type { Uptake } from './campaigns';
import type { Tone } from './invoice';
import type { Page } from './types';

export interface Agent {
  vehicle_id: string;
  is_online: boolean;
  link: 'offline' | 'catching_up' | 'live';
  agent_version: string;
  boot_id: string;
  catalog_hash: string;
  since: string;
  heard_at: string;
  campaigns_in_force: { name: string; revision: number; hash: string } | null;
  campaigns_refusal: string | null;
  campaigns_wanted: { deployment_id: string; name: string; revision: number; uptake: Uptake } | null;
}

export const TASK_KINDS = ['read_dtcs', 'read_supported_dtcs', 'clear_dtcs', 'send_log', 'restart', 'apply_update'] as const;
export type TaskKind = (typeof TASK_KINDS)[number];

export interface Task {
  kind: TaskKind;
  version?: string;
  bytes_max?: number | null;
}

export type CommandState = 'waiting' | 'expired' | 'done' | 'refused' | 'failed';

export interface Dtc {
  protocol: string;
  ecu: string;
  list: string;
  code: string;
  time: string;
}

export interface Command {
  id: string;
  vehicle_id: string;
  task: Task;
  sequence: number;
  state: CommandState;
  issued_at: string;
  expires_at: string;
  published_at: string | null;
  reply: { outcome: string; reason: string; replied_at: string; dtcs: Dtc[]; log: string } | null;
}

const COMMANDS = '/v1/commands';

export const agents = {
  pathOf: (vehicleId: string) => `/v1/vehicles/${segment(vehicleId)}/agent`,
  /** Null while none was heard of. */
  of: async (vehicleId: string, signal?: AbortSignal): Promise<Agent | null> => {
    try {
      return await call<Agent>(agents.pathOf(vehicleId), { signal });
    } catch (cause) {
      if (cause instanceof ApiError && cause.status === 404) return null;
      throw cause;
    }
  },
  commandsPath: COMMANDS,
  commands: (vehicleId: string, filter: { cursor?: string; limit?: number }, signal?: AbortSignal) => call<Page<Command>>(`${COMMANDS}${query({ vehicle_id: vehicleId, ...filter })}`, { signal }),
};

interface Wording {
  label: string;
  /** What to know before it is sent; what has none is sent at once, as it changes nothing. */
  sure?: string;
  yes?: string;
}

const WORDS: Record<TaskKind, Wording> = {
  read_dtcs: m.commands.kinds.read_dtcs,
  read_supported_dtcs: m.commands.kinds.read_supported_dtcs,
  clear_dtcs: m.commands.kinds.clear_dtcs,
  send_log: m.commands.kinds.send_log,
  restart: m.commands.kinds.restart,
  apply_update: m.commands.kinds.apply_update,
};

export const wordingOf = (kind: TaskKind): Wording => WORDS[kind];
export const needsVersion = (kind: TaskKind): boolean => kind === 'apply_update';
/** Whether a person is asked before it is sent. */
export const needsConfirmation = (kind: TaskKind): boolean => WORDS[kind].sure !== undefined;

/** As the server takes a version, for a field of a form. */
export const VERSION_PATTERN = '[A-Za-z0-9.+~_][A-Za-z0-9.+~_\\-]{0,63}';

/** What is posted to have a vehicle do something. */
export const commandOf = (vehicleId: string, kind: TaskKind, version = ''): { vehicle_id: string; task: Task } => ({
  vehicle_id: vehicleId,
  task: needsVersion(kind) ? { kind, version: version.trim() } : { kind },
});

/** What was asked for, of a kind that this console may not know yet as well. */
export const taskText = ({ kind, version }: Task): string => `${(WORDS as Partial<Record<string, Wording>>)[kind]?.label ?? kind}${version ? ` ${version}` : ''}`;

export const commandTone = (state: CommandState): Tone => ({ waiting: 'idling', expired: 'offline', done: 'moving', refused: 'idling', failed: 'bad' } as Record<string, Tone>)[state] ?? 'offline';

/** Why it is as it is: the vehicle's words, or ours while it has said nothing. */
export function reasonOf({ state, published_at, reply }: Command): string {
  if (reply) return reply.reason;
  if (state === 'expired') return m.commands.noAnswer;
  if (state === 'waiting') return published_at ? m.commands.sent : m.commands.notSent;
  return '';
}

/** Whether the vehicle sent something to look at. */
export const hasMore = ({ reply, task }: Command): boolean => reply !== null && (reply.log !== '' || reply.dtcs.length > 0 || (reply.outcome === 'done' && (task.kind.endsWith('_dtcs') || task.kind === 'send_log')));

const LINKS: Record<Agent['link'], string> = { offline: m.unit.links.offline, catching_up: m.unit.links.catchingUp, live: m.unit.links.live };

/** What of the way to the cloud a person sees; a unit that is gone last told how it was before. */
export const linkText = ({ is_online, link }: Pick<Agent, 'is_online' | 'link'>): string => (is_online ? LINKS[link] : LINKS.offline);
