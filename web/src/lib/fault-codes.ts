// What the common trouble codes say, by code; their words are with all the others (messages/en-fault-codes.ts).

import { messages as m } from '../messages';

const { obd, spn } = m.faultCodes;

/** What an OBD code of five signs says, as `P0301`; empty where it is in no list. */
export const obdText = (code: string): string => (Object.hasOwn(obd, code.toUpperCase()) ? (obd[code.toUpperCase()] ?? '') : '');

/** What a parameter of J1939 is; empty where it is in no list. */
export const spnText = (parameter: number): string => (Object.hasOwn(spn, parameter) ? (spn[parameter] ?? '') : '');
