// The JSON of /v1 as this console reads it. Names and units are the server's.

export type VehicleStatus = 'moving' | 'idling' | 'parked' | 'offline';

export interface FleetItem {
  vehicle_id: string;
  name: string;
  ts: string;
  received_at: string;
  latitude: number | null;
  longitude: number | null;
  heading_deg: number | null;
  speed_kmh: number | null;
  ignition_on: boolean | null;
  engine_speed_rpm: number | null;
  fuel_level_pct: number | null;
  soc_pct: number | null;
  odometer_km: number | null;
  state: VehicleStatus;
}

export interface Page<T> {
  data: T[];
  next_cursor?: string | null;
}

export interface Vehicle {
  id: string;
  vehicle_id: string;
  name: string;
  organization_id: string | null;
  odometer_km: number | null;
  trip_count: number;
  distance_m: number;
  last_seen: string | null;
  state: VehicleStatus | null;
  /** The groups that it is in. */
  group_ids?: string[];
  created_at: string;
}

export type Purpose = 'business' | 'private';

export interface Trip {
  id: string;
  revision: number;
  vehicle_id: string;
  status: 'completed' | 'withdrawn';
  /** As a person marked it. Of a private trip nobody is told where it was. */
  purpose: Purpose | null;
  /** How many trips of the algorithm it is made of. */
  merged_count: number;
  start_time: string;
  end_time: string;
  distance_m: number;
  distance_source: string;
  start_latitude: number | null;
  start_longitude: number | null;
  end_latitude: number | null;
  end_longitude: number | null;
  odometer_start_km: number | null;
  odometer_end_km: number | null;
  gnss_distance_m: number | null;
  speed_distance_m: number | null;
  duration_s: number;
  moving_s: number;
  idle_s: number;
  speed_max_kmh: number | null;
  fuel_used_l: number | null;
  fuel_source: string | null;
  energy_used_kwh: number | null;
  reading_count: number;
  jump_count: number;
  end_reason: string;
  algorithm_version: number;
  parameters_version: number;
  readings_version: number;
  derived_at: string;
  lake_version: number;
  /** Who drove most of it, by the assignments of now; null where nobody did, or it is not known. */
  driver_id?: string | null;
  driver_name?: string | null;
}

export interface Position {
  ts: string;
  latitude: number;
  longitude: number;
  speed_kmh: number | null;
  heading_deg: number | null;
  altitude_m: number | null;
}

export interface InvoiceLine {
  id: string;
  kind: 'usage' | 'correction';
  /** Of a note: the line of the invoice that it corrects. */
  corrects_line_id?: string | null;
  trip_id: string;
  trip_revision: number;
  trip_start_time: string;
  trip_end_time: string;
  vehicle_id: string;
  description: string;
  component: string;
  quantity: string;
  unit: string;
  unit_price: string;
  amount_minor: number;
  billed_before_minor: number;
  tax_percent: string;
  tariff_id: string;
  tariff_version: number;
  lake_version: number;
  row_hash: string;
}

export const INVOICE_STATUSES = ['draft', 'finalized', 'paid', 'void'] as const;
export type InvoiceStatus = (typeof INVOICE_STATUSES)[number];

export interface TaxLine {
  tax_percent: string;
  taxable_minor: number;
  tax_minor: number;
}

export interface Invoice {
  id: string;
  number: string | null;
  organization_id: string;
  organization_name: string;
  status: InvoiceStatus;
  period_start: string;
  period_end: string;
  time_zone: string;
  currency: string;
  subtotal_minor: number;
  tax_minor: number;
  total_minor: number;
  taxes: TaxLine[];
  /** Totals of its notes: credits negative, debits positive. */
  noted_minor: number;
  /** Less what was refunded. */
  paid_minor: number;
  /** Total and notes less payments; 0 of a draft or a void one. */
  due_minor: number;
  line_count: number;
  created_at: string;
  finalized_at: string | null;
  paid_at: string | null;
  voided_at: string | null;
  void_reason: string | null;
}

export interface InvoiceWithLines extends Invoice {
  lines: InvoiceLine[];
  /** What is owed that is no trip's line, such as what the wallet had not for a booking. */
  charges: Charge[];
  notes: Note[];
}

export interface Charge {
  id: string;
  reference: string;
  description: string;
  net_minor: number;
  tax_minor: number;
  total_minor: number;
}

export interface Note {
  id: string;
  number: string;
  kind: 'credit' | 'debit';
  invoice_id: string;
  invoice_number: string | null;
  organization_id: string;
  trip_id: string;
  trip_revision_before: number;
  trip_revision: number;
  currency: string;
  /** Negative of a credit, as the other two. */
  subtotal_minor: number;
  tax_minor: number;
  total_minor: number;
  taxes: TaxLine[];
  created_at: string;
}

/** `amount_minor` is the difference, `quantity` what is billed now. */
export interface NoteLine extends InvoiceLine {
  trip_revision_before: number;
  quantity_before: string;
}

export interface NoteWithLines extends Note {
  lines: NoteLine[];
}

export interface Evidence {
  sql: string;
  lake_version: number;
  tariff_id: string;
  tariff_version: number;
  rows: Record<string, unknown>[];
  row_hash: string;
  row_hash_matches: boolean;
  amount_minor: number;
  amount_minor_recomputed: number;
  currency: string;
  agrees: boolean;
}

export interface QueryResult {
  columns: { name: string; data_type: string }[];
  rows: unknown[][];
  is_truncated: boolean;
  lake_versions: Record<string, number>;
  elapsed_ms: number;
}
