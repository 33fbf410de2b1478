import pg, { type CustomTypesConfig } from 'pg';
import { InternalError } from '../errors/muster-error.ts';

/** Type identifiers of PostgreSQL's catalogue (pg_type.dat). */
const BOOL = 16;
const INT8 = 20;
const NUMERIC = 1700;

/** Reads values as SQLite gives them: every number is a JavaScript number, a truth value 0 or 1. */
export const portableTypes: CustomTypesConfig = {
  getTypeParser(oid, format) {
    if (format === 'binary') return pg.types.getTypeParser(oid, 'binary');
    if (oid === BOOL) return (text: string) => (text === 't' ? 1 : 0);
    if (oid === INT8 || oid === NUMERIC) return safeNumber;
    return pg.types.getTypeParser(oid, 'text');
  },
};

/** pg gives int8 as text because not all of them fit; ours do, and one that does not is an error, not a rounded value. */
function safeNumber(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) || (Number.isFinite(value) && text.includes('.'))) return value;
  throw new InternalError(`the database answered with the number ${text}, beyond safe integers`);
}
