import { type Command, Option } from 'commander';

import { REVOCATION_REASONS } from '../../../core/authority/revocation.ts';
import type { SessionOf } from '../session.ts';
import { parseDuration, parseTime } from '../values.ts';

interface Lifetimes {
  readonly maxAgeSeconds: number;
  readonly ocspSeconds: number;
  readonly crlSeconds: number;
  readonly fullCrlSeconds: number;
}

/** `muster ca status | lifetimes | revoke` */
export function authorityStatusCommands(group: Command, sessionOf: SessionOf): void {
  addStatus(group, sessionOf);
  addLifetimes(group, sessionOf);
  addRevoke(group, sessionOf);
}

interface Status {
  readonly standing: string;
  readonly revokedAt?: string;
  readonly reason?: string;
  readonly lifetimes: Lifetimes;
  readonly crls: readonly { readonly scope: string; readonly entries: number; readonly nextUpdate: string }[];
}

function addStatus(group: Command, sessionOf: SessionOf): void {
  group
    .command('status <authority>')
    .description('show how an authority stands, its CRLs, and how long relying parties may keep what they are told')
    .addHelpText('after', '\nExample:\n  muster ca status issuing')
    .action(async (authority: string, _options: object, command: Command) => {
      const session = sessionOf(command);
      const status = await session.client().get<Status>(`/authorities/${encodeURIComponent(authority)}/status`);
      const { lifetimes, crls, ...standing } = status;
      const lists = crls.map(({ scope, entries, nextUpdate }) => `${scope}: ${entries} entries until ${nextUpdate}`);
      if (session.options.json === true) session.printJson(status);
      else session.printObject({ ...standing, ...lifetimes, crls: lists.join('; ') });
    });
}

function addLifetimes(group: Command, sessionOf: SessionOf): void {
  group
    .command('lifetimes <authority>')
    .description('change how long relying parties may keep OCSP answers and CRLs of an authority (15m, 2h, or seconds)')
    .option('--max-age <time>', 'in caches of HTTP', parseDuration)
    .option('--ocsp <time>', 'an OCSP answer, to its nextUpdate', parseDuration)
    .option('--crl <time>', 'a delta or a shard', parseDuration)
    .option('--full-crl <time>', 'a full CRL', parseDuration)
    .addHelpText('after', '\nExample:\n  muster ca lifetimes issuing --ocsp 15m --max-age 60')
    .action(async (authority: string, options: Readonly<Record<string, number>>, command: Command) => {
      const session = sessionOf(command);
      const { maxAge: maxAgeSeconds, ocsp: ocspSeconds, crl: crlSeconds, fullCrl: fullCrlSeconds } = options;
      const changes = { maxAgeSeconds, ocspSeconds, crlSeconds, fullCrlSeconds };
      const path = `/authorities/${encodeURIComponent(authority)}/lifetimes`;
      session.printObject(await session.client().patch<Lifetimes>(path, changes));
    });
}

interface Revoked {
  readonly name: string;
  readonly serialNumber: string;
  readonly outcome: string;
}

interface RevokeOptions {
  readonly reason: string;
  readonly compromised?: string;
  readonly comment?: string;
}

function addRevoke(group: Command, sessionOf: SessionOf): void {
  group
    .command('revoke <authority>')
    .description('revoke an issuing authority by the one above it, for good: it issues nothing any more')
    .addOption(
      new Option('--reason <reason>', 'why (RFC 5280 §5.3.1)')
        .choices(REVOCATION_REASONS.filter((reason) => reason !== 'removeFromCRL' && reason !== 'certificateHold'))
        .default('unspecified'),
    )
    .option('--compromised <time>', 'since when the key must be thought known to others (RFC 3339)', parseTime)
    .option('--comment <text>', 'goes into the audit log')
    .addHelpText('after', '\nExample:\n  muster ca revoke issuing --reason cACompromise')
    .action(async (authority: string, { reason, compromised, comment }: RevokeOptions, command: Command) => {
      const session = sessionOf(command);
      const body = { reason, invalidityDate: compromised, comment };
      const made = await session.client().post<Revoked>(`/authorities/${encodeURIComponent(authority)}/revoke`, body);
      session.confirm(`the authority ${made.name} (${made.serialNumber}) is ${made.outcome}`, made);
    });
}
