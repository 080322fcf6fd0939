// The provider's page to sign in. Whoever signs in is asked nothing more: as where an administrator has agreed for all.

import { password } from './accounts.mjs';

function page(uid, fault) {
  return `<!doctype html><html lang="en"><head><title>Sign in at the provider</title>
<meta name="viewport" content="width=device-width"></head><body><main>
<h1>Sign in at the provider</h1>
${fault ? `<p role="alert">${fault}</p>` : ''}
<form method="post" action="/interaction/${uid}">
<p><label>Login <input name="login" autocomplete="username" required></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password" required></label></p>
<p><button type="submit">Sign in</button></p>
</form>
<p><a href="/interaction/${uid}/cancel">Cancel</a></p>
</main></body></html>`;
}

async function formOf(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return new URLSearchParams(text);
}

async function granted(provider, details, accountId) {
  const { params } = details;
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  for (const resource of details.prompt.details.missingResourceScopes ? Object.keys(details.prompt.details.missingResourceScopes) : [])
    grant.addResourceScope(resource, params.scope);
  if (params.client_id === 'program') grant.addResourceScope('https://api.fleet.example', 'openid email profile');
  return grant.save();
}

/** Answers the requests of the page; whether it was one. */
export function interactionAt(provider, accountOf) {
  return async (request, response) => {
    const [, uid, act] = request.url.match(/^\/interaction\/([\w-]+)(\/cancel)?$/) ?? [];
    if (!uid) return false;
    const details = await provider.interactionDetails(request, response);
    const show = (fault) => response.setHeader('content-type', 'text/html; charset=utf-8').end(page(uid, fault));
    if (act) {
      const result = { error: 'access_denied', error_description: 'the person cancelled' };
      await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
    } else if (details.prompt.name === 'consent') {
      // Somebody who is signed in already, at a client that is new to them.
      const grantId = await granted(provider, details, details.session.accountId);
      await provider.interactionFinished(request, response, { consent: { grantId } }, { mergeWithLastSubmission: true });
    } else if (request.method === 'POST') {
      const form = await formOf(request);
      const login = form.get('login') ?? '';
      if (form.get('password') !== password || !accountOf(login)) {
        show('Login or password is wrong.');
        return true;
      }
      const grantId = await granted(provider, details, login);
      const result = { login: { accountId: login }, consent: { grantId } };
      await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
    } else {
      show();
    }
    return true;
  };
}
