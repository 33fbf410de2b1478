import { describe, expect, it } from 'vitest';
import { arbitrary, mutate, prepareSeeds } from './mutate.ts';
import { Random } from './random.ts';
import { FuzzFailure, runFuzz } from './run-fuzz.ts';
import { seedFile } from './seed-files.ts';
import { FUZZ_TARGETS } from './targets.ts';

/** In `npm test`; `node test/fuzz/main.ts` gives a million to each. */
const INPUTS = 3000;

describe('only typed errors, and soon', () => {
  it.each(FUZZ_TARGETS.map((target) => [target.name, target] as const))('%s', async (_, target) => {
    const report = await runFuzz({
      ...target,
      seeds: target.seeds(),
      inputs: INPUTS,
      seed: 2026,
      maxMillisPerInput: target.maxMillisPerInput ?? 50,
    });
    expect(report.accepted + report.typedErrors).toBe(INPUTS);
    expect(report.typedErrors).toBeGreaterThan(0);
  });
});

describe('the harness', () => {
  const run = {
    name: 'sample',
    seeds: [seedFile('certificate-p256')],
    allowedErrors: [RangeError],
    inputs: 200,
    seed: 1,
    maxMillisPerInput: 20,
  };

  it('makes the same inputs from the same seed', () => {
    const seeds = prepareSeeds(run.seeds);
    const inputs = (seed: number): string[] => {
      const random = new Random(seed);
      return Array.from({ length: 100 }, () =>
        Buffer.concat([mutate(random, seeds), arbitrary(random)]).toString('hex'),
      );
    };
    expect(inputs(5)).toEqual(inputs(5));
    expect(inputs(5)).not.toEqual(inputs(6));
  });

  it('leaves the seeds as they are', () => {
    const seeds = prepareSeeds(run.seeds);
    const random = new Random(9);
    for (let i = 0; i < 2000; i++) mutate(random, seeds);
    expect(seeds[0]!.bytes).toEqual(seedFile('certificate-p256'));
  });

  it('fails on an undocumented error, and shows the input', async () => {
    const decode = (bytes: Uint8Array): void => {
      if (bytes[0] !== 0x30) throw new TypeError('undocumented');
    };
    await expect(runFuzz({ ...run, decode })).rejects.toThrow(FuzzFailure);
    await expect(runFuzz({ ...run, decode })).rejects.toThrow(/sample: threw TypeError: undocumented; input [0-9a-f]*/);
  });

  it('fails on a decoder that is slow every time', async () => {
    const decode = (bytes: Uint8Array): void => {
      const end = performance.now() + (bytes.length === run.seeds[0]!.length ? 0 : 30);
      while (performance.now() < end);
    };
    await expect(runFuzz({ ...run, decode })).rejects.toThrow(/took 30 ms|took 3\d ms/);
  });

  it('waits for decoders that answer later', async () => {
    const decode = async (bytes: Uint8Array): Promise<void> => {
      await Promise.resolve();
      if (bytes[0] !== 0x30) throw new TypeError('undocumented');
    };
    await expect(runFuzz({ ...run, decode })).rejects.toThrow(FuzzFailure);
    const report = await runFuzz({ ...run, decode, allowedErrors: [TypeError] });
    expect(report.accepted).toBeGreaterThan(0);
    expect(report.typedErrors).toBeGreaterThan(0);
  });

  it('fails on a refused seed', async () => {
    const decode = (): never => {
      throw new RangeError('documented');
    };
    await expect(runFuzz({ ...run, decode })).rejects.toThrow('refused a seed');
  });
});
