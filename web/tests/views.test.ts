import { describe, expect, it } from 'vitest';
import { type Stop, stopMarks } from '../src/lib/around';
import { isWorthALook } from '../src/lib/look';
import { prefs } from '../src/lib/prefs.svelte';
import { signalsAsked, signalsParam } from '../src/lib/signals';
import { viewOf } from '../src/map/follow';

describe('a vehicle that is followed', () => {
  const at = { latitude: 56, longitude: 10 };
  it('is come close to once, and then the reader says from how far', () => {
    expect(viewOf({ at, zoom: 5, isNew: true })).toMatchObject({ center: [10, 56], zoom: 12 });
    expect(viewOf({ at, zoom: 15, isNew: true })).toMatchObject({ zoom: 15 });
    expect(viewOf({ at, zoom: 5, isNew: false })).not.toHaveProperty('zoom');
  });
});

describe('the stops around a trip', () => {
  const stop = (more: Partial<Stop>): Stop => ({ stop_id: 's', status: 'closed', start_time: '2026-01-01T10:00:00Z', end_time: null, duration_s: 720, idle_s: null, latitude: 56, longitude: 10, ...more });
  it('are marked where they have a place, with how long they were', () => {
    prefs.set({ zone: 'UTC' });
    expect(stopMarks(null)).toEqual([]);
    expect(stopMarks({ before: stop({ latitude: null }), after: undefined })).toEqual([]);
    const marks = stopMarks({ before: stop({}), after: stop({ status: 'open', duration_s: null }) });
    expect(marks.map(({ when, text }) => [when, text])).toEqual([['before', 'Stood 12 min 00 s'], ['after', 'Stands since 1 Jan 2026, 10:00']]);
    prefs.set({ zone: '' });
  });
});

describe('the charts of a trip', () => {
  const [all, flat] = [[{ id: 'speed_kmh' }, { id: 'altitude_m' }, { id: 'soc_pct' }], [{ id: 'speed_kmh' }]];
  it('are speed and altitude where it has them, and else what the address asks for', () => {
    expect(signalsAsked('', all)).toEqual(['speed_kmh', 'altitude_m']);
    expect(signalsAsked('', flat)).toEqual(['speed_kmh']);
    expect(signalsAsked('soc_pct', all)).toEqual(['soc_pct']);
    expect(signalsAsked('none', all).filter((id) => all.some((signal) => signal.id === id))).toEqual([]);
  });
  it('leave the address as short as it can be', () => {
    expect(signalsParam(['altitude_m', 'speed_kmh'], all)).toBeNull();
    expect(signalsParam(['speed_kmh'], all)).toBe('speed_kmh');
    expect(signalsParam(['speed_kmh'], flat)).toBeNull();
    expect(signalsParam([], all)).toBe('none');
  });
});

describe('the signals of a vehicle', () => {
  it('are read again while it is there and nothing is on its way already', () => {
    const read = { value: {}, busy: false };
    expect(['moving', 'idling', 'parked', 'offline', undefined].map((state) => isWorthALook(state, read))).toEqual([true, true, true, false, false]);
    expect(isWorthALook('moving', { value: null, busy: false })).toBe(false);
    expect(isWorthALook('moving', { ...read, busy: true })).toBe(false);
  });
});
