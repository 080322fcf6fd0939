// The console's service worker (src/service-worker.js), where it may be: not while the console is developed, and
// not where the browser has none, as on a page by http from another machine.

interface Where {
  isBuilt: boolean;
  isSecure: boolean;
  container: Pick<ServiceWorkerContainer, 'register'> | undefined;
}

const here = (): Where => ({ isBuilt: import.meta.env.PROD, isSecure: window.isSecureContext, container: navigator.serviceWorker as ServiceWorkerContainer | undefined });

/** Whether one is asked for. Without one all works, but for a reload out of reach. */
export function registerServiceWorker({ isBuilt, isSecure, container }: Where = here()): boolean {
  if (!isBuilt || !isSecure || !container) return false;
  container.register('/service-worker.js', { scope: '/', updateViaCache: 'none' }).catch(() => undefined);
  return true;
}
