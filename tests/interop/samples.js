// Values of all kinds, as this language has them. Each name stands for the same value as in samples.lua.
'use strict';

const { isDeepStrictEqual } = require('util');

const table = {
  null: () => null,
  true: () => true,
  false: () => false,
  zero: () => 0,
  one: () => 1,
  minus_one: () => -1,
  max_safe: () => Number.MAX_SAFE_INTEGER,
  min_safe: () => Number.MIN_SAFE_INTEGER,
  int32: () => 2147483648,
  sum: () => 0.1 + 0.2,
  third: () => 1 / 3,
  big: () => 1e21,
  below_big: () => 123456789012345680000,
  tiny: () => 5e-324,
  huge: () => 1.7976931348623157e308,
  small: () => 1e-7,
  half: () => -0.5,
  pi: () => Math.PI,
  empty_text: () => '',
  text: () => 'plain',
  unicode: () => 'h\u00e9llo \u4e16\u754c \u{1f600}',
  nul: () => 'a\u0000b\u0000',
  controls: () => '\u0001\b\t\n\f\r\u001f"\\/\u007f\u2028\u2029',
  high_surrogate: () => 'x\ud800y',
  low_surrogate: () => '\udc00',
  swapped_surrogates: () => '\udc00\ud800',
  megabyte: () => '0123456789abcdef'.repeat(65536),
  empty_array: () => [],
  empty_object: () => ({}),
  nested_empty: () => [[], {}, [[]], [{}], { a: [], b: {} }],
  nulls: () => [null, 1, null, null],
  only_nulls: () => [null, null],
  object_with_null: () => ({ a: null, b: { c: null } }),
  number_keys: () => ({ 1: 'one', 2: 'two', '01': 'text', '-1': 'minus', 1.5: 'half', '': 'empty' }),
  proto_keys: () => JSON.parse('{"__proto__":{"x":1},"constructor":1,"hasOwnProperty":2,"toString":3,"n":4}'),
  unicode_keys: () => ({ 'h\u00e9': 1, '\u{1f600}': 2, 'a\u0000b': 3 }),
  deep_array: () => { let v = []; for (let i = 1; i < 200; i++) v = [v]; return v; },
  deep_object: () => { let v = {}; for (let i = 1; i < 200; i++) v = { d: v }; return v; },
  wide_array: () => Array.from({ length: 10000 }, (_, i) => i),
  record: () => ({ id: 7, tags: ['a', 'b'], at: { x: -1.25, y: 1e-3 }, none: null, ok: true }),
};

exports.names = Object.keys(table);
exports.give = (name) => table[name]();
exports.is = (name, value) => isDeepStrictEqual(value, table[name]());
