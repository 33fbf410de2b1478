import { createHash } from 'node:crypto';
import { Type } from 'typebox';
import { ConflictWithState } from '../http/fault.ts';

/** The header of a change that is based on what was read before (RFC 9110 §13.1.1). */
export const ifMatchHeader = Type.Object({
  'if-match': Type.Optional(
    Type.String({
      description: 'The ETag the change is based on; without it, whatever stands is changed.',
      maxLength: 128,
    }),
  ),
});

/** The ETag of an object as it is shown: its revision, or a hash where it counts none. */
export function entityTag(view: object): string {
  if ('revision' in view && typeof view.revision === 'number') return `"${view.revision}"`;
  return `"${createHash('sha256').update(JSON.stringify(view)).digest('base64url').slice(0, 22)}"`;
}

/**
 * Holds a change against the state it is based on.
 * @throws ConflictWithState (409) with the present state when If-Match names another one.
 */
export function requireMatch(noun: string, view: object, ifMatch: string | undefined): void {
  if (ifMatch === undefined || ifMatch === '*') return;
  const present = entityTag(view);
  if (ifMatch.split(',').some((tag) => tag.trim() === present)) return;
  const state = 'revision' in view ? `at revision ${String(view.revision)}` : `at ${present}`;
  throw new ConflictWithState(`the ${noun} is ${state}, the change is based on ${ifMatch}`, view);
}
