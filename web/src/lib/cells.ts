// A value of a result as a table shows it.

import { dataTime } from './format';
import { cellText, type Column } from './sql';

/** Whether times of this type are moments, which have a zone to be shown in; a day or a bare clock has none. */
export const isMoment = (dataType: string): boolean => /^Timestamp\(.*"/.test(dataType);

/** Moments in the reader's zone; a time without a zone as it stands; everything else as it came. */
export function shownCell(value: unknown, column: Column | undefined): string {
  const text = cellText(value);
  const type = column?.data_type ?? '';
  if (value == null || !type.startsWith('Timestamp')) return text;
  return isMoment(type) ? dataTime(text) : text.replace('T', ' ').replace(/Z$/, '');
}
