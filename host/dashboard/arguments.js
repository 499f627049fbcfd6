// The arguments of a call: a field for each that the method's schema has, or one for all of them as JSON.

import { h } from './elements.js';

let number = 0;

function typeOf(schema) {
  if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(' or ');
  if (Array.isArray(schema.type)) return schema.type.join(' or ');
  return schema.type ?? (schema.anyOf ? schema.anyOf.map(typeOf).join(' or ') : 'any value');
}

const isNull = (schema) => schema.type === 'null';

/** What a value that may be left out is when it is there: null is left out. */
function present(schema) {
  if (schema.enum) return { ...schema, enum: schema.enum.filter((each) => each !== null) };
  if (schema.anyOf?.length === 2 && schema.anyOf.some(isNull)) return { ...schema, ...schema.anyOf.find((each) => !isNull(each)), anyOf: undefined };
  const types = [schema.type].flat().filter((each) => each !== 'null');
  return types.length === 1 ? { ...schema, type: types[0] } : schema;
}

function choice(values, isOptional) {
  const options = values.map((value) => h('option', { value: JSON.stringify(value) }, typeof value === 'string' ? value : JSON.stringify(value)));
  return h('select', {}, isOptional && h('option', { value: '' }, '(left out)'), options);
}

/** The field of one argument: its element, and read(text) that gives the value. */
function field(schema, isOptional) {
  if (schema.enum) return { input: choice(schema.enum, isOptional), read: JSON.parse };
  if (schema.type === 'boolean') return { input: choice([true, false], isOptional), read: JSON.parse };
  if (schema.type === 'string') return { input: h('input', { type: 'text', spellcheck: 'false' }), read: String, mayBeEmpty: !isOptional };
  const isNumber = schema.type === 'integer' || schema.type === 'number';
  const input = h('input', { type: 'text', spellcheck: 'false', class: 'code', inputmode: isNumber ? 'decimal' : null, placeholder: isNumber ? null : 'JSON' });
  return { input, read: JSON.parse };
}

function entry(given, title, isOptional) {
  const schema = isOptional ? present(given) : given;
  const id = `argument-${++number}`;
  const { input, read, mayBeEmpty } = field(schema, isOptional);
  input.id = id;
  const about = `${typeOf(schema)}${isOptional ? ', may be left out' : ''}`;
  const element = h('div', { class: 'field' }, h('label', { for: id }, title, ' ', h('small', {}, about)), input,
    schema.description && h('p', { class: 'help' }, schema.description));
  return { element, value() {
    if (input.value === '' && !mayBeEmpty) return undefined;
    try {
      return read(input.value);
    } catch {
      throw new Error(`${title}: expected ${typeOf(schema)} as JSON`);
    }
  } };
}

function asJson() {
  const input = h('textarea', { id: 'arguments', rows: 4, spellcheck: 'false', class: 'code' });
  input.value = '[]';
  const element = h('div', { class: 'field' }, h('label', { for: 'arguments' }, 'Arguments ', h('small', {}, 'a JSON list')), input);
  return { element, values() {
    let list;
    try {
      list = JSON.parse(input.value.trim() || '[]');
    } catch (error) {
      throw new Error(`arguments: ${error.message}`);
    }
    if (!Array.isArray(list)) throw new Error('arguments: expected a JSON list, as [1, "two"]');
    return list;
  } };
}

/** { element, values() } of a method with this schema, or none. */
export function argumentsOf(schema) {
  const args = schema?.args;
  if (!args) return asJson();
  const least = args.minItems ?? 0;
  const entries = (args.prefixItems ?? []).map((each, i) => entry(each, each.title ?? `argument ${i + 1}`, i >= least));
  const rest = args.items === false ? undefined : entry({ type: 'array', description: 'further arguments' }, args.items?.title ?? 'more', true);
  const shown = rest ? [...entries, rest] : entries;
  const element = h('div', {}, shown.length ? shown.map((each) => each.element) : h('p', { class: 'none' }, 'It takes no arguments.'));
  return { element, values() {
    const list = entries.map((each) => each.value());
    while (list.length && list.at(-1) === undefined) list.pop();
    const more = rest?.value() ?? [];
    if (!Array.isArray(more)) throw new Error('more: expected a JSON list');
    return [...list.map((value) => (value === undefined ? null : value)), ...more];
  } };
}
