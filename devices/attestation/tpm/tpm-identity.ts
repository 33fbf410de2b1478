import type { GeneralName } from '../../../core/x509/general-name.ts';
import { attributeTexts } from '../../../core/x509/name.ts';

/** Which TPM a certificate is about, as its subjectAltName says (TCG EK Credential Profile §3.2.9). */
export interface TpmIdentity {
  /** TCG's id of the vendor: eight upper-case hex digits. */
  readonly manufacturer: string;
  /** Free text. */
  readonly model: string;
  /** The firmware's version in hex digits, upper case. */
  readonly version: string;
}

/** The attributes of the directory name, dotted. */
const TPM_ATTRIBUTE = {
  manufacturer: '2.23.133.2.1',
  model: '2.23.133.2.2',
  version: '2.23.133.2.3',
} as const;

/**
 * The TPM that a directoryName tells of: one RDN for each attribute, as TCG writes it, or all in one, as others do. Undefined
 * where a part is missing, malformed or there twice.
 */
export function tpmIdentityOf(names: readonly GeneralName[]): TpmIdentity | undefined {
  const directories = names.flatMap((name) => (name.kind === 'directoryName' ? [name.value] : []));
  const values = (type: string): string[] => directories.flatMap((name) => attributeTexts(name, type));
  const [manufacturer, ...moreManufacturers] = values(TPM_ATTRIBUTE.manufacturer);
  const [model, ...moreModels] = values(TPM_ATTRIBUTE.model);
  const [version, ...moreVersions] = values(TPM_ATTRIBUTE.version);
  if (moreManufacturers.length + moreModels.length + moreVersions.length > 0) return undefined;
  if (model === undefined || model === '') return undefined;
  const manufacturerId = hexAfterId(manufacturer, /^id:([0-9a-f]{8})$/i);
  const versionId = hexAfterId(version, /^id:([0-9a-f]{1,16})$/i);
  if (manufacturerId === undefined || versionId === undefined) return undefined;
  return { manufacturer: manufacturerId, model, version: versionId };
}

/** The vendor of an id in words, as TCG's registry has it; the id where the registry has none. */
export function manufacturerName(id: string): string {
  return MANUFACTURERS[id] ?? id;
}

function hexAfterId(text: string | undefined, form: RegExp): string | undefined {
  return form.exec(text ?? '')?.[1]?.toUpperCase();
}

/** TCG TPM Vendor ID Registry; the letters are the id itself in ASCII. */
const MANUFACTURERS: Readonly<Record<string, string>> = {
  '414D4400': 'AMD',
  '414E5400': 'Ant Group',
  '41544D4C': 'Atmel',
  '4252434D': 'Broadcom',
  '4353434F': 'Cisco',
  '464C5953': 'FlySlice',
  '524F4343': 'Fuzhou Rockchip',
  '474F4F47': 'Google',
  '48504900': 'HPI',
  '48504500': 'HPE',
  '48495349': 'Huawei',
  '49424D00': 'IBM',
  '49465800': 'Infineon',
  '494E5443': 'Intel',
  '4C454E00': 'Lenovo',
  '4D534654': 'Microsoft',
  '4E534D20': 'National Semiconductor',
  '4E545A00': 'Nationz',
  '4E534700': 'NSING',
  '4E544300': 'Nuvoton',
  '51434F4D': 'Qualcomm',
  '534D534E': 'Samsung',
  '53454345': 'SecEdge',
  '534E5300': 'Sinosun',
  '534D5343': 'SMSC',
  '53544D20': 'STMicroelectronics',
  '54584E00': 'Texas Instruments',
  '57454300': 'Winbond',
  '5345414C': 'Wisekey',
};
