import { expect, it } from 'vitest';

import { issuedBy, OPEN_ENDPOINT, Site } from '../enrollment/site.ts';
import { makeCsr } from '../support/test-pki.ts';

const ADAPTER = { ...OPEN_ENDPOINT, protocols: { adapter: { authenticators: ['adapter'] } } } as const;

it('a step of a plan gets one certificate, for the device of the plan and where the endpoint is open for it', async () => {
  await using site = await Site.open('sqlite');
  const tenant = await site.tenant();
  const open = await site.endpoint(tenant, ADAPTER);
  const csr = makeCsr({ subject: 'CN=gw-1' }).der;
  const ask = (device: string, endpoint = open, request = csr) =>
    site.hall.enroll(
      site.request(endpoint, [site.credentials.plan('plan-1', device)], {
        csr: request,
        protocol: 'adapter',
        requestKey: Buffer.from('plan-1/sign'),
      }),
    );
  const first = issuedBy(await ask('gw-1'));
  expect(await ask('gw-1')).toMatchObject({ certificateId: first.certificateId, replayed: true });
  expect(await ask('gw-2')).toMatchObject({ kind: 'rejected', reason: 'subject-mismatch' });
  expect(await ask('gw-1', tenant.endpoint)).toMatchObject({ kind: 'rejected', reason: 'not-authorized' });
});
