// Elements of the page. Whatever comes from the service goes in as text: nothing here takes HTML.

const SVG = 'http://www.w3.org/2000/svg';

function add(element, children) {
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

function set(element, members) {
  for (const [name, value] of Object.entries(members)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  return element;
}

/** An element with attributes, listeners (onclick) and children, which are elements or texts. */
export function h(name, members = {}, ...children) {
  return add(set(document.createElement(name), members), children);
}

/** The same of SVG. */
export function s(name, members = {}, ...children) {
  return add(set(document.createElementNS(SVG, name), members), children);
}

/** Changes a text only when it is another one, so that what is selected stays so. */
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

/** Has a class, or not. */
export function mark(element, name, yes) {
  if (element.classList.contains(name) !== Boolean(yes)) element.classList.toggle(name, Boolean(yes));
}

const kept = new WeakMap(); // parent -> key -> { element, update }

/**
 * Makes the children of an element those of a list, in its order. `make(item)` gives { element, update(item) } for a key
 * that is new; elements that are there stay, and so does the focus in them.
 */
export function keep(parent, items, keyOf, make) {
  const before = kept.get(parent) ?? new Map();
  const now = new Map();
  const focused = document.activeElement;
  let place = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    const row = before.get(key) ?? make(item);
    now.set(key, row);
    row.update(item);
    if (row.element === place) place = place.nextSibling;
    else parent.insertBefore(row.element, place);
  }
  for (const [key, row] of before) {
    if (!now.has(key)) row.element.remove();
  }
  kept.set(parent, now);
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}

/** A bar beside a number: update(part) with what it is of the longest, 0 to 1. */
export function bar(kind = '') {
  const filled = h('i');
  const element = h('span', { class: `bar ${kind}`, 'aria-hidden': 'true' }, filled);
  return { element, update(part) { filled.style.width = `${(100 * Math.min(1, Math.max(0, part || 0))).toFixed(1)}%`; } };
}

/** A section with a heading. */
export function panel(title, ...children) {
  return h('section', { class: 'panel' }, h('h2', {}, title), ...children);
}

/** A line about the workers that have not said what a view shows: update(names). */
export function untold() {
  const element = h('p', { class: 'none', hidden: true });
  return { element, update(names) {
    element.hidden = !names?.length;
    text(element, `Not told by ${names?.join(', ')}.`);
  } };
}

/** A word of a state, in its colour: good, warn, bad or none. */
export function pill(word, kind) {
  return h('span', { class: `pill ${kind}`.trim() }, word);
}

/** Changes it. `shape`: another than that of a pill. */
export function setPill(element, word, kind, shape = 'pill') {
  text(element, word);
  const name = `${shape} ${kind}`.trim();
  if (element.className !== name) element.className = name;
}

/**
 * A table: columns are { title, number }. `rows(items, keyOf, make)` as keep(), whose elements are made by row().
 */
export function table(title, columns) {
  const body = h('tbody');
  const heads = columns.map((column) => h('th', { scope: 'col', class: column.number && 'number' }, column.title));
  const element = h('table', { class: 'list' }, h('caption', { class: 'hidden-text' }, title), h('thead', {}, h('tr', {}, heads)), body);
  return { element, body, heads, rows: (items, keyOf, make) => keep(body, items, keyOf, make) };
}

/** A row of a table: its cells, the first of which is its head. */
export function row(columns, cells) {
  return h('tr', {}, cells.map((cell, i) => h(i ? 'td' : 'th', {
    scope: i ? null : 'row', class: columns[i].number && 'number', 'data-title': columns[i].title,
  }, cell)));
}
