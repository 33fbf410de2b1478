/** One line of the bench: a value of ours beside a raw limit of this machine, measured in the same run. */
export interface Figure {
  readonly name: string;
  readonly unit: string;
  /** The median of the runs. */
  readonly value: number;
  /** The same quantity of the peer; null where there is none. */
  readonly limit: number | null;
  /** What the limit is: the bare library, module or handshake. */
  readonly peer: string | null;
  /** value / limit. */
  readonly ratio: number | null;
  readonly runs: number;
}

/** A figure from runs of ours and, where there is a peer, of it. */
export function figure(
  name: string,
  unit: string,
  runs: readonly number[],
  peer?: { readonly name: string; readonly runs: readonly number[] },
): Figure {
  const value = median(runs);
  const limit = peer ? median(peer.runs) : null;
  return {
    name,
    unit,
    value,
    limit,
    peer: peer?.name ?? null,
    ratio: limit === null ? null : value / limit,
    runs: runs.length,
  };
}

/** The middle one; of an even number the mean of the two. */
function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value below which `share` of the values lie, interpolated. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const low = sorted[Math.floor(place)]!;
  return low + (sorted[Math.ceil(place)]! - low) * (place % 1);
}
