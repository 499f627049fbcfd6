// The dashboard of the admin endpoint: what a process or an application does, second by second. docs/DASHBOARD.md.

import { Feed } from './feed.js';
import { Record } from './record.js';
import { Live } from './live.js';
import { gate } from './gate.js';
import { vitals } from './vitals.js';
import { h, mark, setPill, text } from './elements.js';
import * as words from './words.js';
import { overview } from './overview.js';
import { methods } from './methods.js';
import { nodes } from './nodes.js';
import { links } from './links.js';
import { workers } from './workers.js';
import { call } from './call.js';
import { subscribe } from './subscribe.js';

const at = (id) => document.getElementById(id);
const feed = new Feed();
const record = new Record();
const live = new Live(feed);
const numbers = vitals(at('vitals'));
const lock = gate((token) => { feed.token = token; feed.look(); });

// What a view can see, and say.
const page = {
  feed, record, live,
  kind: undefined, // requests or calls, whichever the person has chosen
  get side() { return record.sides[this.kind ?? 'requests']; },
  open(name, about) { location.hash = about === undefined ? name : `${name}/${encodeURIComponent(about)}`; },
};

const views = { overview, methods, nodes, links, workers, call, subscribe };
const made = {};
let shown;
let isLocked = false;
let wentAt;

// ---- which view

function tabs() {
  return Object.entries(views).map(([name, view]) => h('a', { href: `#${name}`, id: `to-${name}`, hidden: name === 'workers' }, view.title));
}

// What this service does not tell has no view, nor has a process workers.
function hideTabs(sample) {
  for (const [name, view] of Object.entries(views)) {
    const isTold = (view.wants ?? []).every((each) => feed.offers?.paths.includes(each) ?? true);
    at(`to-${name}`).hidden = !isTold || (name === 'workers' && sample.status.kind === 'process');
  }
}

// A person may write anything there.
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function wantedView() {
  const [name, about] = location.hash.slice(1).split('/');
  return views[name] ? [name, about === undefined ? undefined : decoded(about)] : [shown ?? 'overview', undefined];
}

function show() {
  const [name, about] = wantedView();
  made[name] ??= views[name].make(page);
  for (const each of at('views').children) {
    if (each.id === `to-${name}`) each.setAttribute('aria-current', 'page');
    else each.removeAttribute('aria-current');
  }
  document.title = `${views[name].title} – clouds`;
  shown = name;
  feed.wanted = views[name].wants ?? [];
  if (!isLocked) at('content').replaceChildren(made[name].element);
  made[name].shown?.(about);
  update();
  feed.look();
}

// ---- what is known

function about(status) {
  const name = status.name ? `${status.name} · ` : '';
  return `${name}version ${status.version} · process ${status.pid} · up ${words.age(status.uptime)}`;
}

function state(status) {
  if (status.draining) return ['stops', 'warn'];
  return status.ready ? ['ready', 'good'] : ['not ready', 'bad'];
}

// Until somebody chooses: what is served, where anything is.
function choose() {
  if (page.kind || !record.last) return;
  const kind = record.sides.requests.rows.length || !record.sides.calls.rows.length ? 'requests' : 'calls';
  at('kinds').querySelector(`[value=${kind}]`).checked = true;
  page.kind = kind;
}

function update() {
  const sample = record.last;
  if (!sample || isLocked) return;
  text(at('about'), about(sample.status));
  setPill(at('state'), ...state(sample.status));
  hideTabs(sample);
  numbers.update(page.side);
  made[shown].update?.(sample, page.side);
}

function take({ sample }) {
  if (isLocked) unlock();
  wentAt = undefined;
  at('trouble').replaceChildren();
  mark(document.body, 'gone', false);
  record.add(sample);
  choose();
  update();
}

// ---- when there is nothing to know

function gone({ error }) {
  record.interrupt();
  setPill(at('state'), 'no answer', 'bad');
  mark(document.body, 'gone', true);
  if (wentAt) return;
  wentAt = words.clock(new Date());
  const why = error.status ? `It answers ${error.status}: ${error.message}` : 'It does not answer';
  at('trouble').replaceChildren(h('p', {}, `${why} since ${wentAt}. What you see is from before; this page asks again every second.`));
}

function locked({ isWrong }) {
  setPill(at('state'), 'locked', 'warn');
  if (isLocked && !isWrong) return;
  isLocked = true;
  live.close();
  feed.token = undefined;
  record.interrupt();
  mark(document.body, 'locked', true);
  at('trouble').replaceChildren();
  at('content').replaceChildren(lock.element);
  lock.shown(isWrong);
}

function unlock() {
  isLocked = false;
  mark(document.body, 'locked', false);
  at('content').replaceChildren(made[shown].element);
}

at('views').append(...tabs());
at('kinds').addEventListener('change', (event) => { page.kind = event.target.value; update(); });
document.querySelector('.skip').addEventListener('click', (event) => { event.preventDefault(); at('content').focus(); });
document.addEventListener('visibilitychange', () => { if (document.hidden) record.interrupt(); });
addEventListener('hashchange', show);
feed.addEventListener('sample', take);
feed.addEventListener('gone', gone);
feed.addEventListener('locked', locked);
show();
feed.start();
