// What was seen in the last minute: from counts that only grow to rates, and to times that so many of a hundred took.

import { POINTS } from './chart.js';

export const KINDS = ['requests', 'calls'];
const BAD = ['app_error', 'not_done', 'unknown'];

/** Of all methods together; undefined: there are none. */
function sum(tallies) {
  const all = { ok: 0, app_error: 0, not_done: 0, unknown: 0, open: 0, waiting: 0, took: [] };
  for (const tally of tallies) {
    for (const name of ['ok', ...BAD, 'open', 'waiting']) all[name] += tally[name] ?? 0;
    tally.took.forEach((n, i) => { all.took[i] = (all.took[i] ?? 0) + n; });
  }
  return tallies.length ? all : undefined;
}

const failed = (tally) => BAD.reduce((sum, outcome) => sum + tally[outcome], 0);

/** The time that `share` of those took that ended meanwhile, taken evenly within a class; undefined: none did. As
 * `clouds top` reckons (top_rates.lua), which runs in no browser. */
export function quantile(took, bounds, share) {
  const all = took.reduce((sum, n) => sum + n, 0);
  let seen = 0;
  for (let i = 0; all > 0 && i < took.length; i++) {
    if (seen + took[i] >= share * all) {
      const from = bounds[i - 1] ?? 0;
      const to = bounds[i] ?? bounds.at(-1);
      return from + (to - from) * (share * all - seen) / took[i];
    }
    seen += took[i];
  }
  return undefined;
}

/** What lies between two tallies; `before` may be missing: the method is new. */
function between(before, now, seconds, bounds) {
  const grown = (value, was) => Math.max(0, value - (was ?? 0));
  const errors = grown(failed(now), before && failed(before)) / seconds;
  const took = now.took.map((n, i) => grown(n, before?.took[i]));
  return {
    rate: grown(now.ok, before?.ok) / seconds + errors, errors,
    p50: quantile(took, bounds, 0.5), p99: quantile(took, bounds, 0.99),
    open: now.open, waiting: now.waiting, limit: now.limit,
  };
}

const SERIES = ['rate', 'errors', 'p50', 'p99', 'open'];

/** The values of one method, or of all together, for the last minute. */
class Series {
  constructor() {
    for (const name of SERIES) this[name] = [];
  }

  push(values) {
    for (const name of SERIES) {
      this[name].push(values?.[name] ?? null);
      if (this[name].length > POINTS) this[name].shift();
    }
  }
}

/** Of requests or calls: what each method does now, and did before. */
class Side {
  constructor(kind) {
    this.kind = kind;
    this.series = new Map();
    this.all = new Series();
    this.tallies = new Map();
    this.sum = undefined;
    this.rows = [];
    this.total = undefined;
  }

  /** Takes one more look; `goesOn`: the counts are those of before, some seconds later. */
  add(methods, bounds, goesOn, seconds) {
    const tallies = new Map();
    for (const each of methods) {
      if (each[this.kind]) tallies.set(each.method, each[this.kind]);
    }
    const all = sum([...tallies.values()]);
    const step = (was, now) => (goesOn ? between(was, now, seconds, bounds) : { open: now.open, waiting: now.waiting, limit: now.limit });
    this.total = all && step(this.sum, all);
    this.all.push(goesOn && this.total);
    this.rows = [...tallies].map(([method, tally]) => this.#row(method, step(this.tallies.get(method), tally), goesOn));
    this.tallies = tallies;
    this.sum = all;
    this.#forget();
  }

  #row(method, values, goesOn) {
    if (!this.series.has(method)) this.series.set(method, new Series());
    const series = this.series.get(method);
    series.push(goesOn && values);
    return { method, ...values, history: series.rate };
  }

  #forget() {
    for (const method of this.series.keys()) {
      if (!this.tallies.has(method)) this.series.delete(method);
    }
  }

  gap() {
    for (const series of [this.all, ...this.series.values()]) series.push(undefined);
  }
}

/** All that the views show. */
export class Record {
  constructor() {
    this.sides = Object.fromEntries(KINDS.map((kind) => [kind, new Side(kind)]));
    this.last = undefined;
  }

  /** Whether calls are counted at all. */
  get counts() { return Boolean(this.last?.methods.length || this.last?.bounds.length); }

  /** Takes one more look at the service. What began anew counts anew. */
  add(sample) {
    const was = this.last;
    const goesOn = Boolean(was) && was.status.pid === sample.status.pid && was.status.uptime <= sample.status.uptime;
    const seconds = was ? Math.max(0.001, sample.at - was.at) : 1;
    this.last = sample;
    for (const side of Object.values(this.sides)) side.add(sample.methods, sample.bounds, goesOn, seconds);
  }

  /** Nobody looked for a while, or there was no answer. */
  interrupt() {
    if (!this.last) return;
    this.last = undefined;
    for (const side of Object.values(this.sides)) side.gap();
  }
}
