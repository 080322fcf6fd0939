import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

// ROADLAKE_API is for `npm run dev` only: where the api listens while Vite serves the page.
const api = process.env.ROADLAKE_API ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [svelte()],
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
