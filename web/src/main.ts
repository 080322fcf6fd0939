import { mount } from 'svelte';
import './styles/tokens.css';
import './styles/base.css';
import App from './App.svelte';
import { registerServiceWorker } from './lib/service-worker';
import { messages } from './messages';

const target = document.getElementById('app');
if (!target) throw new Error('index.html has no #app element');
document.documentElement.lang = messages.locale;
mount(App, { target });
// After the page has what it needs: a slow link has nothing else to do by then.
addEventListener('load', () => registerServiceWorker());
