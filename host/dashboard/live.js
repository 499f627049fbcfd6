// Calls and subscriptions of this page: over one WebSocket, which who has the token may open.

import { h, panel } from './elements.js';
import { Client } from '/clouds.js';

export class Live {
  #feed;
  #client = undefined;

  constructor(feed) { this.#feed = feed; }

  /** The client, which is made when it is first needed. */
  get client() {
    this.#client ??= new Client({ token: this.#feed.token });
    return this.#client;
  }

  close() {
    this.#client?.close();
    this.#client = undefined;
  }
}

function refusal() {
  return panel('Only with a token', h('p', {}, 'Who looks may not call. Start the service with ',
    h('code', {}, '--admin-token-file FILE'), ' as well, and this page asks for the token of that file; then it can call and subscribe.'));
}

/** A view of this title for who may: its body, or why not; update() when that may be another now. */
export function guarded(page, title, body) {
  const element = h('div', { class: 'view' }, h('h2', { class: 'hidden-text' }, title));
  const refused = refusal();
  return { element, update() {
    const { offers } = page.feed;
    const wanted = offers && !offers.live ? refused : body;
    if (wanted.parentNode !== element) element.replaceChildren(element.firstChild, wanted);
  } };
}

/** What an error says, and its code. */
export function words(error) {
  const code = error.code && !error.message.includes(error.code) ? `${error.code}: ` : '';
  return `${code}${error.message}`;
}
