// Vehicles as people choose them, and the state of one in figures: the same words on the live map and on its own page.

import { messages as m } from '../messages';
import { api } from './api';
import { all } from './bookings';
import { kilometres, percent, quantity, rpm, speed } from './format';
import { wordOf } from './signals';
import type { FleetItem, Vehicle } from './types';

export type Fact = [label: string, value: string, hint?: string];

/** What is known of its state now; its speed always, as a dash where it is not. */
export function stateFacts(item: FleetItem): Fact[] {
  const known: Fact[] = [[wordOf('speed_kmh'), speed(item.speed_kmh)]];
  if (item.heading_deg != null) known.push([m.vehicle.heading, quantity(item.heading_deg, 'deg').replace(' ', '')]);
  if (item.ignition_on != null) known.push([m.vehicle.ignition, item.ignition_on ? m.vehicle.on : m.vehicle.off]);
  if (item.engine_speed_rpm != null) known.push([wordOf('engine_speed_rpm'), rpm(item.engine_speed_rpm)]);
  if (item.fuel_level_pct != null) known.push([wordOf('fuel_level_pct'), percent(item.fuel_level_pct)]);
  if (item.soc_pct != null) known.push([wordOf('soc_pct'), percent(item.soc_pct)]);
  return known;
}

export const odometer = (km: number | null | undefined): Fact => [m.common.odometer, kilometres(km)];

/** Vehicles by either of their ids: the registry's, or that of telemetry. */
export function knownBy(vehicles: readonly Vehicle[]): (id: string) => Vehicle | undefined {
  const byId = new Map(vehicles.flatMap((item) => [[item.vehicle_id, item], [item.id, item]] as const));
  return (id) => byId.get(id);
}

const PAGE_MAX = 200;
/** As many as a deployment of campaigns can be for, and one page more to know that there are more. */
const PAGES_MAX = 10_000 / PAGE_MAX + 1;

/** Every vehicle that the caller may see: what a person chooses from. */
export const allVehicles = (signal?: AbortSignal): Promise<Vehicle[]> => all((cursor) => api.vehicles({ limit: PAGE_MAX, cursor }, signal), PAGES_MAX);

export const vehicleName = ({ name, vehicle_id }: Pick<Vehicle, 'name' | 'vehicle_id'>): string => name || vehicle_id;

/** To choose one of them, by name as people count; `by` is the id that the api asks for: the registry's, or that of telemetry. */
export const vehicleOptions = (vehicles: readonly Vehicle[], by: 'id' | 'vehicle_id'): (readonly [value: string, word: string])[] =>
  vehicles.map((item) => [item[by], vehicleName(item)] as const).sort((a, b) => a[1].localeCompare(b[1], undefined, { numeric: true }));
