// What the server finds wrong, told at the fields of a form; what has no field of its own is told beside them.

import type { ApiError, Fault } from './api';

/** Whether a fault is of a field, or of something in it: `geometry.coordinates[0][3]` is in `geometry`. */
const isIn = ({ field: at }: Fault, field: string): boolean => at === field || at.startsWith(`${field}.`) || at.startsWith(`${field}[`);

/** What is wrong with a field as a sentence, or the empty string; where it is in the field, as far as that is of use. */
export function wrongAt(faults: readonly Fault[], field: string): string {
  return faults
    .filter((fault) => isIn(fault, field))
    .map(({ field: at, message }) => sentence(at === field ? message : `${at.slice(field.length).replace(/^\./, '')} ${message}`))
    .join(' ');
}

/** What is wrong with a field as a whole, and not with something in it. */
export const wrongWhole = (faults: readonly Fault[], field: string): string => wrongAt(faults.filter((fault) => fault.field === field), field);

/** What is wrong that no field of the form tells. */
export function wrongElsewhere(error: ApiError | null, fields: readonly string[]): string {
  if (!error) return '';
  if (error.faults.length === 0) return sentence(error.detail);
  return error.faults
    .filter((fault) => !fields.some((field) => isIn(fault, field)))
    .map(({ field, message }) => sentence(`${field} ${message}`))
    .join('\n');
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?:]$/.test(first) ? first : `${first}.`;
}
