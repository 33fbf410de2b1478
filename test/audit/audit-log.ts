import { appendAudit } from '../../core/audit/log.ts';
import { AuditOutcome } from '../../core/audit/entry.ts';
import type { AuditEntry, AuditTree } from '../../core/audit/entry.ts';
import { sequenceOnce } from '../../core/audit/sequencer.ts';
import type { Store } from '../../core/store/store.ts';

/** An entry that is told from others by its number. */
export function numberedEntry(tenant: AuditTree, number: number): AuditEntry {
  return {
    tenant,
    at: Date.UTC(2026, 10, 22) + number,
    actor: 'system:test',
    action: number % 2 === 0 ? 'certificate.issued' : 'certificate.revoked',
    object: `certificate:${number}`,
    outcome: AuditOutcome.Success,
    details: { number },
  };
}

/** Records entries with the given numbers, in one unit. */
export function record(store: Store, tenant: AuditTree, from: number, to: number): Promise<void> {
  return store.unit(async (tx) => {
    for (let number = from; number < to; number++) await appendAudit(tx, numberedEntry(tenant, number));
  });
}

/** Places all that waits and returns the size of the tree. */
export async function placeAll(store: Store, tree: AuditTree, limit = 64): Promise<number> {
  for (;;) {
    const { placed, size } = await sequenceOnce(store, tree, { fence: 1, limit });
    if (placed < limit) return size;
  }
}
