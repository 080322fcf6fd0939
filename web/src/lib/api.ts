// Calls to /v1. Every failure becomes an ApiError with words a person can act on; what was taken back
// becomes Cancelled, which is no failure.

import { messages as m } from '../messages';
import { connection } from './connection.svelte';
import { allows, authorization, door } from './door';
import { Gate } from './gate';
import { withUniqueNames } from './sql';
import type { Evidence, FleetItem, Invoice, InvoiceWithLines, Note, NoteWithLines, Page, Position, QueryResult, Trip, Vehicle } from './types';

const TIMEOUT_MS = 20_000;
/** A query may take longer: the server ends it after 30 s and says so. */
const SQL_TIMEOUT_MS = 40_000;
/** Bad gateway, not available, gateway timeout. */
const AWAY = [502, 503, 504];
/** The most rows that the server gives unless its operator says otherwise. */
export const ROWS_MAX = 10_000;

export interface Fault {
  field: string;
  message: string;
}

export class ApiError extends Error {
  constructor(
    readonly title: string,
    readonly detail: string,
    readonly status: number,
    /** The problem's own name, as `key-expired`; empty where it has none. */
    readonly kind = '',
    /** What is wrong, each with its place in the request; `detail` has all of it as text. */
    readonly faults: readonly Fault[] = [],
    /** Nothing but reading was asked for, and the same may be answered a little later: the server or the way to it is away. */
    readonly isPassing = false,
  ) {
    super(`${title}: ${detail}`);
  }
}

/** The page took its request back: nobody waits for the answer. */
export class Cancelled extends ApiError {
  constructor() {
    super(m.errors.cancelled, m.errors.cancelledWhy, 0);
  }
}

interface Problem {
  type?: string;
  title?: string;
  detail?: string;
  errors?: Fault[];
}

/** Ask with the key of this session. One that is refused meanwhile is asked again with the next. */
export async function call<T>(path: string, init: RequestInit = {}, timeoutMs = TIMEOUT_MS): Promise<T> {
  if (!allows(door.routes, init.method ?? 'GET', path)) throw new ApiError(door.key ? m.errors.notForKey : m.errors.notForRole, m.errors.notForWho(door.who), 403, 'denied');
  for (;;) {
    const { key, turn } = door;
    try {
      return await request<T>(path, { ...init, headers: { ...init.headers, ...authorization(key) } }, timeoutMs);
    } catch (cause) {
      if (cause instanceof ApiError && cause.status === 403) door.changed();
      if (!(cause instanceof ApiError) || cause.status !== 401 || !(await door.anew(key, cause, init.signal, turn))) throw cause;
    }
  }
}

/** Ask as it is told, once. */
export async function request<T>(path: string, init: RequestInit = {}, timeoutMs = TIMEOUT_MS): Promise<T> {
  const isRead = (init.method ?? 'GET') === 'GET';
  const late = AbortSignal.timeout(timeoutMs);
  const signal = init.signal ? AbortSignal.any([init.signal, late]) : late;
  let response: Response | undefined;
  let text: string;
  try {
    response = await fetch(path, { ...init, signal, headers: { accept: 'application/json', ...init.headers } });
    // The body may be cut as well as its head: both are read before anything is said of the answer.
    text = await response.text();
  } catch {
    if (init.signal?.aborted) throw new Cancelled();
    const passing = (title: string, detail: string): ApiError => new ApiError(title, detail, 0, '', [], isRead);
    if (late.aborted) throw passing(m.errors.noAnswer, m.errors.noAnswerFrom(path, timeoutMs / 1000));
    connection.unheard();
    throw response ? passing(m.errors.cutOff, m.errors.cutOffFrom(path)) : passing(m.errors.unreachable, m.errors.unreachableWhy);
  }
  // What stands before a server that is away says so in its place.
  if (!AWAY.includes(response.status)) connection.heard();
  if (!response.ok) throw failureOf(path, response.status, text, isRead && AWAY.includes(response.status));
  // Done, and nothing to tell: of what is taken away.
  if (response.status === 204) return undefined as T;
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new ApiError(m.errors.notReadable, m.errors.notJson(path), response.status);
  }
}

/** What an answer that is no success says. */
export function failureOf(path: string, status: number, text: string, isPassing = false): ApiError {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    // From something between here and the server.
  }
  const problem = (typeof body === 'object' && body !== null ? body : {}) as Problem;
  const faults = problem.errors ?? [];
  const detail = [problem.detail, ...faults.map(({ field, message }) => `${field}: ${message}`)].filter(Boolean).join('\n') || m.errors.answered(path, status);
  return new ApiError(problem.title ?? m.errors.serverAnswered(status), detail, status, problem.type?.split(':').at(-1), faults, isPassing);
}

export function query(values: Record<string, string | number | null | undefined>): string {
  const set = Object.entries(values).filter(([, value]) => value != null && value !== '');
  return set.length ? `?${new URLSearchParams(set.map(([key, value]) => [key, String(value)]))}` : '';
}

export const segment = encodeURIComponent;
/** `body` is JSON as text, or empty for none. */
export const post = <T>(path: string, body: string, headers: Record<string, string> = {}): Promise<T> =>
  call(path, { method: 'POST', headers: { ...(body ? { 'content-type': 'application/json' } : {}), ...headers }, ...(body ? { body } : {}) });

const queries = new Gate(2);
/** What this server's operator allows, once it has told. */
let rowsMax = ROWS_MAX;

async function ask(text: string, maxRows: number, signal?: AbortSignal): Promise<QueryResult> {
  const send = (rows: number): Promise<QueryResult> =>
    call('/v1/sql', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query: text, max_rows: rows }), signal }, SQL_TIMEOUT_MS);
  const rows = Math.min(maxRows, rowsMax);
  try {
    return withUniqueNames(await send(rows));
  } catch (cause) {
    // A query only reads, though it is posted.
    if (cause instanceof ApiError && cause.title === m.errors.unreachable) throw new ApiError(cause.title, cause.detail, 0, '', [], true);
    const told = cause instanceof ApiError && cause.status === 422 ? /^max_rows: must be 1 to (\d+)$/m.exec(cause.detail) : null;
    if (!told || Number(told[1]) >= rows) throw cause;
    rowsMax = Number(told[1]);
    return withUniqueNames(await send(rowsMax));
  }
}

export interface EvidenceOf {
  of: 'invoices' | 'credit-notes';
  id: string;
  line: string;
}

export const api = {
  fleet: (signal?: AbortSignal, filter: { group_id?: string } = {}) => call<{ data: FleetItem[]; as_of: string }>(`/v1/fleet/status${query(filter)}`, { signal }),
  vehicles: (filter: { group_id?: string; cursor?: string; limit?: number }, signal?: AbortSignal) => call<Page<Vehicle>>(`/v1/vehicles${query(filter)}`, { signal }),
  trips: (filter: { vehicle_id?: string; driver_id?: string; group_id?: string; from?: string; to?: string; cursor?: string; limit?: number }, signal?: AbortSignal) =>
    call<Page<Trip>>(`/v1/trips${query(filter)}`, { signal }),
  vehicle: (id: string, signal?: AbortSignal) => call<Vehicle>(`/v1/vehicles/${segment(id)}`, { signal }),
  revisions: (id: string, signal?: AbortSignal) => call<{ data: Trip[] }>(`/v1/trips/${segment(id)}/revisions`, { signal }),
  trip: (id: string, signal?: AbortSignal) => call<Trip>(`/v1/trips/${segment(id)}`, { signal }),
  positions: (id: string, maxPoints: number, signal?: AbortSignal) =>
    call<{ data: Position[] }>(`/v1/trips/${segment(id)}/positions${query({ max_points: maxPoints })}`, { signal }),
  invoices: (filter: { organization_id?: string; status?: string; is_overdue?: string; cursor?: string; limit?: number }, signal?: AbortSignal) => call<Page<Invoice>>(`/v1/invoices${query(filter)}`, { signal }),
  invoice: (id: string, signal?: AbortSignal) => call<InvoiceWithLines>(`/v1/invoices/${segment(id)}`, { signal }),
  notes: (filter: { cursor?: string; limit?: number }, signal?: AbortSignal) => call<Page<Note>>(`/v1/credit-notes${query(filter)}`, { signal }),
  note: (id: string, signal?: AbortSignal) => call<NoteWithLines>(`/v1/credit-notes/${segment(id)}`, { signal }),
  evidence: ({ of, id, line }: EvidenceOf, signal?: AbortSignal) => call<Evidence>(`/v1/${of}/${segment(id)}/lines/${segment(line)}/evidence`, { signal }),
  /** `now` goes past the queue: what a person waits for, not what a page asks by itself. */
  sql: async (text: string, { maxRows = ROWS_MAX, signal, turn = 'queue' }: { maxRows?: number; signal?: AbortSignal; turn?: 'queue' | 'now' } = {}) => {
    if (turn === 'now') return ask(text, maxRows, signal);
    try {
      return await queries.run(() => ask(text, maxRows, signal), signal);
    } catch (cause) {
      throw signal?.aborted ? new Cancelled() : cause;
    }
  },
};
