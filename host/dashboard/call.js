// A live call: the method, its arguments by what it says of them, and what came of it.

import { argumentsOf } from './arguments.js';
import { h, panel, pill, text } from './elements.js';
import { guarded, words as wordsOf } from './live.js';
import * as words from './words.js';

const KEPT = 20; // answers
const TIMEOUT = 10; // seconds

/** What methods take, as the servers say it: asked for each time that the view is shown. */
class Known {
  constructor(feed, list) {
    this.feed = feed;
    this.list = list;
    this.methods = new Map();
  }

  async ask() {
    const { methods } = await this.feed.ask('/describe');
    this.methods = new Map(methods.map((each) => [each.name, each]));
    this.list.replaceChildren(...methods.map((each) => h('option', { value: each.name })));
  }
}

function answer(method, args, outcome) {
  const state = pill(outcome.word, outcome.kind);
  return h('li', { class: 'answer' },
    h('p', {}, h('span', { class: 'name' }, method), state, h('span', { class: 'server' }, outcome.server ?? ''),
      h('span', { class: 'when' }, `${words.duration(outcome.seconds)} · ${words.clock(new Date())}`)),
    h('pre', { class: 'code asked', 'aria-label': 'arguments' }, words.json(args)),
    h('pre', { class: 'code', tabindex: '0', 'aria-label': 'result' }, outcome.text));
}

async function run(live, method, args, seconds, signal) {
  const about = {};
  const begun = performance.now();
  const ended = () => ({ server: about.server, seconds: (performance.now() - begun) / 1000 });
  try {
    const results = await live.client.call(method, args, { timeout: seconds, signal, about, all: true });
    return { word: 'done', kind: 'good', text: results.length === 1 ? words.json(results[0], 2) : words.json(results, 2), ...ended() };
  } catch (error) {
    const word = { APP_ERROR: 'failed', NOT_DONE: 'not done', UNKNOWN: 'unknown' }[error.outcome] ?? 'given up';
    return { word, kind: word === 'given up' ? 'warn' : 'bad', text: wordsOf(error), ...ended() };
  }
}

function fields(take) {
  const choices = h('datalist', { id: 'known-methods' });
  const method = h('input', { id: 'method', type: 'text', list: 'known-methods', required: true, autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' });
  const doc = h('p', { class: 'help', id: 'method-doc' });
  const place = h('div');
  const timeout = h('input', { id: 'timeout', type: 'number', min: '0.1', max: '3600', step: 'any', value: String(TIMEOUT) });
  const start = h('button', { class: 'main' }, 'Call');
  const cancel = h('button', { type: 'button', hidden: true }, 'Give up');
  const wrong = h('p', { class: 'wrong', role: 'alert' });
  const element = h('form', { class: 'panel', onsubmit(event) { event.preventDefault(); take(); } }, choices,
    h('div', { class: 'field' }, h('label', { for: 'method' }, 'Method'), method, doc), place,
    h('div', { class: 'actions' }, h('label', { for: 'timeout' }, 'Seconds at most ', timeout), cancel, start), wrong);
  return { element, choices, method, doc, place, timeout, start, cancel, wrong };
}

function make(page) {
  const form = fields(take);
  const known = new Known(page.feed, form.choices);
  const answers = h('ol', { class: 'answers', 'aria-live': 'polite' });
  const view = guarded(page, 'Call', h('div', { class: 'columns call' }, form.element, panel('Answers', answers)));
  let args = argumentsOf();
  let told; // the schema whose fields are shown
  let isAsked = false;
  form.place.append(args.element);

  function describe() {
    const method = known.methods.get(form.method.value.trim());
    const schema = method?.schema ?? undefined;
    if (schema !== told) {
      told = schema;
      args = argumentsOf(schema);
      form.place.replaceChildren(args.element);
    }
    const several = method?.schemas > 1 ? ' Its servers do not agree on what it takes; this is what one says.' : '';
    text(form.doc, `${schema?.doc ?? ''}${several}`);
  }

  async function take() {
    const method = form.method.value.trim();
    let values;
    try {
      values = args.values();
      text(form.wrong, '');
    } catch (error) {
      text(form.wrong, error.message);
      return;
    }
    const stop = new AbortController();
    form.cancel.onclick = () => stop.abort();
    form.start.disabled = true;
    form.cancel.hidden = false;
    const outcome = await run(page.live, method, values, Number(form.timeout.value) || TIMEOUT, stop.signal);
    form.start.disabled = false;
    form.cancel.hidden = true;
    answers.prepend(answer(method, values, outcome));
    while (answers.children.length > KEPT) answers.lastChild.remove();
  }

  form.method.addEventListener('input', describe);
  return { element: view.element, shown(method) {
    if (method !== undefined) form.method.value = method;
    isAsked = false;
    this.update();
    describe();
  }, update() {
    view.update();
    if (page.feed.offers?.live && !isAsked) {
      isAsked = true;
      known.ask().then(describe, (error) => text(form.doc, `What methods take is not known: ${error.message}`));
    }
  } };
}

export const call = { title: 'Call', make };
