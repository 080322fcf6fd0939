// Every text that a person sees is in src/messages/en.ts, each of them is used, and what is put into it is there.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'svelte/compiler';
import { describe, expect, it } from 'vitest';
import { messages } from '../src/messages';
import { en } from '../src/messages/en';
import { pluralOf } from '../src/messages/plural';
import { spoken } from './spoken.mjs';

const SRC = fileURLToPath(new URL('../src', import.meta.url));

/** What looks like a text of the console and is none: the file, its beginning, and why. */
const EXCEPTIONS = [
  ['lib/campaigns.ts', '`# docs/campaigns.md', 'a sample of what authors write, in the words of its format'],
  ['lib/devices.ts', '`edge-agent enrol', 'a command'],
  ['lib/door.ts', '`Bearer', 'a header'],
  ['lib/format.ts', '`${new Date(at)', 'UTC is what it is called everywhere'],
  ['lib/gate.ts', 'taken back', 'why a request was given up, which is told to nobody'],
  ['lib/kept.svelte.ts', 'no storage', 'caught where it is thrown'],
  ['main.ts', 'index.html has no', 'for who builds the console'],
  ['map/atlas.ts', '`basemap', 'of the worker, which does not load all texts for one'],
  ['map/basemap.ts', 'ui-sans-serif', 'fonts'],
  ['map/basemap.ts', 'a font of the browser', 'caught by the map library'],
  ['map/basemap.ts', 'Natural Earth', 'the name of who made it'],
  ['map/protomaps.ts', 'Point', 'a type of geometry'],
  ['map/protomaps.ts', 'Polygon', 'a type of geometry'],
  ['pages/fleet/Assignments.svelte', 'change places', 'how a list is renewed'],
  ['pages/fleet/GroupVehicles.svelte', 'change places', 'how a list is renewed'],
  ['pages/fleet/Listed.svelte', 'change places', 'how a list is renewed'],
  ['pages/trip/Corrections.svelte', 'change places', 'how a list is renewed'],
];

const sources = readdirSync(SRC, { recursive: true })
  .map((name) => name.replaceAll('\\', '/'))
  .filter((name) => /\.(svelte|ts)$/.test(name) && !name.endsWith('.d.ts') && !/^messages[./]/.test(name))
  .sort()
  .map((name) => ({ name, text: readFileSync(join(SRC, name), 'utf8') }));

/** Each message by its path, `trips.none`. */
function leaves(tree, path = '') {
  return Object.entries(tree).flatMap(([key, value]) => (typeof value === 'object' ? leaves(value, `${path}${key}.`) : [[`${path}${key}`, value]]));
}
const all = new Map(leaves(en));
/** A message as it may be shown: in both of English's forms where a number makes one. */
const shownAs = (message) => (typeof message === 'string' ? [message] : [1, 2].map((count) => message(...Array(message.length).fill(count))).flatMap((made) => (typeof made === 'string' ? made : Object.values(made))));
const holesOf = (message) => new Set(shownAs(message).flatMap((text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)));
const pathsIn = (text) => [...text.matchAll(/\bm\.(\w+(?:\.\w+)*)/g)].map(([, path]) => path);
/** `trips.all.length` is of `trips.all`. */
const messageOf = (path) => {
  for (let at = path; at; at = at.slice(0, Math.max(0, at.lastIndexOf('.')))) if (all.has(at)) return at;
  return null;
};

/** Each <Said> of a component: the messages it may show, and the names of what it is given for them. */
function saidIn(text) {
  const found = [];
  (function walk(node) {
    if (Array.isArray(node)) return node.forEach(walk);
    if (!node || typeof node !== 'object') return;
    if (node.type === 'Component' && node.name === 'Said') {
      const said = node.attributes.find(({ name }) => name === 'text');
      found.push({ paths: pathsIn(text.slice(said.start, said.end)), given: node.fragment.nodes.filter(({ type }) => type === 'SnippetBlock').map(({ expression }) => expression.name) });
    }
    for (const [key, value] of Object.entries(node)) if (key !== 'metadata') walk(value);
  })(parse(text, { modern: true }).fragment);
  return found;
}

// Reading all of the console takes some seconds where other work takes the machine's.
describe('the texts of the console', { timeout: 60_000 }, () => {
  it('are in the messages', () => {
    const written = sources.flatMap(({ name, text }) => spoken(text, name).map((found) => ({ name, ...found })));
    const isException = (found) => EXCEPTIONS.some(([name, beginning]) => name === found.name && found.text.startsWith(beginning));
    expect(written.filter((found) => !isException(found)).map(({ name, line, text }) => `src/${name}:${line}: ${text}`)).toEqual([]);
    const stale = EXCEPTIONS.filter(([name, beginning]) => !written.some((found) => found.name === name && found.text.startsWith(beginning)));
    expect(stale, 'exceptions that are none any more').toEqual([]);
  });

  it('are all used', () => {
    const used = new Set(sources.flatMap(({ text }) => pathsIn(text)));
    const isUsed = (path) => used.has(path) || (path.includes('.') && isUsed(path.slice(0, path.lastIndexOf('.'))));
    expect([...all.keys()].filter((path) => path !== 'locale' && !isUsed(path))).toEqual([]);
  });

  it('are given what they leave room for', () => {
    const wrong = [];
    const inSaid = new Set();
    for (const { name, text } of sources) {
      if (!name.endsWith('.svelte')) continue;
      for (const { paths, given } of saidIn(text)) {
        const said = paths.map(messageOf).filter((path) => path !== null);
        const holes = new Set(said.flatMap((path) => [...holesOf(all.get(path))]));
        said.forEach((path) => inSaid.add(path));
        if (said.length === 0 || [...holes].sort().join() !== [...given].sort().join()) wrong.push(`src/${name}: ${paths.join(', ')} leaves room for ${[...holes].join(', ')}, and is given ${given.join(', ')}`);
      }
    }
    for (const [path, message] of all) if (holesOf(message).size > 0 && !inSaid.has(path)) wrong.push(`${path} leaves room for what only <Said> puts there`);
    expect(wrong).toEqual([]);
  });

  it('come in English', () => {
    expect(messages).toBe(en);
    for (const [path, message] of all) for (const text of shownAs(message)) expect(text, path).toMatch(/^\S(.*\S)?$/s);
  });
});

describe('what finds texts beside the messages', () => {
  const of = (source, name = 'Bad.svelte') => spoken(source, name).map(({ line, text }) => `${line}: ${text}`);

  it('sees what is between tags, in attributes and in props', () => {
    const bad = `<script lang="ts">
  import Notice from './Notice.svelte';
  import { messages as m } from './messages';
  const { busy, count }: { busy: boolean; count: number } = $props();
</script>

<h1 class="big title" data-of="some thing">
  Hello
  there
</h1>
<button title="Press it" type="button" aria-label="Press {count}">{busy ? 'wait' : m.common.save}</button>
<Notice kind="error" title="empty" detail={\`\${count} of them\`} />
<p>{m.common.none} <code>SELECT 1</code> – {count}</p>`;
    expect(of(bad)).toEqual(['8: Hello there', '11: Press it', '11: Press {count}', '11: wait', '12: empty', '12: `${count} of them`']);
  });

  it('sees what is made in code', () => {
    const bad = `import { x } from 'some where';
type Told = 'It is told';
export const WORDS: Record<string, string> = { on: 'Switched on', off: 'Off' };
export const told = (count: number): string => (count === 1 ? 'One of them' : \`\${count} of them\`);
throw new Error('It cannot be had.');`;
    expect(of(bad, 'bad.ts')).toEqual(['3: Switched on', '3: Off', '4: One of them', '4: `${count} of them`', '5: It cannot be had.']);
  });

  it('leaves alone what is none', () => {
    const good = `import { messages as m } from './messages';
export const sql = (id: string): string => \`SELECT trip_id FROM trips WHERE vehicle_id = \${id} ORDER BY start_time\`;
export const path = (id: string): string => \`/v1/trips/\${id}?limit=5\`;
export const feature = { type: 'Feature', colour: 'var(--ink) 2px solid' };
export const isKey = (event: KeyboardEvent): boolean => event.key === 'Escape' || event.code.startsWith('Arrow');
export const words = (count: number): string => m.trips.all(count);`;
    expect(of(good, 'good.ts')).toEqual([]);
  });
});

describe('plural', () => {
  it('is by the language’s rules, and else the form of all others', () => {
    expect([1, 2, 0].map((count) => pluralOf('en')(count, { one: 'trip', other: 'trips' }))).toEqual(['trip', 'trips', 'trips']);
    expect([1, 3, 5].map((count) => pluralOf('pl')(count, { one: 'trasa', few: 'trasy', many: 'tras', other: 'trasy' }))).toEqual(['trasa', 'trasy', 'tras']);
    expect(pluralOf('pl')(3, { other: 'trips' })).toBe('trips');
  });
});
