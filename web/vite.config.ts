import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

// ROADLAKE_API is for `npm run dev` only: where the api listens while Vite serves the page.
const api = process.env.ROADLAKE_API ?? 'http://127.0.0.1:8080';

/** Puts the service worker beside the page, with what a first visit loads and a name for this very release. */
function serviceWorker(): Plugin {
  const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8');
  return {
    name: 'roadlake:service-worker',
    apply: 'build',
    enforce: 'post',
    generateBundle: {
      order: 'post',
      handler(_, bundle) {
        const shell = new Set<string>();
        const take = (name: string): void => {
          const chunk = bundle[name];
          if (chunk?.type !== 'chunk' || shell.has(name)) return;
          shell.add(name);
          for (const style of chunk.viteMetadata?.importedCss ?? []) shell.add(style);
          chunk.imports.forEach(take);
        };
        for (const [name, chunk] of Object.entries(bundle)) if (chunk.type === 'chunk' && chunk.isEntry) take(name);
        const page = bundle['index.html'];
        const source = read('src/service-worker.js');
        const release = createHash('sha256').update(source).update(read('public/favicon.svg'));
        release.update(page?.type === 'asset' ? page.source : '').update(Object.keys(bundle).sort().join('\n'));
        // The borders of all countries are large, and kept once a map has asked for them.
        const rest = Object.keys(bundle).filter((name) => name.startsWith('assets/') && !/\.(map|json)$/.test(name) && !shell.has(name));
        const list = (names: Iterable<string>): string[] => [...names].sort().map((name) => `/${name}`);
        const paths = ['/', '/favicon.svg', ...list(shell)];
        const code = source.replace('__RELEASE__', release.digest('hex').slice(0, 16)).replace("['__SHELL__']", JSON.stringify(paths)).replace("['__REST__']", JSON.stringify(list(rest)));
        this.emitFile({ type: 'asset', fileName: 'service-worker.js', source: code });
      },
    },
  };
}

export default defineConfig({
  plugins: [svelte(), serviceWorker()],
  worker: { format: 'es' },
  build: {
    target: 'es2022',
    // The map library is a chunk of its own, loaded after the page's first paint.
    chunkSizeWarningLimit: 1400,
    assetsInlineLimit: 2048,
  },
  server: { proxy: { '/v1': api, '/docs': api, '/basemap.pmtiles': api } },
  test: { include: ['tests/**/*.test.{ts,mjs}'] },
});
