import type { Command } from 'commander';
import type { SessionOf } from '../session.ts';
import { parseTime } from '../values.ts';
import { certificateId } from './certificate-id.ts';

interface Window {
  readonly certificate: string;
  readonly start: string;
  readonly end: string;
}

/** `muster certificate renew-now | renewal-window`: what ACME clients are told by renewal information (RFC 9773). */
export function renewalWindowCommands(group: Command, sessionOf: SessionOf): void {
  addRenewNow(group, sessionOf);
  addWindow(group, sessionOf);
}

function addRenewNow(group: Command, sessionOf: SessionOf): void {
  group
    .command('renew-now <serial>')
    .description('have ACME clients renew a certificate as soon as they ask, by its serial number or id')
    .option('--explanation <url>', 'page that says why')
    .addHelpText('after', '\nExample:\n  muster cert renew-now 4F:A2:… --explanation https://noc.example/4711')
    .action(async (serial: string, { explanation }: { explanation?: string }, command: Command) => {
      const session = sessionOf(command);
      const id = await certificateId(session, serial);
      const window = await session.client().post<Window>(`/certificates/${id}/renewal-window`, { explanation });
      session.confirm(`certificate ${window.certificate} is to be renewed now`, window);
    });
}

interface WindowOptions {
  readonly start?: string;
  readonly end?: string;
  readonly explanation?: string;
  readonly free?: boolean;
}

function addWindow(group: Command, sessionOf: SessionOf): void {
  group
    .command('renewal-window <serial>')
    .description('show, move or free the time at which ACME clients renew a certificate')
    .option('--start <time>', 'move it: from when on (RFC 3339)', parseTime)
    .option('--end <time>', 'move it: until when (RFC 3339)', parseTime)
    .option('--explanation <url>', 'page that says why')
    .option('--free', 'let the age of the certificate count again')
    .addHelpText(
      'after',
      '\nExamples:\n  muster cert renewal-window 4F:A2:… --start 2027-01-01T00:00:00Z --end 2027-01-02T00:00:00Z\n  muster cert renewal-window 4F:A2:… --free',
    )
    .action(async (serial: string, { start, end, explanation, free }: WindowOptions, command: Command) => {
      const session = sessionOf(command);
      const path = `/certificates/${await certificateId(session, serial)}/renewal-window`;
      if (free === true) {
        await session.client().delete(path);
        session.confirm('the age of the certificate counts again', {});
      } else if (start === undefined && end === undefined) {
        session.printObject(await session.client().get<Window>(path));
      } else {
        session.printObject(await session.client().post<Window>(path, { start, end, explanation }));
      }
    });
}
