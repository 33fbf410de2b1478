import type {
  DeleteQueryBuilder,
  DeleteResult,
  InsertQueryBuilder,
  InsertResult,
  Insertable,
  Kysely,
  SelectQueryBuilder,
  UpdateQueryBuilder,
  UpdateResult,
} from 'kysely';
import type { UpdateObject } from 'kysely';
import { InternalError } from '../errors/muster-error.ts';

/** The tables of `DB` that belong to tenants: those with a `tenant` column. */
type TenantTable<DB> = { [T in keyof DB & string]: 'tenant' extends keyof DB[T] ? T : never }[keyof DB & string];

/**
 * Reads of one tenant's rows. A joined table is not scoped by this: join it on (tenant, id), which is also its foreign
 * key.
 */
export interface TenantReader<DB> {
  readonly tenant: string;
  /** SELECT … WHERE tenant = the tenant. */
  selectFrom<T extends TenantTable<DB>>(table: T): SelectQueryBuilder<DB, T, object>;
}

/** Reads and writes of one tenant's rows, inside a unit. */
export interface TenantWriter<DB> extends TenantReader<DB> {
  /** INSERT with the tenant filled in. */
  insertInto<T extends TenantTable<DB>>(
    table: T,
    rows: Omit<Insertable<DB[T]>, 'tenant'> | readonly Omit<Insertable<DB[T]>, 'tenant'>[],
  ): InsertQueryBuilder<DB, T, InsertResult>;
  /** UPDATE … SET changes WHERE tenant = the tenant; a row cannot move to another one. */
  updateTable<T extends TenantTable<DB>>(
    table: T,
    changes: Omit<UpdateObject<DB, T, T>, 'tenant'>,
  ): UpdateQueryBuilder<DB, T, T, UpdateResult>;
  /** DELETE … WHERE tenant = the tenant. */
  deleteFrom<T extends TenantTable<DB>>(table: T): DeleteQueryBuilder<DB, T, DeleteResult>;
}

/** Kysely cannot follow "some table of DB with this column" through its types; one table of that shape stands for it. */
interface AnyTenantTable {
  readonly scoped: { tenant: string };
}

/** Scopes a query builder to a tenant. */
export function scopedToTenant<DB>(db: Kysely<DB>, tenant: string): TenantWriter<DB> {
  if (tenant === '') throw new InternalError('a tenant has a name, got an empty one');
  const any = db as unknown as Kysely<AnyTenantTable>;
  return {
    tenant,
    selectFrom: (table) => any.selectFrom(named(table)).where(column(table), '=', tenant) as never,
    insertInto: (table, rows) => any.insertInto(named(table)).values(owned(rows, tenant)) as never,
    updateTable: (table, changes) =>
      any.updateTable(named(table)).set(withoutTenant(changes)).where(column(table), '=', tenant) as never,
    deleteFrom: (table) => any.deleteFrom(named(table)).where(column(table), '=', tenant) as never,
  };
}

function named(table: string): 'scoped' {
  // An alias ("certificates as c") would leave the qualified column below without a table to refer to.
  if (!/^[a-z][a-z0-9_]*$/.test(table)) throw new InternalError(`a tenant's table is named plainly, got "${table}"`);
  return table as 'scoped';
}

function column(table: string): 'scoped.tenant' {
  return `${table}.tenant` as 'scoped.tenant';
}

function owned(rows: object | readonly object[], tenant: string): { tenant: string }[] {
  return (Array.isArray(rows) ? rows : [rows]).map((row: object) => ({ ...row, tenant }));
}

function withoutTenant(changes: object): { tenant?: never } {
  if ('tenant' in changes) throw new InternalError('a row does not change its tenant');
  return changes;
}
