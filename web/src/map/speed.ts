// The colour of speed, the same on the map, in the profile and in the legend.

import type { ExpressionSpecification } from 'maplibre-gl';

export const SPEED_STOPS: readonly (readonly [kmh: number, colour: string])[] = [
  [0, '#5b5fc7'],
  [30, '#2a8fbd'],
  [60, '#1fa187'],
  [90, '#e0a526'],
  [130, '#d5492f'],
];

export function speedColour(): ExpressionSpecification {
  return ['interpolate', ['linear'], ['get', 'speed'], ...SPEED_STOPS.flat()] as ExpressionSpecification;
}

export const legendGradient = `linear-gradient(to right, ${SPEED_STOPS.map(([kmh, colour]) => `${colour} ${(kmh / 130) * 100}%`).join(', ')})`;
