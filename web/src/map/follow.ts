// The view that goes with a vehicle.

const CLOSE_ZOOM = 12;
const EASE_MS = 450;

interface Followed {
  at: { latitude?: number | null; longitude?: number | null };
  zoom: number;
  /** Following begins: the map comes close. After that it stays as far away as the reader wants it. */
  isNew: boolean;
}

/** Where the map is to go, for `easeTo`. */
export function viewOf({ at, zoom, isNew }: Followed): { center: [number, number]; duration: number; zoom?: number } {
  const view = { center: [at.longitude ?? 0, at.latitude ?? 0] as [number, number], duration: EASE_MS };
  return isNew ? { ...view, zoom: Math.max(zoom, CLOSE_ZOOM) } : view;
}
