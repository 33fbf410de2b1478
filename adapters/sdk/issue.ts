import { createHash } from 'node:crypto';

import type { AuthorityDirectory } from '../../core/authority/directory.ts';
import type { CredentialVerifier } from '../../core/enrollment/credentials.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import type { StoredEndpoints } from '../../core/enrollment/endpoints.ts';
import type { Hall } from '../../core/enrollment/hall.ts';
import { StateError } from '../../core/errors/muster-error.ts';
import { certificateFingerprint, isSelfIssued, parseCertificate } from '../../core/x509/certificate.ts';
import {
  parseCertificationRequest,
  requestToKeep,
  verifyCertificationRequestAsync,
} from '../../core/x509/certification-request.ts';
import { EXTENSIONS } from '../../core/x509/extensions.ts';
import { generalNameToText } from '../../core/x509/general-name.ts';
import { attributeTexts } from '../../core/x509/name.ts';
import { ATTRIBUTE_TYPE, EXTENSION } from '../../core/x509/oids.ts';
import { decodePem, encodePem } from '../../core/x509/pem.ts';
import { DeviceFailure } from './failure.ts';
import type { Action } from './plan.ts';
import type { Values } from './render.ts';

/** What issues. */
export interface IssueParts {
  readonly endpoints: Pick<StoredEndpoints, 'list'>;
  readonly credentials: Pick<CredentialVerifier, 'plan'>;
  readonly hall: Pick<Hall, 'enroll'>;
  readonly authorities: Pick<AuthorityDirectory, 'caCertificates'>;
}

/** On whose behalf. */
export interface IssueCall {
  readonly tenant: string;
  readonly planId: string;
  readonly step: string;
  readonly device: string;
  readonly host: string;
}

/**
 * Has a request that was read from a device issued by the hall: once for a plan and a step, however often it is asked.
 * @throws DeviceFailure `csr-is-another`, `issue-refused` or `endpoint-closed`; StateError with a delay while an operator is
 *   waited for.
 */
export async function issueFor(
  parts: IssueParts,
  action: Extract<Action, { do: 'enroll' }>,
  call: IssueCall,
  csr: string,
): Promise<Values> {
  const endpoint = (await parts.endpoints.list(call.tenant)).find(({ label }) => label === action.endpoint);
  if (endpoint?.protocols.adapter === undefined)
    throw new DeviceFailure('endpoint-closed', `endpoint ${action.endpoint} is not open for adapters`);
  const asked = await requireExpected(csr, action);
  const outcome = await parts.hall.enroll({
    requestId: call.planId,
    endpoint,
    protocol: 'adapter',
    operation: 'enroll',
    requestKey: createHash('sha256').update(`${call.planId}\0${call.step}`).digest(),
    ...asked,
    proofOfPossession: 'signature',
    facts: [parts.credentials.plan(call.planId, call.device)],
    sourceAddress: call.host,
  });
  switch (outcome.kind) {
    case 'issued':
      return installed(outcome.certificateId, outcome.certificate, await chainOf(parts, endpoint));
    case 'pending': {
      const details = { retryAfterSeconds: outcome.retryAfterSeconds };
      throw new StateError('conflict', `the enrolment ${outcome.enrollmentId} waits for an operator`, details);
    }
    case 'rejected':
      throw new DeviceFailure('issue-refused', `${outcome.reason}: ${outcome.message}`);
  }
}

/** The request must say exactly what the plan asks for: the device is not who decides. */
async function requireExpected(csr: string, { commonName, names }: Extract<Action, { do: 'enroll' }>) {
  try {
    const [block] = decodePem(csr);
    const request = parseCertificationRequest(block!.der);
    const subjectAltName = EXTENSIONS.subjectAltName.find(request.requestedExtensions) ?? [];
    const [name, ...more] = attributeTexts(request.subject, ATTRIBUTE_TYPE.commonName);
    const asked = sortedNames(subjectAltName.map(generalNameToText));
    if (name !== commonName || more.length > 0 || request.subject.rdns.length !== 1 || asked !== sortedNames(names))
      throw new DeviceFailure('csr-is-another', `it names ${name ?? 'nobody'} ${asked}`.trimEnd());
    if (!(await verifyCertificationRequestAsync(request)))
      throw new DeviceFailure('csr-is-another', 'its signature does not verify');
    const { subject, publicKey, requestedExtensions } = request;
    return {
      subject,
      subjectAltName,
      requestedExtensions: requestedExtensions.filter(({ oid }) => oid !== EXTENSION.subjectAltName),
      publicKey,
      der: requestToKeep(request),
      received: request.der,
    };
  } catch (error) {
    if (error instanceof DeviceFailure) throw error;
    throw new DeviceFailure('csr-is-another', 'it cannot be read', error);
  }
}

function sortedNames(names: readonly string[]): string {
  return names
    .map((text) => text.toLowerCase())
    .toSorted()
    .join(' ');
}

/** Intermediates: who trusts the root has it, and who has not would not trust it for being sent. */
async function chainOf({ authorities }: IssueParts, { tenant, authority }: Endpoint): Promise<readonly Uint8Array[]> {
  const chain = await authorities.caCertificates(tenant, authority);
  return chain.filter((der) => !isSelfIssued(parseCertificate(der)));
}

function installed(certificateId: string, leaf: Uint8Array, chain: readonly Uint8Array[]): Values {
  const certificate = [leaf, ...chain].map((der) => encodePem('CERTIFICATE', der)).join('');
  return { certificate, certificateId, leaf: certificateFingerprint(leaf) };
}
