// The console's service worker (src/service-worker.js), where it may be: not while the console is developed, and
// not where the browser has none, as on a page by http from another machine.

interface Where {
  isBuilt: boolean;
  isSecure: boolean;
  /** The reader asked for little traffic. */
  isSparing: boolean;
  container: Pick<ServiceWorkerContainer, 'register' | 'ready'> | undefined;
}

/** So long after the page is there it is taken for having what it needs. */
const REST_AFTER_MS = 15_000;

const here = (): Where => ({
  isBuilt: import.meta.env.PROD,
  isSecure: window.isSecureContext,
  isSparing: (navigator as { connection?: { saveData?: boolean } }).connection?.saveData === true,
  container: navigator.serviceWorker as ServiceWorkerContainer | undefined,
});

/** Whether one is asked for. Without one all works, but for a reload out of reach. */
export function registerServiceWorker({ isBuilt, isSecure, isSparing, container }: Where = here()): boolean {
  if (!isBuilt || !isSecure || !container) return false;
  void begin(container, isSparing).catch(() => undefined);
  return true;
}

async function begin(container: NonNullable<Where['container']>, isSparing: boolean): Promise<void> {
  await container.register('/service-worker.js', { scope: '/', updateViaCache: 'none' });
  if (isSparing) return;
  await new Promise((done) => setTimeout(done, REST_AFTER_MS));
  (await container.ready).active?.postMessage('rest');
}
