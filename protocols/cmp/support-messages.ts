import { keyAlgorithmIdentifier, keyKinds } from '../../core/authority/key-kinds.ts';
import { Asn1Error } from '../../core/asn1/asn1-error.ts';
import { decode, encode } from '../../core/asn1/codec.ts';
import {
  any,
  choice,
  explicit,
  implicit,
  optional,
  type Schema,
  sequence,
  sequenceOf,
  setOf,
  utf8String,
  oid,
  time,
} from '../../core/asn1/schema.ts';
import { NONCE_LIFETIME_SECONDS } from '../../core/enrollment/ports.ts';
import type { Profile } from '../../core/authority/profile.ts';
import { algorithmIdentifierSchema } from '../../core/cms/algorithm-identifier.ts';
import { FOREIGN } from '../../core/x509/foreign-limits.ts';
import { generalNamesSchema } from '../../core/x509/general-name.ts';
import { namesEqual } from '../../core/x509/name.ts';
import { parseCertificateList } from '../../core/x509/crl.ts';
import { encodeCertReqTemplate } from './cert-req-template.ts';
import type { CmpDependencies } from './dependencies.ts';
import { CmpFault } from './errors.ts';
import type { Answer, Exchange } from './exchange.ts';
import { decodeNonceRequest, encodeNonceResponse } from './freshness.ts';
import { readCertProfile } from './general-info.ts';
import { INFO_TYPE } from './oids.ts';
import type { BodyOf } from './pki-body.ts';
import type { InfoTypeAndValue } from './pki-header.ts';

// RFC 9810 §5.3.19.13: SEQUENCE SIZE (1..MAX) OF CRLStatus
const crlStatusList = sequenceOf(
  sequence('CRLStatus', {
    source: choice('CRLSource', {
      dpn: explicit(
        0,
        choice('DistributionPointName', {
          fullName: implicit(0, generalNamesSchema),
          nameRelativeToCRLIssuer: implicit(
            1,
            setOf(sequence('AttributeTypeAndValue', { type: oid, value: any }), { min: 1 }),
          ),
        }),
      ),
      issuer: explicit(1, generalNamesSchema),
    }),
    thisUpdate: optional(time),
  }),
  { min: 1, max: 16 },
);
const certificates = sequenceOf(any, { min: 1 });
// RFC 9810 §5.3.19.15; the module's tags are explicit.
const rootCaKeyUpdateContent = sequence('RootCaKeyUpdateContent', {
  newWithNew: any,
  newWithOld: optional(explicit(0, any)),
  oldWithNew: optional(explicit(1, any)),
});
const crls = sequenceOf(any, { min: 1 });
const algorithms = sequenceOf(algorithmIdentifierSchema, { min: 1 });
const languages = sequenceOf(utf8String, { min: 1, max: 16 });

/** id-aes256-CBC without the IV of a message. */
const AES_256_CBC = { algorithm: '2.16.840.1.101.3.4.1.42' };
const NO_NONCE = new Uint8Array();
/** RFC 5646: what statusString is written in. */
const LANGUAGE = 'en';

/** RFC 9810 §5.3.19: a genm that names nothing asks for whatever the CA has to say. */
const EVERYTHING: readonly InfoTypeAndValue[] = [
  { infoType: INFO_TYPE.signKeyPairTypes },
  { infoType: INFO_TYPE.encKeyPairTypes },
  { infoType: INFO_TYPE.preferredSymmAlg },
  { infoType: INFO_TYPE.caCerts },
];

type SupportDependencies = Pick<CmpDependencies, 'rollovers' | 'sightings' | 'profiles' | 'crls' | 'gate'>;

/** genm (RFC 9810 §5.3.19, RFC 9483 §4.3): what an endpoint tells about itself. It changes nothing. */
export class SupportMessages {
  readonly #dependencies: SupportDependencies;

  constructor(dependencies: SupportDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * Answers each of the types that are known; beside a known one, unknown ones are ignored (RFC 9810 §5.3.19).
   * @throws CmpFault `badRequest` where none is known, `badDataFormat` for a value of another type
   */
  async answer(exchange: Exchange, content: BodyOf<'genm'>): Promise<Answer> {
    const answers: InfoTypeAndValue[] = [];
    for (const { infoType, infoValue } of content.length === 0 ? EVERYTHING : content) {
      const answer = await this.#answerOne(exchange, infoType, infoValue);
      if (answer !== undefined) answers.push({ infoType: answer.infoType ?? infoType, infoValue: answer.infoValue });
    }
    if (answers.length === 0) {
      throw new CmpFault(
        'badRequest',
        'genm: expected an information type that is known here',
        'unsupported-operation',
      );
    }
    return { body: { kind: 'genp', value: answers } };
  }

  async #answerOne(
    exchange: Exchange,
    infoType: string,
    infoValue: Uint8Array | undefined,
  ): Promise<{ readonly infoType?: string; readonly infoValue: Uint8Array | undefined } | undefined> {
    const { endpoint } = exchange;
    switch (infoType) {
      case INFO_TYPE.caCerts:
        refuseValue(infoType, infoValue);
        return { infoValue: encode(certificates, await this.#caCertificates(exchange)) };
      case INFO_TYPE.rootCaCert:
        return this.#rootUpdate(exchange, infoValue);
      case INFO_TYPE.certReqTemplate:
        refuseValue(infoType, infoValue);
        return { infoValue: encodeCertReqTemplate(await this.#profile(exchange), endpoint.keyRules) };
      case INFO_TYPE.crlStatusList:
        return { infoType: INFO_TYPE.crls, infoValue: await this.#newerCrl(exchange, infoValue) };
      case INFO_TYPE.currentCRL:
        refuseValue(infoType, infoValue);
        return { infoValue: await this.#crl(exchange) };
      case INFO_TYPE.caProtEncCert:
        // RFC 9810 §5.3.19.1: the certificate to encrypt secrets for the CA with; there is none, and none is asked for.
        refuseValue(infoType, infoValue);
        return { infoValue: undefined };
      case INFO_TYPE.signKeyPairTypes:
        refuseValue(infoType, infoValue);
        return { infoValue: encode(algorithms, keyKinds(endpoint.keyRules).map(keyAlgorithmIdentifier)) };
      case INFO_TYPE.encKeyPairTypes: {
        refuseValue(infoType, infoValue);
        const kinds = keyKinds(endpoint.keyRules).filter(({ kind }) => kind === 'rsa' || kind === 'ec');
        return { infoValue: kinds.length === 0 ? undefined : encode(algorithms, kinds.map(keyAlgorithmIdentifier)) };
      }
      case INFO_TYPE.preferredSymmAlg:
        refuseValue(infoType, infoValue);
        return { infoValue: encode(algorithmIdentifierSchema, AES_256_CBC) };
      case INFO_TYPE.suppLangTags:
        // RFC 9810 §5.3.19.14: of the languages offered one, or the only one there is.
        if (infoValue !== undefined) read(languages, infoValue, 'suppLangTags');
        return { infoValue: encode(languages, [LANGUAGE]) };
      default:
        return this.#nonce(exchange, infoType, infoValue);
    }
  }

  /**
   * draft-ietf-lamps-attestation-freshness §6: a nonce for evidence in a later request, empty where the endpoint looks at none.
   * It is bound to the endpoint and taken once; of the transaction it was asked for in, nothing is remembered.
   */
  async #nonce(
    { endpoint, settings }: Exchange,
    infoType: string,
    infoValue: Uint8Array | undefined,
  ): Promise<{ readonly infoType: string; readonly infoValue: Uint8Array } | undefined> {
    const { nonceTypes } = settings;
    if (nonceTypes === undefined || infoType !== nonceTypes.request) return undefined;
    const octets = infoValue === undefined ? undefined : decodeNonceRequest(infoValue);
    const { gate } = this.#dependencies;
    const nonce = gate && endpoint.attestation.mode !== 'off' ? await gate.challenge(endpoint, octets) : NO_NONCE;
    return { infoType: nonceTypes.response, infoValue: encodeNonceResponse(nonce, NONCE_LIFETIME_SECONDS) };
  }

  /** RFC 9483 §4.3.1: those of an authority that takes over are among them. */
  async #caCertificates(exchange: Exchange): Promise<readonly Uint8Array[]> {
    const { tenant, authority } = exchange.endpoint;
    const found = await this.#dependencies.rollovers.trustCertificates(tenant, authority);
    this.#noteFetch(exchange);
    return found;
  }

  /** A MAC tells who knows a secret, which may be several; a signature tells the device. */
  #noteFetch({ endpoint: { tenant, authority }, sender }: Exchange): void {
    const device = sender.kind === 'signature' ? sender.fact.deviceId : undefined;
    const by = device === undefined ? undefined : ({ device, evidence: 'signed-fetch' } as const);
    this.#dependencies.sightings.fetched({ tenant, authority, protocol: 'cmp', by });
  }

  #crl({ endpoint }: Exchange): Promise<Uint8Array> {
    return this.#dependencies.crls.current(endpoint.tenant, endpoint.authority);
  }

  /** RFC 9483 §4.3.3: the template of the profile that certProfile in the header names, which is this endpoint's. */
  async #profile({ endpoint, settings, message }: Exchange): Promise<Profile> {
    const profile = await this.#dependencies.profiles.get(endpoint.tenant, endpoint.profile);
    const names = readCertProfile(message.header.generalInfo ?? []);
    if (names.every((name) => name === profile.name || settings.certProfiles.includes(name))) return profile;
    throw new CmpFault('badRequest', 'certProfile: expected the name of a profile of this endpoint');
  }

  /** RFC 9483 §4.3.2: no value where the root that the device knows is the newest. */
  async #rootUpdate(
    exchange: Exchange,
    infoValue: Uint8Array | undefined,
  ): Promise<{ readonly infoType: string; readonly infoValue: Uint8Array | undefined }> {
    const infoType = INFO_TYPE.rootCaKeyUpdate;
    const { tenant, authority } = exchange.endpoint;
    const update = await this.#dependencies.rollovers.rootUpdate(tenant, authority, infoValue);
    if (update === 'current') return { infoType, infoValue: undefined };
    if (update !== undefined) {
      this.#noteFetch(exchange);
      return { infoType, infoValue: encode(rootCaKeyUpdateContent, update) };
    }
    throw new CmpFault('badRequest', 'rootCaCert: expected a root of this endpoint', 'not-found');
  }

  /** RFC 9483 §4.3.4: the CRL where it is newer than the device's; no value otherwise. */
  async #newerCrl(exchange: Exchange, infoValue: Uint8Array | undefined): Promise<Uint8Array | undefined> {
    if (infoValue === undefined) throw new CmpFault('badDataFormat', 'crlStatusList: expected a value, found none');
    const statuses = read(crlStatusList, infoValue, 'crlStatusList');
    const der = await this.#crl(exchange);
    const list = parseCertificateList(der);
    for (const { source, thisUpdate } of statuses) {
      if (source.kind === 'issuer') {
        const isOurs = source.value.some(
          (name) => name.kind === 'directoryName' && namesEqual(name.value, list.issuer),
        );
        if (!isOurs)
          throw new CmpFault('badRequest', 'crlStatusList: expected the issuer of this endpoint', 'not-found');
      }
      if (thisUpdate === undefined || thisUpdate < list.thisUpdate) return encode(crls, [der]);
    }
    return undefined;
  }
}

function refuseValue(infoType: string, infoValue: Uint8Array | undefined): void {
  // OpenSSL writes NULL where RFC 9483 §4.3 has the value absent.
  if (infoValue === undefined || (infoValue.length === 2 && infoValue[0] === 0x05)) return;
  throw new CmpFault('badRequest', `genm: expected no value of ${infoType}`);
}

function read<T>(schema: Schema<T>, der: Uint8Array, name: string): T {
  try {
    return decode(schema, der, FOREIGN);
  } catch (error) {
    if (!(error instanceof Asn1Error)) throw error;
    throw new CmpFault('badDataFormat', `${name}: ${error.message}`);
  }
}
