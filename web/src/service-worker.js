// The console without a network: keeps the page and the files that carry a hash in their name, so that a reload
// out of reach shows the console and not the browser's own page. What the server knows (/v1, /docs) and basemaps are
// never kept: they go past it. `vite build` puts in what a release is made of (vite.config.ts); a new one takes the
// place of the old.

const RELEASE = '__RELEASE__';
/** What a first visit loads. */
const SHELL = ['__SHELL__'];
/** What comes when it is needed, out of reach as well. */
const REST = ['__REST__'];
const OURS = 'roadlake-console-';
const NAME = OURS + RELEASE;
/** A page that takes longer comes from here: a slow link is not waited for. */
const PAGE_MS_MAX = 4_000;

/** A file is the same for whoever asks, whatever a server in front says that its answer varies by. */
const SAME = { ignoreVary: true };

self.addEventListener('install', (event) => event.waitUntil(install()));
self.addEventListener('activate', (event) => event.waitUntil(activate()));
// A page that has all it needs says so: then there is time for the rest.
self.addEventListener('message', (event) => {
  if (event.data === 'rest') event.waitUntil(keepRest());
});
self.addEventListener('fetch', (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== self.location.origin || request.headers.has('range')) return;
  if (request.mode === 'navigate') {
    if (isPage(pathname)) event.respondWith(page(request));
  } else if (pathname.startsWith('/assets/') || SHELL.includes(pathname)) event.respondWith(file(event));
});

async function install() {
  const cache = await caches.open(NAME);
  // A name with a hash says what is in it; of the others the server is asked.
  await cache.addAll(SHELL.map((path) => new Request(path, { cache: path.startsWith('/assets/') ? 'default' : 'no-cache' })));
  await self.skipWaiting();
}

async function activate() {
  for (const name of await caches.keys()) if (name.startsWith(OURS) && name !== NAME) await caches.delete(name);
  await self.clients.claim();
}

/** One after another: what somebody waits for goes first. Where one does not come, the next page asks again. */
async function keepRest() {
  const cache = await caches.open(NAME);
  for (const path of REST) if (!(await cache.match(path, SAME))) await cache.add(path);
}

/** As the server tells a page of the console from what is its own, or a file that is not there. */
function isPage(pathname) {
  return !/^\/(v1|docs)(\/|$)/.test(pathname) && !(pathname.split('/').pop() ?? '').includes('.');
}

async function page(request) {
  const fresh = fetch(request);
  fresh.catch(() => undefined);
  const late = new Promise((resolve) => setTimeout(resolve, PAGE_MS_MAX));
  const answer = await Promise.race([fresh, late]).catch(() => undefined);
  // What stands before a server that is away answers 502 and the like.
  if (answer && answer.status < 500) return answer;
  return (await (await caches.open(NAME)).match('/', SAME)) ?? answer ?? fresh;
}

async function file(event) {
  const cache = await caches.open(NAME);
  const kept = await cache.match(event.request, SAME);
  if (kept) return kept;
  const answer = await fetch(event.request);
  // Where the disk is full it is read from the server each time.
  if (answer.ok) event.waitUntil(cache.put(event.request, answer.clone()).catch(() => undefined));
  return answer;
}
