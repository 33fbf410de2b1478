import { DeviceFailure } from './failure.ts';
import type { Action, PlanStep } from './plan.ts';

/** What earlier actions found, by name. */
export type Values = Readonly<Record<string, string>>;

const PLACEHOLDER = /\{\{([a-zA-Z]+)\}\}/g;

/** A text as one word of a POSIX shell. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** A script with its values, each one word. @throws DeviceFailure `unexpected-output` for a value that was never found */
export function fillScript(script: string, values: Values): string {
  return script.replaceAll(PLACEHOLDER, (_all, name: string) => shellWord(valueOf(values, name)));
}

/** A value that an earlier action found. @throws DeviceFailure `unexpected-output` */
export function valueOf(values: Values, name: string): string {
  const value = Object.hasOwn(values, name) ? values[name] : undefined;
  if (value !== undefined) return value;
  throw new DeviceFailure('unexpected-output', `no earlier step has found the value ${name}`);
}

/** A step in words, as a plan shows it: what will be sent, with the names of what is not known yet. */
export function renderActions(actions: PlanStep['actions']): readonly string[] {
  return actions.flatMap(renderAction);
}

function renderAction(action: Action): readonly string[] {
  switch (action.do) {
    case 'run':
      return action.script.trimEnd().split('\n');
    case 'put':
      return [`(write ${action.path} from ${action.value}, compare its SHA-256)`];
    case 'enroll':
      return [`(ask endpoint ${action.endpoint} for CN=${action.commonName} ${action.names.join(' ')}`.trimEnd() + ')'];
    case 'look':
      return [`(TLS handshake with ${place(action.at)}: note what is served)`];
    case 'await':
      return [
        `(TLS handshakes with ${place(action.at)} until ${action.value} is served, ${action.timeoutSeconds} s at most)`,
      ];
    case 'compare':
      return [`(${action.values.join(' must equal ')})`];
    case 'clock':
      return [`(${action.value} must be within ${action.limitSeconds} s of our clock)`];
  }
}

function place({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${host}:${port}`;
}
