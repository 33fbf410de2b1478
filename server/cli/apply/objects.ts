import type { ApiClient } from '../client.ts';
import { DONE, differencesOf, type Step } from './step.ts';

/** Objects of one kind: what a file asks for, and where they are. */
export interface DeclaredObjects {
  readonly noun: string;
  /** Below `/api/v1`. */
  readonly path: string;
  /** The member that names one. */
  readonly key: string;
  readonly wanted: readonly Readonly<Record<string, unknown>>[];
  /** Whether one that the file does not name may be deleted; the server has the last word. */
  readonly prunable: (there: Readonly<Record<string, unknown>>) => boolean;
}

/** What is to be done so that the objects are as asked for. `isNew`: the tenant is not there yet, and neither is any of them. */
export async function stepsOf(
  client: ApiClient,
  tenant: string,
  objects: DeclaredObjects,
  options: { readonly isNew: boolean; readonly prune: boolean },
): Promise<Step[]> {
  const { path, key } = objects;
  if (objects.wanted.length === 0 && !options.prune) return [];
  const present = options.isNew ? [] : await presentObjects(client, path);
  const there = new Map(present.map((object) => [String(object[key]), object]));
  const steps: Step[] = [];
  for (const wanted of objects.wanted) {
    const before = there.get(String(wanted[key]));
    const step =
      before === undefined
        ? creation(client, tenant, objects, wanted)
        : await change(client, tenant, objects, wanted, before);
    if (step !== undefined) steps.push(step);
  }
  if (!options.prune) return steps;
  const names = new Set(objects.wanted.map((wanted) => String(wanted[key])));
  const superfluous = present.filter((object) => !names.has(String(object[key])) && objects.prunable(object));
  return [...steps, ...superfluous.map((object) => deletion(client, tenant, objects, String(object[key])))];
}

async function presentObjects(client: ApiClient, path: string): Promise<Readonly<Record<string, unknown>>[]> {
  return (await client.list<Readonly<Record<string, unknown>>>(path, {}, Number.MAX_SAFE_INTEGER)).items;
}

function creation(
  client: ApiClient,
  tenant: string,
  { noun, path, key }: DeclaredObjects,
  wanted: Readonly<Record<string, unknown>>,
): Step {
  return {
    sign: '+',
    what: `${noun} ${String(wanted[key])} of ${tenant}`,
    differences: [],
    async run() {
      await client.post(path, wanted);
      return DONE;
    },
  };
}

/** Asks the server what the change would do: only it knows what the settings mean. */
async function change(
  client: ApiClient,
  tenant: string,
  { noun, path, key }: DeclaredObjects,
  wanted: Readonly<Record<string, unknown>>,
  before: Readonly<Record<string, unknown>>,
): Promise<Step | undefined> {
  const { [key]: name, ...settings } = wanted;
  if (Object.keys(settings).length === 0) return undefined;
  const member = `${path}/${encodeURIComponent(String(name))}`;
  const after = await client.patch<object>(`${member}?dryRun=true`, settings);
  const differences = differencesOf(before, after);
  if (differences.length === 0) return undefined;
  return {
    sign: '~',
    what: `${noun} ${String(name)} of ${tenant}`,
    differences,
    async run() {
      const revision = before['revision'];
      // What was shown is what is changed, or nothing is.
      await client.patch(member, settings, typeof revision === 'number' ? `"${revision}"` : undefined);
      return DONE;
    },
  };
}

function deletion(client: ApiClient, tenant: string, { noun, path }: DeclaredObjects, name: string): Step {
  return {
    sign: '-',
    what: `${noun} ${name} of ${tenant}`,
    differences: [],
    async run() {
      await client.delete(`${path}/${encodeURIComponent(name)}`);
      return DONE;
    },
  };
}
