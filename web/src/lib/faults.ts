// What a trouble code says, in plain words, as far as its own standard says it: the family of an OBD
// code (SAE J2012), the failure mode of a J1939 one (J1939-73). What a maker defines is told as such.

const SYSTEMS: Record<string, string> = { P: 'Powertrain', C: 'Chassis', B: 'Body', U: 'Network' };

const POWERTRAIN: Record<string, string> = {
  '0': 'fuel and air metering, emission control',
  '1': 'fuel and air metering',
  '2': 'fuel and air metering, injectors',
  '3': 'ignition or misfire',
  '4': 'emission control',
  '5': 'speed, idle control and inputs',
  '6': 'control unit and its outputs',
  '7': 'transmission',
  '8': 'transmission',
  '9': 'transmission',
  A: 'hybrid drive',
  B: 'hybrid drive',
  C: 'hybrid drive',
};

const FMI: readonly string[] = [
  'above the normal range, most severe', 'below the normal range, most severe', 'erratic or wrong', 'voltage too high', 'voltage too low', 'current too low or circuit open',
  'current too high or circuit grounded', 'mechanism does not respond', 'frequency or pulse width wrong', 'update rate wrong', 'changes too fast', 'cause not known',
  'device or component bad', 'out of calibration', 'special instructions', 'above the normal range, least severe', 'above the normal range, moderate',
  'below the normal range, least severe', 'below the normal range, moderate', 'received with an error', 'drifted high', 'drifted low',
];
/** 22 to 30 are kept for later. */
const FMI_CONDITION = 31;

/** The failure mode of J1939-73 in words; empty where the standard has none. */
export const failureMode = (fmi: number): string => (fmi === FMI_CONDITION ? 'the condition is there' : (FMI[fmi] ?? ''));

/** A sentence about a code, or the empty string where its standard says nothing. */
export function explain(code: string): string {
  const obd = /^([PCBU])([0-3])([0-9A-F])([0-9A-F]{2})/i.exec(code.trim());
  if (obd) {
    const [, letter = '', origin = '', part = ''] = obd;
    const system = SYSTEMS[letter.toUpperCase()] ?? '';
    const isMakers = origin === '1' || (origin === '3' && /[0-3]/.test(part) && letter.toUpperCase() === 'P') || (origin === '2' && letter.toUpperCase() !== 'P');
    const where = letter.toUpperCase() === 'P' ? POWERTRAIN[part.toUpperCase()] : undefined;
    return `${system}${where ? `: ${where}` : ''}${isMakers ? '; the maker defines this code' : ''}`;
  }
  const j1939 = /SPN (\d+) FMI (\d+)/.exec(code);
  if (!j1939) return '';
  const mode = failureMode(Number(j1939[2]));
  return mode ? `Parameter ${j1939[1]}: ${mode}` : `Parameter ${j1939[1]}`;
}
