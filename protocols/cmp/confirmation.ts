import { createHash } from 'node:crypto';

import { certificateDer } from '../../core/authority/certificates.ts';
import { revokeCertificate } from '../../core/authority/revocation.ts';
import { InternalError } from '../../core/errors/muster-error.ts';
import type { Store, Unit } from '../../core/store/store.ts';
import { type AlgorithmIdentifier, hasNoParameters } from '../../core/cms/algorithm-identifier.ts';
import { certificateFingerprint, parseCertificate } from '../../core/x509/certificate.ts';
import { octetsEqual } from '../../core/x509/octets.ts';
import { SIGNATURE_ALGORITHMS, type SignatureParameters } from '../../core/x509/signature-algorithm.ts';
import { CmpFault } from './errors.ts';
import { type Exchange, NO_CERT_REQ_ID } from './exchange.ts';
import { oneWayFunctionOf } from './mac-function.ts';
import type { BodyOf, CertStatus } from './pki-body.ts';
import { PVNO } from './pki-header.ts';
import { PKI_STATUS } from './pki-status.ts';
import { ownerOf, protectionOf } from './sender.ts';
import type { ConfirmationOutcome, TransactionRow } from './tables.ts';

/**
 * That a later message comes from the party that its transaction belongs to: the same credential, the same protection.
 *
 * @throws CmpFault `wrongIntegrity`, `wrongAuthority`, `notAuthorized`
 */
export async function checkParty(store: Store, exchange: Exchange, row: TransactionRow): Promise<void> {
  const { sender } = exchange;
  if (protectionOf(sender) !== row.protection) {
    throw new CmpFault('wrongIntegrity', 'expected the kind of protection that the transaction began with');
  }
  if (ownerOf(sender) !== row.owner) throw await wrongOwner(store, exchange, row);
}

/** RFC 9483 §4.1.1: the certificate that is to be confirmed confirms nothing itself. */
async function wrongOwner(store: Store, { sender }: Exchange, row: TransactionRow): Promise<CmpFault> {
  const der = row.certificate === null ? undefined : await certificateDer(store, row.tenant, row.certificate);
  const isNew =
    sender.kind === 'signature' && der !== undefined && sender.fact.fingerprint === certificateFingerprint(der);
  return isNew
    ? new CmpFault('wrongAuthority', 'expected the credential of the request, found the new certificate')
    : new CmpFault('notAuthorized', 'the transaction belongs to another credential', 'malformed-request');
}

/**
 * Reads a certConf (RFC 9810 §5.3.18): whether the device takes the certificate.
 *
 * @throws CmpFault `badRequest`, `badCertId`, `badAlg`
 */
export async function readConfirmation(
  store: Store,
  { message, settings }: Exchange,
  row: TransactionRow,
  content: BodyOf<'certConf'>,
): Promise<ConfirmationOutcome> {
  const [status, another] = content;
  // RFC 9810 §5.3.18: a certificate that no CertStatus names is rejected.
  if (status === undefined) return 'rejected';
  if (another !== undefined)
    throw new CmpFault('badRequest', `certConf: expected one CertStatus, found ${content.length}`);
  checkCertReqId(status.certReqId, row, settings);
  if (status.hashAlg !== undefined && message.header.pvno !== PVNO.cmp2021) {
    throw new CmpFault('badRequest', 'certConf: expected hashAlg in version 3 alone');
  }
  const outcome = outcomeOf(status);
  const der = row.certificate === null ? undefined : await certificateDer(store, row.tenant, row.certificate);
  if (der === undefined) throw new InternalError('a transaction awaits the confirmation of no certificate');
  if (!octetsEqual(status.certHash, certificateHash(der, status.hashAlg))) {
    throw new CmpFault('badCertId', 'certConf: expected the hash of the certificate', 'not-found');
  }
  return outcome;
}

/** What a confirmation means for its certificate, in the unit that notes it: what is rejected is revoked. */
export async function settleConfirmation(
  tx: Unit,
  row: TransactionRow,
  outcome: ConfirmationOutcome,
  at: number,
): Promise<void> {
  if (outcome !== 'rejected' || row.certificate === null) return;
  await revokeCertificate(tx, {
    tenant: row.tenant,
    certificateId: row.certificate,
    reason: 'cessationOfOperation',
    actor: `device:${row.owner}`,
    at,
    details: { cause: 'rejected by the device', protocol: 'cmp', transactionId: row.transaction_id },
  });
}

/** RFC 9483 §4.1.4: -1 after p10cr; OpenSSL before 3.1 confirms with 0. */
function checkCertReqId(found: number, { body }: TransactionRow, { conformance }: Exchange['settings']): void {
  const expected = body === 'p10cr' ? NO_CERT_REQ_ID : 0;
  if (found === expected || (found === 0 && conformance === 'tolerant')) return;
  throw new CmpFault('badRequest', `certConf: expected certReqId ${expected}, found ${found}`);
}

function outcomeOf({ statusInfo }: CertStatus): ConfirmationOutcome {
  switch (statusInfo?.status ?? PKI_STATUS.accepted) {
    case PKI_STATUS.accepted:
      if (statusInfo?.failInfo === undefined) return 'accepted';
      throw new CmpFault('badRequest', 'certConf: expected no failInfo beside the status accepted');
    case PKI_STATUS.rejection:
      return 'rejected';
    default:
      throw new CmpFault('badRequest', 'certConf: expected the status accepted or rejection');
  }
}

/** RFC 9810 §5.3.18: the hash of the certificate's signature, unless hashAlg names another (RFC 9481 §3 for EdDSA). */
function certificateHash(der: Uint8Array, hashAlg: AlgorithmIdentifier | undefined): Uint8Array {
  if (hashAlg !== undefined) {
    if (!hasNoParameters(hashAlg))
      throw new CmpFault('badAlg', 'certConf: expected hashAlg without parameters', 'bad-algorithm');
    return createHash(oneWayFunctionOf(hashAlg)).update(der).digest();
  }
  const parameters: SignatureParameters = SIGNATURE_ALGORITHMS[parseCertificate(der).signatureAlgorithm];
  switch (parameters.key) {
    case 'rsa':
    case 'ec':
      return createHash(parameters.hash).update(der).digest();
    case 'ed25519':
    case 'ml-dsa':
      return createHash('sha512').update(der).digest();
    case 'ed448':
      return createHash('shake256', { outputLength: 64 }).update(der).digest();
  }
}
