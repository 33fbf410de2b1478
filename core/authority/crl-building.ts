import type { Store } from '../store/store.ts';
import { type CrlEntryRow, CrlEntryWriter, type CrlFrame } from './crl-encoding.ts';
import { type EntrySelection, selectEntries } from './crl-entries.ts';
import type { AuthorityTables } from './tables.ts';

/** A CRL to be built. */
export interface CrlOrder {
  readonly frame: CrlFrame;
  readonly selection: EntrySelection;
}

/** A TBSCertList, not yet linted. */
export interface BuiltCrl {
  readonly tbsDer: Uint8Array;
  readonly entries: number;
}

/** Reads the revocations from one consistent view and encodes them as they come. */
export type CrlBuilder = (order: CrlOrder) => Promise<BuiltCrl>;

/** Builds on the event loop, in turns: for lists that are short. */
export function localBuilder(store: Store): CrlBuilder {
  return async ({ frame, selection }) => {
    const writer = new CrlEntryWriter();
    for await (const row of store.stream<AuthorityTables, CrlEntryRow>((db) => selectEntries(db, selection))) {
      writer.add(row);
    }
    return { tbsDer: writer.finish(frame), entries: writer.count };
  };
}
