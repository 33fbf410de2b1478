import type { AuditEntry } from '../audit/entry.ts';
import { appendAudit } from '../audit/log.ts';
import { keyWasCertified, markReplaced, recordCertificate, certificateDer } from '../authority/certificates.ts';
import type { AuthorityDirectory, Issuer } from '../authority/directory.ts';
import { lintCertificate, type Linted } from '../authority/lint.ts';
import type { Profile } from '../authority/profile.ts';
import type { ProfileDirectory } from '../authority/profiles.ts';
import { prepareCertificate, PRIVILEGED_PURPOSES } from '../authority/prepare.ts';
import { InternalError, PolicyError, StateError } from '../errors/muster-error.ts';
import { newId } from '../store/id.ts';
import type { Store, Unit } from '../store/store.ts';
import { subjectAltName, type TbsCertificate } from '../x509/certificate.ts';
import { spkiSha256 } from '../x509/public-key.ts';
import type { Principal } from './accept.ts';
import { requireNotBlocked } from './admit.ts';
import { excerpt, excerpts } from './excerpt.ts';
import type { Inventory } from './ports.ts';
import type { EnrollmentRequest } from './request.ts';
import { spendSecret } from './secrets.ts';
import { enrollmentById, markIssued } from './statements.ts';
import type { EnrollmentRow } from './tables.ts';

/** Where tests stop a process dead; nothing else uses them. */
export type FaultPoint = 'before-unit-1' | 'after-unit-1' | 'after-sign' | 'after-unit-2';

/** What issuance stands on. */
export interface IssuanceDependencies {
  readonly store: Store;
  readonly authorities: AuthorityDirectory;
  readonly profiles: ProfileDirectory;
  readonly inventory: Inventory;
  readonly faultPoint?: (point: FaultPoint) => Promise<void>;
}

/** A certificate that was linted and whose TBSCertificate is (about to be) durable. */
export interface Prepared {
  readonly linted: Linted;
  readonly issuer: Issuer;
}

/** An issued certificate as it stands in the store. */
export interface Issued {
  readonly enrollmentId: string;
  readonly certificateId: string;
  readonly certificate: Uint8Array;
}

/** What was linted, with the signed whole around it. */
type SignedCertificate = TbsCertificate & { readonly der: Uint8Array };

/** Steps 3, 5 and 6 of the hall: prepare and lint; sign; record. Unit 1 stands between and is the hall's. */
export class Issuance {
  readonly #dependencies: IssuanceDependencies;

  constructor(dependencies: IssuanceDependencies) {
    this.#dependencies = dependencies;
  }

  /** @throws PolicyError when the profile, the key or a lint refuses; StateError `authority-retired` when it is revoked. */
  async prepare(request: EnrollmentRequest, principal: Principal, now: number): Promise<Prepared> {
    const { tenant, authority, profile: profileId } = request.endpoint;
    const { authorities, profiles } = this.#dependencies;
    const [issuer, profile] = await Promise.all([
      authorities.issuer(tenant, authority),
      profiles.get(tenant, profileId),
    ]);
    requireNotRevoked(issuer);
    requireNoPrivilegeByProxy(profile, principal);
    await this.#requireNewKey(profile, request, principal.renews);
    return { issuer, linted: prepareCertificate(profile, issuer, request, now) };
  }

  /**
   * The stored TBSCertificate of an interrupted enrolment, linted again: its serial number stays.
   * @throws PolicyError when the device was blocked meanwhile, or the profile as it stands now refuses; StateError
   *   `authority-retired` when the authority was revoked meanwhile.
   */
  async resume(row: EnrollmentRow): Promise<Prepared> {
    if (row.tbs === null) throw new InternalError(`the enrolment ${row.id} is signing without a TBSCertificate`);
    const { authorities, inventory, profiles } = this.#dependencies;
    await requireNotBlocked(inventory, { tenant: row.tenant, name: row.device_name });
    const [issuer, profile] = await Promise.all([
      authorities.issuer(row.tenant, row.authority),
      profiles.get(row.tenant, row.profile),
    ]);
    requireNotRevoked(issuer);
    return { issuer, linted: lintCertificate(row.tbs, issuer, profile) };
  }

  /**
   * Signs outside any transaction, then records by compare-and-set: whoever comes second answers what the first stored.
   * @throws UpstreamError when the token or the store is away; the enrolment stays `signing` and is resumed later.
   */
  async signAndRecord(
    row: EnrollmentRow,
    { linted, issuer }: Prepared,
    onIssued?: EnrollmentRequest['onIssued'],
  ): Promise<Issued> {
    const { faultPoint, store } = this.#dependencies;
    await faultPoint?.('after-unit-1');
    const der = await (await issuer.caKey()).signCertificate(linted, row.tenant);
    await faultPoint?.('after-sign');
    const certificateId = newId();
    const won = await store.unit(async (tx) => {
      if (!(await this.#record(tx, row, certificateId, { ...linted.certificate, der }))) return false;
      await onIssued?.(tx, certificateId);
      return true;
    });
    await faultPoint?.('after-unit-2');
    return won ? { enrollmentId: row.id, certificateId, certificate: der } : this.#stored(row);
  }

  async #record(tx: Unit, row: EnrollmentRow, certificateId: string, certificate: SignedCertificate): Promise<boolean> {
    const now = this.#dependencies.store.clock.now();
    const { tenant, id } = row;
    if ((await tx.affected(markIssued, { tenant, id, certificate: certificateId, now })) !== 1) return false;
    const identity = { tenant, name: row.device_name };
    const notAfter = certificate.notAfter.getTime();
    const device = await this.#dependencies.inventory.recordIssued(tx, identity, {
      enrollmentId: id,
      certificateId,
      notAfter,
      evidenceId: row.evidence ?? undefined,
      at: now,
    });
    const origin = {
      id: certificateId,
      tenant,
      authority: row.authority,
      profile: row.profile,
      device,
      enrollment: id,
      at: now,
    };
    await recordCertificate(tx, origin, certificate, subjectAltName(certificate));
    if (row.replaces !== null) await markReplaced(tx, tenant, row.replaces, certificateId);
    if (row.secret !== null) await spendSecret(tx, tenant, row.secret);
    await appendAudit(tx, issuedEntry(row, { certificateId, certificate, device, at: now }));
    return true;
  }

  async #stored(row: EnrollmentRow): Promise<Issued> {
    const { store } = this.#dependencies;
    const [current] = await store.query(enrollmentById, { tenant: row.tenant, id: row.id });
    const certificate = current?.certificate ? await certificateDer(store, row.tenant, current.certificate) : undefined;
    if (!current?.certificate || !certificate)
      throw new InternalError(`the enrolment ${row.id} was ended while it was signed`);
    return { enrollmentId: row.id, certificateId: current.certificate, certificate };
  }

  async #requireNewKey(profile: Profile, request: EnrollmentRequest, renews: string | undefined): Promise<void> {
    if (profile.keyReuse === 'allowed' || (profile.keyReuse === 'renewal' && renews !== undefined)) return;
    if (await keyWasCertified(this.#dependencies.store, request.endpoint.tenant, spkiSha256(request.publicKey))) {
      throw new PolicyError('key-reused', 'the profile asks for a new key and this one was certified before');
    }
  }
}

function requireNotRevoked({ isRevoked }: Issuer): void {
  if (isRevoked) throw new StateError('authority-retired', 'the authority of this endpoint is revoked');
}

/** RFC 9810 §8: a registration authority makes none of its kind, nor an OCSP responder; that takes an administrator's secret. */
function requireNoPrivilegeByProxy({ extendedKeyUsage }: Profile, { kind }: Principal): void {
  if (kind === 'ra' && extendedKeyUsage.some((purpose) => PRIVILEGED_PURPOSES.has(purpose)))
    throw new PolicyError('not-authorized', 'a registration authority enrols no holder of privileges');
}

interface IssuedParts {
  readonly certificateId: string;
  readonly certificate: SignedCertificate;
  readonly device: string;
  readonly at: number;
}

function issuedEntry(row: EnrollmentRow, { certificateId, certificate, device, at }: IssuedParts): AuditEntry {
  return {
    tenant: row.tenant,
    at,
    actor: `device:${row.principal}`,
    action: 'certificate.issued',
    object: `certificate:${certificateId}`,
    outcome: 'success',
    details: {
      enrollment: row.id,
      endpoint: row.endpoint,
      protocol: row.protocol,
      device,
      authority: row.authority,
      serialNumber: certificate.serialNumber,
      subject: excerpt(row.subject),
      names: excerpts(JSON.parse(row.names) as string[]),
      spkiSha256: row.spki_sha256,
      notAfter: certificate.notAfter.getTime(),
      replaces: row.replaces,
      ...(row.evidence !== null && { evidence: row.evidence }),
    },
  };
}
