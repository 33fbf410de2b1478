import type { PlatformName } from './platform-names.ts';
import type { Platform } from './platform.ts';
import { any } from './platforms/any.ts';
import { aosCx } from './platforms/aos-cx.ts';
import { asa } from './platforms/asa.ts';
import { certmonger } from './platforms/certmonger.ts';
import { curl } from './platforms/curl.ts';
import { eos } from './platforms/eos.ts';
import { fortios } from './platforms/fortios.ts';
import { iosXe } from './platforms/ios-xe.ts';
import { iosXr } from './platforms/ios-xr.ts';
import { ios } from './platforms/ios.ts';
import { junos } from './platforms/junos.ts';
import { lego } from './platforms/lego.ts';
import { nxOs } from './platforms/nx-os.ts';
import { openssl } from './platforms/openssl.ts';
import { panos } from './platforms/panos.ts';
import { routeros } from './platforms/routeros.ts';
import { srOs } from './platforms/sr-os.ts';
import { strongswan } from './platforms/strongswan.ts';
import { vrp } from './platforms/vrp.ts';
import { windows } from './platforms/windows.ts';

/** Every platform there is a guide for. */
export const PLATFORMS: Readonly<Record<PlatformName, Platform>> = {
  any,
  'ios-xe': iosXe,
  ios,
  'ios-xr': iosXr,
  'nx-os': nxOs,
  asa,
  junos,
  panos,
  fortios,
  eos,
  'aos-cx': aosCx,
  'sr-os': srOs,
  vrp,
  routeros,
  windows,
  openssl,
  curl,
  lego,
  certmonger,
  strongswan,
};
