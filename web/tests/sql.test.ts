import { describe, expect, it } from 'vitest';
import { errorPlace, guessAxes, literal, order, places, splitMessage, toBars, toCsv, toJson, toSeries, versionsRead, views } from '../src/lib/sql';
import type { QueryResult } from '../src/lib/types';
import { plainType, remembered } from '../src/lib/workbench.svelte';

const TIME = 'Timestamp(µs, "UTC")';
const result = (columns: [string, string][], rows: unknown[][]): QueryResult => ({
  columns: columns.map(([name, data_type]) => ({ name, data_type })), rows, is_truncated: false, lake_versions: {}, elapsed_ms: 1,
});

describe('an error has a place', () => {
  it('by line and column', () => {
    const query = 'SELECT 1\nFROM x WHER y';
    expect(errorPlace('SQL error: ParserError("Expected: end of statement, found: y at Line: 2, Column: 13")', query)).toEqual({ from: 21, to: 22, line: 2, column: 13 });
  });
  it('by the name it complains of, not by a part of another name', () => {
    const query = 'SELECT speed_kph_x, r.speed_kph\nFROM readings r';
    const place = errorPlace("Schema error: No field named speed_kph. Did you mean 'readings.speed_kmh'?", query);
    expect(query.slice(place?.from, place?.to)).toBe('speed_kph');
    expect(place?.from).toBe(22);
    expect(place?.line).toBe(1);
  });
  it('and none where the message names neither', () => {
    expect(errorPlace('the query took too long', 'SELECT 1')).toBeNull();
    expect(errorPlace('at Line: 9, Column: 1', 'SELECT 1')).toBeNull();
    expect(errorPlace('No field named nowhere.', 'SELECT 1')).toBeNull();
  });
  it('the list of fields stands apart', () => {
    expect(splitMessage('Schema error: No field named foo.\nValid fields are t.a, t.b.')).toEqual({ what: 'No field named foo.', fields: ['t.a', 't.b'] });
    expect(splitMessage('SQL error: ParserError("Expected: end at Line: 1, Column: 10")').what).toBe('Expected: end at Line: 1, Column: 10');
  });
});

describe('rows', () => {
  const it3 = result([['name', 'Utf8View'], ['n', 'Int64']], [['b', 2], ['a', null], ['c', 10]]);
  it('sort by size, with nulls last either way', () => {
    expect(order(it3, { column: 1, down: false })).toEqual([0, 2, 1]);
    expect(order(it3, { column: 1, down: true })).toEqual([2, 0, 1]);
    expect(order(it3, { column: 0, down: false })).toEqual([1, 0, 2]);
    expect(order(it3, null)).toEqual([0, 1, 2]);
  });
  it('are exported as shown, quoted where they must be', () => {
    expect(toCsv(result([['a,b', 'Utf8'], ['c', 'Int64']], [['x"y', 1], [null, 2]]), [1, 0])).toBe('"a,b",c\r\n,2\r\n"x""y",1\r\n');
    expect(JSON.parse(toJson(it3, [2, 1]))).toEqual([{ name: 'c', n: 10 }, { name: 'a', n: null }]);
    expect(toJson(it3, [])).toBe('[\n\n]\n');
  });
  it('a literal cannot be left', () => expect(literal("x' OR 1=1")).toBe("'x'' OR 1=1'"));
});

describe('views', () => {
  it('a place is found by its columns', () => {
    const columns = result([['vehicle_id', 'Utf8'], ['ts', TIME], ['lat', 'Float64'], ['lng', 'Float64']], []).columns;
    expect(places(columns)).toEqual({ latitude: 2, longitude: 3, time: 1, label: 0 });
    expect(views(columns)).toContain('map');
    expect(views(result([['a', 'Utf8']], []).columns)).toEqual(['table']);
    expect(places(result([['latitude', 'Float64']], []).columns)).toBeNull();
  });
  it('time goes across, a name makes a series each', () => {
    const found = result([['vehicle_id', 'Utf8'], ['ts', TIME], ['kmh', 'Float64']], [['b', '2026-01-01T00:01:00Z', 3], ['a', '2026-01-01T00:00:00Z', 1], ['a', '2026-01-01T00:00:30Z', null]]);
    const axes = guessAxes(found.columns, 'line');
    expect(axes).toEqual({ x: 1, y: [2], by: 0 });
    const series = toSeries(found, axes);
    expect(series.map(({ name }) => name)).toEqual(['b', 'a']);
    expect(series[1]?.points.map(({ y }) => y)).toEqual([1, null]);
  });
  it('bars stack by a second name', () => {
    const found = result([['vehicle_id', 'Utf8'], ['kind', 'Utf8'], ['n', 'Int64']], [['v1', 'idle', 2], ['v1', 'harsh', 1], ['v2', 'harsh', 5]]);
    const axes = guessAxes(found.columns, 'bar');
    expect(axes).toEqual({ x: 0, y: [2], by: 1 });
    expect(toBars(found, axes)).toEqual({ names: ['idle', 'harsh'], bars: [{ label: 'v1', values: [2, 1] }, { label: 'v2', values: [0, 5] }] });
  });
  it('only versions of tables that the query names are told', () => {
    expect(versionsRead('SELECT * FROM latest_trips', { trips: 4, gaps: 1 })).toEqual([['trips', 4]]);
  });
});

describe('the workbench remembers', () => {
  it('a query once, the newest first', () => {
    const first = { query: 'SELECT 1', at: 'a', rows: 1 };
    const second = { query: 'SELECT 2', at: 'b', rows: 1 };
    expect(remembered(remembered(remembered([], first), second), { ...first, at: 'c' }).map(({ at }) => at)).toEqual(['c', 'b']);
  });
  it('types in words', () => {
    expect([TIME, 'Utf8View', 'Date32', 'Float64', 'Int64', 'BinaryView'].map(plainType)).toEqual(['timestamp', 'text', 'date', 'double', 'bigint', 'bytes']);
  });
});
