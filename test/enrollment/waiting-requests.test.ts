import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import { waitingRequest } from '../../core/enrollment/waiting-requests.ts';
import { parseCertificationRequest, requestToKeep } from '../../core/x509/certification-request.ts';
import type { Fingerprints } from '../../core/x509/fingerprints.ts';
import { ENGINES } from '../support/stores.ts';
import { makeCsr } from '../support/test-pki.ts';
import { OPEN_ENDPOINT, Site, type SiteTenant } from './site.ts';

function digests(der: Uint8Array): Fingerprints {
  const hex = (algorithm: string): string => createHash(algorithm).update(der).digest('hex');
  return { md5: hex('md5'), sha1: hex('sha1'), sha256: hex('sha256') };
}

describe.each(ENGINES)('fingerprints of requests that wait, on %s', (engine) => {
  let site: Site;
  let acme: SiteTenant;
  let endpoint: Endpoint;

  beforeAll(async () => {
    site = await Site.open(engine);
    acme = await site.tenant('acme');
    endpoint = await site.endpoint(acme, { ...OPEN_ENDPOINT, approval: 'manual' });
  });

  afterAll(() => site[Symbol.asyncDispose]());

  it('are those of the request as it came, also where it is kept without its challenge password', async () => {
    const csr = makeCsr({ subject: 'CN=router', challengePassword: 'geheim' }).der;
    const parsed = parseCertificationRequest(csr);
    const kept = requestToKeep(parsed);
    const { enrollmentId } = await site.enroll(endpoint, { csr, der: kept, received: csr });
    expect(await waitingRequest(site.store, acme.id, enrollmentId!)).toEqual({
      request: digests(csr),
      publicKey: digests(parsed.publicKey.der),
    });
    expect(digests(kept)).not.toEqual(digests(csr));
  });

  it('are none of a key that is made here', async () => {
    const csr = makeCsr({ subject: 'CN=made-here' }).der;
    const { enrollmentId } = await site.enroll(endpoint, { csr, proofOfPossession: 'server-generated' });
    const found = await waitingRequest(site.store, acme.id, enrollmentId!);
    expect(found).toEqual({ request: digests(csr), publicKey: undefined });
  });

  it('are not kept where nobody is asked, nor shown to another tenant', async () => {
    const automatic = await site.endpoint(acme, OPEN_ENDPOINT);
    const issued = await site.enroll(automatic);
    expect(issued.kind).toBe('issued');
    expect(await waitingRequest(site.store, acme.id, issued.enrollmentId!)).toBeUndefined();
    const other = await site.tenant('other');
    const pending = await site.enroll(endpoint);
    expect(await waitingRequest(site.store, acme.id, pending.enrollmentId!)).toBeDefined();
    expect(await waitingRequest(site.store, other.id, pending.enrollmentId!)).toBeUndefined();
  });
});
