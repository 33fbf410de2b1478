import { setImmediate as turn } from 'node:timers/promises';

import { PeerError, StateError } from '../../core/errors/muster-error.ts';
import { newId } from '../../core/store/id.ts';
import type { Rows } from '../../core/store/rows.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import { announce } from './expected-devices.ts';
import {
  type AnnouncedDevice,
  type AnnouncedMember,
  deviceOfCsv,
  deviceOfJson,
  manifestColumns,
  ManifestFault,
} from './manifest-line.ts';
import type { InventoryTables, ManifestFaultRow, ManifestRow } from './tables.ts';

/** Rows of one unit: few enough that enrolments hardly notice, as units of a store follow one another. */
const ROWS_OF_UNIT = 200;
/** Faults of one manifest that are kept; all are counted. */
const MAX_FAULTS = 10_000;

/** A manifest that is to come. */
export interface NewManifest {
  readonly tenant: string;
  readonly name: string;
  readonly format: ManifestRow['format'];
  readonly createdBy: string;
}

/** Opens a manifest; its lines come afterwards, in parts. Returns its id. */
export async function openManifest(tx: Unit, { createdBy, ...manifest }: NewManifest, now: number): Promise<string> {
  const id = newId(now);
  const row: ManifestRow = {
    ...manifest,
    id,
    columns: null,
    state: 'open',
    lines: 0,
    added: 0,
    unchanged: 0,
    refused: 0,
    created_by: createdBy,
    created_at: now,
    updated_at: now,
  };
  await tx.db<InventoryTables>().insertInto('manifests').values(row).execute();
  return id;
}

/** One manifest of a tenant. */
export function findManifest(rows: Rows, tenant: string, id: string): Promise<ManifestRow | undefined> {
  return rows
    .forTenant<InventoryTables>(tenant)
    .selectFrom('manifests')
    .selectAll()
    .where('id', '=', id)
    .executeTakeFirst();
}

/** The manifests of a tenant in order of id, after `after`. */
export function listManifests(
  rows: Rows,
  tenant: string,
  { after, limit }: { readonly after?: string | undefined; readonly limit: number },
): Promise<ManifestRow[]> {
  let query = rows.forTenant<InventoryTables>(tenant).selectFrom('manifests').selectAll();
  if (after !== undefined) query = query.where('id', '>', after);
  return query.orderBy('id').limit(limit).execute();
}

/** The lines of a manifest that were not taken, after a line. */
export function listManifestFaults(
  store: Store,
  tenant: string,
  { manifest, after, limit }: { readonly manifest: string; readonly after: number; readonly limit: number },
): Promise<ManifestFaultRow[]> {
  return store
    .forTenant<InventoryTables>(tenant)
    .selectFrom('manifest_faults')
    .selectAll()
    .where('manifest', '=', manifest)
    .where('line', '>', after)
    .orderBy('line')
    .limit(limit)
    .execute();
}

/**
 * Takes whole lines of a manifest that follow the first `after` lines, in small units: what was taken stays when a later one
 * fails, and the manifest goes on after its `lines`.
 * @throws PeerError `not-found`; StateError `conflict` when it is finished, or stands at another line.
 */
export async function takeLines(
  store: Store,
  {
    tenant,
    id,
    after,
    text,
  }: { readonly tenant: string; readonly id: string; readonly after: number; readonly text: string },
): Promise<void> {
  let line = after;
  for (const lines of unitsOf(text)) {
    const from = line;
    await store.unit(async (tx) => takeUnit(tx, await openAt(tx, tenant, id, from), lines, store.clock.now()));
    line += lines.length;
    // Between two units those who wait for the event loop have their turn.
    await turn();
  }
}

/** No more lines come. @throws PeerError `not-found`; StateError `conflict` when it is finished already. */
export async function finishManifest(tx: Unit, tenant: string, id: string, now: number): Promise<void> {
  await openAt(tx, tenant, id, undefined);
  await tx
    .forTenant<InventoryTables>(tenant)
    .updateTable('manifests', { state: 'finished', updated_at: now })
    .where('id', '=', id)
    .execute();
}

async function openAt(tx: Unit, tenant: string, id: string, line: number | undefined): Promise<ManifestRow> {
  const rows: Rows = { db: () => tx.db(), forTenant: (name) => tx.forTenant(name) };
  const manifest = await findManifest(rows, tenant, id);
  if (manifest === undefined) throw new PeerError('not-found', 'there is no such manifest');
  if (manifest.state === 'finished') throw new StateError('conflict', 'the manifest is finished');
  if (line !== undefined && manifest.lines !== line)
    throw new StateError('conflict', `the manifest stands at line ${manifest.lines}, not ${line}`);
  return manifest;
}

/** One line that was read. */
type Read = { readonly line: number } & (
  | { readonly device: AnnouncedDevice; readonly fault?: undefined }
  | { readonly device?: undefined; readonly fault: string }
);

async function takeUnit(tx: Unit, manifest: ManifestRow, lines: readonly string[], now: number): Promise<void> {
  const { tenant, id } = manifest;
  const { columns, reads } = readLines(manifest, lines);
  const devices = reads.flatMap(({ line, device }) => (device === undefined ? [] : [{ line, device }]));
  const outcomes = await announce(tx, { tenant, manifest: id, devices: devices.map(({ device }) => device), at: now });
  const conflicts = outcomes.flatMap(({ kind }, index) =>
    kind === 'conflict'
      ? [{ line: devices[index]!.line, fault: 'says otherwise than what is known of this device' }]
      : [],
  );
  const unread = reads.flatMap(({ line, fault }) => (fault === undefined ? [] : [{ line, fault }]));
  const faults = [...unread, ...conflicts];
  const room = Math.max(0, MAX_FAULTS - manifest.refused);
  if (faults.length > 0 && room > 0)
    await tx
      .forTenant<InventoryTables>(tenant)
      .insertInto(
        'manifest_faults',
        faults.slice(0, room).map((fault) => ({ manifest: id, ...fault })),
      )
      .execute();
  const count = (kind: string): number => outcomes.filter((outcome) => outcome.kind === kind).length;
  await tx
    .forTenant<InventoryTables>(tenant)
    .updateTable('manifests', {
      columns,
      lines: manifest.lines + lines.length,
      added: manifest.added + count('added'),
      unchanged: manifest.unchanged + count('unchanged'),
      refused: manifest.refused + faults.length,
      updated_at: now,
    })
    .where('id', '=', id)
    .execute();
}

/** Reads lines; the first one of a CSV says what its columns are. */
function readLines(manifest: ManifestRow, lines: readonly string[]) {
  let columns = manifest.columns === null ? undefined : (JSON.parse(manifest.columns) as readonly AnnouncedMember[]);
  const reads: Read[] = [];
  for (const [index, text] of lines.entries()) {
    const line = manifest.lines + index + 1;
    if (text.trim() === '') continue;
    if (manifest.format === 'csv' && columns === undefined) columns = headerOf(text);
    else reads.push({ line, ...read(text, columns) });
  }
  return { columns: columns === undefined ? null : JSON.stringify(columns), reads };
}

/** Without its columns, no line of a CSV means anything. */
function headerOf(text: string): readonly AnnouncedMember[] {
  try {
    return manifestColumns(text);
  } catch (error) {
    if (error instanceof ManifestFault) throw new PeerError('malformed-request', `the first line: ${error.message}`);
    throw error;
  }
}

function read(text: string, columns: readonly AnnouncedMember[] | undefined) {
  try {
    return { device: columns === undefined ? deviceOfJson(text) : deviceOfCsv(text, columns) };
  } catch (error) {
    if (error instanceof ManifestFault) return { fault: error.message };
    throw error;
  }
}

/** The lines of a text, as many together as one unit takes; the last one needs no line break. */
function* unitsOf(text: string): Generator<readonly string[]> {
  let lines: string[] = [];
  for (let start = 0; start < text.length;) {
    const end = text.indexOf('\n', start);
    const line = text.slice(start, end === -1 ? text.length : end);
    start = end === -1 ? text.length : end + 1;
    lines.push(line.endsWith('\r') ? line.slice(0, -1) : line);
    if (lines.length < ROWS_OF_UNIT) continue;
    yield lines;
    lines = [];
  }
  if (lines.length > 0) yield lines;
}
