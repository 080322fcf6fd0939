import { describe, expect, it } from 'vitest';
import { obdText, spnText } from '../src/lib/fault-codes';
import { explain } from '../src/lib/faults';
import { faultCodes } from '../src/messages/en-fault-codes';
import source from '../src/messages/en-fault-codes.ts?raw';

describe('the list of trouble codes', () => {
  it('is of what the standards define, each once and in a few words', () => {
    const [obd, spn] = [Object.entries(faultCodes.obd), Object.entries(faultCodes.spn)];
    expect(obd.length).toBeGreaterThan(150);
    expect(spn.length).toBeGreaterThan(60);
    for (const [code, text] of obd) {
      expect(code).toMatch(/^(P[02]|U0)[0-9A-F]{3}$/);
      expect(text).toMatch(/^[A-Z5].{5,78}[^.]$/);
    }
    for (const [parameter, text] of spn) {
      expect(Number.isInteger(Number(parameter)) && Number(parameter) > 0 && Number(parameter) < 2 ** 19).toBe(true);
      expect(text).toMatch(/^[A-Z5].{5,60}[^.:]$/);
    }
  });
  it('has no code twice: a later one would hide the first', () => {
    const written = [...source.matchAll(/^ {2}\['?([PU]?[0-9A-F]+)'?, /gm)].map((match) => match[1]);
    expect(written.length).toBeGreaterThan(200);
    expect(written.filter((code, index) => written.indexOf(code) !== index)).toEqual([]);
  });
  it('counts cylinders, sensors and coils as the standard does', () => {
    expect([obdText('P0300'), obdText('P0301'), obdText('P0312'), obdText('p0304')]).toEqual(['Several cylinders misfire, or now one and now another', 'Cylinder 1 misfires', 'Cylinder 12 misfires', 'Cylinder 4 misfires']);
    expect([obdText('P0135'), obdText('P0141'), obdText('P0161')]).toEqual(['Oxygen sensor 1 of bank 1: heater faulty', 'Oxygen sensor 2 of bank 1: heater faulty', 'Oxygen sensor 2 of bank 2: heater faulty']);
    expect([obdText('P0204'), obdText('P0261'), obdText('P0272'), obdText('P0296')]).toEqual(['Injector of cylinder 4: circuit faulty', 'Injector of cylinder 1: circuit low', 'Cylinder 4 gives too little or too much power', 'Cylinder 12 gives too little or too much power']);
    expect([obdText('P0354'), obdText('P0671'), obdText('P0733')]).toEqual(['Ignition coil D: circuit faulty', 'Glow plug of cylinder 1: circuit faulty', 'Gear 3: wrong ratio']);
    expect([spnText(653), spnText(1323), spnText(789)]).toEqual(['Injector of cylinder 3', 'Misfire of cylinder 1', 'Wheel speed sensor, axle 1 left']);
  });
  it('is asked before the family, and for a code with more behind it', () => {
    expect(explain('P0420')).toBe('Catalyst of bank 1 works too little');
    expect(explain('P0420-00')).toBe('Catalyst of bank 1 works too little');
    expect(explain('P0029')).toBe('Powertrain: fuel and air metering, emission control');
    expect(explain('SPN 3251 FMI 16')).toBe('Particulate filter pressure difference: above the normal range, moderate');
    expect(explain('P1420')).toContain('the maker defines');
  });
});
