import { api, createPassword, type Installation, type Listed } from '../support/installation.ts';

/** An enrolment as the API shows it, as far as these tests look at it. */
export interface ScepEnrollment {
  readonly id: string;
  readonly status: string;
  readonly protocol: string;
  readonly deviceName: string;
  readonly serialNumber?: string;
}

/** Switches of an endpoint for SCEP, as the API takes them. */
export type ScepSwitches = Readonly<Record<string, unknown>>;

/** Opens an endpoint for SCEP; what it is opened for besides stays. */
export async function openScep(
  installation: Installation,
  label: string,
  scep: ScepSwitches = {},
  endpoint: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  await api(installation, 'PATCH', `/endpoints/${label}`, { protocols: { scep }, ...endpoint });
}

/** Makes an endpoint that is open for SCEP only, and answers its URL. */
export async function addScepEndpoint(
  installation: Installation,
  label: string,
  scep: ScepSwitches = {},
  endpoint: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  await api(installation, 'POST', '/endpoints', { label, protocols: { scep }, ...endpoint });
  return scepUrl(installation, label);
}

/** Where an endpoint speaks SCEP. */
export function scepUrl({ plain }: Pick<Installation, 'plain'>, label: string): string {
  return `${plain}/scep/${label}`;
}

/** A one-time challenge for an endpoint. */
export function challenge(installation: Installation, endpoint = 'default'): Promise<string> {
  return createPassword(installation, { endpoint });
}

/** The enrolments of a device, oldest first. */
export async function enrollmentsOf(
  installation: Installation,
  endpoint: string,
  deviceName: string,
): Promise<ScepEnrollment[]> {
  const path = `/enrollments?endpoint=${endpoint}&limit=500`;
  const { items } = await api<Listed<ScepEnrollment>>(installation, 'GET', path);
  return items.filter((enrollment) => enrollment.deviceName === deviceName);
}
