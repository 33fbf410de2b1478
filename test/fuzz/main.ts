import { parseArgs } from 'node:util';
import { runFuzz } from './run-fuzz.ts';
import { FUZZ_TARGETS } from './targets.ts';

// node test/fuzz/main.ts [--inputs N] [--only NAME] [--seed S]: the long run, a million inputs a decoder.
const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '1000000' },
    only: { type: 'string', default: '' },
    seed: { type: 'string', default: '1' },
  },
});

const COLUMNS = ['inputs', 'accepted', 'typed errors', 'slowest ms', 'seconds'];
const targets = FUZZ_TARGETS.filter(({ name }) => name.startsWith(values.only));
const width = Math.max(...targets.map(({ name }) => name.length));
console.log(['name'.padEnd(width), ...COLUMNS.map((column) => column.padStart(12))].join(' '));
for (const target of targets) {
  const start = performance.now();
  const report = await runFuzz({
    ...target,
    seeds: target.seeds(),
    inputs: Number(values.inputs),
    seed: Number(values.seed),
    maxMillisPerInput: target.maxMillisPerInput ?? 50,
  });
  const figures = [report.inputs, report.accepted, report.typedErrors, report.slowestMillis.toFixed(1)];
  const row = [...figures, ((performance.now() - start) / 1000).toFixed(1)].map((figure) =>
    String(figure).padStart(12),
  );
  console.log([report.name.padEnd(width), ...row].join(' '));
}
