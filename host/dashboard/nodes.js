// The nodes of the service, and what each offers.

import { bar, h, keep, pill, row, setPill, table, text, untold } from './elements.js';
import * as words from './words.js';

const COLUMNS = [{ title: 'Method' }, { title: 'State' }, { title: 'Running', number: true }];

function stateOf(node) {
  if (node.closing) return ['closes', 'warn'];
  if (node.paused) return ['paused', 'warn'];
  return node.ready ? ['listens', 'good'] : ['does not listen', 'bad'];
}

function makeMethod([name]) {
  const state = h('span');
  const running = h('span');
  const filled = bar();
  return { element: row(COLUMNS, [h('span', { class: 'name' }, name), state, [running, filled.element]]), update([, now]) {
    if (now.paused) setPill(state, 'paused', 'warn');
    else setPill(state, 'takes calls', '', 'quiet');
    text(running, words.count(now.open_requests));
    filled.update(now.open_requests / now.most);
  } };
}

const keyOf = (node) => `${node.worker ?? ''} ${node.id}`;

function makeNode(node) {
  const state = pill('', '');
  const list = table(`Methods of ${node.id}`, COLUMNS);
  const none = h('p', { class: 'none' }, 'It offers no methods.');
  const kind = [node.type, node.worker].filter(Boolean).join(' · ');
  const element = h('section', { class: 'panel' }, h('h3', {}, h('span', { class: 'name' }, node.id), h('small', {}, kind), state), list.element, none);
  return { element, update(now) {
    setPill(state, ...stateOf(now));
    const offered = Object.entries(now.methods).sort(([a], [b]) => (a < b ? -1 : 1));
    const most = Math.max(1, ...offered.map(([, each]) => each.open_requests));
    list.rows(offered.map(([name, each]) => [name, { ...each, most }]), ([name]) => name, makeMethod);
    list.element.hidden = !offered.length;
    none.hidden = offered.length > 0;
  } };
}

function make() {
  const list = h('div', { class: 'columns' });
  const none = h('p', { class: 'panel none', hidden: true }, 'It has no nodes.');
  const others = untold();
  return { element: h('div', { class: 'view' }, h('h2', { class: 'hidden-text' }, 'Nodes'), list, none, others.element), update(sample) {
    if (!sample.nodes) return;
    keep(list, sample.nodes, keyOf, makeNode);
    none.hidden = sample.nodes.length > 0;
    others.update(sample.untold);
  } };
}

export const nodes = { title: 'Nodes', wants: ['nodes'], make };
