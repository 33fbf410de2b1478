/** What a command ends with; stable, for scripts. `muster help exit-codes` prints the table. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  refused: 4,
  notFound: 5,
  conflict: 6,
  invalid: 7,
  unavailable: 8,
  findings: 9,
  pending: 10,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The meaning of each exit code. */
export const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'done',
  failed: 'failed for a reason not listed here',
  usage: 'unknown command, flag or value',
  unreachable: 'no server found, or it could not be reached or trusted',
  refused: 'the token is missing, wrong, expired, or may not do this',
  notFound: 'no such object',
  conflict: 'the object was changed meanwhile, or is not in the state for this',
  invalid: 'the server did not accept what was sent',
  unavailable: 'the server, its database or its HSM cannot serve now; repeat later',
  pending: 'apply has something left: a dry run with differences, or a certificate that somebody else signs',
  findings: 'doctor found something broken, or audit verify something that an honest log does not show',
};

/** Something a command cannot do, in words for a terminal. */
export class CliError extends Error {
  readonly exitCode: ExitCode;
  /** What to do about it. */
  readonly hint: string | undefined;

  constructor(exitCode: ExitCode, message: string, hint?: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CliError';
    this.exitCode = exitCode;
    this.hint = hint;
  }
}

/** The exit code of an HTTP status. */
export function exitCodeOf(status: number): ExitCode {
  if (status === 401 || status === 403) return EXIT.refused;
  if (status === 404) return EXIT.notFound;
  if (status === 409) return EXIT.conflict;
  if (status === 429 || status >= 500) return EXIT.unavailable;
  return status >= 400 ? EXIT.invalid : EXIT.failed;
}
