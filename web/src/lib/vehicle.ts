// The state of a vehicle in figures: the same words on the live map and on the vehicle's own page.

import { kilometres, percent, quantity, rpm, speed } from './format';
import { wordOf } from './signals';
import type { FleetItem } from './types';

export type Fact = [label: string, value: string, hint?: string];

/** What is known of its state now; its speed always, as a dash where it is not. */
export function stateFacts(item: FleetItem): Fact[] {
  const known: Fact[] = [[wordOf('speed_kmh'), speed(item.speed_kmh)]];
  if (item.heading_deg != null) known.push(['Heading', quantity(item.heading_deg, 'deg').replace(' ', '')]);
  if (item.ignition_on != null) known.push(['Ignition', item.ignition_on ? 'On' : 'Off']);
  if (item.engine_speed_rpm != null) known.push([wordOf('engine_speed_rpm'), rpm(item.engine_speed_rpm)]);
  if (item.fuel_level_pct != null) known.push([wordOf('fuel_level_pct'), percent(item.fuel_level_pct)]);
  if (item.soc_pct != null) known.push([wordOf('soc_pct'), percent(item.soc_pct)]);
  return known;
}

export const odometer = (km: number | null | undefined): Fact => ['Odometer', kilometres(km)];
