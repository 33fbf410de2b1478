import { type Certificate, subjectAltName } from '../../../core/x509/certificate.ts';
import { toHex } from '../../../core/x509/octets.ts';
import { type HardwareModuleName, hardwareModuleNameOf } from '../../../core/x509/other-name.ts';

/** The HardwareModuleNames (RFC 4108 §5) of a certificate's subjectAltName. Throws Asn1Error where one is malformed. */
export function hardwareModuleNames(certificate: Certificate): readonly HardwareModuleName[] {
  return subjectAltName(certificate).flatMap((name) => {
    const module = name.kind === 'otherName' ? hardwareModuleNameOf(name.value) : undefined;
    return module === undefined ? [] : [module];
  });
}

/** A serial number as an operator reads it off the label: the text that the octets are where they are printable ASCII, else hex. */
export function hardwareSerialText(octets: Uint8Array): string {
  const isPrintable = octets.length > 0 && octets.every((octet) => octet > 0x20 && octet < 0x7f);
  return isPrintable ? Buffer.from(octets).toString('latin1') : toHex(octets);
}
