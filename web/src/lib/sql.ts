// Results of /v1/sql, and the text of queries: what a column is, where an error points, what is
// exported. Pure functions.

import type { Series } from './chart';
import type { QueryResult } from './types';

export type Kind = 'number' | 'time' | 'text';
export type Column = QueryResult['columns'][number];

/** What an Arrow type is to a reader. */
export function kindOf(dataType: string): Kind {
  if (/^(U?Int|Float|Decimal)/.test(dataType)) return 'number';
  return /^(Timestamp|Date)/.test(dataType) ? 'time' : 'text';
}

/** A literal of SQL. */
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

export function numberOf(value: unknown): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value !== 'string' || value.trim() === '') return null;
  const found = Number(value);
  return Number.isFinite(found) ? found : null;
}

/** As a cell shows it. */
export function cellText(value: unknown): string {
  if (value == null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** A name each, also where a join gives the same one twice: `ts`, `ts_2`. */
export function uniqueNames(names: readonly string[]): string[] {
  const given = new Set(names);
  const used = new Set<string>();
  return names.map((name) => {
    let own = name;
    for (let turn = 2; used.has(own); turn += 1) if (!given.has(`${name}_${turn}`)) own = `${name}_${turn}`;
    used.add(own);
    return own;
  });
}

/** As the console reads every result: its parts are found by the names of columns. */
export function withUniqueNames(result: QueryResult): QueryResult {
  const names = uniqueNames(result.columns.map(({ name }) => name));
  return { ...result, columns: result.columns.map((column, index) => ({ ...column, name: names[index] ?? column.name })) };
}

/** Rows as objects, for code that knows its columns. */
export function objects<T>({ columns, rows }: QueryResult): T[] {
  const names = uniqueNames(columns.map(({ name }) => name));
  return rows.map((row) => Object.fromEntries(names.map((name, index) => [name, row[index]])) as T);
}

export interface Sort {
  column: number;
  down: boolean;
}

/** As it stands in an address: a column's name, with a minus where the largest comes first. */
export const sortText = (sort: Sort | null, columns: readonly Column[]): string | null => (sort ? `${sort.down ? '-' : ''}${columns[sort.column]?.name ?? ''}` : null);

/** What an address says; null where it names no column. A column whose own name begins with a minus is found too. */
export function sortOf(text: string, columns: readonly Column[]): Sort | null {
  const find = (name: string): number => columns.findIndex((column) => column.name === name);
  const [whole, rest] = [find(text), text.startsWith('-') ? find(text.slice(1)) : -1];
  if (rest >= 0) return { column: rest, down: true };
  return whole >= 0 ? { column: whole, down: false } : null;
}

/** The order of rows, by their indices: numbers by size, nulls last, equal rows as they came. */
export function order({ columns, rows }: QueryResult, sort: Sort | null): number[] {
  const indices = rows.map((_, index) => index);
  if (!sort) return indices;
  const kind = kindOf(columns[sort.column]?.data_type ?? '');
  const text = (value: unknown): string | null => (value == null ? null : cellText(value));
  // Without its Z a time with no fraction comes before the same second's fractions.
  const key = rows.map((row) => (kind === 'number' ? numberOf(row[sort.column]) : kind === 'time' ? (text(row[sort.column])?.replace(/Z$/, '') ?? null) : text(row[sort.column])));
  const sign = sort.down ? -1 : 1;
  return indices.sort((a, b) => {
    const [x, y] = [key[a] ?? null, key[b] ?? null];
    if (x === y) return a - b;
    if (x === null) return 1;
    if (y === null) return -1;
    return (x < y ? -1 : 1) * sign;
  });
}

/** RFC 4180, in the order shown. */
export function toCsv(result: QueryResult, indices: readonly number[]): string {
  const quoted = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = [uniqueNames(result.columns.map(({ name }) => name)).map(quoted)];
  for (const index of indices) lines.push((result.rows[index] ?? []).map((value) => quoted(cellText(value))));
  return lines.map((cells) => `${cells.join(',')}\r\n`).join('');
}

/** An array of objects, one a line, as the command line writes it. */
export function toJson(result: QueryResult, indices: readonly number[]): string {
  const rows = objects<Record<string, unknown>>({ ...result, rows: indices.map((index) => result.rows[index] ?? []) });
  return `[\n${rows.map((row) => JSON.stringify(row)).join(',\n')}\n]\n`;
}

export interface ErrorPlace {
  from: number;
  to: number;
  line: number;
  column: number;
}

/** Where in the query a message points: by its line and column, or by the name it complains of. */
export function errorPlace(message: string, query: string): ErrorPlace | null {
  const told = /Line: (\d+), Column: (\d+)/.exec(message);
  if (told) {
    const line = Number(told[1]);
    const column = Number(told[2]);
    const lines = query.split('\n');
    if (line < 1 || line > lines.length) return null;
    const start = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
    const from = Math.min(start + column - 1, start + (lines[line - 1] ?? '').length);
    const word = /^(\w+|[^\w\s])/.exec(query.slice(from));
    return { from, to: from + (word?.[0].length ?? 0), line, column };
  }
  const named = /No field named ([^\s]+?)\.?(?:\s|$)/.exec(message) ?? /table '([^']+)' not found/.exec(message) ?? /Invalid function '([^']+)'/.exec(message);
  const name = named?.[1]?.split('.').at(-1)?.replaceAll('"', '');
  if (!name) return null;
  const at = new RegExp(`(?<![\\w.])(?:\\w+\\.)*"?(${name.replace(/[^\w]/g, '\\$&')})(?!\\w)`, 'i').exec(query);
  if (!at?.[1]) return null;
  const from = at.index + at[0].lastIndexOf(at[1]);
  const before = query.slice(0, from).split('\n');
  return { from, to: from + at[1].length, line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

/** A message without the names the engine lists behind it, and the list. */
export function splitMessage(message: string): { what: string; fields: string[] } {
  const [what = '', list = ''] = message.split(/\n?\s*Valid fields are /);
  return { what: what.replace(/^(SQL|Schema) error: (ParserError\("(.*)"\))?/s, '$3').trim(), fields: list.replace(/\.$/, '').split(', ').filter(Boolean) };
}

/** The versions of the tables a query names, a view by the table behind it. */
export function versionsRead(query: string, versions: Record<string, number>): [string, number][] {
  return Object.entries(versions).filter(([table]) => new RegExp(`(\\b|_)${table}\\b`, 'i').test(query));
}

export type View = 'table' | 'line' | 'bar' | 'map';

export interface Places {
  latitude: number;
  longitude: number;
  time: number;
  label: number;
}

/** The columns that say where and when, by name; null without a place. */
export function places(columns: readonly Column[]): Places | null {
  const find = (pattern: RegExp): number => columns.findIndex(({ name }) => pattern.test(name));
  const latitude = find(/^(lat|latitude)$/i);
  const longitude = find(/^(lng|lon|long|longitude)$/i);
  if (latitude < 0 || longitude < 0) return null;
  return { latitude, longitude, time: columns.findIndex(({ data_type }) => kindOf(data_type) === 'time'), label: find(/^(vehicle_id|name|label)$/i) };
}

/** The views that make sense of these columns. */
export function views(columns: readonly Column[]): View[] {
  const kinds = columns.map(({ data_type }) => kindOf(data_type));
  const found: View[] = ['table'];
  const numbers = kinds.filter((kind) => kind === 'number').length;
  if (numbers > 1 || (numbers === 1 && kinds.includes('time'))) found.push('line');
  if (numbers > 0 && columns.length > 1) found.push('bar');
  if (places(columns)) found.push('map');
  return found;
}

export interface Axes {
  x: number;
  y: number[];
  /** A text column that splits one measure into series, or -1. */
  by: number;
}

/** What a chart shows unless the reader chooses: time or names across, numbers up. */
export function guessAxes(columns: readonly Column[], view: 'line' | 'bar'): Axes {
  const kinds = columns.map(({ data_type }) => kindOf(data_type));
  const time = kinds.indexOf('time');
  const text = kinds.indexOf('text');
  const x = view === 'bar' ? (text >= 0 && time < 0 ? text : time >= 0 ? time : text >= 0 ? text : 0) : time >= 0 ? time : kinds.indexOf('number');
  const place = places(columns);
  const numbers = kinds.flatMap((kind, index) => (kind === 'number' && index !== x && index !== place?.latitude && index !== place?.longitude ? [index] : []));
  const by = kinds.findIndex((kind, index) => kind === 'text' && index !== x);
  return { x, y: numbers.slice(0, by >= 0 ? 1 : 3), by };
}

const xOf = (value: unknown, kind: Kind): number => (kind === 'time' ? Date.parse(cellText(value)) : (numberOf(value) ?? NaN));

/** At most so many series are drawn; the rest is told. */
export const SERIES_MAX = 12;

/** A result as series of a line chart, each ordered by x; two measures are two, whatever their names. */
export function toSeries(result: QueryResult, { x, y, by }: Axes): Series[] {
  const kind = kindOf(result.columns[x]?.data_type ?? '');
  const found = new Map<string, Series & { points: { x: number; y: number | null }[] }>();
  for (const row of result.rows) {
    const at = xOf(row[x], kind);
    if (!Number.isFinite(at)) continue;
    for (const column of y) {
      const key = JSON.stringify([column, by < 0 ? '' : cellText(row[by])]);
      const series = found.get(key) ?? { name: partName(result, { column, by, many: y.length > 1 }, row), points: [] };
      series.points.push({ x: at, y: numberOf(row[column]) });
      found.set(key, series);
    }
  }
  return [...found.values()].map(({ name, points }) => ({ name, points: points.sort((a, b) => a.x - b.x) }));
}

/** What a part of a chart is called: its measure, the value that splits it, or both. */
function partName(result: QueryResult, { column, by, many }: { column: number; by: number; many: boolean }, row: readonly unknown[]): string {
  const measure = result.columns[column]?.name ?? '';
  if (by < 0) return measure;
  const value = cellText(row[by]) || '–';
  return many ? `${value} ${measure}` : value;
}

export interface Bar {
  label: string;
  /** A part each; null where nothing is known, which is not 0. */
  values: (number | null)[];
}

/** A result as bars, one an x; with `by`, each measure split by it. Rows of the same bar and part are added. */
export function toBars(result: QueryResult, { x, y, by }: Axes): { names: string[]; bars: Bar[] } {
  const parts = new Map<string, { index: number; name: string }>();
  if (by < 0) for (const column of y) parts.set(JSON.stringify([column, '']), { index: parts.size, name: result.columns[column]?.name ?? '' });
  const bars = new Map<string, (number | null)[]>();
  for (const row of result.rows) {
    const label = cellText(row[x]);
    const values = bars.get(label) ?? [];
    for (const column of y) {
      const key = JSON.stringify([column, by < 0 ? '' : cellText(row[by])]);
      const part = parts.get(key) ?? { index: parts.size, name: partName(result, { column, by, many: y.length > 1 }, row) };
      parts.set(key, part);
      const value = numberOf(row[column]);
      const before = values[part.index] ?? null;
      values[part.index] = value === null ? before : (before ?? 0) + value;
    }
    bars.set(label, values);
  }
  const names = [...parts.values()].map(({ name }) => name);
  return { names, bars: [...bars].map(([label, values]) => ({ label, values: names.map((_, index) => values[index] ?? null) })) };
}
