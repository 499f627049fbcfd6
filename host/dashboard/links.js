// The direct links of the service to other processes.

import { bar, h, mark, pill, row, setPill, table, text, untold } from './elements.js';
import * as words from './words.js';

const COLUMNS = [
  { title: 'Peer' }, { title: 'Calls go' }, { title: 'State' }, { title: 'Address' }, { title: 'In flight', number: true },
  { title: 'Unwritten', number: true }, { title: 'Age', number: true },
];
const KINDS = { open: 'good', dialling: 'warn', ending: 'warn', resting: 'bad' };
const SECURITY = { tls: 'TLS', user: 'same user', none: 'not encrypted' };

function makeRow(link) {
  const cells = Object.fromEntries(['nodes', 'address', 'error', 'flight', 'unwritten', 'age'].map((name) => [name, h('span')]));
  const state = pill('', '');
  const bars = { flight: bar(), unwritten: bar() };
  cells.nodes.className = 'name';
  cells.error.className = 'wrong';
  const element = row(COLUMNS, [cells.nodes, link.ours ? 'out' : 'in', state, [cells.address, cells.error],
    [cells.flight, bars.flight.element], [cells.unwritten, bars.unwritten.element], cells.age]);
  return { element, update(now) {
    text(cells.nodes, now.nodes?.length ? now.nodes.join(', ') : now.peer || 'not known yet');
    setPill(state, now.state, KINDS[now.state] ?? '');
    text(cells.address, [now.address?.replace(/^unix:$/, 'unix'), SECURITY[now.security]].filter(Boolean).join(', '));
    text(cells.error, now.error ? String(now.error.message ?? now.error) : '');
    text(cells.flight, words.count(now.in_flight));
    text(cells.unwritten, words.bytes(now.unwritten));
    text(cells.age, now.state === 'open' ? words.age(now.age) : '–');
    bars.flight.update(now.in_flight / now.most.in_flight);
    bars.unwritten.update(now.unwritten / now.most.unwritten);
    mark(element, 'fails', now.state === 'resting');
  } };
}

const keyOf = (link) => [link.worker, link.here, link.peer, link.ours, link.address, link.number].join(' ');

function make() {
  const list = table('Links', COLUMNS);
  const none = h('p', { class: 'none', hidden: true }, 'There are no links: nobody has called, or calls go by the bus.');
  const others = untold();
  const element = h('div', { class: 'view' }, h('h2', { class: 'hidden-text' }, 'Links'), h('div', { class: 'panel' }, list.element, none), others.element);
  return { element, update(sample) {
    if (!sample.links) return;
    const seen = new Map();
    const most = { in_flight: 1, unwritten: 1 };
    for (const link of sample.links) {
      for (const name of Object.keys(most)) most[name] = Math.max(most[name], link[name] ?? 0);
    }
    const numbered = sample.links.map((link) => { // two may be alike
      const number = seen.get(keyOf(link)) ?? 0;
      seen.set(keyOf(link), number + 1);
      return { ...link, most, number };
    });
    list.rows(numbered, keyOf, makeRow);
    list.element.hidden = !numbered.length;
    none.hidden = numbered.length > 0;
    others.update(sample.untold);
  } };
}

export const links = { title: 'Links', wants: ['links'], make };
