import { hostname } from 'node:os';
import type { Configuration } from '../configuration/configuration.ts';
import type { DeviceUrls } from '../enrollment-guide/guide-facts.ts';

/** Where devices reach the listeners: as configured, else by this host's name and the port that is listened on. */
export function deviceUrls(
  { publicUrls }: Pick<Configuration, 'publicUrls'>,
  port: (listener: keyof DeviceUrls) => number,
): DeviceUrls {
  return {
    plain: publicUrls.plain ?? `http://${hostname()}:${port('plain')}`,
    mtls: publicUrls.mtls ?? `https://${hostname()}:${port('mtls')}`,
    tls: publicUrls.tls ?? `https://${hostname()}:${port('tls')}`,
  };
}
