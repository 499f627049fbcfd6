// The declarations: types.ts is right where it should be and wrong where it should be, and nothing exported is
// undeclared.
'use strict';

const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { test } = require('node:test');
const { BUILD, PACKAGE, clouds } = require('./support.js');

const NPM = path.join(BUILD, 'tests', 'node', 'npm');
const ts = require(path.join(NPM, 'node_modules', 'typescript'));
const source = path.join(__dirname, 'types.ts');

const options = {
  strict: true,
  noEmit: true,
  target: ts.ScriptTarget.ES2020,
  module: ts.ModuleKind.CommonJS,
  lib: ['lib.es2020.d.ts'],
  typeRoots: [path.join(NPM, 'node_modules', '@types')],
  types: ['node'],
  baseUrl: PACKAGE,
  paths: { clouds: ['index.d.ts'] },
};

test('the declarations are accepted, and refuse what is wrong', () => {
  const wrong = fs
    .readFileSync(source, 'utf8')
    .split('\n')
    .flatMap((line, i) => (line.endsWith('// WRONG') ? [i + 1] : []));
  const program = ts.createProgram([source], options);
  // Ours and nobody else's: those of node and of the language take most of the compiler's time.
  const ours = [source, path.join(PACKAGE, 'index.d.ts')].map((file) => program.getSourceFile(file));
  const problems = ours.flatMap((file) => ts.getPreEmitDiagnostics(program, file));
  const found = problems.map((problem) => {
    const text = ts.flattenDiagnosticMessageText(problem.messageText, '\n');
    if (!problem.file || problem.file.fileName !== source)
      throw new Error(`${problem.file && problem.file.fileName}: ${text}`);
    const line = problem.file.getLineAndCharacterOfPosition(problem.start).line + 1;
    assert.ok(wrong.includes(line), `line ${line}: ${text}`);
    return line;
  });
  assert.deepStrictEqual([...new Set(found)], wrong);
});

test('all that is exported is declared, with a method for each method', () => {
  const text = fs.readFileSync(path.join(PACKAGE, 'index.d.ts'), 'utf8');
  const bodies = Object.fromEntries(
    [...text.matchAll(/export class (\w+)[^{]*{([^]*?)\n}/g)].map(([, name, body]) => [name, body])
  );
  for (const name of Object.keys(clouds)) assert.match(text, new RegExp(`export (const|class|function) ${name}\\b`));
  const { Base, Server, Client, Monitor, Protocol, worker } = clouds;
  for (const { name, prototype } of [Base, Server, Client, Monitor, Protocol, worker.constructor]) {
    for (const method of Object.getOwnPropertyNames(prototype)) {
      if (method === 'constructor' || method.startsWith('_') || ['addListener', 'prependListener'].includes(method))
        continue;
      assert.match(bodies[name], new RegExp(`\\b${method}\\b`), `${name}.${method}`);
    }
  }
});
