import { appendAudit } from '../../core/audit/log.ts';
import { getCertificate } from '../../core/authority/certificates.ts';
import { PeerError, StateError } from '../../core/errors/muster-error.ts';
import { statement } from '../../core/store/statement.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import type { AcmeTables, RenewalWindowRow } from './tables.ts';

/** When a certificate is to be renewed (RFC 9773 §4.2), epoch milliseconds. A window in the past means at once. */
export interface RenewalWindow {
  readonly start: number;
  readonly end: number;
  /** URL of a page for people. */
  readonly explanation: string | undefined;
}

/** An operator's word about one certificate. */
export interface WindowChange {
  readonly tenant: string;
  readonly certificateId: string;
  /** Undefined: back to what the endpoint's settings make of it. */
  readonly window: RenewalWindow | undefined;
  /** Who says so, as audit entries name him. */
  readonly actor: string;
  /** Epoch milliseconds. */
  readonly at: number;
}

/** The window that an operator gave a certificate, if any. */
export const renewalWindowOf = statement<AcmeTables>()(
  'acme-renewal-window',
  (db, p: { tenant: string; certificate: string }) =>
    db
      .selectFrom('acme_renewal_windows')
      .selectAll()
      .where('tenant', '=', p.tenant)
      .where('certificate', '=', p.certificate),
);

/** The window that is over already: to be renewed at once. */
export function windowNow(now: number): Pick<RenewalWindow, 'start' | 'end'> {
  return { start: now - 2 * MINUTE_MS, end: now - MINUTE_MS };
}

const MINUTE_MS = 60_000;

/**
 * Moves the window of a certificate, or gives it free again.
 * @throws PeerError `not-found`, or `malformed-request` for a window that ends before it begins; StateError `conflict` for a
 *   certificate that renewal does not help: it is revoked and to be renewed at once, or at its end.
 */
export async function changeRenewalWindow(store: Store, change: WindowChange): Promise<void> {
  const { tenant, certificateId, window, at } = change;
  const certificate = await getCertificate(store, tenant, certificateId);
  if (certificate === undefined) throw new PeerError('not-found', 'no such certificate');
  if (window !== undefined && window.end <= window.start)
    throw new PeerError('malformed-request', 'the window: expected an end after its start');
  if (window !== undefined && (certificate.status !== 'active' || certificate.not_after <= at))
    throw new StateError('conflict', 'the certificate is revoked or expired: it is to be renewed at once anyway');
  await store.unit((tx) => storeChange(tx, change, certificate.not_after));
}

async function storeChange(tx: Unit, { tenant, certificateId, window, actor, at }: WindowChange, notAfter: number) {
  if (window === undefined) {
    const gone = await tx
      .forTenant<AcmeTables>(tenant)
      .deleteFrom('acme_renewal_windows')
      .where('certificate', '=', certificateId)
      .executeTakeFirst();
    if (Number(gone.numDeletedRows) === 0) return;
  } else {
    await tx.affected(setWindow, {
      tenant,
      certificate: certificateId,
      starts_at: window.start,
      ends_at: window.end,
      explanation: window.explanation ?? null,
      set_by: actor,
      set_at: at,
      not_after: notAfter,
    });
  }
  await appendAudit(tx, {
    tenant,
    at,
    actor,
    action: window === undefined ? 'certificate.renewal-window-freed' : 'certificate.renewal-window-moved',
    object: `certificate:${certificateId}`,
    outcome: 'success',
    details: window === undefined ? {} : { start: window.start, end: window.end },
  });
}

const setWindow = statement<AcmeTables>()(
  'acme-renewal-window-set',
  (db, p: { [K in keyof RenewalWindowRow]: RenewalWindowRow[K] }) =>
    db
      .insertInto('acme_renewal_windows')
      .values({
        tenant: p.tenant,
        certificate: p.certificate,
        starts_at: p.starts_at,
        ends_at: p.ends_at,
        explanation: p.explanation,
        set_by: p.set_by,
        set_at: p.set_at,
        not_after: p.not_after,
      })
      .onConflict((conflict) =>
        conflict.columns(['tenant', 'certificate']).doUpdateSet({
          starts_at: p.starts_at,
          ends_at: p.ends_at,
          explanation: p.explanation,
          set_by: p.set_by,
          set_at: p.set_at,
          not_after: p.not_after,
        }),
      ),
);
