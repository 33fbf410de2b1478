import { constants, privateDecrypt } from 'node:crypto';
import forge from 'node-forge';

import {
  type Asn1,
  children,
  contextTag,
  der,
  fromDer,
  latin1,
  NotAsExpected,
  octetsOf,
  oidOf,
} from './scep-cisco-asn1.ts';
import {
  type CiscoCertificate,
  type CiscoDigest,
  DIGESTS,
  readCertificate,
  rsaKeyOf,
} from './scep-cisco-certificate.ts';
import {
  CIPHERS,
  type CiscoCipher,
  type CiscoSigner,
  contentOctets,
  issuerAndSerialNumber,
  OIDS,
} from './scep-cisco-messages.ts';

/** A SignedData whose signature is right. */
export interface CheckedMessage {
  readonly digest: CiscoDigest;
  readonly content: string;
  /** Values of the signed attributes, by dotted OID: content octets. */
  readonly attributes: ReadonlyMap<string, string>;
  readonly certificates: readonly CiscoCertificate[];
}

/** The certificates of a degenerate SignedData, in the order they came, and how many CRLs there were. */
export function readCertsOnly(octets: string): { readonly certificates: CiscoCertificate[]; readonly crls: string[] } {
  const fields = children(contentOf(octets, OIDS.signedData));
  return {
    certificates: (contextTag(fields, 0) === undefined ? [] : children(contextTag(fields, 0))).map((each) =>
      readCertificate(der(each)),
    ),
    crls: (contextTag(fields, 1) === undefined ? [] : children(contextTag(fields, 1))).map(der),
  };
}

/** Reads a SignedData and checks its one signature with the certificate of the signer, which the client knows already. */
export function checkMessage(octets: string, signer: CiscoCertificate): CheckedMessage {
  const fields = children(contentOf(octets, OIDS.signedData));
  const signerInfos = children(fields.at(-1));
  if (signerInfos.length !== 1) throw new NotAsExpected(`one signer, found ${signerInfos.length}`);
  const [version, sid, digestAlgorithm, ...rest] = children(signerInfos[0]);
  const [signedAttributes, signatureAlgorithm, signature] = rest;
  if (octetsOf(version) !== '\x01') throw new NotAsExpected('a SignerInfo of version 1');
  if (der(sid!) !== der(issuerAndSerialNumber(signer)))
    throw new NotAsExpected('a signature of the RA that was looked up');
  const digest = nameOf(DIGESTS, (facts) => facts.digest === oidOf(children(digestAlgorithm)[0]), 'a digest');
  // PKCS #7 1.5 had the algorithm of the key here; CMS has that of the signature.
  const named = oidOf(children(signatureAlgorithm)[0]);
  if (named !== OIDS.rsaEncryption && named !== DIGESTS[digest].withRsa) throw new NotAsExpected('an RSA signature');
  const content = encapsulated(children(fields[2]));
  const attributes = attributesOf(signedAttributes);
  if (attributes.get(OIDS.messageDigest) !== forge.md[digest].create().update(content).digest().getBytes()) {
    throw new NotAsExpected('the messageDigest of the content');
  }
  // RFC 5652 §5.4: what is signed is the SET OF, not the [0] that it is sent as.
  const toBeSigned = `\x31${der(signedAttributes!).slice(1)}`;
  const signedDigest = forge.md[digest].create().update(toBeSigned).digest().getBytes();
  if (!rsaKeyOf(signer).verify(signedDigest, octetsOf(signature))) throw new NotAsExpected('a signature that is right');
  return { digest, content, attributes, certificates: readCertsOnly(octets).certificates };
}

/** What an EnvelopedData held, and how it was encrypted. */
export interface OpenedEnvelope {
  readonly content: string;
  readonly cipher: CiscoCipher;
}

/**
 * Opens the envelope of a reply. CSCuw41120: IOS finds its key by comparing the octets of issuer and serial number with those of
 * its own certificate, not their values.
 */
export function openEnvelope(octets: string, { privateKey, certificate }: CiscoSigner): OpenedEnvelope {
  const fields = children(contentOf(octets, OIDS.envelopedData));
  const recipients = children(fields[1]);
  if (recipients.length !== 1) throw new NotAsExpected(`one recipient, found ${recipients.length}`);
  const [, rid, keyEncryption, encryptedKey] = children(recipients[0]);
  if (der(rid!) !== der(issuerAndSerialNumber(certificate))) throw new NotAsExpected('my own issuer and serial number');
  if (oidOf(children(keyEncryption)[0]) !== OIDS.rsaEncryption) throw new NotAsExpected('PKCS #1 v1.5 key transport');
  const [, algorithm, encrypted] = children(fields[2]);
  const [cipherOid, iv] = children(algorithm);
  const cipher = nameOf(CIPHERS, (facts) => facts.oid === oidOf(cipherOid), 'a cipher');
  const padding = constants.RSA_PKCS1_PADDING;
  const key = privateDecrypt({ key: privateKey, padding }, latin1(octetsOf(encryptedKey))).toString('latin1');
  const decryption = forge.cipher.createDecipher(CIPHERS[cipher].forge, key);
  decryption.start({ iv: octetsOf(iv) });
  decryption.update(forge.util.createBuffer(pieces(encrypted!)));
  if (!decryption.finish()) throw new NotAsExpected('CBC padding');
  return { content: decryption.output.getBytes(), cipher };
}

function contentOf(octets: string, type: string): Asn1 {
  const [contentType, content] = children(fromDer(octets));
  if (oidOf(contentType) !== type) throw new NotAsExpected(`content of type ${type}`);
  return children(content)[0]!;
}

/** An OCTET STRING in one piece, or in several as BER has it. */
function pieces(value: Asn1): string {
  return typeof value.value === 'string' ? value.value : value.value.map(pieces).join('');
}

function encapsulated(fields: readonly Asn1[]): string {
  const content = contextTag(fields, 0);
  return content === undefined ? '' : octetsOf(children(content)[0]);
}

/** Each of them once, with one value (RFC 8894 §3.2.1); sscep exits on anything else, and so does this. */
function attributesOf(signedAttributes: Asn1 | undefined): Map<string, string> {
  const attributes = new Map<string, string>();
  for (const attribute of children(signedAttributes)) {
    const [type, values] = children(attribute);
    if (attributes.has(oidOf(type)) || children(values).length !== 1) throw new NotAsExpected('each attribute once');
    const value = children(values)[0]!;
    if (typeof value.value === 'string') attributes.set(oidOf(type), contentOctets(der(value)));
  }
  return attributes;
}

function nameOf<K extends string, F>(table: Record<K, F>, matches: (facts: F) => boolean, what: string): K {
  const found = (Object.keys(table) as K[]).find((name) => matches(table[name]));
  if (found === undefined) throw new NotAsExpected(`${what} that I know`);
  return found;
}
