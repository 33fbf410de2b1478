import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino';

/** The log of the process: JSON lines, one event each, fields rather than prose. */
export type Log = Logger;

/** Keys whose values never reach the log, at the top of a line and one level below. `Secret` redacts itself. */
const secretKeys = [
  'authorization',
  'cookie',
  'setCookie',
  'password',
  'passphrase',
  'pin',
  'secret',
  'token',
  'challengePassword',
  'privateKey',
];

const redacted = [
  ...secretKeys.flatMap((key) => [key, `*.${key}`]),
  'req.headers.authorization',
  'req.headers.cookie',
  'headers.authorization',
  'headers.cookie',
  '*["set-cookie"]',
];

/**
 * Opens the log. Without a destination it goes to standard output, buffered (the hot path must not wait for a pipe) and
 * flushed at exit and by {@link flushLog}.
 */
export function createLog(level: string, destination?: DestinationStream): Log {
  const options = {
    level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    messageKey: 'message',
    errorKey: 'error',
    redact: { paths: redacted, censor: '***' },
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: describeError, error: describeError },
  };
  return pino(options, destination ?? pino.destination({ dest: 1, sync: false, minLength: 4_096, periodicFlush: 500 }));
}

/** Writes out what is buffered; resolves when it is written, and on disk where it goes to one. */
export function flushLog(log: Log): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  log.flush((error?: NodeJS.ErrnoException | null) => {
    if (error === undefined || error === null || isWrittenAnyway(error)) resolve();
    else reject(error);
  });
  return promise;
}

/** fsync(2): EINVAL of a pipe, a terminal or a socket, where there is nothing to synchronise. */
function isWrittenAnyway({ syscall, code }: NodeJS.ErrnoException): boolean {
  return syscall === 'fsync' && (code === 'EINVAL' || code === 'ENOTSUP');
}

/** What the log holds of an error: no enumerable extras, which may hold a request or a statement with its values. */
interface DescribedError {
  readonly type: string;
  readonly message: string;
  readonly reason?: string;
  readonly code?: string;
  readonly stack?: string;
  readonly cause?: DescribedError;
}

function describeError(error: unknown, depth = 0): DescribedError {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) };
  return {
    type: error.name,
    message: error.message,
    ...('reason' in error && { reason: String(error.reason) }),
    ...('code' in error && { code: String(error.code) }),
    ...(error.stack !== undefined && { stack: error.stack }),
    ...(error.cause !== undefined && depth < 4 && { cause: describeError(error.cause, depth + 1) }),
  };
}
