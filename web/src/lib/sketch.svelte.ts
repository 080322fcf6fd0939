// A place as it is drawn: by points on the map, by a circle's centre and edge or its numbers, or by pasted GeoJSON.
// The map and the form both show it; drawing.ts says what it is.

import { messages as m } from '../messages';
import { circleIn, geoJsonIn, moved, numberIn, placed, pointsOf, polygonFault, position, radiusTo, ringOf, type CircleFaults } from './drawing';
import { COLOUR_DEFAULT, type Geofence, type Geometry, type Position } from './geofences';

export type Tool = 'circle' | 'polygon' | 'geojson';

/** The geometry, or what is wrong: with the circle's fields, or with the whole. */
export type Read = { geometry: Geometry } | { faults: CircleFaults } | { fault: string };

export class Sketch {
  tool = $state<Tool>('circle');
  /** Of the polygon, without its end. */
  points = $state.raw<Position[]>([]);
  isClosed = $state(false);
  /** Where the pointer is while points are set. */
  pointer = $state.raw<Position | null>(null);
  latitude = $state('');
  longitude = $state('');
  radius = $state('');
  text = $state('');
  /** Why the polygon could not be closed. */
  refused = $state('');
  colour = $state(COLOUR_DEFAULT);
  /** The geofence that is changed by it; empty of a new one. */
  readonly of: string;
  readonly #was: Geometry | undefined;

  constructor(was?: Pick<Geofence, 'id' | 'geometry' | 'colour'>) {
    this.of = was?.id ?? '';
    this.#was = was?.geometry;
    if (was) this.colour = was.colour;
    this.#begin();
  }

  /** Whether the next click on the map sets a point. */
  get isDrawing(): boolean {
    return (this.tool === 'polygon' && !this.isClosed) || (this.tool === 'circle' && (this.#centre === null || this.isSizing));
  }

  /** The circle has its centre, and waits for its edge. */
  get isSizing(): boolean {
    return this.tool === 'circle' && this.#centre !== null && !this.radius.trim();
  }

  get read(): Read {
    if (this.tool === 'circle') return circleIn({ latitude: this.latitude, longitude: this.longitude, radius: this.radius });
    if (this.tool === 'geojson') return geoJsonIn(this.text);
    if (!this.isClosed) return { fault: this.points.length === 0 ? m.geofences.faults.notDrawn : m.geofences.faults.notClosed };
    const fault = polygonFault(this.points);
    return fault ? { fault } : { geometry: { type: 'Polygon', coordinates: [ringOf(this.points)] } };
  }

  /** What the map shows: what is drawn, also while it is no whole yet. */
  get shape(): Geometry | null {
    const read = this.read;
    if ('geometry' in read) return read.geometry;
    const centre = this.#centre;
    if (centre && this.isSizing && this.pointer) return { type: 'Circle', centre, radius_m: radiusTo(centre, this.pointer) };
    return null;
  }

  /** The line through the points of a polygon that is not closed, to the pointer. */
  get line(): Position[] {
    if (this.tool !== 'polygon') return [];
    return this.isClosed ? ringOf(this.points) : this.pointer ? [...this.points, this.pointer] : this.points;
  }

  /** What can be taken hold of: the points of a polygon, the centre of a circle. */
  get handles(): Position[] {
    if (this.tool === 'polygon') return this.points;
    const centre = this.#centre;
    return this.tool === 'circle' && centre ? [centre] : [];
  }

  clicked(at: Position): void {
    if (this.tool === 'polygon' && !this.isClosed) {
      this.points = placed(this.points, at);
      this.refused = '';
    } else if (this.tool === 'circle') {
      const centre = this.#centre;
      if (!centre) this.#centred(at);
      else if (this.isSizing) {
        this.radius = String(radiusTo(centre, at));
        this.pointer = null;
      }
    }
  }

  pointed(at: Position | null): void {
    if (this.isDrawing) this.pointer = at;
  }

  /** A point was taken elsewhere. */
  dragged(index: number, to: Position): void {
    if (this.tool === 'polygon') this.points = moved(this.points, index, to);
    else if (this.tool === 'circle') this.#centred(to);
  }

  /** Ends the border where it began, if that makes a place. */
  close(): void {
    if (this.tool !== 'polygon' || this.isClosed) return;
    this.refused = polygonFault(this.points);
    if (this.refused) return;
    this.isClosed = true;
    this.pointer = null;
  }

  takeBack(): void {
    this.refused = '';
    if (this.tool === 'polygon') {
      // What was closed is open first: so one sees what is taken.
      if (this.isClosed) this.isClosed = false;
      else this.points = this.points.slice(0, -1);
    } else if (this.isSizing) this.anew();
  }

  /** Draw from the beginning. What was drawn with the other tool stays. */
  anew(): void {
    this.refused = '';
    this.pointer = null;
    if (this.tool === 'polygon') [this.points, this.isClosed] = [[], false];
    else if (this.tool === 'circle') this.latitude = this.longitude = this.radius = '';
  }

  /** Gives up what is drawn: it is as it was before. */
  giveUp(): void {
    this.anew();
    if (this.#was && this.tool === toolOf(this.#was)) this.#begin();
  }

  /** What a key does to what is drawn; false where it does nothing. */
  key(name: string): boolean {
    const hasBegun = this.tool === 'polygon' ? this.points.length > 0 : this.isSizing;
    if (!this.isDrawing || !hasBegun) return false;
    if (name === 'Enter' && this.tool === 'polygon') this.close();
    else if (name === 'Backspace') this.takeBack();
    else if (name === 'Escape') this.giveUp();
    else return false;
    return true;
  }

  #begin(): void {
    const was = this.#was;
    if (!was) return;
    this.tool = toolOf(was);
    this.text = JSON.stringify(was);
    if (was.type === 'Circle') {
      this.#centred(was.centre);
      this.radius = String(was.radius_m);
    } else if (this.tool === 'polygon') {
      this.points = pointsOf((was.coordinates[0] ?? []) as Position[]);
      this.isClosed = true;
    }
  }

  get #centre(): Position | null {
    const [longitude, latitude] = [numberIn(this.longitude), numberIn(this.latitude)];
    if (longitude === null || latitude === null || Math.abs(longitude) > 180 || Math.abs(latitude) > 90) return null;
    return position(longitude, latitude);
  }

  #centred([longitude, latitude]: Position): void {
    [this.longitude, this.latitude] = [plain(longitude), plain(latitude)];
  }
}

/** Degrees as a person writes them: never as `1e-7`. */
const plain = (degrees: number): string => degrees.toFixed(7).replace(/\.?0+$/, '');

/** What has holes, or several parts, is changed as text. */
function toolOf(geometry: Geometry): Tool {
  if (geometry.type === 'Circle') return 'circle';
  return geometry.type === 'Polygon' && geometry.coordinates.length === 1 ? 'polygon' : 'geojson';
}
