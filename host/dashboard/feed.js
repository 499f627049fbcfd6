// Asks the service each second what there is to show, while somebody looks.
//
// Events: `sample` with what it said, `locked` when it wants a token, `gone` when it does not answer.

const EVERY = 1000; // ms
const PATIENCE = 5000; // ms
const PAGE = 1000;
const TOKEN = 'clouds.token';

// What is asked for whatever the view: what the numbers above it are made of.
const WHOLE = ['status', 'methods', 'workers'];

/** What workers count that serve no methods: their groups in the place of these. */
function groups(workers) {
  const tallies = new Map();
  for (const { group, board } of workers) {
    const tally = tallies.get(group) ?? { ok: 0, app_error: 0, not_done: 0, unknown: 0, open: 0, took: [] };
    tally.ok += (board?.requests ?? 0) - (board?.errors ?? 0);
    tally.app_error += board?.errors ?? 0;
    tally.open += board?.in_flight ?? 0;
    tallies.set(group, tally);
  }
  return [...tallies].map(([method, requests]) => ({ method, requests }));
}

class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class Feed extends EventTarget {
  #timer = undefined;
  #isAsking = false;
  offers = undefined; // what there is: { token, live, paths }
  wanted = []; // what the view shows beside numbers: nodes, links, workers

  get token() { return sessionStorage.getItem(TOKEN) ?? undefined; }

  set token(value) {
    if (value) sessionStorage.setItem(TOKEN, value);
    else sessionStorage.removeItem(TOKEN);
  }

  /** What is at a path of the service, as JSON. */
  async ask(path) {
    const headers = this.token ? { Authorization: `Bearer ${this.token}` } : {};
    const answer = await fetch(path, { headers, cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) });
    const value = await answer.json();
    if (!answer.ok) throw new Refusal(answer.status, value.error?.message ?? answer.statusText);
    return value;
  }

  start() {
    document.addEventListener('visibilitychange', () => this.look());
    this.look();
  }

  /** Looks now, and each second from then on. */
  async look() {
    clearTimeout(this.#timer);
    if (this.#isAsking || document.hidden) return;
    this.#isAsking = true;
    try {
      await this.#turn();
    } catch (error) {
      this.offers = undefined;
      this.#tell(error.status === 401 ? 'locked' : 'gone', { error, isWrong: error.status === 401 && Boolean(this.token) });
    }
    this.#isAsking = false;
    this.#timer = setTimeout(() => this.look(), EVERY);
  }

  async #turn() {
    this.offers ??= await this.ask('/dashboard/offers.json');
    if (this.offers.token && !this.token) {
      this.#tell('locked', { isWrong: false });
      return;
    }
    const wanted = WHOLE.concat(this.wanted).filter((name, i, all) => this.offers.paths.includes(name) && all.indexOf(name) === i);
    const said = await Promise.all(wanted.map((name) => (name === 'methods' ? this.#methods() : this.ask(`/${name}`))));
    const sample = { at: performance.now() / 1000 };
    wanted.forEach((name, i) => Object.assign(sample, name === 'status' ? { status: said[i] } : said[i]));
    if (!sample.methods.length && sample.workers.length) Object.assign(sample, { bounds: [], methods: groups(sample.workers) });
    this.#tell('sample', { sample });
  }

  async #methods() {
    const { bounds, methods, total } = await this.ask(`/methods?per_page=${PAGE}`);
    for (let page = 2; methods.length < total; page++) {
      const more = await this.ask(`/methods?per_page=${PAGE}&page=${page}`);
      if (!more.methods.length) break;
      methods.push(...more.methods);
    }
    return { bounds, methods };
  }

  #tell(name, members) {
    this.dispatchEvent(Object.assign(new Event(name), members));
  }
}
