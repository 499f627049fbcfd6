// The workers of an application of `clouds start`.

import { bar, h, mark, pill, row, setPill, table, text } from './elements.js';
import * as words from './words.js';

const COLUMNS = [
  { title: 'Worker' }, { title: 'State' }, { title: 'A second', number: true }, { title: 'In flight', number: true },
  { title: 'Open', number: true }, { title: 'Memory', number: true }, { title: 'Lag', number: true }, { title: 'Up', number: true },
  { title: 'Generation', number: true }, { title: 'Restarts', number: true }, { title: 'Last end' },
];
const KINDS = { ready: 'good', starting: 'warn', draining: 'warn', quiet: 'warn' };

function makeRow() {
  const cells = Object.fromEntries(['name', 'rate', 'flight', 'open', 'memory', 'lag', 'up', 'generation', 'restarts', 'end'].map((name) => [name, h('span')]));
  const state = pill('', '');
  const bars = { rate: bar(), memory: bar() };
  cells.name.className = 'name';
  const element = row(COLUMNS, [cells.name, state, [cells.rate, bars.rate.element], cells.flight, cells.open,
    [cells.memory, bars.memory.element], cells.lag, cells.up, cells.generation, cells.restarts, cells.end]);
  return { element, update(now) {
    text(cells.name, now.worker);
    setPill(state, now.given_up ? 'given up' : now.state, now.given_up ? 'bad' : KINDS[now.state] ?? 'bad');
    text(cells.rate, words.rate(now.rate));
    text(cells.flight, words.count(now.board?.in_flight));
    text(cells.open, words.count(now.board?.open));
    text(cells.memory, words.bytes(now.memory));
    text(cells.lag, words.duration(now.board?.lag));
    text(cells.up, words.age(now.uptime));
    text(cells.generation, words.count(now.generation));
    text(cells.restarts, words.count(now.restarts));
    text(cells.end, now.last_exit ?? '–');
    mark(element, 'fails', now.given_up);
    bars.rate.update(now.rate / now.most.rate);
    bars.memory.update(now.memory / now.most.memory);
  } };
}

function make() {
  let before = new Map(); // process -> what it had done, and when
  const list = table('Workers', COLUMNS);
  const none = h('p', { class: 'none', hidden: true }, 'There are no workers.');

  function withRate(worker, at) {
    const was = before.get(worker.pid);
    const requests = worker.board?.requests;
    const rate = was && requests !== undefined ? Math.max(0, requests - was.requests) / Math.max(0.001, at - was.at) : undefined;
    return { ...worker, rate };
  }

  return { element: h('div', { class: 'view' }, h('h2', { class: 'hidden-text' }, 'Workers'), h('div', { class: 'panel' }, list.element, none)), update(sample) {
    if (!sample.workers) return;
    const rows = sample.workers.map((worker) => withRate(worker, sample.at));
    before = new Map(rows.map((each) => [each.pid, { requests: each.board?.requests ?? 0, at: sample.at }]));
    const most = { rate: Math.max(1e-9, ...rows.map((each) => each.rate ?? 0)), memory: Math.max(1, ...rows.map((each) => each.memory ?? 0)) };
    list.rows(rows.map((each) => ({ ...each, most })), (each) => each.worker, makeRow);
    list.element.hidden = !rows.length;
    none.hidden = rows.length > 0;
  } };
}

export const workers = { title: 'Workers', wants: ['workers'], make };
