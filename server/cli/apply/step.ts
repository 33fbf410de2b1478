/** One thing to do: made, changed or deleted; or nothing, because somebody else has to act first. */
export interface Step {
  readonly sign: '+' | '~' | '-';
  /** `endpoint branch of north`. */
  readonly what: string;
  /** What differs, a line each. */
  readonly differences: readonly string[];
  /** Does it. `waiting`: for somebody outside, and `reason` says for whom. */
  run(): Promise<StepOutcome>;
}

/** What became of a step. */
export type StepOutcome = { readonly state: 'done' } | { readonly state: 'waiting'; readonly reason: string };

/** The outcome of a step that is through. */
export const DONE: StepOutcome = { state: 'done' };

/** Members that differ between two views of an object, a line each; counters of the server left out. */
export function differencesOf(before: object, after: object): string[] {
  const old: Record<string, unknown> = { ...before };
  return Object.entries(after)
    .filter(([name]) => name !== 'revision' && name !== 'updatedAt')
    .filter(([name, value]) => JSON.stringify(old[name]) !== JSON.stringify(value))
    .map(([name, value]) => `${name}: ${shown(old[name])} → ${shown(value)}`)
    .concat(
      Object.keys(old)
        .filter((name) => !(name in after))
        .map((name) => `${name}: ${shown(old[name])} → none`),
    );
}

const MAX_SHOWN = 100;

function shown(value: unknown): string {
  const text = value === undefined ? 'none' : JSON.stringify(value);
  return text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN)}…`;
}
