// The numbers that stand above every view: what all methods together do.

import { h, mark, text } from './elements.js';
import { spark } from './chart.js';
import * as words from './words.js';

const TILES = [
  { name: 'rate', title: 'calls a second', words: words.rate },
  { name: 'errors', title: 'errors a second', words: words.rate, isBad: (value) => value > 0 },
  { name: 'p50', title: 'p50', words: words.duration },
  { name: 'p99', title: 'p99', words: words.duration },
  { name: 'open', title: 'in flight', words: words.count },
];

function tile({ name, title, words: say, isBad }) {
  const value = h('dd', { id: `vital-${name}` }, '–');
  const line = spark();
  const element = h('div', { class: `vital ${name}` }, h('dt', {}, title), value, line.element);
  return { element, update(side) {
    text(value, say(side.total?.[name]));
    mark(element, 'bad', isBad?.(side.total?.[name]));
    line.update(side.all[name]);
  } };
}

export function vitals(element) {
  const tiles = TILES.map(tile);
  element.append(...tiles.map((each) => each.element));
  return { update(side) { for (const each of tiles) each.update(side); } };
}
