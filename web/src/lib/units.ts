// Every unit a page shows. The server speaks metric (the unit stands in each column's name); this
// module alone turns that into what the reader prefers.

import { prefs } from './prefs.svelte';

export interface Unit {
  /** What stands behind the number. */
  label: string;
  /** From the server's unit. */
  of: (value: number) => number;
}

const KM_A_MILE = 1.609344;
const same = (label: string): Unit => ({ label, of: (value) => value });
const times = (label: string, factor: number): Unit => ({ label, of: (value) => value * factor });

const METRIC = {
  km: same('km'), m: same('m'), kmh: same('km/h'), celsius: same('°C'), l: same('l'), lph: same('l/h'), kg: same('kg'), kpa: same('kPa'),
  l_100km: same('l/100 km'), kwh_100km: same('kWh/100 km'),
  kwh: same('kWh'), kw: same('kW'), pct: same('%'), rpm: same('rpm'), deg: same('°'), mps2: same('m/s²'), s: same('s'), volt: same('V'), ampere: same('A'),
} satisfies Record<string, Unit>;

export type Quantity = keyof typeof METRIC;

const IMPERIAL: Partial<Record<Quantity, Unit>> = {
  km: times('mi', 1 / KM_A_MILE),
  m: times('ft', 1 / 0.3048),
  kmh: times('mph', 1 / KM_A_MILE),
  celsius: { label: '°F', of: (value) => value * 1.8 + 32 },
  l: times('gal', 1 / 3.785411784),
  lph: times('gal/h', 1 / 3.785411784),
  kg: times('lb', 1 / 0.45359237),
  kpa: times('psi', 1 / 6.894757293),
  l_100km: { label: 'mpg', of: (value) => (value > 0 ? 235.214583 / value : NaN) },
  kwh_100km: times('kWh/100 mi', KM_A_MILE),
};

export function unit(quantity: Quantity): Unit {
  return (prefs.units === 'imperial' ? IMPERIAL[quantity] : undefined) ?? METRIC[quantity];
}

// Longest first: `fuel_l_per_100km` is no `km`.
const ENDINGS: readonly (readonly [string, Quantity])[] = [
  ['_l_per_100km', 'l_100km'], ['_kwh_per_100km', 'kwh_100km'], ['_kmh', 'kmh'], ['_kwh', 'kwh'], ['_kw', 'kw'], ['_km', 'km'], ['_mps2', 'mps2'],
  ['_lph', 'lph'], ['_rpm', 'rpm'], ['_pct', 'pct'], ['_percent', 'pct'], ['_deg', 'deg'], ['_kg', 'kg'], ['_celsius', 'celsius'],
  ['_temperature_c', 'celsius'], ['_m', 'm'], ['_l', 'l'], ['_s', 's'],
];

// Units of signals, as the catalogue names them.
const NAMED: Record<string, Quantity> = {
  km: 'km', m: 'm', 'km/h': 'kmh', Celsius: 'celsius', l: 'l', 'l/h': 'lph', kg: 'kg', kPa: 'kpa', 'l/100km': 'l_100km', 'kWh/100km': 'kwh_100km',
  kWh: 'kwh', kW: 'kw', percent: 'pct', rpm: 'rpm', degrees: 'deg', 'm/s^2': 'mps2', s: 's', V: 'volt', A: 'ampere',
};
const LABELS: Record<string, string> = { 'degrees/s': '°/s', 'rad/s': 'rad/s', Nm: 'N·m', iso8601: '', 'unix-time': '' };

/** The quantity that a unit of the catalogue is of, or null. */
export const quantityNamed = (name: string): Quantity | null => (Object.hasOwn(NAMED, name) ? (NAMED[name] ?? null) : null);

/** A unit of the catalogue as people write it. */
export const labelOf = (name: string): string => (Object.hasOwn(LABELS, name) ? (LABELS[name] ?? name) : name);

/** The quantity a column's name ends in, or null. */
export function quantityOf(column: string): Quantity | null {
  return ENDINGS.find(([ending]) => column.endsWith(ending))?.[1] ?? null;
}
