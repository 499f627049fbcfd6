// Drawings of the last minute: a line of one series, and a chart of several with its scale.

import { h, s, text } from './elements.js';

export const POINTS = 60;
const HEIGHT = 100;

/** The line through values, oldest first, of which the last is at the right edge; null is a gap. `height(value)`: 0 to 1. */
function line(values, height) {
  let path = '';
  let isPen = false;
  values.forEach((value, i) => {
    if (value === null || value === undefined) {
      isPen = false;
      return;
    }
    const x = POINTS - values.length + i;
    path += `${isPen ? 'L' : 'M'}${x} ${(HEIGHT * (1 - Math.min(1, Math.max(0, height(value))))).toFixed(1)}`;
    if (!isPen && values[i + 1] === undefined) path += 'h0.01'; // one value alone is a dot
    isPen = true;
  });
  return path;
}

const peak = (values) => values.reduce((most, value) => Math.max(most, value ?? 0), 0);

function drawing(paths, name) {
  return s('svg', { class: name, viewBox: `0 -4 ${POINTS - 1} ${HEIGHT + 8}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, paths);
}

/** A small line without a scale: update(values). */
export function spark() {
  const path = s('path');
  return { element: drawing([path], 'spark'), update(values) {
    const most = peak(values) || 1;
    path.setAttribute('d', line(values, (value) => value / most));
  } };
}

/** A scale from 0 to the next round number, which is 1, 2 or 5 times a power of ten: its top, its middle, and heights. */
function even(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  const top = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= most);
  return { top, middle: top / 2, height: (value) => value / top };
}

/** A scale of four powers of ten, for what differs by much. */
export function decades(most) {
  const top = 10 ** Math.ceil(Math.log10(most) - 1e-9);
  return { top, middle: top / 100, height: (value) => 1 + Math.log10(value / top) / 4 };
}

/**
 * A chart of some series: each has a name, a class, and `words` for its values. `update(lists)` takes the values of each
 * series, oldest first.
 */
export function chart(title, series, words, scale = even) {
  const paths = series.map((each) => s('path', { class: each.kind }));
  const most = h('span', { class: 'most' });
  const half = h('span', { class: 'half' });
  const now = series.map(() => h('b'));
  const legend = series.map((each, i) => h('li', { class: each.kind }, each.name, ' ', now[i]));
  const grid = s('path', { class: 'grid', d: [0, 50, 100].map((y) => `M0 ${y}H${POINTS - 1}`).join('') });
  const element = h('figure', { class: 'panel chart' },
    h('figcaption', {}, h('h2', {}, title), h('ul', { class: 'legend' }, legend)),
    h('div', { class: 'plot' }, drawing([grid, ...paths], 'lines'), most, half),
    h('p', { class: 'times' }, h('span', {}, '60 s ago'), h('span', {}, 'now')));
  return { element, update(lists) {
    const { top, middle, height } = scale(Math.max(...lists.map(peak)) || 1);
    paths.forEach((path, i) => path.setAttribute('d', line(lists[i], height)));
    now.forEach((each, i) => text(each, words(lists[i].at(-1))));
    text(most, words(top));
    text(half, words(middle));
  } };
}
