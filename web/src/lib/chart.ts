// Scales and ticks of our charts. Pure functions over numbers; a time is its milliseconds.

export interface Point {
  x: number;
  y: number | null;
}

export interface Series {
  name: string;
  points: readonly Point[];
}

/** Round numbers that cover `[low, high]`: about `want` of them, the ends included. */
export function niceTicks(low: number, high: number, want = 4): number[] {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  if (low === high) {
    const pad = low === 0 ? 1 : Math.abs(low) * 0.1;
    return niceTicks(low - pad, high + pad, want);
  }
  const rough = (high - low) / want;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10) * power;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  const ticks: number[] = [];
  for (let index = first; index <= last; index += 1) ticks.push(Number((index * step).toPrecision(12)));
  return ticks;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const TIME_STEPS = [
  SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
  HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 90 * DAY, 365 * DAY,
];

/** Whole seconds, minutes, hours or days within `[from, to]`, by a clock `offsetMs` ahead of UTC. */
export function timeTicks(from: number, to: number, want = 5, offsetMs = 0): { ticks: number[]; stepMs: number } {
  const stepMs = TIME_STEPS.find((step) => (to - from) / step <= want) ?? Math.ceil((to - from) / want / DAY) * DAY;
  const ticks: number[] = [];
  for (let at = Math.ceil((from + offsetMs) / stepMs) * stepMs - offsetMs; at <= to; at += stepMs) ticks.push(at);
  return { ticks, stepMs };
}

/** How far the clocks of a zone are ahead of UTC at a moment. */
export function offsetOf(at: number, timeZone?: string): number {
  if (!Number.isFinite(at)) return 0;
  const parts = new Intl.DateTimeFormat('en', {
    timeZone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric',
  }).formatToParts(at);
  const part = (type: string): number => Number(parts.find((item) => item.type === type)?.value ?? 0);
  const local = Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second'));
  return local - Math.floor(at / 1000) * 1000;
}

/** At most two points a column of the picture: the lowest and the highest, so that no peak is lost. */
export function thinned(points: readonly Point[], columns: number): Point[] {
  if (points.length <= columns * 2 || columns < 1) return [...points];
  const kept: Point[] = [];
  const size = points.length / columns;
  for (let column = 0; column < columns; column += 1) {
    const part = points.slice(Math.floor(column * size), Math.floor((column + 1) * size));
    let low: Point | undefined;
    let high: Point | undefined;
    for (const point of part) {
      if (point.y == null) continue;
      if (!low || point.y < (low.y ?? 0)) low = point;
      if (!high || point.y > (high.y ?? 0)) high = point;
    }
    if (!low || !high) {
      if (part[0]) kept.push(part[0]);
    } else if (low === high) kept.push(low);
    else kept.push(...(low.x <= high.x ? [low, high] : [high, low]));
  }
  return kept;
}

/** The point nearest to `x` in a series ordered by x, by its index; -1 without points. */
export function nearest(points: readonly Point[], x: number): number {
  let low = 0;
  let high = points.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((points[middle]?.x ?? 0) <= x) low = middle;
    else high = middle;
  }
  if (high < 0) return -1;
  return Math.abs((points[high]?.x ?? Infinity) - x) < Math.abs((points[low]?.x ?? Infinity) - x) ? high : low;
}

/** An SVG path through the points; a null lifts the pen. */
export function path(points: readonly Point[], x: (value: number) => number, y: (value: number) => number): string {
  let pen = 'M';
  let text = '';
  for (const point of points) {
    if (point.y == null) {
      pen = 'M';
      continue;
    }
    text += `${pen}${x(point.x).toFixed(1)} ${y(point.y).toFixed(1)}`;
    pen = 'L';
  }
  return text;
}

export interface Slab {
  part: number;
  low: number;
  high: number;
}

/** The parts of one bar on top of each other: what is above zero upwards, what is below it downwards. */
export function stacked(values: readonly (number | null)[]): Slab[] {
  let above = 0;
  let below = 0;
  return values.flatMap((value, part) => {
    if (value == null || !Number.isFinite(value) || value === 0) return [];
    const slab = value > 0 ? { part, low: above, high: above + value } : { part, low: below + value, high: below };
    if (value > 0) above += value;
    else below += value;
    return [slab];
  });
}

/** The sum of what is known; null where nothing is. */
export function sumKnown(values: readonly (number | null)[]): number | null {
  const known = values.filter((value): value is number => value != null && Number.isFinite(value));
  return known.length ? known.reduce((sum, value) => sum + value, 0) : null;
}

const DAYS_MAX = 1000;

/** Bars of days with the days between that had none, so that a week without a trip is as wide as a week. */
export function everyDay<T extends { label: string }>(bars: readonly T[], empty: (day: string) => T): T[] {
  const byDay = new Map(bars.map((bar) => [Date.parse(`${bar.label.slice(0, 10)}T00:00:00Z`), bar]));
  const days = [...byDay.keys()];
  const [first, last] = [Math.min(...days), Math.max(...days)];
  // What is no day, or a decade of them, stays as it came.
  if (!Number.isFinite(first) || !Number.isFinite(last) || (last - first) / DAY > DAYS_MAX) return [...bars];
  const all: T[] = [];
  for (let at = first; at <= last; at += DAY) all.push(byDay.get(at) ?? empty(new Date(at).toISOString().slice(0, 10)));
  return all;
}

export const colour = (index: number): string => `var(--series-${(index % 6) + 1})`;
