// All methods, with what each does: sorted, filtered, so many at a time.

import { bar, h, mark, row, table, text } from './elements.js';
import { spark } from './chart.js';
import * as words from './words.js';

const PAGE = 50;

const COLUMNS = [
  { name: 'method', title: 'Method' },
  { name: 'rate', title: 'A second', number: true },
  { name: 'errors', title: 'Errors', number: true },
  { name: 'p50', title: 'P50', number: true },
  { name: 'p99', title: 'P99', number: true },
  { name: 'open', title: 'In flight', number: true },
  { name: 'waiting', title: 'Waiting', number: true },
  { name: 'history', title: 'Last minute', isDrawing: true },
];

function compare(by) {
  if (by === 'method') return (a, b) => (a.method < b.method ? -1 : 1);
  return (a, b) => (b[by] ?? -1) - (a[by] ?? -1) || (a.method < b.method ? -1 : 1);
}

function makeRow(page) {
  return ({ method }) => {
    const texts = Object.fromEntries(COLUMNS.map((column) => [column.name, h('span')]));
    const bars = { rate: bar(), errors: bar('errors') };
    const line = spark();
    const name = h('span', { class: 'name' }, method);
    const toCall = h('button', { class: 'small', 'aria-label': `Call ${method}`, onclick: () => page.open('call', method) }, 'Call');
    const element = row(COLUMNS, [
      [name, toCall], [texts.rate, bars.rate.element], [texts.errors, bars.errors.element],
      texts.p50, texts.p99, texts.open, texts.waiting, line.element]);
    return { element, update(now) {
      text(texts.rate, words.rate(now.rate));
      text(texts.errors, words.rate(now.errors));
      text(texts.p50, words.duration(now.p50));
      text(texts.p99, words.duration(now.p99));
      text(texts.open, words.count(now.open) + (now.limit ? ` of ${words.count(now.limit)}` : ''));
      text(texts.waiting, words.count(now.waiting));
      mark(element, 'fails', now.errors > 0);
      bars.rate.update(now.rate / now.most.rate);
      bars.errors.update(now.errors / now.rate); // the part of them that fails
      line.update(now.history);
      toCall.hidden = !page.feed.offers?.live;
    } };
  };
}

/** The heads of the table as buttons that sort it, and the same as a list for narrow screens. */
function sorting(list, order) {
  const select = h('select', { id: 'sort', onchange: () => order(select.value) });
  for (const [i, column] of COLUMNS.entries()) {
    if (column.isDrawing) continue;
    list.heads[i].replaceChildren(h('button', { onclick: () => order(column.name) }, column.title));
    select.append(h('option', { value: column.name }, column.title));
  }
  return { element: h('label', { class: 'sort' }, 'Order ', select), show(by) {
    select.value = by;
    COLUMNS.forEach((column, i) => {
      if (column.name === by) list.heads[i].setAttribute('aria-sort', by === 'method' ? 'ascending' : 'descending');
      else list.heads[i].removeAttribute('aria-sort');
    });
  } };
}

function make(page) {
  let by = 'rate';
  let most = PAGE;
  let last;
  const list = table('Methods', COLUMNS);
  const rowOf = makeRow(page);
  const filter = h('input', { type: 'search', id: 'filter', placeholder: 'shop.', autocomplete: 'off', spellcheck: 'false', oninput: () => draw() });
  const found = h('p', { class: 'found', role: 'status' });
  const more = h('button', { hidden: true, onclick() { most += PAGE; draw(); } }, `${PAGE} more`);
  const order = sorting(list, (name) => { by = name; draw(true); });

  // Rows do not change places under the pointer, or while one has the focus.
  function arranged(rows, isAsked) {
    const sorted = rows.sort(compare(by));
    if (isAsked || !list.body.matches(':hover, :focus-within')) return sorted;
    const places = new Map([...list.body.querySelectorAll('.name')].map((each, i) => [each.textContent, i]));
    return sorted.sort((a, b) => (places.get(a.method) ?? Infinity) - (places.get(b.method) ?? Infinity) || 0);
  }

  function draw(isAsked) {
    if (!last) return;
    const wanted = last.filter((each) => each.method.includes(filter.value.trim()));
    const top = { rate: Math.max(...last.map((each) => each.rate ?? 0)) || 1 };
    const shown = arranged(wanted, isAsked).slice(0, most);
    list.rows(shown.map((each) => ({ ...each, most: top })), (each) => each.method, rowOf);
    more.hidden = wanted.length <= most;
    order.show(by);
    const all = last.length === 1 ? '1 method' : `${words.count(last.length)} methods`;
    text(found, shown.length === last.length ? all : `${shown.length} of ${all}`);
  }

  return {
    element: h('div', { class: 'view' }, h('h2', { class: 'hidden-text' }, 'Methods'),
      h('div', { class: 'tools' }, h('label', {}, 'Filter ', filter), order.element, found),
      h('div', { class: 'panel' }, list.element, h('p', { class: 'more' }, more))),
    shown(method) { if (method !== undefined) filter.value = method; },
    update(sample, side) {
      last = side.rows;
      draw();
    },
  };
}

export const methods = { title: 'Methods', wants: ['methods'], make };
