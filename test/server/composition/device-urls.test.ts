import { hostname } from 'node:os';
import { expect, it } from 'vitest';
import { deviceUrls } from '../../../server/composition/device-urls.ts';

it('devices are told the configured URLs, else the name of this host and the port that is listened on', () => {
  const ports = { plain: 1080, mtls: 1443, tls: 1444 };
  const publicUrls = { plain: 'http://pki.example/muster', mtls: undefined, tls: undefined, admin: undefined };
  expect(deviceUrls({ publicUrls }, (name) => ports[name])).toEqual({
    plain: 'http://pki.example/muster',
    mtls: `https://${hostname()}:1443`,
    tls: `https://${hostname()}:1444`,
  });
});
