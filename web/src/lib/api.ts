// Calls to /v1. Every failure becomes an ApiError with words a person can act on.

import { Gate } from './gate';
import type { Evidence, FleetItem, Invoice, InvoiceWithLines, Page, Position, QueryResult, Trip, Vehicle } from './types';

const TIMEOUT_MS = 20_000;
/** A query may take longer: the server ends it after 30 s and says so. */
const SQL_TIMEOUT_MS = 40_000;

export class ApiError extends Error {
  constructor(
    readonly title: string,
    readonly detail: string,
    readonly status: number,
  ) {
    super(`${title}: ${detail}`);
  }
}

interface Problem {
  title?: string;
  detail?: string;
  errors?: { field: string; message: string }[];
}

async function call<T>(path: string, init: RequestInit = {}, timeoutMs = TIMEOUT_MS): Promise<T> {
  let response: Response;
  try {
    const late = AbortSignal.timeout(timeoutMs);
    const signal = init.signal ? AbortSignal.any([init.signal, late]) : late;
    response = await fetch(path, { ...init, signal, headers: { accept: 'application/json', ...init.headers } });
  } catch (cause) {
    if (init.signal?.aborted) throw new ApiError('Cancelled', 'The request was taken back; the server stops working on it.', 0);
    const late = cause instanceof DOMException && cause.name === 'TimeoutError';
    throw new ApiError(
      late ? 'The server did not answer in time' : 'The server cannot be reached',
      late ? `No answer from ${path} within ${timeoutMs / 1000} s. Try again; a large query may need a LIMIT.` : 'Check that roadlake is still running, then try again.',
      0,
    );
  }
  if (response.ok) return (await response.json()) as T;
  const problem = (await response.json().catch(() => ({}))) as Problem;
  const faults = (problem.errors ?? []).map(({ field, message }) => `${field}: ${message}`);
  const detail = [problem.detail, ...faults].filter(Boolean).join('\n') || `${path} answered ${response.status}.`;
  throw new ApiError(problem.title ?? `The server answered ${response.status}`, detail, response.status);
}

function query(values: Record<string, string | number | null | undefined>): string {
  const set = Object.entries(values).filter(([, value]) => value != null && value !== '');
  return set.length ? `?${new URLSearchParams(set.map(([key, value]) => [key, String(value)]))}` : '';
}

const segment = encodeURIComponent;
const queries = new Gate(2);

export const api = {
  fleet: () => call<{ data: FleetItem[]; as_of: string }>('/v1/fleet/status'),
  vehicles: (limit = 200) => call<Page<Vehicle>>(`/v1/vehicles${query({ limit })}`),
  trips: (filter: { vehicle_id?: string; from?: string; to?: string; cursor?: string; limit?: number }) =>
    call<Page<Trip>>(`/v1/trips${query(filter)}`),
  vehicle: (id: string) => call<Vehicle>(`/v1/vehicles/${segment(id)}`),
  revisions: (id: string) => call<{ data: Trip[] }>(`/v1/trips/${segment(id)}/revisions`),
  trip: (id: string) => call<Trip>(`/v1/trips/${segment(id)}`),
  positions: (id: string, maxPoints = 3000) =>
    call<{ data: Position[] }>(`/v1/trips/${segment(id)}/positions${query({ max_points: maxPoints })}`),
  invoices: (filter: { status?: string; cursor?: string; limit?: number }) => call<Page<Invoice>>(`/v1/invoices${query(filter)}`),
  invoice: (id: string) => call<InvoiceWithLines>(`/v1/invoices/${segment(id)}`),
  evidence: (invoice: string, line: string) =>
    call<Evidence>(`/v1/invoices/${segment(invoice)}/lines/${segment(line)}/evidence`),
  /** `now` goes past the queue: what a person waits for, not what a page asks by itself. */
  sql: (text: string, { maxRows = 1000, signal, turn = 'queue' }: { maxRows?: number; signal?: AbortSignal; turn?: 'queue' | 'now' } = {}) => {
    const ask = (): Promise<QueryResult> =>
      call<QueryResult>(
        '/v1/sql',
        {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ query: text, max_rows: maxRows }),
          signal,
        },
        SQL_TIMEOUT_MS,
      );
    return turn === 'now' ? ask() : queries.run(ask, signal);
  },
};
