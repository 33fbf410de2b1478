import { randomBytes } from 'node:crypto';

import type { ServiceIdentity } from '../../core/authority/service-identities.ts';
import type { Endpoint } from '../../core/enrollment/endpoint.ts';
import type { CmpSettings } from '../../core/enrollment/cmp-settings.ts';
import { subjectKeyIdentifier } from '../../core/x509/certificate.ts';
import type { GeneralName } from '../../core/x509/general-name.ts';
import { EMPTY_NAME, type Name } from '../../core/x509/name.ts';
import { algorithmIdentifier } from '../../core/x509/signature-algorithm.ts';
import { decode } from '../../core/asn1/codec.ts';
import { algorithmIdentifierSchema } from '../../core/cms/algorithm-identifier.ts';
import type { CmpDependencies } from './dependencies.ts';
import type { Answer } from './exchange.ts';
import { computeMac } from './mac-function.ts';
import { answeringScheme } from './mac-scheme.ts';
import { PVNO, type PkiHeader } from './pki-header.ts';
import { encodePkiMessage, encodeUnprotected } from './pki-message.ts';
import type { AnswerProtection } from './sender.ts';

/** Octets of senderNonce and of transactionIDs made here (RFC 9483 §3.1). */
const NONCE_OCTETS = 16;

/** What of a request its answer takes up. */
export interface Addressee {
  readonly endpoint: Endpoint;
  readonly settings: CmpSettings;
  /** Undefined where the message could not be read so far. */
  readonly header: PkiHeader | undefined;
  readonly protection: AnswerProtection;
}

/** An answer ready to be sent. */
export interface SentAnswer {
  readonly der: Uint8Array;
  readonly senderNonce: Uint8Array;
}

type Addressing = Omit<PkiHeader, 'protectionAlg' | 'senderKID' | 'sender'>;

/** Builds and protects answers (RFC 9483 §3). */
export class Responder {
  readonly #dependencies: Pick<CmpDependencies, 'store' | 'authorities' | 'identities' | 'rollovers'>;

  constructor(dependencies: Pick<CmpDependencies, 'store' | 'authorities' | 'identities' | 'rollovers'>) {
    this.#dependencies = dependencies;
  }

  /** @throws UpstreamError when the token that signs answers is away */
  async answer(to: Addressee, answer: Answer): Promise<SentAnswer> {
    const { endpoint, protection } = to;
    const senderNonce = randomBytes(NONCE_OCTETS);
    const addressing = this.#addressing(to.header, answer, senderNonce);
    switch (protection.kind) {
      case 'none':
        return {
          der: unprotected({ ...addressing, sender: await this.#authorityName(endpoint) }, answer),
          senderNonce,
        };
      case 'mac':
        return { der: await this.#authenticated(to, protection, addressing, answer), senderNonce };
      case 'signature':
        return { der: await this.#signed(to, addressing, answer), senderNonce };
    }
  }

  #addressing(header: PkiHeader | undefined, answer: Answer, senderNonce: Uint8Array): Addressing {
    const now = this.#dependencies.store.clock.now();
    const asked = header?.pvno === PVNO.cmp2021 ? PVNO.cmp2021 : PVNO.cmp2000;
    return {
      // C4: clients hide the cause where a version comes that they did not ask for.
      pvno: answer.needsVersion3 === true ? PVNO.cmp2021 : asked,
      recipient: header !== undefined && isPlain(header.sender) ? header.sender : directoryName(EMPTY_NAME),
      messageTime: new Date(Math.floor(now / 1000) * 1000),
      transactionID: header?.transactionID ?? randomBytes(NONCE_OCTETS),
      senderNonce,
      recipNonce: header?.senderNonce,
      generalInfo: answer.generalInfo,
    };
  }

  async #authenticated(
    { endpoint, settings }: Addressee,
    protection: AnswerProtection & { readonly kind: 'mac' },
    addressing: Addressing,
    answer: Answer,
  ): Promise<Uint8Array> {
    const scheme = answeringScheme(protection.scheme);
    const header: PkiHeader = {
      ...addressing,
      sender: await this.#authorityName(endpoint),
      protectionAlg: { value: decode(algorithmIdentifierSchema, scheme.der), der: scheme.der },
      senderKID: protection.reference,
    };
    const message = encodeUnprotected(header, answer.body);
    const mac = computeMac(scheme.mac, protection.key, message.protectedPart);
    const chain = holdsCertificate(answer) ? await this.#issuingChain(endpoint, settings) : [];
    return encodePkiMessage(message, mac, chain);
  }

  async #signed({ endpoint, settings }: Addressee, addressing: Addressing, answer: Answer): Promise<Uint8Array> {
    const { tenant, authority } = endpoint;
    const identity = await this.#dependencies.identities.current(tenant, authority, 'cmp');
    const { certificate, key } = identity;
    const algorithm = algorithmIdentifier(key.signatureAlgorithm);
    const header: PkiHeader = {
      ...addressing,
      sender: directoryName(certificate.subject),
      protectionAlg: { value: decode(algorithmIdentifierSchema, algorithm), der: algorithm },
      // C5: the key that signed, and never the identifier that the client sent.
      senderKID: subjectKeyIdentifier(certificate),
    };
    const message = encodeUnprotected(header, answer.body);
    const signature = await key.sign(message.protectedPart, { tenant });
    // Whoever trusts the root before this one alone gets from it to this one.
    const bridges = await this.#dependencies.rollovers.bridges(tenant, authority);
    return encodePkiMessage(message, signature, [...extraCertsOf(identity, settings), ...bridges]);
  }

  async #issuingChain({ tenant, authority }: Endpoint, settings: CmpSettings): Promise<readonly Uint8Array[]> {
    return withoutRoot(await this.#dependencies.authorities.caCertificates(tenant, authority), settings);
  }

  async #authorityName({ tenant, authority }: Endpoint): Promise<GeneralName> {
    return directoryName((await this.#dependencies.authorities.issuer(tenant, authority)).subject);
  }
}

function unprotected(header: PkiHeader, { body }: Answer): Uint8Array {
  return encodePkiMessage(encodeUnprotected(header, body), undefined, []);
}

/** RFC 9483 §3.3: the certificate of the protection first, then its chain; both CAs are the same here. */
function extraCertsOf({ certificate, chain }: ServiceIdentity, settings: CmpSettings): readonly Uint8Array[] {
  return [certificate.der, ...withoutRoot(chain, settings)];
}

/** RFC 9483 §3.3 leaves self-signed certificates out; base stations want them (C8). A CA that is its own root stays. */
function withoutRoot(chain: readonly Uint8Array[], { extraCerts }: CmpSettings): readonly Uint8Array[] {
  return extraCerts === 'with-root' || chain.length === 1 ? chain : chain.slice(0, -1);
}

function holdsCertificate({ body }: Answer): boolean {
  return body.kind === 'ip' || body.kind === 'cp' || body.kind === 'kup';
}

/** Whether a name is made of strings alone: what else it may hold nobody has decoded, and an answer vouches for its DER. */
function isPlain(name: GeneralName): boolean {
  switch (name.kind) {
    case 'directoryName':
      return name.value.rdns.every((rdn) => rdn.every(({ value }) => value.kind !== 'other'));
    case 'rfc822Name':
    case 'dnsName':
    case 'uri':
    case 'ipAddress':
    case 'registeredId':
      return true;
    case 'otherName':
    case 'x400Address':
    case 'ediPartyName':
      return false;
  }
}

function directoryName(value: Name): GeneralName {
  return { kind: 'directoryName', value };
}
