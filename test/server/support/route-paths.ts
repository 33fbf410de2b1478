import type { SeededTenant } from './seed.ts';

/** Below these paths, an object of the seed. */
const OBJECTS: readonly (readonly [string, keyof SeededTenant])[] = [
  ['/devices/', 'device'],
  ['/enrollments/', 'enrollment'],
  ['/revocations/', 'batch'],
  ['/rollovers/', 'rollover'],
  ['/authorities/', 'authority'],
  ['/profiles/', 'profile'],
  ['/tenants/', 'tenant'],
  ['/certificates/', 'certificate'],
];

/** The URL of a route with ids of a tenant's objects in it; `none` where the seed has no such object. */
export function pathOf(url: string, ids: SeededTenant): string {
  const kind = OBJECTS.find(([below]) => url.includes(below))?.[1];
  return url
    .replace(':label', ids.endpoint)
    .replace(/:\w+/, kind === undefined ? 'none' : ids[kind])
    .replace(/:\w+/g, 'none');
}
