// The URL is the page's state: what is open, searched and chosen survives reload and can be sent.

export type Route =
  | { page: 'live' }
  | { page: 'trips' }
  | { page: 'trip'; id: string }
  | { page: 'invoices' }
  | { page: 'invoice'; id: string }
  | { page: 'vehicle'; id: string }
  | { page: 'reports'; board: string }
  | { page: 'sql' }
  | { page: 'missing'; path: string };

/** Which page a path is. */
export function parse(path: string): Route {
  const [first = '', second, extra] = path.split('/').filter(Boolean).map(decodeURIComponent);
  if (extra === undefined) {
    if (first === '') return { page: 'live' };
    if (first === 'trips') return second ? { page: 'trip', id: second } : { page: 'trips' };
    if (first === 'invoices') return second ? { page: 'invoice', id: second } : { page: 'invoices' };
    if (first === 'vehicles' && second) return { page: 'vehicle', id: second };
    if (first === 'reports') return { page: 'reports', board: second ?? '' };
    if (first === 'sql' && second === undefined) return { page: 'sql' };
  }
  return { page: 'missing', path };
}

class Router {
  #url = $state.raw(new URL(location.href));

  constructor() {
    addEventListener('popstate', () => {
      this.#url = new URL(location.href);
    });
    document.addEventListener('click', (event) => this.#clicked(event));
  }

  get route(): Route {
    return parse(this.#url.pathname);
  }

  get path(): string {
    return this.#url.pathname;
  }

  /** A query parameter, or the empty string. */
  param(name: string): string {
    return this.#url.searchParams.get(name) ?? '';
  }

  go(href: string): void {
    history.pushState(null, '', href);
    this.#url = new URL(location.href);
  }

  /** Set or clear query parameters of this page. `replace` adds no step to the history. */
  set(values: Record<string, string | null>, how: 'push' | 'replace' = 'replace'): void {
    const next = new URL(this.#url);
    for (const [name, value] of Object.entries(values)) {
      if (value) next.searchParams.set(name, value);
      else next.searchParams.delete(name);
    }
    if (next.href === this.#url.href) return;
    if (how === 'push') history.pushState(null, '', next);
    else history.replaceState(null, '', next);
    this.#url = next;
  }

  // Plain links stay plain links: only a simple click on one of our own pages is taken over.
  #clicked(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    if (!link || link.origin !== location.origin || link.target || link.hasAttribute('download')) return;
    if (parse(link.pathname).page === 'missing') return;
    event.preventDefault();
    this.go(link.href);
    // Keyboard and screen reader go on at the new page, not at the link that is gone.
    document.getElementById('main')?.focus({ preventScroll: true });
  }
}

export const router = new Router();
