import { CliError, EXIT } from '../exit-code.ts';
import type { Session } from '../session.ts';

/** The id of a certificate that was named by its serial number (with or without colons) or by its id. */
export async function certificateId(session: Session, named: string): Promise<string> {
  const serialNumber = named.toLowerCase().replaceAll(':', '');
  if (!/^[0-9a-f]{1,40}$/.test(serialNumber)) return encodeURIComponent(named);
  const { items } = await session.client().list<{ id: string }>('/certificates', { serialNumber }, 2);
  const [only, another] = items;
  if (only !== undefined && another === undefined) return only.id;
  const found = only === undefined ? 'no certificate has' : 'several certificates have';
  throw new CliError(EXIT.usage, `${found} the serial number ${serialNumber}`, 'name it by its id');
}
