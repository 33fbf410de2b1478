import type { Certificate } from '../../../core/x509/certificate.ts';
import { attributeTexts, commonNames } from '../../../core/x509/name.ts';
import { ATTRIBUTE_TYPE } from '../../../core/x509/oids.ts';
import type { HardwareModuleName } from '../../../core/x509/other-name.ts';
import type { SerialExtractor } from '../anchors.ts';
import { EvidenceFault } from '../findings.ts';
import { hardwareSerialText } from './hardware-module.ts';

/** What a manufacturer's certificate says of the device. */
export interface DeviceSerial {
  readonly serialNumber: string;
  /** Where the serial number's field holds the model as well. */
  readonly model: string | undefined;
}

/** RFC 5280 appendix A.1, ub-serial-number; and more than any label holds. */
const MAX_CHARACTERS = 64;

/** Cisco SUDI: `PID:C9300-48U SN:FCW2233G0AB`. */
const PID_SN = /^PID:(\S+) +SN:(\S+) *$/;

/**
 * The serial number of the device where its manufacturer writes it (RFC 8995 §2.3.1): exactly one, of 1 to 64 characters.
 * @throws EvidenceFault `idevid-serial-number`
 */
export function extractSerialNumber(
  extractor: SerialExtractor,
  { subject }: Certificate,
  modules: readonly HardwareModuleName[],
): DeviceSerial {
  switch (extractor.kind) {
    case 'subject-serial-number':
      return serial(onlyOne(attributeTexts(subject, ATTRIBUTE_TYPE.serialNumber), 'serialNumber in the subject'));
    case 'common-name-prefix': {
      const { prefix } = extractor;
      const fitting = commonNames(subject).filter((name) => name.startsWith(prefix));
      return serial(onlyOne(fitting, `CN that begins with ${prefix}`).slice(prefix.length));
    }
    case 'hardware-module-name':
      return serial(hardwareSerialText(onlyOne(modules, 'HardwareModuleName').hwSerialNum));
    case 'pid-sn':
      return serialWithModel(
        onlyOne(attributeTexts(subject, ATTRIBUTE_TYPE.serialNumber), 'serialNumber in the subject'),
      );
  }
}

function serialWithModel(text: string): DeviceSerial {
  const [, model, serialNumber] = PID_SN.exec(text) ?? [];
  if (serialNumber === undefined)
    throw fault('PID:… SN:… in serialNumber', JSON.stringify(text.slice(0, MAX_CHARACTERS)));
  return serial(serialNumber, model);
}

function serial(serialNumber: string, model?: string): DeviceSerial {
  if (serialNumber.length > 0 && serialNumber.length <= MAX_CHARACTERS) return { serialNumber, model };
  throw fault(`1 to ${MAX_CHARACTERS} characters`, `${serialNumber.length}`);
}

// Of two, either could be the device: whoever asked for the certificate might have added one.
function onlyOne<T>(found: readonly T[], what: string): T {
  const [first, ...others] = found;
  if (first !== undefined && others.length === 0) return first;
  throw fault(`one ${what}`, `${found.length}`);
}

function fault(expected: string, found: string): EvidenceFault {
  return new EvidenceFault('idevid-serial-number', `expected ${expected}, found ${found}`);
}
