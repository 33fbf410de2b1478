/** What a guide can be asked for. `any`: the values alone, for a device that is not of the list. */
export const PLATFORM_NAMES = [
  'any',
  'ios-xe',
  'ios',
  'ios-xr',
  'nx-os',
  'asa',
  'junos',
  'panos',
  'fortios',
  'eos',
  'aos-cx',
  'sr-os',
  'vrp',
  'routeros',
  'windows',
  'openssl',
  'curl',
  'lego',
  'certmonger',
  'strongswan',
] as const;
export type PlatformName = (typeof PLATFORM_NAMES)[number];
