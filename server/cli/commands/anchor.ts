import { readdirSync, readFileSync } from 'node:fs';
import { basename, extname, join } from 'node:path';

import type { Command } from 'commander';
import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { certificateFingerprint, parseCertificate } from '../../../core/x509/certificate.ts';
import { decodePem, encodePem } from '../../../core/x509/pem.ts';
import { readPaaBundle } from '../../../devices/attestation/matter/paa-bundle.ts';
import {
  readAndroidStatusList,
  readRevocationCrl,
  readRevocationSets,
} from '../../../devices/attestation/matter/revocation-set.ts';
import type { RevokedSerialNumbers } from '../../../devices/attestation/revoked-certificates.ts';
import { CliError, EXIT } from '../exit-code.ts';
import type { ApiClient } from '../client.ts';
import type { Session, SessionOf } from '../session.ts';
import { parseAssignments } from '../values.ts';
import { addChange, addReading, type ResourceCommands } from './resource.ts';

interface Anchor {
  readonly id: string;
  readonly name: string;
  readonly purpose: string;
  readonly subject?: string;
  readonly notAfter?: string;
}

const kind: ResourceCommands<Anchor> = {
  noun: 'anchor',
  path: '/trust-anchors',
  columns: [
    { title: 'id', value: (row) => row.id, whole: true },
    { title: 'name', value: (row) => row.name },
    { title: 'purpose', value: (row) => row.purpose },
    { title: 'subject', value: (row) => row.subject },
    { title: 'until', value: (row) => row.notAfter },
  ],
  filters: [['purpose', 'purpose', 'only those of one purpose']],
  example: 'acme-idevid',
};

/** `muster anchor …` */
export function anchorCommands(program: Command, sessionOf: SessionOf): void {
  const group = program.command('anchor').description('whose certificates count: of devices, RAs, and evidence');
  addReading(group, sessionOf, kind);
  addAnchor(group, sessionOf);
  addChange(group, sessionOf, kind, ["set acme-idevid 'settings={expiry: ignore-device}'"]);
  group
    .command('remove <anchor>')
    .description('trust an anchor no more')
    .addHelpText('after', '\nExample:\n  muster anchor remove acme-idevid')
    .action(async (key: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      await session.client().delete(`/trust-anchors/${encodeURIComponent(key)}`);
      session.confirm(`anchor ${key} removed`, { removed: key });
    });
  addPaaImport(group, sessionOf);
  addRevocations(group, sessionOf);
}

function addAnchor(group: Command, sessionOf: SessionOf): void {
  group
    .command('add <file> [settings...]')
    .description('trust a certificate (PEM), or for purpose eat a public key')
    .requiredOption('--purpose <purpose>', 'client, ra, idevid, ek, paa, cd, attestation-ca, apple, android or eat')
    .option('--name <name>', 'default: the name of the file')
    .addHelpText(
      'after',
      `
Settings are KEY=VALUE, by purpose; values are YAML.

Examples:
  muster anchor add acme-root.pem --purpose idevid manufacturer=Acme 'serialExtractor={kind: pid-sn}' expiry=ignore-device
  muster anchor add tpm-vendor.pem --purpose ek manufacturers=[49465800]`,
    )
    .action(async (file: string, settings: string[], options: AddOptions, command: Command) => {
      const session = sessionOf(command);
      const { purpose, name = nameOf(file) } = options;
      const body = {
        name,
        purpose,
        pem: textOf(file),
        ...(settings.length > 0 && { settings: parseAssignments(settings) }),
      };
      session.printObject(await session.client().post<object>('/trust-anchors', body));
    });
}

interface AddOptions {
  readonly purpose: string;
  readonly name?: string;
}

function addPaaImport(group: Command, sessionOf: SessionOf): void {
  group
    .command('import-paa <folder>')
    .description('trust every Matter product attestation authority in a folder (DER or PEM)')
    .addHelpText('after', '\nExample:\n  muster anchor import-paa ./dcl-paa-certs')
    .action(async (folder: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      const { authorities, refused } = readPaaBundle(filesOf(folder));
      const client = session.client();
      let added = 0;
      for (const { certificate, settings } of authorities) {
        const name = `paa-${certificateFingerprint(certificate.der).slice(0, 16)}`;
        const body = { name, purpose: 'paa', pem: encodePem('CERTIFICATE', certificate.der), settings };
        if (await addUnlessKnown(client, body)) added += 1;
      }
      for (const { file, reason } of refused) session.note(`${file}: ${reason}`);
      const known = authorities.length - added;
      const told = `${added} authorities added, ${known} were trusted already, ${refused.length} files refused`;
      session.confirm(told, { added, known, refused });
    });
}

async function addUnlessKnown(client: ApiClient, body: object): Promise<boolean> {
  try {
    await client.post('/trust-anchors', body);
    return true;
  } catch (error) {
    if (error instanceof CliError && error.exitCode === EXIT.conflict) return false;
    throw error;
  }
}

/** Serial numbers of one request: what one unit of work takes. */
const SERIALS_OF_REQUEST = 1_000;

function addRevocations(group: Command, sessionOf: SessionOf): void {
  group
    .command('revocations <file>')
    .description('import revoked device certificates: Matter revocation sets, a CRL, or Google’s list')
    .option('--android', 'the file is Google’s list of revoked attestation certificates', false)
    .option('--issuer <certificate>', 'the file is a CRL (DER or PEM), signed by this CA')
    .addHelpText(
      'after',
      `
Examples:
  muster anchor revocations revocation-set.json
  muster anchor revocations line1.crl --issuer line1.pem`,
    )
    .action(async (file: string, options: RevocationsOptions, command: Command) => {
      const session = sessionOf(command);
      const sets = revokedIn(file, options);
      let added = 0;
      for (const { issuerKeyId, serialNumbers } of sets) {
        for (let from = 0; from < serialNumbers.length; from += SERIALS_OF_REQUEST) {
          const part = serialNumbers.slice(from, from + SERIALS_OF_REQUEST);
          added += await addRevoked(session, { source: basename(file), issuerKeyId, serialNumbers: part });
        }
      }
      session.confirm(`${added} revoked certificates added`, { added });
    });
}

interface RevocationsOptions {
  readonly android: boolean;
  readonly issuer?: string;
}

function revokedIn(file: string, { android, issuer }: RevocationsOptions): readonly RevokedSerialNumbers[] {
  if (issuer === undefined) return android ? [readAndroidStatusList(textOf(file))] : readRevocationSets(textOf(file));
  try {
    return [readRevocationCrl(derOf(file), parseCertificate(derOf(issuer)))];
  } catch (cause) {
    if (!(cause instanceof Asn1Error)) throw cause;
    throw new CliError(EXIT.usage, `${issuer}: ${cause.message}`, undefined, { cause });
  }
}

/** What a file holds in DER, or in the first block of PEM. */
function derOf(file: string): Uint8Array {
  const text = Buffer.from(textOf(file, 'latin1'), 'latin1');
  const isDer = text[0] === 0x30;
  return isDer ? new Uint8Array(text) : decodePem(text.toString('latin1'))[0]!.der;
}

async function addRevoked(session: Session, body: object): Promise<number> {
  return (await session.client().post<{ added: number }>('/device-revocations', body)).added;
}

function filesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile() && ['.pem', '.der', '.crt', '.cer'].includes(extname(entry.name)))
      .map(({ name }) => ({ name, octets: readFileSync(join(folder, name)) }));
  } catch (cause) {
    throw new CliError(EXIT.usage, `${folder} cannot be read`, undefined, { cause });
  }
}

function textOf(file: string, encoding: 'utf8' | 'latin1' = 'utf8'): string {
  try {
    return readFileSync(file, encoding);
  } catch (cause) {
    throw new CliError(EXIT.usage, `${file} cannot be read`, undefined, { cause });
  }
}

function nameOf(file: string): string {
  return basename(file, extname(file)).replaceAll(/[^\w.@-]/g, '-');
}
