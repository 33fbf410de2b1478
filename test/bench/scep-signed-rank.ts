/** What Wilcoxon's signed-rank test says of paired differences. */
export interface SignedRank {
  /** Probability of ranks at least as one-sided as these if both halves of the pairs were alike; two-sided. */
  readonly p: number;
  readonly medianDifference: number;
}

/**
 * Wilcoxon's signed-rank test with the normal approximation, mean ranks for ties, zeros dropped, and continuity correction
 * (W. J. Conover, Practical Nonparametric Statistics, §5.7). For some dozen pairs and more.
 */
export function signedRank(differences: Float64Array): SignedRank {
  const magnitudes = differences.filter((value) => value !== 0).toSorted((a, b) => Math.abs(a) - Math.abs(b));
  const n = magnitudes.length;
  let positiveRanks = 0;
  let tieCorrection = 0;
  for (let from = 0; from < n;) {
    let to = from + 1;
    while (to < n && Math.abs(magnitudes[to]!) === Math.abs(magnitudes[from]!)) to++;
    const meanRank = (from + 1 + to) / 2;
    for (let at = from; at < to; at++) if (magnitudes[at]! > 0) positiveRanks += meanRank;
    const ties = to - from;
    tieCorrection += ties ** 3 - ties;
    from = to;
  }
  const mean = (n * (n + 1)) / 4;
  const variance = (n * (n + 1) * (2 * n + 1)) / 24 - tieCorrection / 48;
  const distance = Math.max(0, Math.abs(positiveRanks - mean) - 0.5);
  const p = variance === 0 ? 1 : twoSidedTail(distance / Math.sqrt(variance));
  return { p, medianDifference: median(differences) };
}

function median(values: Float64Array): number {
  const sorted = values.toSorted();
  const middle = sorted.length / 2;
  return (sorted[Math.floor(middle - 0.5)]! + sorted[Math.ceil(middle - 0.5)]!) / 2;
}

/** P(|Z| > z) of a standard normal: erfc(z/√2) (W. J. Cody's rational form as in Numerical Recipes §6.2, 1.2e-7). */
function twoSidedTail(z: number): number {
  const x = z / Math.SQRT2;
  const t = 1 / (1 + x / 2);
  const polynomial = ERFC.reduceRight((sum, coefficient) => sum * t + coefficient, 0);
  return t * Math.exp(-x * x + polynomial);
}

const ERFC = [
  -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223,
  0.17087277,
];
