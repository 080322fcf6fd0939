// The URL is the page's state: what is open, searched and chosen survives reload and can be sent.

import { parse, type Route } from './paths';

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

  get search(): string {
    return this.#url.search;
  }

  /** A query parameter, or the empty string. */
  param(name: string): string {
    return this.#url.searchParams.get(name) ?? '';
  }

  /** Another page in place of this one. */
  replace(href: string): void {
    history.replaceState(null, '', href);
    this.#url = new URL(location.href);
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
    // A browser refuses an address that is too long, or steps that come too fast; the page shows it all the same.
    try {
      if (how === 'push') history.pushState(null, '', next);
      else history.replaceState(null, '', next);
    } catch {
      // The address bar stays behind.
    }
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
