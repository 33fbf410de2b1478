const FIRST_MS = 250;
const LONGEST_MS = 5000;

/** How long to wait before the next attempt after `failures` failed ones: doubling, at most 5 s, with a quarter of jitter. */
export function backoffMs(failures: number): number {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures, 16));
  return full * (0.75 + Math.random() * 0.25);
}
