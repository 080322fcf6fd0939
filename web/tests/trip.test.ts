import { describe, expect, it } from 'vitest';
import { boards, limitOf, PERIODS, workbenchLink } from '../src/lib/boards';
import { explain } from '../src/lib/faults';
import { fromReadings, fromSignals, readingsQuery, shown, signalsQuery, signalWord, stepSeconds } from '../src/lib/signals';
import { changes, dayAfter, dayStart, type DrivingEvent, eventDetail, toGeoJson, toGpx, toTrackCsv, trackName, trackOf } from '../src/lib/trip';
import { prefs } from '../src/lib/prefs.svelte';
import type { Position, Trip } from '../src/lib/types';

const trip = { id: 'trp_1', revision: 1, vehicle_id: 'v', status: 'completed', start_time: '2026-01-01T10:00:00Z', distance_m: 1000, fuel_used_l: null, readings_version: 3 } as unknown as Trip;
const positions: Position[] = [
  { ts: '2026-01-01T10:00:00Z', latitude: 56.1, longitude: 10.2, speed_kmh: 30, heading_deg: null, altitude_m: 12.5 },
  { ts: '2026-01-01T10:00:01Z', latitude: 56.2, longitude: 10.3, speed_kmh: null, heading_deg: 90, altitude_m: null },
];

const track = trackOf(positions, positions.length, 20_000);

describe('days of a zone', () => {
  it('begin at its midnight, also where clocks change', () => {
    expect(dayStart('2026-01-15', 'UTC')).toBe('2026-01-15T00:00:00.000Z');
    expect(dayStart('2026-03-29', 'Europe/Copenhagen')).toBe('2026-03-28T23:00:00.000Z');
    expect(dayStart('2026-03-30', 'Europe/Copenhagen')).toBe('2026-03-29T22:00:00.000Z');
    expect(dayStart('2026-10-25', 'America/New_York')).toBe('2026-10-25T04:00:00.000Z');
    expect(dayStart('', 'UTC')).toBeNull();
    expect(dayStart('nonsense')).toBeNull();
  });
  it('end where the next begins', () => {
    expect(dayAfter('2026-02-28')).toBe('2026-03-01');
    expect(dayAfter('')).toBe('');
  });
});

describe('revisions', () => {
  it('tell what changed in words and units, not the bookkeeping', () => {
    const after = { ...trip, revision: 2, distance_m: 2500, fuel_used_l: 1.5, readings_version: 9 };
    expect(changes(trip, after)).toEqual([
      { field: 'Distance', before: '1.0 km', after: '2.5 km' },
      { field: 'Fuel used', before: '–', after: '1.5 l' },
    ]);
    expect(changes(trip, { ...trip, revision: 2 })).toEqual([]);
  });
});

describe('a track as a file', () => {
  it('GPX has a point each, and no altitude that is not known', () => {
    const gpx = toGpx('Van <1> & "co"', track);
    expect(gpx).toContain('<name>Van &#60;1&#62; &#38; &#34;co&#34;</name>');
    expect(gpx.match(/<trkpt /g)).toHaveLength(2);
    expect(gpx.match(/<ele>/g)).toHaveLength(1);
    expect(gpx).toContain('<trkpt lat="56.1000000" lon="10.2000000"><ele>12.5</ele><time>2026-01-01T10:00:00Z</time></trkpt>');
  });
  it('GeoJSON has longitude first', () => {
    const { features } = JSON.parse(toGeoJson(trip, track));
    expect(features[0].geometry.coordinates).toEqual([[10.2, 56.1, 12.5], [10.3, 56.2]]);
    expect(features[0].properties.speeds_kmh).toEqual([30, null]);
  });
  it('CSV has an empty cell for what is not known', () => {
    expect(toTrackCsv(track)).toBe('ts,latitude,longitude,speed_kmh,heading_deg,altitude_m\r\n2026-01-01T10:00:00Z,56.1000000,10.2000000,30,,12.5\r\n2026-01-01T10:00:01Z,56.2000000,10.3000000,,90,\r\n');
  });
  const still = (seconds: number, latitude = 56.1): Position => ({ ts: new Date(Date.UTC(2026, 0, 1) + seconds * 1000).toISOString(), latitude, longitude: 10.123456789123, speed_kmh: 0, heading_deg: null, altitude_m: null });
  it('GPX begins a segment after a gap, so that no road is invented', () => {
    const gpx = toGpx('x', trackOf([still(0), still(1), still(300), still(301)], 4, 20_000));
    expect(gpx.match(/<trkseg>/g)).toHaveLength(2);
    expect(gpx.split('</trkseg>').map((part) => part.match(/<trkpt /g)?.length ?? 0)).toEqual([2, 2, 0]);
    expect(gpx).toContain('lon="10.1234568"');
    expect(gpx).not.toContain('<desc>');
  });
  it('one position is a point, none is nothing', () => {
    const geometry = (of: Position[]): unknown => JSON.parse(toGeoJson(trip, trackOf(of, of.length, 20_000))).features[0].geometry;
    expect(geometry([still(0)])).toEqual({ type: 'Point', coordinates: [10.1234568, 56.1] });
    expect(geometry([])).toBeNull();
  });
  it('says that it is thinned, and does not where only places were missing', () => {
    const thinned = trackOf([still(0), still(1)], 30_000, 20_000);
    expect(thinned.thinnedOf).toBe(30_000);
    expect(trackOf([still(0)], 500, 20_000).thinnedOf).toBeNull();
    expect(toGpx('x', thinned)).toContain('<desc>Thinned: 2 positions of a trip of 30000 readings</desc>');
    expect(JSON.parse(toGeoJson(trip, thinned)).features[0].properties.note).toContain('2 positions');
    expect(trackName({ vehicle_id: 'a/b', start_time: '2026-01-01T10:00:00Z' }, thinned, 'csv')).toBe('a_b-2026-01-01T100000-thinned.csv');
    expect(trackName(trip, track, 'gpx')).toBe('v-2026-01-01T100000.gpx');
  });
});

describe('words for codes and events', () => {
  it('say what the standard says, and what the maker defines', () => {
    expect(explain('P0301')).toBe('Cylinder 1 misfires');
    expect(explain('P03A1')).toBe('Powertrain: ignition or misfire');
    expect(explain('P1234')).toContain('the maker defines');
    expect(explain('U0100')).toBe('No word from the engine unit');
    expect(explain('U0777')).toBe('Network');
    expect(explain('SPN 520999 FMI 9')).toBe('Parameter 520999: update rate wrong');
    expect(explain('SPN 980 FMI 9')).toBe('Parameter 980: update rate wrong');
    expect(explain('SPN 110 FMI 0')).toBe('Coolant temperature: above the normal range, most severe');
    expect(explain('SPN 110 FMI 31')).toBe('Coolant temperature: the condition is there');
    expect(explain('SPN 110 FMI 25')).toBe('Coolant temperature');
    expect(explain('something')).toBe('');
  });
  it('an event in a few words', () => {
    const event = { kind: 'harsh_braking', severity: 'low', peak_mps2: -5.2, speed_kmh: 35.3, level_start_pct: null, fuel_l: null, energy_kwh: null } as DrivingEvent;
    expect(eventDetail(event)).toBe('low, 5.2 m/s², at 35 km/h');
  });
});

describe('signals', () => {
  const span = { vehicleId: "o'neil", fromMs: Date.parse('2026-01-01T22:00:00Z'), toMs: Date.parse('2026-01-02T04:00:00Z') };
  it('are asked for in at most so many steps, on the days they are on', () => {
    expect(stepSeconds(6 * 3_600_000)).toBe(180);
    expect(stepSeconds(1000)).toBe(1);
    for (const query of [readingsQuery(span), signalsQuery(span)]) {
      expect(query).toContain("vehicle_id = 'o''neil'");
      expect(query).toContain("date BETWEEN DATE '2026-01-01' AND DATE '2026-01-02'");
    }
  });
  it('leave out what was never told', () => {
    const found = fromReadings({
      columns: ['step', 'last_ts', 'speed_kmh', 'soc_pct'].map((name) => ({ name, data_type: 'Float64' })),
      rows: [['2026-01-01T00:00:00Z', '', 10, null], ['2026-01-01T00:01:00Z', '', 100, null]], is_truncated: false, lake_versions: {}, elapsed_ms: 1,
    });
    expect(found.map(({ id }) => id)).toEqual(['speed_kmh']);
    expect(found[0] && shown(found[0]).last).toBe('100 km/h');
  });
  it('of a path each', () => {
    const rows = [['Vehicle.A.CurrentGear', '2026-01-01T00:00:00Z', 3], ['Vehicle.A.CurrentGear', '2026-01-01T00:01:00Z', 4], ['Vehicle.B.X', '2026-01-01T00:00:00Z', 1]];
    const answer = { columns: [], rows, is_truncated: false, lake_versions: {}, elapsed_ms: 1 };
    expect(fromSignals(answer).signals.map(({ points }) => points.length)).toEqual([2, 1]);
    // The last of an answer that was cut may lack its newest values.
    expect(fromSignals({ ...answer, is_truncated: true })).toMatchObject({ isCut: true, signals: [{ id: 'Vehicle.A.CurrentGear' }] });
    expect(signalWord('Vehicle.Powertrain.Transmission.CurrentGear')).toBe('Transmission current gear');
  });
  it('that a campaign took have its name beside them, and the unit of what they are of', () => {
    expect(signalWord('Vehicle.Speed#fast')).toBe('Speed · fast');
    expect(signalWord('Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature#speed-by-minute.max')).toBe('Engine coolant temperature, highest · speed-by-minute');
    expect(['min', 'mean', 'median'].map((of) => signalWord(`Vehicle.Speed#fast.${of}`))).toEqual(['Speed, lowest · fast', 'Speed, mean · fast', 'Speed, median · fast']);
    expect(signalWord('Vehicle#fast')).toBe('Trigger · fast');
    expect(signalsQuery(span)).toContain("ON c.signal = split_part(s.signal, '#', 1)");
  });
});

describe('units of signals', () => {
  it('are not guessed from a path', () => {
    const rows = ['Vehicle.Body.Windshield.Front.WasherFluid.Level', 'Vehicle.Cabin.Seat.Row1.DriverSide.Position', 'Vehicle.X.Speed'].map((path) => [path, '2026-01-01T00:00:00Z', 3]);
    const { signals } = fromSignals({ columns: [], rows, is_truncated: false, lake_versions: {}, elapsed_ms: 1 });
    expect(signals.map((signal) => shown(signal).last)).toEqual(['3', '3', '3']);
  });
  it('are the catalogue’s, in the reader’s own where we know it', () => {
    const rows = [['A.Voltage', 'V'], ['B.Pressure', 'kPa'], ['C.Torque', 'Nm'], ['D.Turns', 'cpm'], ['E.Gear', null], ['F.Odd', 'constructor']].map(([path, unit]) => [path, '2026-01-01T00:00:00Z', 100, unit]);
    const told = () => fromSignals({ columns: [], rows, is_truncated: false, lake_versions: {}, elapsed_ms: 1 }).signals.map((signal) => shown(signal).last);
    expect(told()).toEqual(['100 V', '100 kPa', '100 N·m', '100 cpm', '100', '100 constructor']);
    prefs.set({ units: 'imperial' });
    expect(told().slice(0, 3)).toEqual(['100 V', '14.5 psi', '100 N·m']);
    prefs.set({ units: 'metric' });
  });
  it('what has no value in the reader’s unit is a dash', () => {
    prefs.set({ units: 'imperial' });
    expect(shown({ id: 'x', word: 'X', quantity: 'l_100km', unit: '', points: [{ x: 0, y: 0 }] }).last).toBe('–');
    prefs.set({ units: 'metric' });
  });
});

describe('boards', () => {
  const sqlOf = (id: string, period: (typeof PERIODS)[number] = '7'): string => boards(period).flatMap(({ charts }) => charts).find((chart) => chart.id === id)?.sql ?? '';
  it('seven days are seven, today among them', () => {
    expect(sqlOf('hours')).toContain("date >= current_date() - INTERVAL '6 days'");
    expect(sqlOf('codes')).toContain("start_time >= current_date() - INTERVAL '6 days'");
  });
  it('divide sums by sums, over days with a trip', () => {
    for (const id of ['utilisation', 'idle', 'score']) expect(sqlOf(id)).toContain('trip_count > 0');
    for (const chart of PERIODS.flatMap(boards).flatMap(({ charts }) => charts)) expect(chart.sql).not.toMatch(/avg\(/);
    expect(sqlOf('consumption')).toMatch(/sum\(fuel_used_l\).*nullif\(sum\(distance_m\), 0\)[\s\S]*fuel_used_l IS NOT NULL/);
  });
  it('look for silence beyond the time chosen, and count within it', () => {
    expect(sqlOf('silent')).toMatch(/LEFT JOIN \(SELECT vehicle_id, count\(\*\) AS readings FROM readings WHERE date >= .*'6 days' GROUP BY vehicle_id\)/);
    expect(sqlOf('silent').replace(/LEFT JOIN \(.*\)/, '')).not.toContain('WHERE');
  });
  it('take a percentile of the whole time from its readings', () => expect(sqlOf('lag_all')).not.toContain('GROUP BY'));
  it('know where they stop', () => {
    expect(limitOf(sqlOf('silent'))).toBe(20);
    expect(limitOf(sqlOf('hours'))).toBeNull();
    expect(limitOf('SELECT * FROM (SELECT 1 LIMIT 3) AS x')).toBeNull();
  });

  it('each chart is one query that only reads, and opens as it is shown', () => {
    for (const period of PERIODS) {
      for (const chart of boards(period).flatMap(({ charts }) => charts)) {
        expect(chart.sql).toMatch(/^SELECT /);
        for (const [column] of chart.y) expect(chart.sql).toContain(column);
        const link = new URL(workbenchLink(chart), 'http://x');
        expect(link.searchParams.get('query')).toBe(chart.sql);
      }
    }
  });
  it('have names of their own', () => {
    const ids = boards('30').flatMap(({ id, charts }) => charts.map((chart) => `${id}/${chart.id}`));
    expect(new Set(ids).size).toBe(ids.length);
  });
});
