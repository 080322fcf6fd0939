import { describe, expect, it } from 'vitest';
import { shownCell } from '../src/lib/cells';
import { briefTimes, dataTime } from '../src/lib/format';
import { errorPlace, guessAxes, literal, order, places, sortOf, sortText, splitMessage, toBars, toCsv, toJson, toSeries, uniqueNames, versionsRead, views, withUniqueNames } from '../src/lib/sql';
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
  it('lose nothing where a name is there twice', () => {
    const twice = result([['ts', 'Utf8'], ['ts', 'Utf8'], ['ts_2', 'Utf8']], [['a', 'b', 'c']]);
    expect(uniqueNames(['ts', 'ts', 'ts_2', 'ts'])).toEqual(['ts', 'ts_3', 'ts_2', 'ts_4']);
    expect(JSON.parse(toJson(twice, [0]))).toEqual([{ ts: 'a', ts_3: 'b', ts_2: 'c' }]);
    expect(toCsv(twice, [0])).toBe('ts,ts_3,ts_2\r\na,b,c\r\n');
    expect(new Set(withUniqueNames(twice).columns.map(({ name }) => name)).size).toBe(3);
  });
  it('of times sort by time, whatever digits they have', () => {
    const times = result([['ts', TIME]], [['2026-01-01T00:00:30.5Z'], ['2026-01-01T00:00:30Z'], ['2026-01-01T00:00:30.25Z']]);
    expect(order(times, { column: 0, down: false })).toEqual([1, 2, 0]);
  });
  it('their order stands in an address', () => {
    const { columns } = result([['n', 'Int64'], ['-n', 'Int64']], []);
    for (const sort of [{ column: 0, down: true }, { column: 0, down: false }]) expect(sortOf(sortText(sort, columns.slice(0, 1)) ?? '', columns.slice(0, 1))).toEqual(sort);
    expect(sortOf('', columns)).toBeNull();
    expect(sortOf('gone', columns)).toBeNull();
    expect(sortOf('-n', columns.slice(1))).toEqual({ column: 0, down: false });
  });
  it('times are shown in the zone asked for, with every digit', () => {
    expect(dataTime('2026-03-29T01:30:00.123456Z', 'Europe/Copenhagen')).toBe('2026-03-29 03:30:00.123456');
    expect(dataTime('nonsense', 'UTC')).toBe('nonsense');
    expect(shownCell('2026-01-01T10:00:00Z', { name: 't', data_type: 'Timestamp(ns)' })).toBe('2026-01-01 10:00:00');
    expect(shownCell('2026-01-01', { name: 'd', data_type: 'Date32' })).toBe('2026-01-01');
    expect(shownCell(null, { name: 't', data_type: TIME })).toBe('');
    expect(briefTimes(['2026-01-01 00:00:00', '2026-01-02 00:00:00'])).toEqual(['2026-01-01', '2026-01-02']);
    expect(briefTimes(['2026-01-01 00:01:00', '2026-01-01 00:02:00'])).toEqual(['2026-01-01 00:01', '2026-01-01 00:02']);
    expect(briefTimes(['a', '2026-01-01 00:02:00'])).toEqual(['a', '2026-01-01 00:02:00']);
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
    expect(toBars(found, axes)).toEqual({ names: ['idle', 'harsh'], bars: [{ label: 'v1', values: [2, 1] }, { label: 'v2', values: [null, 5] }] });
  });
  it('what is not known is not 0, and rows of a bar are added', () => {
    const found = result([['day', 'Date32'], ['n', 'Float64']], [['a', null], ['b', 2], ['b', null], ['b', 3], ['c', 'NaN']]);
    expect(toBars(found, { x: 0, y: [1], by: -1 }).bars).toEqual([{ label: 'a', values: [null] }, { label: 'b', values: [5] }, { label: 'c', values: [null] }]);
  });
  it('several measures are split by a name each', () => {
    const found = result([['ts', TIME], ['who', 'Utf8'], ['p', 'Int64'], ['q', 'Int64']], [['2026-01-01T00:00:00Z', 'v', 1, 10], ['2026-01-01T00:00:00Z', 'w', 2, 20]]);
    const axes = { x: 0, y: [2, 3], by: 1 };
    expect(toBars(found, axes)).toEqual({ names: ['v p', 'v q', 'w p', 'w q'], bars: [{ label: '2026-01-01T00:00:00Z', values: [1, 10, 2, 20] }] });
    expect(toSeries(found, axes).map(({ name, points }) => [name, points[0]?.y])).toEqual([['v p', 1], ['v q', 10], ['w p', 2], ['w q', 20]]);
  });
  it('two measures of one name are two', () => {
    const found = result([['ts', TIME], ['n', 'Int64'], ['n', 'Int64']], [['2026-01-01T00:00:00Z', 1, 2]]);
    expect(toSeries(found, { x: 0, y: [1, 2], by: -1 }).map(({ points }) => points[0]?.y)).toEqual([1, 2]);
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
