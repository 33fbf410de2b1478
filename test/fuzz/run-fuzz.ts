import { arbitrary, mutate, prepareSeeds } from './mutate.ts';
import { Random } from './random.ts';

const NOTEWORTHY_MILLIS = 1;

/** A decoder under attack. */
export interface FuzzTarget {
  readonly name: string;
  /** Valid messages; each must be accepted. */
  seeds(): readonly Uint8Array[];
  /** Returns whatever it likes, or throws (or rejects with) one of the allowed errors. */
  decode(bytes: Uint8Array): unknown;
  /** The typed errors that the decoder documents. */
  readonly allowedErrors: readonly ErrorType[];
  /** Default: 50. */
  readonly maxMillisPerInput?: number;
  /** Ends what the decoder started. */
  end?(): Promise<void>;
}

type ErrorType = abstract new (...parameters: never[]) => Error;

/** What to run. */
export interface FuzzRun {
  readonly name: string;
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly seeds: readonly Uint8Array[];
  readonly allowedErrors: readonly ErrorType[];
  /** How many inputs: half of them mutations of the seeds, half made from nothing. */
  readonly inputs: number;
  /** Seed of the generator: a run can be repeated. */
  readonly seed: number;
  readonly maxMillisPerInput: number;
  readonly end?: () => Promise<void>;
}

/** One line of the table. */
export interface FuzzReport {
  readonly name: string;
  readonly inputs: number;
  readonly accepted: number;
  readonly typedErrors: number;
  readonly slowestMillis: number;
}

/** A decoder that refused a seed, threw something undocumented or took too long, with the input that shows it. */
export class FuzzFailure extends Error {
  readonly input: Uint8Array;

  constructor(name: string, what: string, input: Uint8Array, cause?: unknown) {
    super(`${name}: ${what}; input ${Buffer.from(input).toString('hex').slice(0, 20_000)}`, { cause });
    this.name = 'FuzzFailure';
    this.input = input;
  }
}

/**
 * Gives the decoder its seeds unchanged, then the inputs, one after the other.
 *
 * @throws FuzzFailure at the first input that is answered with an undocumented error or too late
 */
export async function runFuzz(run: FuzzRun): Promise<FuzzReport> {
  try {
    return await feed(run);
  } finally {
    await run.end?.();
  }
}

async function feed(run: FuzzRun): Promise<FuzzReport> {
  const random = new Random(run.seed);
  const seeds = prepareSeeds(run.seeds);
  for (const { bytes } of seeds) {
    if (!(await isAccepted(run, bytes))) throw new FuzzFailure(run.name, 'refused a seed', bytes);
  }
  let accepted = 0;
  let slowestMillis = 0;
  for (let i = 0; i < run.inputs; i++) {
    const input = i % 2 === 0 ? mutate(random, seeds) : arbitrary(random);
    const start = performance.now();
    if (await isAccepted(run, input)) accepted++;
    const millis = performance.now() - start;
    if (millis > slowestMillis) slowestMillis = Math.max(slowestMillis, await confirmed(run, input, millis));
    if (slowestMillis > run.maxMillisPerInput) {
      throw new FuzzFailure(run.name, `took ${slowestMillis.toFixed(0)} ms`, input);
    }
  }
  return { name: run.name, inputs: run.inputs, accepted, typedErrors: run.inputs - accepted, slowestMillis };
}

async function isAccepted(run: FuzzRun, input: Uint8Array): Promise<boolean> {
  try {
    await run.decode(input);
    return true;
  } catch (error) {
    if (run.allowedErrors.some((allowed) => error instanceof allowed)) return false;
    throw new FuzzFailure(run.name, `threw ${String(error)}`, input, error);
  }
}

// A pause of the machine or of the collector is not the decoder's doing: it would have to happen every time.
async function confirmed(run: FuzzRun, input: Uint8Array, firstMillis: number): Promise<number> {
  let fastest = firstMillis;
  for (let i = 0; i < 5 && fastest > NOTEWORTHY_MILLIS; i++) {
    const start = performance.now();
    await isAccepted(run, input);
    fastest = Math.min(fastest, performance.now() - start);
  }
  return fastest;
}
