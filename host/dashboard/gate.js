// The question for the token, which the endpoint wants before it says anything.

import { h, panel, text } from './elements.js';

/** `take(token)` gets what was typed. */
export function gate(take) {
  const field = h('input', { id: 'token', type: 'password', autocomplete: 'off', spellcheck: 'false', required: true,
    'aria-describedby': 'token-help token-wrong' });
  const wrong = h('p', { id: 'token-wrong', class: 'wrong', role: 'alert' });
  const form = h('form', { onsubmit(event) {
    event.preventDefault();
    if (field.value.trim()) take(field.value.trim());
  } }, h('label', { for: 'token' }, 'Token'), field, h('button', { class: 'main' }, 'Show'), wrong);
  const element = panel('This endpoint asks for its token',
    h('p', { id: 'token-help' }, 'It is the first line of the file that the service was given by ', h('code', {}, '--admin-token-file'),
      '. This tab keeps it until it is closed.'), form);
  element.classList.add('gate');
  return { element, shown(isWrong) {
    text(wrong, isWrong ? 'That is not the token.' : '');
    field.value = '';
    field.focus();
  } };
}
