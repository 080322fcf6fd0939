import { StringStream } from '@codemirror/language';
import { afterEach, describe, expect, it, vi } from 'vitest';
import schema from '../../configs/campaigns/schema.json';
import { type CheckItem, campaigns, countOf, deploymentOf, EXAMPLE, faultsOf, grouped, NAME_PATTERN, placeOf, sharesOf, totalOf, uptakeHint, uptakeText, vehiclesText } from '../src/lib/campaigns';
import { looking, lookMs } from '../src/lib/look';
import { toml } from '../src/lib/toml';

const counts = { in_force: 3, pending: 1, refused: 0, replaced: 0 };

describe('uptake', () => {
  it('is shares of all vehicles, without those that are none', () => {
    expect(sharesOf(counts)).toEqual([{ uptake: 'in_force', count: 3, share_percent: 75 }, { uptake: 'pending', count: 1, share_percent: 25 }]);
    expect(sharesOf({ in_force: 1, pending: 1, refused: 1, replaced: 4 }).reduce((sum, { share_percent }) => sum + share_percent, 0)).toBeCloseTo(100);
    expect(sharesOf({ in_force: 0, pending: 0, refused: 0, replaced: 0 })).toEqual([]);
    expect(totalOf(counts)).toBe(4);
  });
  it('has words', () => {
    expect(uptakeText(counts)).toBe('3 in force, 1 pending');
    expect(uptakeText({ in_force: 0, pending: 0, refused: 0, replaced: 0 })).toBe('No vehicles');
    expect([uptakeHint('pending', false), uptakeHint('pending', true)]).toEqual(['Not sent yet', 'Sent; it has not told of it yet']);
  });
});

describe('for whom', () => {
  it('is told by ids, or all, and never both', () => {
    expect(deploymentOf('cst_1', { isAll: false, ids: ['b', 'a'] })).toEqual({ campaign_set_id: 'cst_1', vehicle_ids: ['a', 'b'] });
    expect(deploymentOf(null, { isAll: true, ids: ['a'] })).toEqual({ campaign_set_id: null, all_vehicles: true });
  });
  it('is the same wish in whatever order they were chosen', () => {
    expect(JSON.stringify(deploymentOf('c', { isAll: false, ids: ['b', 'a'] }))).toBe(JSON.stringify(deploymentOf('c', { isAll: false, ids: ['a', 'b'] })));
  });
  it('says how many', () => {
    expect(vehiclesText({ isAll: false, ids: ['a'] }, 9)).toBe('1 vehicle');
    expect(vehiclesText({ isAll: false, ids: ['a', 'b'] }, 9)).toBe('2 vehicles');
    expect(vehiclesText({ isAll: true, ids: [] }, 9)).toBe('all 9 vehicles');
    expect(countOf({ isAll: false, ids: [] }, 9)).toBe(0);
  });
});

describe('a check', () => {
  const line = (signal: string) => ({ campaign: 'fast', when: 'always', what: 'one of 1 samples', signals: [signal] });
  const item = (vehicle_id: string, more: Partial<CheckItem> = {}): CheckItem => ({ vehicle_id, fit: 'fits', collects: [line('A#fast'), line('B#fast')], faults: [], ...more });
  it('tells of vehicles together to which a set is the same, and first of those that refuse it', () => {
    const groups = grouped([item('a'), item('b'), item('c', { fit: 'refused', collects: [], faults: ['no such signal'] }), item('d', { fit: 'unknown', collects: [] }), item('e', { collects: [line('A#fast')] })]);
    expect(groups.map(({ fit, vehicles }) => [fit, vehicles])).toEqual([['refused', ['c']], ['unknown', ['d']], ['fits', ['a', 'b']], ['fits', ['e']]]);
  });
  it('has a line for signals that are collected alike', () => {
    const [group] = grouped([item('a', { collects: [line('A#fast'), line('B#fast'), { ...line('A#fast.mean'), what: 'over 60 s' }] })]);
    expect(group?.collects.map(({ what, signals }) => [what, signals])).toEqual([['one of 1 samples', ['A#fast', 'B#fast']], ['over 60 s', ['A#fast.mean']]]);
  });
  it('leaves what it was given as it was', () => {
    const given = [item('a')];
    grouped(given);
    expect(given[0]?.collects).toHaveLength(2);
  });
});

describe('faults of a set', () => {
  const READ = 'cannot be read: TOML parse error at line 2, column 8\n  |\n2 | name = half\n  |        ^\nstring values must be quoted';
  it('are each at its field', () => {
    const name = 'must be 1 to 64 of a-z, 0-9 and -';
    expect(faultsOf([{ field: 'name', message: name }, { field: 'text', message: READ }, { field: 'organization_id', message: 'no' }])).toEqual({ name, text: READ });
    expect(faultsOf([{ field: 'organization_id', message: 'no' }])).toBeNull();
    expect(faultsOf([])).toBeNull();
  });
  it('have a place where the text itself cannot be read', () => {
    const text = '[[campaign]]\nname = half\n';
    const place = placeOf(READ, text);
    expect(place && text.slice(place.from, place.to)).toBe('half');
    expect(placeOf('cannot be read: expected value at line 1 column 14', '{"campaign": [}')).toEqual({ from: 13, to: 15 });
  });
  it('have none where the place is one of another text', () => {
    expect(placeOf('campaign a: when: column 16: a value is missing', EXAMPLE)).toBeNull();
    expect(placeOf('TOML parse error at line 2, column 1', EXAMPLE)).toBeNull();
    expect(placeOf('cannot be read: TOML parse error at line 99, column 1', 'a')).toBeNull();
    expect(placeOf(undefined, EXAMPLE)).toBeNull();
  });
});

describe('the example', () => {
  it('has no key that a set has not', () => {
    const keys = [...EXAMPLE.matchAll(/^([a-z_]+) =/gm)].map(([, key]) => key ?? '');
    const known = JSON.stringify(schema);
    expect(keys.length).toBeGreaterThan(10);
    expect(keys.filter((key) => !known.includes(`"${key}":`))).toEqual([]);
  });
  it('asks for what every vehicle has', () => {
    expect([...new Set(EXAMPLE.match(/Vehicle\.[\w.]+/g))]).toEqual(['Vehicle.Speed']);
  });
});

describe('a name', () => {
  // As a browser reads a pattern.
  const isName = (name: string): boolean => new RegExp(`^(?:${NAME_PATTERN})$`, 'v').test(name);
  it('is as the server takes it', () => {
    expect(['overheat', 'a-1', '-', 'x'.repeat(64)].every(isName)).toBe(true);
    expect(['', 'Overheat', 'a b', 'a_b', 'x'.repeat(65)].some(isName)).toBe(false);
  });
});

describe('calls', () => {
  afterEach(() => vi.unstubAllGlobals());
  const answering = (body: unknown) => {
    const asked: { path: string; init: RequestInit }[] = [];
    vi.stubGlobal('fetch', (path: string, init: RequestInit) => (asked.push({ path, init }), Promise.resolve(new Response(JSON.stringify(body)))));
    return asked;
  };
  it('change a set by its version', async () => {
    const asked = answering({});
    await campaigns.change({ id: 'cst_1', version: 4 }, { name: 'a', description: '', text: '' });
    expect([asked[0]?.init.method, asked[0]?.path]).toEqual(['PATCH', '/v1/campaign-sets/cst_1']);
    expect(asked[0]?.init.headers).toMatchObject({ 'if-match': '"4"' });
  });
  it('check a set against those that are chosen', async () => {
    const asked = answering({ data: [] });
    expect(await campaigns.check('cst_1', { isAll: false, ids: ['sim-02', 'sim-01'] })).toEqual([]);
    expect([asked[0]?.path, asked[0]?.init.body]).toEqual(['/v1/campaign-sets/cst_1/check', '{"vehicle_ids":["sim-01","sim-02"]}']);
  });
  it('give vehicles of a deployment an id', async () => {
    const asked = answering({ data: [{ vehicle_id: 'sim-01', uptake: 'pending', refusal: null, published_at: null }], next_cursor: null });
    const { data } = await campaigns.targets('cdp_1', { uptake: 'pending', limit: 5 });
    expect(data[0]?.id).toBe('sim-01');
    expect(asked[0]?.path).toBe('/v1/campaign-deployments/cdp_1/vehicles?uptake=pending&limit=5');
  });
});

describe('what is on its way', () => {
  afterEach(() => (vi.useRealTimers(), vi.unstubAllGlobals()));
  it('is looked at often while an answer may come at once, then seldom', () => {
    const since = '2026-11-28T12:00:00Z';
    expect(lookMs(since, Date.parse(since) + 59_000)).toBeLessThan(2_000);
    expect(lookMs(since, Date.parse(since) + 60_000)).toBe(10_000);
  });
  it('is not looked at where nobody sees the page, nor after the end', () => {
    vi.useFakeTimers();
    const page = { hidden: false };
    vi.stubGlobal('document', page);
    const look = vi.fn();
    const end = looking(1_000, look);
    vi.advanceTimersByTime(2_000);
    page.hidden = true;
    vi.advanceTimersByTime(2_000);
    page.hidden = false;
    end();
    vi.advanceTimersByTime(2_000);
    expect(look).toHaveBeenCalledTimes(2);
  });
});

describe('TOML in the editor', () => {
  function coloured(text: string): [string, string | null][] {
    const state = toml.startState?.(2) ?? { until: '' };
    return text.split('\n').flatMap((line) => {
      const found: [string, string | null][] = [];
      const stream = new StringStream(line, 2, 2);
      while (!stream.eol()) {
        stream.start = stream.pos;
        const colour = toml.token(stream, state);
        if (stream.current().trim()) found.push([stream.current(), colour]);
      }
      return found;
    });
  }
  it('has headings, keys, texts, numbers and comments', () => {
    expect(coloured('[[campaign.collect]] # more\nof = ["min", 3, true]\nbefore = "30s"')).toEqual([
      ['[[campaign.collect]]', 'keyword'], ['# more', 'comment'],
      ['of', 'propertyName'], ['=', null], ['[', null], ['"min"', 'string'], [',', null], ['3', 'number'], [',', null], ['true', 'bool'], [']', null],
      ['before', 'propertyName'], ['=', null], ['"30s"', 'string'],
    ]);
  });
  it('has texts of several lines', () => {
    expect(coloured('a = """one\n# two\nthree""" # four').map(([, colour]) => colour)).toEqual(['propertyName', null, 'string', 'string', 'string', 'string', 'comment']);
  });
  it('comes to the end of whatever is typed', () => {
    for (const text of ['[[campaign', '"', "'''", 'a = "\\', '= = [', EXAMPLE]) expect(coloured(text).length).toBeGreaterThan(0);
  });
});
