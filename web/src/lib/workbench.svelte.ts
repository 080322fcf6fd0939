// What the workbench remembers in this browser: queries that ran, queries that were named, and the
// lake's tables, asked for once.

import { api } from './api';
import { Kept, listOf } from './kept.svelte';
import { objects } from './sql';

export interface Ran {
  query: string;
  at: string;
  rows: number | null;
}

export interface Named {
  name: string;
  query: string;
}

export interface Table {
  name: string;
  columns: { name: string; type: string }[];
}

const HISTORY = 'roadlake.sql.history';
const SAVED = 'roadlake.sql.saved';
const HISTORY_MAX = 100;

const has = (value: unknown, ...keys: string[]): boolean =>
  typeof value === 'object' && value !== null && keys.every((key) => typeof (value as Record<string, unknown>)[key] === 'string');

/** The newest first; a query that ran before moves to the front. */
export function remembered(history: readonly Ran[], ran: Ran): Ran[] {
  return [ran, ...history.filter(({ query }) => query !== ran.query)].slice(0, HISTORY_MAX);
}

/** By name; one of the same name is replaced. */
export function named(saved: readonly Named[], one: Named): Named[] {
  return [...saved.filter(({ name }) => name !== one.name), one].sort((a, b) => a.name.localeCompare(b.name));
}

class Workbench {
  tables = $state.raw<Table[]>([]);
  tablesError = $state('');
  /** The lake has more columns than were listed. */
  tablesCut = $state(false);
  #asked = false;
  #history = new Kept(HISTORY, listOf((value): value is Ran => has(value, 'query', 'at'), ({ query }) => query));
  #saved = new Kept(SAVED, listOf((value): value is Named => has(value, 'name', 'query'), ({ name }) => name));

  get history(): readonly Ran[] {
    return this.#history.value;
  }
  get saved(): readonly Named[] {
    return this.#saved.value;
  }
  /** The browser's storage is full or forbidden: what is saved lasts until the page is closed. */
  get forgets(): boolean {
    return this.#history.failed || this.#saved.failed;
  }

  ran(query: string, rows: number | null): void {
    this.#history.change((now) => remembered(now, { query, at: new Date().toISOString(), rows }));
  }
  forget(): void {
    this.#history.change(() => []);
  }
  save(name: string, query: string): void {
    this.#saved.change((now) => named(now, { name, query }));
  }
  remove(name: string): void {
    this.#saved.change((now) => now.filter((item) => item.name !== name));
  }

  async load(): Promise<void> {
    if (this.#asked) return;
    this.#asked = true;
    this.tablesError = '';
    try {
      const found = await api.sql(
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema <> 'information_schema' ORDER BY table_name, ordinal_position",
      );
      const rows = objects<{ table_name: string; column_name: string; data_type: string }>(found);
      this.tablesCut = found.is_truncated;
      const tables = new Map<string, Table>();
      for (const { table_name, column_name, data_type } of rows) {
        const table = tables.get(table_name) ?? { name: table_name, columns: [] };
        table.columns.push({ name: column_name, type: plainType(data_type) });
        tables.set(table_name, table);
      }
      this.tables = [...tables.values()];
    } catch (cause) {
      this.#asked = false;
      this.tablesError = cause instanceof Error ? cause.message : String(cause);
    }
  }
}

/** `Timestamp(µs, "UTC")` as `timestamp`, `Utf8View` as `text`. */
export function plainType(arrow: string): string {
  if (arrow.startsWith('Timestamp')) return 'timestamp';
  if (arrow.startsWith('Utf8') || arrow.startsWith('LargeUtf8')) return 'text';
  if (arrow.startsWith('Date')) return 'date';
  if (arrow.startsWith('Float')) return 'double';
  if (/^U?Int/.test(arrow)) return 'bigint';
  if (arrow.startsWith('Decimal')) return 'decimal';
  if (arrow.includes('Binary')) return 'bytes';
  return arrow.toLowerCase();
}

export const workbench = new Workbench();
