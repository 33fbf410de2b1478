import { figure, type Figure } from './figure.ts';
import { signedRank, type SignedRank } from './scep-signed-rank.ts';

/** What is timed once in each round. */
export interface Turn {
  readonly name: string;
  /** Makes what is to be timed; making it is not. */
  prepare(): () => Promise<unknown>;
}

/** Each turn but the first, beside the first of the same round. */
export type Comparison = ReadonlyMap<string, SignedRank>;

/** What may be between what is right and what is wrong, and what the test must not rule out. */
export const MOST_MICROSECONDS = 5;
const LEAST_P = 0.01;

/** Takes all turns in every round, in an order of its own, and compares their times in microseconds. */
export async function compareTurns(turns: readonly Turn[], rounds: number): Promise<Comparison> {
  const [first, ...others] = turns;
  const differences = new Map(others.map(({ name }) => [name, new Float64Array(rounds)]));
  for (let round = 0; round < rounds; round++) {
    const times = await takeTurns(turns);
    for (const [name, values] of differences) values[round] = times.get(name)! - times.get(first!.name)!;
  }
  return new Map([...differences].map(([name, values]) => [name, signedRank(values)]));
}

/** Two figures a turn: the median of its differences, and how likely they are if there is none. */
export function comparisonFigures(title: string, comparison: Comparison): Figure[] {
  return [...comparison].flatMap(([name, { p, medianDifference }]) => [
    figure(`${title}: ${name}, median difference`, 'µs', [medianDifference], {
      name: 'allowed either way',
      runs: [MOST_MICROSECONDS],
    }),
    figure(`${title}: ${name}, signed rank`, 'p', [p], { name: 'needed', runs: [LEAST_P] }),
  ]);
}

/** Runs for so long that what a clock of ours can see has passed. */
export function spin(microseconds: number): void {
  const end = performance.now() + microseconds / 1000;
  while (performance.now() < end);
}

async function takeTurns(turns: readonly Turn[]): Promise<ReadonlyMap<string, number>> {
  const prepared = shuffled(turns).map(({ name, prepare }) => ({ name, run: prepare() }));
  const times = new Map<string, number>();
  for (const { name, run } of prepared) {
    const start = performance.now();
    await run();
    times.set(name, (performance.now() - start) * 1000);
  }
  return times;
}

function shuffled<T>(items: readonly T[]): T[] {
  const order = [...items];
  for (let last = order.length - 1; last > 0; last--) {
    const at = Math.floor(Math.random() * (last + 1));
    [order[last], order[at]] = [order[at]!, order[last]!];
  }
  return order;
}
