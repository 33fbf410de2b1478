import { Asn1Error } from '../../../core/asn1/asn1-error.ts';
import { decode } from '../../../core/asn1/codec.ts';
import { choice, integer, printableString, sequence, utf8String } from '../../../core/asn1/schema.ts';
import type { Certificate } from '../../../core/x509/certificate.ts';
import { findExtension } from '../../../core/x509/extensions.ts';
import { cborBytes, cborInteger, type CborMap, decodeCbor } from '../cbor.ts';
import { EvidenceFault } from '../findings.ts';
import type { AppraisalContext, Identifiers, VerifiedEvidence } from '../verifier.ts';
import { readingCbor, statementCertificates } from './attestation-object.ts';
import { statementPath } from './statement-path.ts';
import { verifyStatementSignature } from './statement-signature.ts';

/** Serial number of a YubiKey in its PIV attestation certificates. */
const YUBICO_SERIAL_NUMBER = '1.3.6.1.4.1.41482.3.7';
/** Smallstep's extension with the identifier of a managed device. */
const STEP_MANAGED_DEVICE = '1.3.6.1.4.1.37476.9000.64.4';

const managedDevice = sequence('StepManagedDevice', { deviceId: choice('DeviceID', { utf8String, printableString }) });

/**
 * Format `step`: a certificate that attests a key (YubiKey PIV, or of an attestation CA), and that key's signature over the key
 * authorization, as a CBOR byte string inside the byte string `sig`. The attested key is the certificate's. @throws EvidenceFault
 */
export async function appraiseStep(
  statement: CborMap,
  keyAuthorization: Uint8Array,
  context: AppraisalContext,
): Promise<VerifiedEvidence> {
  const chain = statementCertificates(statement);
  const { alg, signature } = readingCbor(() => ({
    alg: cborInteger(statement.get('alg'), 'alg'),
    signature: cborBytes(decodeCbor(cborBytes(statement.get('sig'), 'sig')), 'what sig holds'),
  }));
  const { isExpired } = await statementPath(chain, 'attestation-ca', context);
  const [{ publicKey }] = chain;
  verifyStatementSignature(publicKey, alg, keyAuthorization, signature);
  return {
    attestedPublicKey: publicKey,
    identifiers: identifiersOf(chain[0]),
    claims: {},
    findings: isExpired ? ['acme-certificate-expired'] : [],
  };
}

function identifiersOf({ extensions }: Certificate): Identifiers {
  try {
    const yubico = findExtension(extensions, YUBICO_SERIAL_NUMBER);
    if (yubico !== undefined) {
      return { 'serial-number': decode(integer, yubico.value).toString(), manufacturer: 'Yubico' };
    }
    const managed = findExtension(extensions, STEP_MANAGED_DEVICE);
    if (managed !== undefined) return { 'serial-number': decode(managedDevice, managed.value).deviceId.value };
  } catch (error) {
    if (!(error instanceof Asn1Error)) throw error;
    throw new EvidenceFault('acme-identifier-missing', error.message, { cause: error });
  }
  throw new EvidenceFault(
    'acme-identifier-missing',
    'expected the serial number of the device in the certificate, found none',
  );
}
