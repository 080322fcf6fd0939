// What a trouble code says, in plain words, as far as its own standard says it: the code itself where it is a common
// one (fault-codes.ts), else the family of an OBD code (SAE J2012); the failure mode of a J1939 one (J1939-73). What a
// maker defines is told as such.

import { messages as m } from '../messages';
import { obdText, spnText } from './fault-codes';

const SYSTEMS: Record<string, string> = { P: m.faults.powertrain, C: m.faults.chassis, B: m.faults.body, U: m.faults.network };

const POWERTRAIN: Record<string, string> = {
  '0': m.faults.fuelAirAndEmission,
  '1': m.faults.fuelAndAir,
  '2': m.faults.fuelAirAndInjectors,
  '3': m.faults.ignitionOrMisfire,
  '4': m.faults.emissionControl,
  '5': m.faults.speedAndIdle,
  '6': m.faults.controlUnit,
  '7': 'transmission',
  '8': 'transmission',
  '9': 'transmission',
  A: m.faults.hybridDrive,
  B: m.faults.hybridDrive,
  C: m.faults.hybridDrive,
};

const FMI: readonly string[] = [
  m.faults.highMost, m.faults.lowMost, m.faults.erraticOrWrong, m.faults.voltageTooHigh, m.faults.voltageTooLow, m.faults.currentLow,
  m.faults.currentHigh, m.faults.mechanismStuck, m.faults.frequencyWrong, m.faults.updateRateWrong, m.faults.changesTooFast, m.faults.causeNotKnown,
  m.faults.componentBad, m.faults.outOfCalibration, m.faults.specialInstructions, m.faults.highLeast, m.faults.highModerate,
  m.faults.lowLeast, m.faults.lowModerate, m.faults.receivedWithError, m.faults.driftedHigh, m.faults.driftedLow,
];
/** 22 to 30 are kept for later. */
const FMI_CONDITION = 31;

/** The failure mode of J1939-73 in words; empty where the standard has none. */
export const failureMode = (fmi: number): string => (fmi === FMI_CONDITION ? m.faults.condition : (FMI[fmi] ?? ''));

/** A sentence about a code, or the empty string where its standard says nothing. */
export function explain(code: string): string {
  const obd = /^([PCBU])([0-3])([0-9A-F])([0-9A-F]{2})/i.exec(code.trim());
  if (obd) {
    const [code = '', letter = '', origin = '', part = ''] = obd;
    const own = obdText(code);
    if (own) return own;
    const system = SYSTEMS[letter.toUpperCase()] ?? '';
    const isMakers = origin === '1' || (origin === '3' && /[0-3]/.test(part) && letter.toUpperCase() === 'P') || (origin === '2' && letter.toUpperCase() !== 'P');
    const where = (letter.toUpperCase() === 'P' && POWERTRAIN[part.toUpperCase()]) || '';
    return isMakers ? m.faults.makers(system, where) : where ? m.faults.known(system, where) : system;
  }
  const j1939 = /SPN (\d+) FMI (\d+)/.exec(code);
  if (!j1939) return '';
  const [, parameter = '', fmi = ''] = j1939;
  const mode = failureMode(Number(fmi));
  const what = spnText(Number(parameter)) || m.faults.parameter(parameter);
  return mode ? m.faults.known(what, mode) : what;
}
