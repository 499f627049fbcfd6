// What is published at a topic, as it comes.

import { h, panel, text } from './elements.js';
import { guarded, words as wordsOf } from './live.js';
import * as words from './words.js';

const KEPT = 200; // messages
const EVERY = 250; // ms between two changes of the list

function item({ at, topic, value }) {
  const short = words.json(value);
  return h('li', {}, h('time', {}, words.clock(at)), h('span', { class: 'name' }, topic), h('code', {}, short));
}

function fields(take) {
  const topic = h('input', { id: 'topic', type: 'text', required: true, placeholder: 'chat.*', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' });
  const start = h('button', { class: 'main' }, 'Subscribe');
  const stop = h('button', { type: 'button', hidden: true }, 'End');
  const clear = h('button', { type: 'button' }, 'Clear');
  const state = h('p', { class: 'found', role: 'status' });
  const wrong = h('p', { class: 'wrong', role: 'alert' });
  const element = h('form', { class: 'panel', onsubmit(event) { event.preventDefault(); take(); } },
    h('div', { class: 'field' }, h('label', { for: 'topic' }, 'Topic ', h('small', {}, '* is one part, > one or more at the end')), topic),
    h('div', { class: 'actions' }, state, clear, stop, start), wrong);
  return { element, topic, start, stop, clear, state, wrong };
}

function make(page) {
  const form = fields(take);
  const list = h('ol', { class: 'messages', reversed: true, tabindex: '0', 'aria-label': 'Messages, the last one first' });
  const view = guarded(page, 'Subscribe', h('div', {}, form.element, panel('Messages', list)));
  const heard = { count: 0, missed: 0, isUnknown: false, waiting: [] };
  let subscription;

  function say() {
    if (!subscription && !heard.count) return text(form.state, '');
    const missed = heard.isUnknown ? ', some are missing' : heard.missed ? `, ${words.count(heard.missed)} are missing` : '';
    return text(form.state, `${subscription ? 'Listens' : 'Ended'}: ${words.count(heard.count)} messages${missed}`);
  }

  function flush() {
    heard.timer = undefined;
    list.prepend(...heard.waiting.splice(0).slice(-KEPT).reverse().map(item));
    while (list.children.length > KEPT) list.lastChild.remove();
    say();
  }

  function hear(value, { topic, missed }) {
    heard.count++;
    heard.missed += missed ?? 0;
    heard.isUnknown ||= missed === null;
    heard.waiting.push({ at: new Date(), topic, value });
    if (heard.waiting.length > KEPT) heard.waiting.shift();
    heard.timer ??= setTimeout(flush, EVERY);
  }

  function end() {
    subscription?.close();
    subscription = undefined;
    form.stop.hidden = true;
    form.start.disabled = false;
    say();
  }

  async function take() {
    end();
    Object.assign(heard, { count: 0, missed: 0, isUnknown: false });
    text(form.wrong, '');
    form.start.disabled = true;
    try {
      subscription = await page.live.client.subscribe(form.topic.value.trim(), hear);
      form.stop.hidden = false;
    } catch (error) {
      text(form.wrong, wordsOf(error));
    }
    form.start.disabled = false;
    say();
  }

  form.stop.onclick = end;
  form.clear.onclick = () => list.replaceChildren();
  return { element: view.element, shown() { this.update(); }, update() {
    if (subscription?.closed) end();
    view.update();
  } };
}

export const subscribe = { title: 'Subscribe', make };
