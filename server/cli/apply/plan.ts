import type { ApiClient } from '../client.ts';
import { CliError, EXIT } from '../exit-code.ts';
import type { Session } from '../session.ts';
import { authoritySteps } from './authorities.ts';
import type { ApplyDocument, DeclaredTenant } from './document.ts';
import { stepsOf } from './objects.ts';
import { DONE, differencesOf, type Step } from './step.ts';

/** What `muster apply` is asked for besides the file. */
export interface ApplyOptions {
  readonly prune: boolean;
  /** Seconds to wait for certificates that somebody else signs. */
  readonly wait: number;
}

/** What is to be done in one tenant, in the order in which one thing needs the other. */
export interface TenantPlan {
  readonly tenant: string;
  readonly steps: readonly Step[];
}

/** Compares what a file asks for with what the server has. */
export async function planOf(
  session: Session,
  document: ApplyDocument,
  options: ApplyOptions,
): Promise<readonly TenantPlan[]> {
  const plans: TenantPlan[] = [];
  for (const declared of document.tenants) plans.push(await tenantPlan(session, document.folder, declared, options));
  return plans;
}

async function tenantPlan(
  session: Session,
  folder: string,
  declared: DeclaredTenant,
  { prune, wait: waitSeconds }: ApplyOptions,
): Promise<TenantPlan> {
  const { name, description, token, authorities = [], profiles = [], endpoints = [], devices = [] } = declared;
  const [client, top] = [session.client(name), session.client(null)];
  const wanted = { name, ...(description !== undefined && { description }), ...(token !== undefined && { token }) };
  const before = await tenantOf(top, name);
  const isNew = before === undefined;
  const own = await tenantStep(top, wanted, before);
  const objects = { isNew, prune };
  const steps = [
    ...(own === undefined ? [] : [own]),
    ...(await authoritySteps({ client, tenant: name, folder, waitSeconds }, authorities, isNew)),
    ...(await stepsOf(
      client,
      name,
      { noun: 'profile', path: '/profiles', key: 'name', wanted: profiles, prunable: () => true },
      objects,
    )),
    ...(await stepsOf(
      client,
      name,
      {
        noun: 'endpoint',
        path: '/endpoints',
        key: 'label',
        wanted: endpoints,
        prunable: (there) => there['isDefault'] !== true,
      },
      objects,
    )),
    ...(await stepsOf(
      client,
      name,
      { noun: 'device', path: '/devices', key: 'name', wanted: devices, prunable: () => false },
      { ...objects, prune: false },
    )),
  ];
  return { tenant: name, steps: deletionsLast(steps) };
}

/** Endpoints go before the profiles they use. */
function deletionsLast(steps: readonly Step[]): Step[] {
  const deletions = steps.filter(({ sign }) => sign === '-');
  return [...steps.filter(({ sign }) => sign !== '-'), ...deletions.toReversed()];
}

async function tenantOf(client: ApiClient, name: string): Promise<object | undefined> {
  try {
    return await client.get<object>(`/tenants/${encodeURIComponent(name)}`);
  } catch (error) {
    if (error instanceof CliError && error.exitCode === EXIT.notFound) return undefined;
    throw error;
  }
}

async function tenantStep(
  client: ApiClient,
  wanted: { readonly name: string; readonly description?: string; readonly token?: string },
  before: object | undefined,
): Promise<Step | undefined> {
  const { name, ...settings } = wanted;
  const what = `tenant ${name}`;
  const run = (action: () => Promise<unknown>) => async () => {
    await action();
    return DONE;
  };
  if (before === undefined)
    return { sign: '+', what, differences: [], run: run(() => client.post('/tenants', wanted)) };
  const differences = differencesOf(before, { ...before, ...settings });
  const path = `/tenants/${encodeURIComponent(name)}`;
  return differences.length === 0
    ? undefined
    : { sign: '~', what, differences, run: run(() => client.patch(path, settings)) };
}
