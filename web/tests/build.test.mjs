// What a first visit downloads, read from the build: `npm run build` comes first (scripts/build-web).

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';

const DIST = fileURLToPath(new URL('../dist', import.meta.url));
const FIRST_LOAD_BYTES_MAX = 400_000;
const EDITOR_BYTES_MAX = 250_000;

const gzip = (path) => gzipSync(readFileSync(path)).length;

/** The files that the page names, and those they import at once. */
function firstLoad() {
  const page = readFileSync(join(DIST, 'index.html'), 'utf8');
  const found = new Set([...page.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map((match) => match[1] ?? ''));
  for (const name of found) {
    if (!name.endsWith('.js')) continue;
    const text = readFileSync(join(DIST, name), 'utf8');
    for (const match of text.matchAll(/(?:import|from)\s*"\.\/([\w.-]+\.js)"/g)) found.add(`assets/${match[1]}`);
  }
  return found;
}

describe('the build', () => {
  it('is there: scripts/build-web makes it', () => expect(existsSync(join(DIST, 'index.html'))).toBe(true));
  it('asks little of a first visit: the map library, the editor and the pages of campaigns, devices and units come when they are needed', () => {
    const files = [...firstLoad()];
    expect(files.some((name) => name.endsWith('.js'))).toBe(true);
    const bytes = gzip(join(DIST, 'index.html')) + files.reduce((sum, name) => sum + gzip(join(DIST, name)), 0);
    expect(bytes).toBeLessThan(FIRST_LOAD_BYTES_MAX);
    for (const name of files) expect(name).not.toMatch(/maplibre|editor|Area|Unit|Devices/);
  });
  it('keeps the editor in a chunk of its own', () => {
    const editor = readdirSync(join(DIST, 'assets')).filter((name) => /^editor-.*\.js$/.test(name));
    expect(editor).toHaveLength(1);
    expect(gzip(join(DIST, 'assets', editor[0] ?? ''))).toBeLessThan(EDITOR_BYTES_MAX);
  });
  it('has a service worker that keeps what a first visit loads, under a name of this release', () => {
    const code = readFileSync(join(DIST, 'service-worker.js'), 'utf8');
    const kept = JSON.parse(/^const SHELL = (.*);$/m.exec(code)?.[1] ?? '[]');
    expect(kept).toEqual(expect.arrayContaining(['/', ...[...firstLoad()].map((name) => `/${name}`)]));
    for (const path of kept.filter((path) => path.startsWith('/assets/'))) expect(existsSync(join(DIST, path))).toBe(true);
    const rest = JSON.parse(/^const REST = (.*);$/m.exec(code)?.[1] ?? '[]');
    const files = readdirSync(join(DIST, 'assets')).filter((name) => !/\.(map|json)$/.test(name)).map((name) => `/assets/${name}`);
    expect([...kept, ...rest].filter((path) => path.startsWith('/assets/')).sort()).toEqual(files.sort());
    expect(code).toMatch(/^const RELEASE = '[0-9a-f]{16}';$/m);
  });
});
