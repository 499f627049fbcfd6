// The first view: the last minute, the methods that are busiest and those that fail, and the counters.

import { bar, h, keep, mark, panel, text } from './elements.js';
import { chart, decades } from './chart.js';
import * as words from './words.js';

const MOST = 8;

/** The methods with the highest value of a member, with bars in proportion. */
function ranking(title, name, kind, page) {
  const list = h('ol', { class: 'ranking' });
  const none = h('p', { class: 'none' }, 'None in the last second.');
  const element = panel(title, list, none);
  function make(item) {
    const value = h('b');
    const filled = bar(kind);
    return {
      element: h('li', {}, h('button', { class: 'name', onclick: () => page.open('methods', item.method) }, item.method), value, filled.element),
      update(now) {
        text(value, words.rate(now[name]));
        filled.update(now.part);
      },
    };
  }
  return { element, update(rows) {
    const top = rows.filter((row) => row[name] > 0).sort((a, b) => b[name] - a[name]).slice(0, MOST);
    keep(list, top.map((row) => ({ ...row, part: row[name] / top[0][name] })), (row) => row.method, make);
    none.hidden = top.length > 0;
  } };
}

function counters() {
  const list = h('dl', { class: 'counters' });
  const element = h('details', { class: 'panel' }, h('summary', {}, h('h2', {}, 'Counters of the library')), list);
  function make([name]) {
    const value = h('dd');
    return { element: h('div', {}, h('dt', {}, name), value), update: ([, now]) => text(value, words.count(now)) };
  }
  return { element, update(found) {
    const known = Object.entries(found ?? {}).filter(([, value]) => value > 0).sort();
    element.hidden = !found;
    keep(list, known, ([name]) => name, make);
  } };
}

function readiness() {
  const list = h('ul');
  const element = h('section', { class: 'panel warning', 'aria-label': 'Why it is not ready' }, h('h2', {}, 'It takes no calls now'), list);
  return { element, update(reasons) {
    element.hidden = !reasons?.length;
    keep(list, reasons ?? [], (reason) => reason, (reason) => ({ element: h('li', {}, reason), update() {} }));
  } };
}

function make(page) {
  const why = readiness();
  const rates = chart('Calls a second', [{ name: 'all', kind: 'rate' }, { name: 'errors', kind: 'errors' }], words.rate);
  const times = chart('How long they take', [{ name: 'p99', kind: 'p99' }, { name: 'p50', kind: 'p50' }], words.duration, decades);
  const busy = ranking('Busiest', 'rate', '', page);
  const failing = ranking('Failing', 'errors', 'errors', page);
  const counted = counters();
  const uncounted = h('p', { class: 'panel none' }, 'Nothing is counted by method here (option ', h('code', {}, 'stats'), ' of nodes).');
  const charts = h('div', { class: 'columns' }, rates.element, times.element, busy.element, failing.element);
  return {
    element: h('div', { class: 'view' }, h('h2', { class: 'hidden-text' }, 'Overview'), why.element, uncounted, charts, counted.element),
    update(sample, side) {
      why.update(sample.status.reasons);
      uncounted.hidden = page.record.counts;
      mark(charts, 'off', !page.record.counts);
      rates.update([side.all.rate, side.all.errors]);
      times.element.hidden = !sample.bounds.length;
      times.update([side.all.p99, side.all.p50]);
      busy.update(side.rows);
      failing.update(side.rows);
      counted.update(sample.status.counters);
    },
  };
}

export const overview = { title: 'Overview', make };
