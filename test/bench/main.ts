import { fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { startPostgres } from '../support/postgres-server.ts';
import { measureAcme, measureAcmeMemory } from './acme.ts';
import { measureAsn1 } from './asn1.ts';
import { measureAttestation } from './attestation.ts';
import { measureAttestationDoors } from './attestation-doors.ts';
import { measureCertificates } from './certificates.ts';
import { measureCmp } from './cmp.ts';
import { measureEst } from './est.ts';
import { figure, type Figure } from './figure.ts';
import { measureFairness, measureHall } from './hall.ts';
import { measureKeys } from './keys.ts';
import { measureManifest } from './manifest.ts';
import { measureScepOracle } from './scep-oracle.ts';
import { measureScep } from './scep.ts';
import { measureStart } from './start.ts';
import { measureRevocation } from './revocation.ts';
import { measureCrls, measureOcsp } from './status.ts';
import { measureStore } from './store.ts';

/** Every bench by the name that `--only` takes. */
const BENCHES: Readonly<Record<string, () => Promise<readonly Figure[]>>> = {
  asn1: async () => asn1Figures(),
  attestation: measureAttestation,
  'attestation-doors': measureAttestationDoors,
  keys: async () =>
    (await measureKeys()).map(({ name, perSecond, rawPerSecond }) =>
      figure(`HSM sign, ${name}`, 'signatures/s', [perSecond], { name: 'the module alone', runs: [rawPerSecond] }),
    ),
  store: async () => {
    const [bare, ...rest] = await measureStore();
    const peer = { name: bare!.name, runs: [bare!.perSecond] };
    return rest.map(({ name, perSecond }) => figure(name, 'units/s', [perSecond], peer));
  },
  hall: async () => [...(await measureHall('ec-p256')), ...(await measureHall('rsa-2048'))],
  'hall-postgres': async () => {
    const folder = await mkdtemp(join('/tmp', 'mb-'));
    const server = await startPostgres(folder);
    try {
      return await measureHall('ec-p256', server.url);
    } finally {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    }
  },
  est: () => measureEst(),
  acme: measureAcme,
  'acme-memory': () => measureAcmeMemory(),
  cmp: measureCmp,
  scep: measureScep,
  'scep-oracle': () => measureScepOracle(),
  manifest: () => measureManifest(),
  start: measureStart,
  ocsp: () => measureOcsp(),
  crl: measureCrls,
  revocation: () => measureRevocation(),
  certificates: measureCertificates,
  fairness: measureFairness,
};

const { values } = parseArgs({
  options: { json: { type: 'string' }, only: { type: 'string' }, here: { type: 'string' } },
});
if (values.here !== undefined) {
  process.send!(await BENCHES[values.here]!());
  process.disconnect?.();
  process.exit(0);
}
const chosen = values.only === undefined ? Object.keys(BENCHES) : values.only.split(',');
const unknown = chosen.filter((name) => !(name in BENCHES));
if (unknown.length > 0) {
  console.error(`no bench is called ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}`);
  process.exit(2);
}

const figures: Figure[] = [];
const failed: string[] = [];
console.log(row('', 'value', 'unit', 'limit', 'ratio', 'runs', 'peer'));
for (const name of chosen) {
  const measured = await inOwnProcess(name);
  if (measured === undefined) failed.push(name);
  for (const figure of measured ?? []) {
    figures.push(figure);
    const { limit, ratio, peer } = figure;
    console.log(
      row(
        figure.name,
        round(figure.value),
        figure.unit,
        limit === null ? '' : round(limit),
        ratio === null ? '' : round(ratio),
        String(figure.runs),
        peer ?? '',
      ),
    );
  }
}
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(figures, null, 2)}\n`);
if (failed.length > 0) console.error(`failed: ${failed.join(', ')}`);
process.exit(failed.length > 0 ? 1 : 0);

/** A bench alone in its process: no heap, cache or token library of the one before; undefined when it failed. */
async function inOwnProcess(name: string): Promise<readonly Figure[] | undefined> {
  const child = fork(new URL(import.meta.url), ['--here', name]);
  let figures: readonly Figure[] | undefined;
  child.on('message', (message) => (figures = message as readonly Figure[]));
  await new Promise((ended) => child.once('close', ended));
  return figures;
}

function row(
  name: string,
  value: string,
  unit: string,
  limit: string,
  ratio: string,
  runs: string,
  peer: string,
): string {
  return `${name.padEnd(58)} ${value.padStart(10)} ${unit.padEnd(16)} ${limit.padStart(10)} ${ratio.padStart(7)} ${runs.padStart(5)}  ${peer}`;
}

function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(3);
}

/** Ours beside each library that does the same. */
function asn1Figures(): Figure[] {
  const measured = measureAsn1();
  const micros = (name: string): number => measured.find((row) => row.name.startsWith(name))!.medianMicros;
  const beside = (ours: string, theirs: string): Figure =>
    figure(ours, 'µs', [micros(ours)], { name: theirs, runs: [micros(theirs)] });
  return [
    beside('decode request, x509', 'decode request, asn1js'),
    beside('decode request, x509', 'decode request, @peculiar/x509'),
    beside('encode TBSCertificate, x509', 'encode TBSCertificate, asn1js'),
  ];
}
