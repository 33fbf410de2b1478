import { appendAudit } from '../../core/audit/log.ts';
import type { EvidenceType } from '../../core/enrollment/attestation-policy.ts';
import type { Appraisal } from '../../core/enrollment/ports.ts';
import type { Store } from '../../core/store/store.ts';
import { spkiSha256 } from '../../core/x509/public-key.ts';
import type { AccountKey } from './account-key.ts';
import { keyAuthorization } from './challenges.ts';
import type { AcmeDependencies, Call } from './dependencies.ts';
import { type DeviceIdentifierType, isProved } from './device-identifier.ts';
import { problemOf } from './errors.ts';
import { fromBase64url, type JsonObject, optionalString } from './json.ts';
import { AcmeProblem, problemDocument } from './problem.ts';
import { markAttested } from './statements.ts';
import type { AuthorizationRow } from './tables.ts';

/** What a proof by evidence stands on. */
export type DeviceProofDependencies = Pick<AcmeDependencies, 'gate' | 'attestationFormat' | 'observer'> & {
  readonly store: Store;
};

/** An answer to device-attest-01. */
export interface DeviceProof {
  readonly row: AuthorizationRow;
  readonly payload: JsonObject;
  /** Of the account: evidence is fresh for its key authorization. */
  readonly key: Pick<AccountKey, 'thumbprint'>;
}

/** What the evidence of each format is called by the gate. */
const EVIDENCE: Readonly<Record<string, EvidenceType>> = {
  tpm: 'acme-tpm',
  step: 'acme-step',
  apple: 'acme-apple',
  'android-key': 'acme-android-key',
};
const MAX_OBJECT_OCTETS = 48_000;

/**
 * Answers device-attest-01 (draft-ietf-acme-device-attest §5): the gate appraises the attestation object, which must be fresh for the
 * key authorization and prove the identifier. What it proves is kept with the key it attests; a refusal ends the authorization
 * and is its problem. What throws is a part that is away, or evidence that cannot be asked about here.
 */
export async function proveDevice(parts: DeviceProofDependencies, call: Call, proof: DeviceProof): Promise<void> {
  let appraisal: Appraisal;
  try {
    appraisal = await appraised(parts, call, proof);
    requireProved(appraisal, proof.row);
  } catch (error) {
    const problem = problemOf(error);
    if (problem.type !== 'badAttestationStatement') throw error;
    return decide(parts, proof.row, { problem });
  }
  return decide(parts, proof.row, { appraisal });
}

async function appraised(
  { gate, attestationFormat }: DeviceProofDependencies,
  { endpoint }: Call,
  { row, payload, key }: DeviceProof,
): Promise<Appraisal> {
  if (gate === undefined) throw new AcmeProblem('malformed', 'no evidence is taken here', { status: 501 });
  const bytes = objectOf(payload);
  const format = attestationFormat(bytes);
  if (format === undefined) throw refused('attObj: expected a CBOR attestation object');
  const type = Object.hasOwn(EVIDENCE, format) ? EVIDENCE[format] : undefined;
  if (type === undefined) throw refused(`attObj: expected the format ${Object.keys(EVIDENCE).join(', ')}`);
  const nonce = Buffer.from(keyAuthorization(row.token, key.thumbprint), 'ascii');
  const lifetimeSeconds = Math.ceil((row.expires_at - row.created_at) / 1000);
  return gate.preAppraise({ type, bytes, nonce }, endpoint, { lifetimeSeconds });
}

/** Unknown members are not looked at. */
function objectOf(payload: JsonObject): Uint8Array {
  if (Object.hasOwn(payload, 'error')) throw refused('the client could not attest the device');
  const text = optionalString(payload, 'attObj');
  if (text === undefined || text === '') throw refused('attObj: expected an attestation object in base64url');
  const bytes = fromBase64url(text.replace(/={1,2}$/, ''), 'attObj');
  if (bytes.length > MAX_OBJECT_OCTETS) throw refused(`attObj: expected at most ${MAX_OBJECT_OCTETS} octets`);
  return bytes;
}

function requireProved(appraisal: Appraisal, { type, value }: AuthorizationRow): void {
  const { verdict, findings, attestedPublicKey, identifiers } = appraisal;
  if (verdict !== 'affirmed') throw refused(`attestation refused: ${findings.join(', ')}`);
  if (attestedPublicKey === undefined) throw refused('attestation refused: key-none-attested');
  if (!isProved(type as DeviceIdentifierType, value, identifiers))
    throw refused('the evidence proves another identifier than that of the authorization');
}

type Decision = { readonly appraisal: Appraisal } | { readonly problem: AcmeProblem };

async function decide(
  { store, observer }: DeviceProofDependencies,
  row: AuthorizationRow,
  decision: Decision,
): Promise<void> {
  const now = store.clock.now();
  const { tenant, id } = row;
  const proved = 'appraisal' in decision ? decision.appraisal : undefined;
  const error = 'problem' in decision ? JSON.stringify(problemDocument(decision.problem)) : null;
  await store.unit(async (tx) => {
    const changed = await tx.affected(markAttested, {
      tenant,
      id,
      verdict: proved === undefined ? 'invalid' : 'valid',
      evidence: proved?.evidenceId ?? null,
      attestedKey: proved?.attestedPublicKey === undefined ? null : spkiSha256(proved.attestedPublicKey),
      error,
      validatedAt: proved === undefined ? null : now,
      expiresAt: row.expires_at,
      now,
    });
    if (changed !== 1) return;
    tx.onCommitted(() => observer.validated(proved === undefined ? 'invalid' : 'valid', lookOf(row, decision)));
    await appendAudit(tx, {
      tenant,
      at: now,
      actor: `device:acme-account ${row.account}`,
      action: proved === undefined ? 'acme-authorization.refused' : 'acme-authorization.validated',
      object: `acme-authorization:${id}`,
      outcome: proved === undefined ? 'refused' : 'success',
      details: {
        endpoint: row.endpoint,
        name: `${row.type}:${row.value}`,
        challenge: 'device-attest-01',
        ...(proved !== undefined && { evidence: proved.evidenceId }),
      },
    });
  });
}

function lookOf({ label, type, value }: AuthorizationRow, decision: Decision) {
  const fault = 'problem' in decision ? { problem: decision.problem.type } : {};
  return { challenge: 'device-attest-01' as const, label, name: `${type}:${value}`, ...fault };
}

function refused(message: string): AcmeProblem {
  return new AcmeProblem('badAttestationStatement', message);
}
