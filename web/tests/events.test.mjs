// The names of events that the console proposes, against the api's sources.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { EVENT_TYPES } from '../src/lib/webhooks.ts';

const API = fileURLToPath(new URL('../../api/src', import.meta.url));

describe('events that are proposed', () => {
  it('are made by the api', () => {
    const files = readdirSync(API, { recursive: true }).filter((name) => name.endsWith('.rs'));
    const sources = files.map((file) => readFileSync(join(API, file), 'utf8')).join('\n');
    expect(EVENT_TYPES.filter((name) => !sources.includes(`"${name}"`))).toEqual([]);
  });
});
