// Vehicle icons, drawn on a canvas at twice the size: no sprite sheet, no network.

import type { Map as MapLibre } from 'maplibre-gl';
import type { VehicleStatus } from '../lib/types';
import { token } from './basemap';

const SIZE = 48;
const STATES: VehicleStatus[] = ['moving', 'idling', 'parked', 'offline'];

/** Add `vehicle-moving-arrow` and so on in the colours of the current scheme. */
export function addIcons(map: MapLibre): void {
  for (const state of STATES) {
    for (const turns of [true, false]) {
      const name = iconOf(state, turns);
      if (map.hasImage(name)) map.removeImage(name);
      map.addImage(name, draw(state, turns), { pixelRatio: 2 });
    }
  }
}

/** An arrow where the heading is known and the vehicle is under way; else a dot, which points nowhere. */
export const iconOf = (state: VehicleStatus, hasHeading: boolean): string => `vehicle-${state}-${hasHeading ? 'arrow' : 'dot'}`;

function draw(state: VehicleStatus, hasHeading: boolean): ImageData {
  const canvas = document.createElement('canvas');
  canvas.width = SIZE;
  canvas.height = SIZE;
  const pen = canvas.getContext('2d');
  if (!pen) return new ImageData(SIZE, SIZE);
  pen.translate(SIZE / 2, SIZE / 2);
  pen.lineJoin = 'round';
  pen.fillStyle = token(state);
  pen.strokeStyle = token('surface');
  pen.lineWidth = 5;
  pen.beginPath();
  if (hasHeading && (state === 'moving' || state === 'idling')) {
    // An arrow to the north; the layer turns it to the heading.
    pen.moveTo(0, -19);
    pen.lineTo(13, 15);
    pen.lineTo(0, 8);
    pen.lineTo(-13, 15);
    pen.closePath();
  } else {
    pen.arc(0, 0, state === 'offline' ? 8 : 10, 0, Math.PI * 2);
  }
  pen.stroke();
  pen.fill();
  if (state === 'offline') {
    pen.beginPath();
    pen.fillStyle = token('surface');
    pen.arc(0, 0, 4, 0, Math.PI * 2);
    pen.fill();
  }
  return pen.getImageData(0, 0, SIZE, SIZE);
}
