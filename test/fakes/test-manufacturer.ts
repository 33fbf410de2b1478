import type { KeyObject } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodePem } from '../../core/x509/pem.ts';
import {
  type AuthorityOptions,
  type CertificateOptions,
  type IssuedCertificate,
  TestAuthority,
  type TestKeyKind,
} from '../support/test-pki.ts';

/** A device as it leaves the factory: its IDevID (IEEE 802.1AR) with the key, and what it sends besides. */
export interface FactoryDevice {
  readonly serialNumber: string;
  readonly idevid: IssuedCertificate;
  /** IDevID, then the intermediate: what it presents; the root is what a registrar has to know. */
  readonly chain: readonly Uint8Array[];
}

/** Where the files of a device are, all PEM. */
export interface FactoryDeviceFiles {
  readonly folder: string;
  /** The IDevID alone. */
  readonly certificate: string;
  /** PKCS #8, not encrypted. */
  readonly key: string;
  /** The intermediate alone. */
  readonly intermediate: string;
  /** IDevID and intermediate: what `openssl s_client -cert_chain`, curl and `openssl cmp -cert` send. */
  readonly chain: string;
  /** The manufacturer's root: an anchor of purpose `idevid`. */
  readonly root: string;
}

/** When the world of this manufacturer begins and, as IEEE 802.1AR §8.6 has it, never ends. */
const FOUNDED = new Date('2020-01-01T00:00:00Z');
const FOREVER = new Date('9999-12-31T23:59:59Z');

/** A manufacturer of network devices: a root, an intermediate for the production line, and devices with IDevIDs. */
export class TestManufacturer {
  readonly name: string;
  readonly root: TestAuthority;
  readonly intermediate: TestAuthority;

  constructor(options: { name?: string; root?: AuthorityOptions; intermediate?: AuthorityOptions } = {}) {
    this.name = options.name ?? 'Example Networks';
    const validity = { notBefore: FOUNDED, notAfter: FOREVER };
    this.root = TestAuthority.root({ name: `CN=${this.name} Root,O=${this.name}`, ...validity, ...options.root });
    this.intermediate = this.root.intermediate({
      name: `CN=${this.name} Line 1,O=${this.name}`,
      pathLength: 0,
      ...validity,
      ...options.intermediate,
    });
  }

  /** A device whose IDevID names it by the subject's serialNumber, without key usage beyond signing, valid for ever. */
  device(serialNumber: string, options: CertificateOptions = {}): FactoryDevice {
    const idevid = this.intermediate.leaf({
      subject: `serialNumber=${serialNumber},CN=${serialNumber},O=${this.name}`,
      notBefore: FOUNDED,
      notAfter: FOREVER,
      ...options,
    });
    return { serialNumber, idevid, chain: [idevid.der, this.intermediate.der] };
  }

  /** Writes a device's certificate, key and chain and the root into `<folder>/<serial number>/`. */
  async writeFiles(device: FactoryDevice, folder: string): Promise<FactoryDeviceFiles> {
    const own = join(folder, device.serialNumber);
    await mkdir(own, { recursive: true });
    const write = async (name: string, text: string): Promise<string> => {
      const path = join(own, name);
      await writeFile(path, text, { mode: 0o600 });
      return path;
    };
    return {
      folder: own,
      certificate: await write('idevid.pem', pem(device.idevid.der)),
      key: await write('idevid.key', keyPem(device.idevid.privateKey)),
      intermediate: await write('intermediate.pem', pem(this.intermediate.der)),
      chain: await write('chain.pem', device.chain.map(pem).join('')),
      root: await write('root.pem', pem(this.root.der)),
    };
  }
}

/** A manufacturer of the last decade: RSA keys throughout, as many fielded devices have them. */
export function rsaManufacturer(key: TestKeyKind = 'rsa-2048'): TestManufacturer {
  return new TestManufacturer({ name: 'Example Legacy', root: { key }, intermediate: { key } });
}

function pem(der: Uint8Array): string {
  return encodePem('CERTIFICATE', der);
}

function keyPem(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }) as string;
}
