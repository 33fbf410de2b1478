import { afterAll, beforeAll } from 'vitest';

import { CmpSite } from '../fakes/cmp-site.ts';
import { baseStationRows } from './cmp-conformance/base-stations.ts';
import { confirmationRows } from './cmp-conformance/confirmation.ts';
import { enrolmentRows } from './cmp-conformance/enrolment.ts';
import { headerRows } from './cmp-conformance/header.ts';
import { keyDeliveryRows } from './cmp-conformance/key-delivery.ts';
import { pollingRows } from './cmp-conformance/polling.ts';
import { protectionRows } from './cmp-conformance/protection.ts';
import { registrationAuthorityRows } from './cmp-conformance/registration-authority.ts';
import { supportRows } from './cmp-conformance/support.ts';
import { tenantRows } from './cmp-conformance/tenants.ts';
import { transportRows } from './cmp-conformance/transport.ts';

// The requirements CM-1 to CM-69 (RFC 9810, RFC 9811, RFC 9483), row by row, at one server: what each row sets stays its own.
let site: CmpSite;
beforeAll(async () => {
  site = await CmpSite.start();
});
afterAll(async () => site[Symbol.asyncDispose]());

headerRows(() => site);
transportRows(() => site);
protectionRows(() => site);
enrolmentRows(() => site);
confirmationRows(() => site);
supportRows(() => site);
registrationAuthorityRows(() => site);
pollingRows(() => site);
keyDeliveryRows(() => site);
baseStationRows(() => site);
tenantRows(() => site);
