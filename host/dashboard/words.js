// Numbers as a person reads them.

const SPACE = '\u00a0';

const whole = (value) => Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, '\u202f');

/** A count: 1 234, 56.1 k, 7.2 M. */
export function count(value) {
  if (value === undefined || value === null) return '–';
  if (value >= 1e8) return `${whole(value / 1e6)}${SPACE}M`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)}${SPACE}M`;
  return value >= 1e5 ? `${(value / 1e3).toFixed(1)}${SPACE}k` : whole(value);
}

/** So many a second. */
export function rate(value) {
  if (value === undefined || value === null) return '–';
  return value > 0 && value < 99.95 ? value.toFixed(1) : count(value);
}

/** How long something took. */
export function duration(seconds) {
  if (seconds === undefined || seconds === null) return '–';
  if (seconds < 0.01) return `${(seconds * 1000).toFixed(1)}${SPACE}ms`;
  return seconds < 1 ? `${Math.round(seconds * 1000)}${SPACE}ms` : `${seconds.toFixed(2)}${SPACE}s`;
}

const STEPS = [[86400, 'd', 3600, 'h'], [3600, 'h', 60, 'min'], [60, 'min', 1, 's']];

/** How long something has been there. */
export function age(seconds) {
  if (seconds === undefined || seconds === null) return '–';
  for (const [size, unit, smaller, part] of STEPS) {
    if (seconds >= size) return `${Math.floor(seconds / size)}${SPACE}${unit} ${Math.floor((seconds % size) / smaller)}${SPACE}${part}`;
  }
  return `${Math.floor(seconds)}${SPACE}s`;
}

/** A size in memory. */
export function bytes(value) {
  if (value === undefined || value === null) return '–';
  if (value < 1000) return `${value}${SPACE}B`;
  return value < 1e6 ? `${(value / 1e3).toFixed(1)}${SPACE}kB` : `${(value / 1e6).toFixed(1)}${SPACE}MB`;
}

/** A time of the day. */
export const clock = (date) => date.toTimeString().slice(0, 8);

/** The value as JSON, with bytes as clouds.js gives them. */
export function json(value, indent) {
  return JSON.stringify(value, (key, each) => (each instanceof Uint8Array ? `${each.length} bytes` : each), indent) ?? 'null';
}
