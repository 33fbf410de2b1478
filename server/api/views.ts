import { Type } from 'typebox';

/** A point in time, RFC 3339 in UTC. */
export const timestamp = (description: string) => Type.String({ description, format: 'date-time' });

/** Epoch milliseconds as RFC 3339. */
export function timeText(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

/** A member of a view that is left out where the column is null. */
export function present<K extends string, T>(key: K, value: T | null | undefined): { [P in K]?: T } {
  return (value === null || value === undefined ? {} : { [key]: value }) as { [P in K]?: T };
}

/** Like {@link present}, for a time in epoch milliseconds. */
export function presentTime<K extends string>(key: K, milliseconds: number | null | undefined): { [P in K]?: string } {
  return present(key, milliseconds === null || milliseconds === undefined ? undefined : timeText(milliseconds));
}

/** A path parameter that holds the id of an object. */
export const idParameters = Type.Object({ id: Type.String({ minLength: 1, maxLength: 64, pattern: '^[\\w-]+$' }) });

/** What problem+json answers hold (RFC 9457). */
export const problemSchema = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ description: 'Stable code of the reason.' }),
    detail: Type.String({ description: 'What was expected and what came.' }),
    hint: Type.String({ description: 'What to do about it.' }),
    requestId: Type.String({ description: 'To be looked up in the log.' }),
    errors: Type.Optional(Type.Array(Type.Object({ path: Type.String(), message: Type.String() }))),
    current: Type.Optional(Type.Unknown({ description: 'Of a conflict: how the object stands.' })),
  },
  { description: 'Problem details (RFC 9457).' },
);
