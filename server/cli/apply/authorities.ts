import { existsSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient } from '../client.ts';
import { readAll } from '../commands/authority-creation.ts';
import type { DeclaredAuthority } from './document.ts';
import { DONE, type Step, type StepOutcome } from './step.ts';

interface AuthorityRequest {
  readonly id: string;
  readonly name: string;
  readonly csr: string;
}

/** Where and how long certificates of external authorities are looked for. */
export interface AuthorityPlace {
  readonly client: ApiClient;
  readonly tenant: string;
  /** File names count from here. */
  readonly folder: string;
  /** Seconds to wait for a certificate that somebody else signs. */
  readonly waitSeconds: number;
}

const LOOK_MILLISECONDS = 300;

/** What is to be done so that the authorities are there. One that is there stays as it is: its certificate cannot change. */
export async function authoritySteps(
  place: AuthorityPlace,
  wanted: readonly DeclaredAuthority[],
  isNew: boolean,
): Promise<Step[]> {
  if (wanted.length === 0) return [];
  const there = isNew ? [] : await namesOf(place.client, '/authorities');
  return wanted.filter(({ name }) => !there.includes(name)).map((authority) => stepOf(place, authority));
}

async function namesOf(client: ApiClient, path: string): Promise<string[]> {
  const { items } = await client.list<{ name: string }>(path, {}, Number.MAX_SAFE_INTEGER);
  return items.map(({ name }) => name);
}

function stepOf(place: AuthorityPlace, authority: DeclaredAuthority): Step {
  const { name, external, adopt } = authority;
  const how = external ? 'under an external CA' : adopt ? `adopted from ${adopt.key}` : (authority.kind ?? 'issuing');
  return {
    sign: '+',
    what: `authority ${name} of ${place.tenant}`,
    differences: [how],
    run: () => make(place, authority),
  };
}

async function make(place: AuthorityPlace, authority: DeclaredAuthority): Promise<StepOutcome> {
  const { client } = place;
  const { external, adopt, ...draft } = authority;
  if (external) return request(place, authority, external);
  if (!adopt) await client.post('/authorities', draft);
  else {
    const { name, crlShards } = draft;
    const certificates = readAll(paths(place, adopt.certificates));
    await client.post('/authorities/adopt', { name, crlShards, keyUri: adopt.key, certificates });
  }
  return DONE;
}

async function request(
  place: AuthorityPlace,
  authority: DeclaredAuthority,
  { csr, certificates }: NonNullable<DeclaredAuthority['external']>,
): Promise<StepOutcome> {
  const { client, folder, waitSeconds } = place;
  const { name, subject, keyAlgorithm, token, crlShards } = authority;
  const { items } = await client.list<AuthorityRequest>('/authority-requests', {}, Number.MAX_SAFE_INTEGER);
  const wish = { name, subject, keyAlgorithm, token, crlShards };
  const waiting =
    items.find((item) => item.name === name) ?? (await client.post<AuthorityRequest>('/authority-requests', wish));
  const target = resolve(folder, csr);
  if (!existsSync(target)) writeFileSync(target, waiting.csr);
  const files = paths(place, certificates);
  if (!(await appear(files, waitSeconds))) {
    const missing = files.filter((file) => !existsSync(file)).join(', ');
    return { state: 'waiting', reason: `have ${target} signed, put ${missing} there, and apply again` };
  }
  await client.post(`/authority-requests/${encodeURIComponent(waiting.id)}/install`, { certificates: readAll(files) });
  return DONE;
}

async function appear(files: readonly string[], waitSeconds: number): Promise<boolean> {
  const until = Date.now() + waitSeconds * 1000;
  while (!files.every((file) => existsSync(file))) {
    if (Date.now() >= until) return false;
    await sleep(LOOK_MILLISECONDS);
  }
  return true;
}

function paths({ folder }: AuthorityPlace, files: readonly string[]): string[] {
  return files.map((file) => resolve(folder, file));
}
