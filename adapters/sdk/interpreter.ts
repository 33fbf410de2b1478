import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import { servedCertificate } from '../transport/tls/handshake.ts';
import type { ExecResult, SshSession } from '../transport/ssh/session.ts';
import { DeviceFailure } from './failure.ts';
import { type IssueCall, issueFor, type IssueParts } from './issue.ts';
import type { Action, ServiceAddress } from './plan.ts';
import { fillScript, shellWord, valueOf, type Values } from './render.ts';
import { lastWords, type Transcript } from './transcript.ts';

/** What actions are done with. */
export interface ActionContext {
  /** The connection to the device, opened when it is first needed. */
  readonly session: () => Promise<SshSession>;
  readonly issue: IssueParts;
  readonly call: IssueCall;
  readonly transcript: Transcript;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly signal: AbortSignal;
}

/** Octets that one command may write; a certificate chain has a few thousand. */
const MAX_OUTPUT = 256 * 1024;
const UPLOAD_MS = 30_000;
const HANDSHAKE_MS = 5_000;
const BETWEEN_LOOKS_MS = 500;

type Of<K extends Action['do']> = Extract<Action, { do: K }>;

/** Does actions one after the other; returns what they found, with what was known. @throws DeviceFailure */
export async function perform(actions: readonly Action[], known: Values, context: ActionContext): Promise<Values> {
  let values = known;
  for (const action of actions) values = { ...values, ...(await performOne(action, values, context)) };
  return values;
}

async function performOne(action: Action, values: Values, context: ActionContext): Promise<Values> {
  switch (action.do) {
    case 'run':
      return runScript(action, values, context);
    case 'put':
      await putFile(action.path, valueOf(values, action.value), context);
      return {};
    case 'enroll': {
      const found = await issueFor(context.issue, action, context.call, valueOf(values, 'csr'));
      context.transcript.noted(`issued ${found['certificateId']}, SHA-256 ${found['leaf']}`);
      return found;
    }
    case 'look':
      return { [action.into]: await look(action.at, context) };
    case 'await':
      await awaitServed(action, valueOf(values, action.value), context);
      return {};
    case 'compare':
      compare(action, values);
      return {};
    case 'clock':
      requireClock(action, values, context);
      return {};
  }
}

async function runScript(action: Of<'run'>, values: Values, context: ActionContext): Promise<Values> {
  const { session, transcript, signal } = context;
  const script = fillScript(action.script, values);
  const limits = { timeoutMs: action.timeoutSeconds * 1000, maxOctets: MAX_OUTPUT };
  // By the input, not as an argument: nothing of it shows in the device's list of processes. The braces have the shell read all
  // of it before a command could take the rest for its own input.
  const connection = await session();
  transcript.sent(script);
  const result = await connection.exec('sh -eu -s', `{\n${script}} </dev/null\n`, limits, signal);
  transcript.came(result.stdout);
  transcript.came(result.stderr);
  if (result.status !== 0) throw failureOf(action, result);
  return found(action, result.stdout);
}

function failureOf({ failures }: Of<'run'>, { status, stdout, stderr }: ExecResult): DeviceFailure {
  const words = lastWords(stderr === '' ? stdout : stderr);
  return new DeviceFailure(failures?.[String(status)] ?? 'command-failed', `exit ${status}${words && `: ${words}`}`);
}

/** What a device says goes into later scripts: nothing that does not look as it must. */
function found({ captures = {}, whole }: Of<'run'>, stdout: string): Values {
  const values: Record<string, string> = {};
  for (const [name, pattern] of Object.entries(captures)) {
    const line = stdout.split(/\r?\n/).find((candidate) => candidate.startsWith(`${name}=`));
    const value = line?.slice(name.length + 1);
    if (value === undefined || !new RegExp(`^(?:${pattern})$`).test(value))
      throw new DeviceFailure('unexpected-output', `${name}: ${value === undefined ? 'nothing' : lastWords(value)}`);
    values[name] = value;
  }
  if (whole === undefined) return values;
  if (!/^-----BEGIN [A-Z ]+-----\r?\n[A-Za-z0-9+/=\r\n]+-----END [A-Z ]+-----\s*$/.test(stdout))
    throw new DeviceFailure('unexpected-output', `${whole}: expected one PEM block`);
  return { ...values, [whole]: stdout };
}

async function putFile(path: string, content: string, { session, transcript, signal }: ActionContext): Promise<void> {
  const limits = { timeoutMs: UPLOAD_MS, maxOctets: MAX_OUTPUT };
  const part = shellWord(`${path}.part`);
  const connection = await session();
  // cat, not SFTP: dropbear has none.
  const write = `sh -euc ${shellWord(`umask 022; cat >${part}; sha256sum <${part}; mv -f ${part} ${shellWord(path)}`)}`;
  transcript.sent(`(${Buffer.byteLength(content)} octets) ${write}`);
  const result = await connection.exec(write, content, limits, signal);
  transcript.came(result.stdout);
  transcript.came(result.stderr);
  if (result.status !== 0)
    throw new DeviceFailure('command-failed', `exit ${result.status}: ${lastWords(result.stderr)}`);
  if (result.stdout.slice(0, 64) !== createHash('sha256').update(content).digest('hex'))
    throw new DeviceFailure('upload-damaged', `${path} is not what was sent`);
}

async function look(at: ServiceAddress, { transcript, signal }: ActionContext): Promise<string> {
  const served = await servedCertificate(at, HANDSHAKE_MS, signal);
  transcript.noted(`${at.host}:${at.port} serves SHA-256 ${served}`);
  return served;
}

async function awaitServed({ at, timeoutSeconds }: Of<'await'>, wanted: string, context: ActionContext): Promise<void> {
  const end = context.now() + timeoutSeconds * 1000;
  for (;;) {
    const seen = await lookOrFailure(at, context);
    if (seen === wanted) {
      context.transcript.noted(`${at.host}:${at.port} serves SHA-256 ${wanted}`);
      return;
    }
    if (context.now() >= end) {
      if (seen instanceof DeviceFailure) throw seen;
      throw new DeviceFailure('not-served', `${at.host}:${at.port} serves SHA-256 ${seen}`);
    }
    await delay(BETWEEN_LOOKS_MS, undefined, { signal: context.signal });
  }
}

async function lookOrFailure(at: ServiceAddress, { signal }: ActionContext): Promise<string | DeviceFailure> {
  try {
    return await servedCertificate(at, HANDSHAKE_MS, signal);
  } catch (error) {
    if (error instanceof DeviceFailure && !signal.aborted) return error;
    throw error;
  }
}

function compare({ values: [left, right], failure }: Of<'compare'>, values: Values): void {
  if (valueOf(values, left) === valueOf(values, right)) return;
  throw new DeviceFailure(failure, `${left} is ${valueOf(values, left)}, ${right} is ${valueOf(values, right)}`);
}

function requireClock({ value, limitSeconds }: Of<'clock'>, values: Values, { now, transcript }: ActionContext): void {
  const off = Math.round(Number(valueOf(values, value)) - now() / 1000);
  transcript.noted(`the clock of the device is ${off} s off`);
  if (Math.abs(off) > limitSeconds) throw new DeviceFailure('clock-wrong', `it is ${off} s off`);
}
