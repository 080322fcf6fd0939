// What the workbench remembers in this browser: queries that ran, queries that were named, and the
// lake's tables, asked for once.

import { api } from './api';
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

function read<T>(key: string, isOne: (value: unknown) => value is T): T[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(key) ?? '[]');
    return Array.isArray(found) ? found.filter(isOne) : [];
  } catch {
    return [];
  }
}

function write(key: string, values: unknown): void {
  try {
    localStorage.setItem(key, JSON.stringify(values));
  } catch {
    // A full or forbidden storage: remembered until the page is closed.
  }
}

const has = (value: unknown, ...keys: string[]): boolean =>
  typeof value === 'object' && value !== null && keys.every((key) => typeof (value as Record<string, unknown>)[key] === 'string');

/** The newest first; a query that ran before moves to the front. */
export function remembered(history: readonly Ran[], ran: Ran): Ran[] {
  return [ran, ...history.filter(({ query }) => query !== ran.query)].slice(0, HISTORY_MAX);
}

class Workbench {
  history = $state.raw(read(HISTORY, (value): value is Ran => has(value, 'query', 'at')));
  saved = $state.raw(read(SAVED, (value): value is Named => has(value, 'name', 'query')));
  tables = $state.raw<Table[]>([]);
  tablesError = $state('');
  #asked = false;

  ran(query: string, rows: number | null): void {
    this.history = remembered(this.history, { query, at: new Date().toISOString(), rows });
    write(HISTORY, this.history);
  }
  forget(): void {
    this.history = [];
    write(HISTORY, this.history);
  }
  save(name: string, query: string): void {
    this.saved = [...this.saved.filter((item) => item.name !== name), { name, query }].sort((a, b) => a.name.localeCompare(b.name));
    write(SAVED, this.saved);
  }
  remove(name: string): void {
    this.saved = this.saved.filter((item) => item.name !== name);
    write(SAVED, this.saved);
  }

  async load(): Promise<void> {
    if (this.#asked) return;
    this.#asked = true;
    this.tablesError = '';
    try {
      const rows = objects<{ table_name: string; column_name: string; data_type: string }>(
        await api.sql(
          "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema <> 'information_schema' ORDER BY table_name, ordinal_position",
          { maxRows: 5000 },
        ),
      );
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
