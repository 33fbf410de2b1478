import { generateKeyPairSync } from 'node:crypto';

import type { ServiceIdentity } from '../../core/authority/service-identities.ts';
import { decryptEnvelopedData, parseEnvelopedData } from '../../core/cms/enveloped-data.ts';
import { openKeyStore, type KeyStore } from '../../core/keys/key-store.ts';
import {
  assembleSigned,
  type Certificate,
  encodeTbsCertificate,
  parseCertificate,
} from '../../core/x509/certificate.ts';
import { parseCertificationRequest, verifyCertificationRequestAsync } from '../../core/x509/certification-request.ts';
import { nameFromText } from '../../core/x509/name.ts';
import type { SubjectPublicKeyInfo } from '../../core/x509/public-key.ts';
import { parseSerialNumber } from '../../core/x509/serial-number.ts';
import { decodeRequest } from '../../protocols/scep/certification-request.ts';
import { contentExamples } from '../../protocols/scep/content-examples.ts';
import { readEnvelope } from '../../protocols/scep/envelope.ts';
import { readEvenly, type VerifiedSignature, verifyEvenly } from '../../protocols/scep/even-work.ts';
import { recipientKeys, type RaKey } from '../../protocols/scep/registration-authority.ts';
import { ChosenEnvelopes, ENVELOPE_KINDS, type EnvelopeKind } from '../fakes/scep-chosen-envelopes.ts';
import { ChosenMessages } from '../fakes/scep-chosen-messages.ts';
import { readCertificate } from '../fakes/scep-cisco-certificate.ts';
import { addScepEndpoint } from '../integration/scep-installation.ts';
import { MusterServer } from '../support/muster-server.ts';
import { makeCsr, signWith, TestAuthority } from '../support/test-pki.ts';
import { privateSoftHsm } from '../support/softhsm.ts';
import { figure, type Figure } from './figure.ts';
import { type ScepAnswer, ScepConnection } from './scep-load.ts';
import { compareTurns, comparisonFigures, MOST_MICROSECONDS, spin, type Turn } from './scep-oracle-turns.ts';

/** Opens one envelope; what it answers does not count, how long it takes does. */
type Opener = (envelope: Uint8Array) => Promise<unknown>;

const ROUNDS = { decryption: 20_000, leaky: 500, http: 2000, warmUp: 300 };

/**
 * Whether the time of opening an envelope tells what is wrong with it: fresh envelopes of each kind in turns, the time of each
 * beside that of a good one of the same round. That the harness would see it is shown twice: by a good one that takes 5 µs more
 * in the same rounds, and by an opener that is leaky in the usual way. Then the same over HTTP, where all answers must be the
 * same octets besides.
 */
export async function measureScepOracle(rounds = ROUNDS): Promise<Figure[]> {
  return [...(await measureDecryption(rounds)), ...(await measureHttp(rounds))];
}

async function measureDecryption(rounds: typeof ROUNDS): Promise<Figure[]> {
  const softHsm = await privateSoftHsm();
  try {
    await using store = await openKeyStore([{ ...softHsm, process: 'shared' }]);
    const oracle = new Oracle(await identityIn(store, softHsm.label));
    const product = [...ENVELOPE_KINDS.map((kind) => oracle.turn(kind, oracle.product)), oracle.delayedTurn()];
    const leaky = ENVELOPE_KINDS.map((kind) => oracle.turn(kind, oracle.leaky));
    await compareTurns(product, rounds.warmUp);
    return [
      ...comparisonFigures('SCEP decryption', await compareTurns(product, rounds.decryption)),
      ...comparisonFigures('SCEP decryption, made leaky', await compareTurns(leaky, rounds.leaky)),
    ];
  } finally {
    await softHsm.remove();
  }
}

/** The server as users start it, without a limit of bad messages. */
async function measureHttp(rounds: typeof ROUNDS): Promise<Figure[]> {
  await using server = await MusterServer.start();
  const url = await addScepEndpoint(server, 'oracle', { badMessagesPerMinute: 0 });
  const messages = await ChosenMessages.create(await (await fetch(`${url}?operation=GetCACert`)).bytes());
  const connection = await ScepConnection.open(url);
  const answers: ScepAnswer[] = [];
  const turns = ENVELOPE_KINDS.map((kind): Turn => ({
    name: kind,
    prepare() {
      const message = messages.make(kind);
      return async () => void answers.push(await connection.send(message));
    },
  }));
  await compareTurns(turns, rounds.warmUp);
  const comparison = await compareTurns(turns, rounds.http);
  connection.close();
  const different = new Set(
    answers.map(({ status, headers, body }) => JSON.stringify(messages.compare(status, headers, body))),
  );
  return [
    figure('SCEP over HTTP: different answers but for nonce and signature', 'answers', [different.size], {
      name: 'needed',
      runs: [1],
    }),
    ...comparisonFigures('SCEP over HTTP', comparison),
  ];
}

class Oracle {
  readonly #identity: ServiceIdentity;
  readonly #envelopes: ChosenEnvelopes;
  /** The request's own, in the place of the message's: the same key makes both. */
  readonly #signature: VerifiedSignature;

  constructor(identity: ServiceIdentity) {
    this.#identity = identity;
    const recipient = readCertificate(Buffer.from(identity.certificate.der).toString('latin1'));
    const { privateKey: key } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const request = makeCsr({ subject: 'CN=router1.example', key, challengePassword: 'a'.repeat(26) }).der;
    const {
      publicKey,
      signatureAlgorithm: algorithm,
      infoDer: data,
      signature: octets,
    } = parseCertificationRequest(request);
    this.#envelopes = new ChosenEnvelopes(recipient, request);
    this.#signature = { publicKey, algorithm, data, octets };
  }

  turn(kind: EnvelopeKind, open: Opener, name: string = kind): Turn {
    return {
      name,
      prepare: () => {
        const envelope = this.#envelopes.make(kind);
        return () => open(envelope);
      },
    };
  }

  delayedTurn(): Turn {
    const delayed: Opener = async (envelope) => {
      await this.product(envelope);
      spin(MOST_MICROSECONDS);
    };
    return this.turn('valid', delayed, `valid and ${MOST_MICROSECONDS} µs more`);
  }

  /** What the server does with a message's envelope, up to whether the request in it is signed. */
  readonly product: Opener = async (octets) => {
    const envelope = readEnvelope(octets, this.#keys(), false);
    if ('failInfo' in envelope) throw new RangeError(envelope.detail);
    const content = await envelope.open();
    const { request: example } = contentExamples(this.#identity.certificate);
    const received = readEvenly(content, (der) => decodeRequest(der, false), example);
    return verifyEvenly(received, content, this.#signature);
  };

  /** The same with the usual mistake: each step is left out once the one before it failed. */
  readonly leaky: Opener = async (octets) => {
    try {
      const { content } = await decryptEnvelopedData(parseEnvelopedData(octets), this.#keys());
      const request = parseCertificationRequest(content);
      return (await verifyCertificationRequestAsync(request)) ? request : undefined;
    } catch {
      return undefined;
    }
  };

  #keys(): readonly RaKey[] {
    const identity = this.#identity;
    const ra = { isSingle: true, signer: identity, recipients: [identity], certificates: [identity.certificate.der] };
    return recipientKeys(ra, 'bench');
  }
}

/** An RSA key in the token with a certificate, as an RA has them. */
async function identityIn(store: KeyStore, token: string): Promise<ServiceIdentity> {
  const key = await store.generate({ token, algorithm: 'rsa-2048', label: 'ra', usage: 'sign-and-decrypt' });
  const certificate = certificateFor(key.publicKey);
  const signatureAlgorithm = 'sha256WithRSAEncryption';
  return {
    certificate,
    chain: [],
    key: {
      publicKey: key.publicKey,
      certificate,
      signatureAlgorithm,
      sign: (data, options) => key.sign(signatureAlgorithm, data, options),
      decryptRsa: (padding, ciphertext, options) => key.decryptRsa(padding, ciphertext, options),
    },
  };
}

function certificateFor(publicKey: SubjectPublicKeyInfo): Certificate {
  const authority = TestAuthority.root();
  const signatureAlgorithm = 'ecdsa-with-SHA256';
  const tbs = encodeTbsCertificate({
    serialNumber: parseSerialNumber('5a5a5a5a5a5a5a5a'),
    signatureAlgorithm,
    issuer: authority.certificate.subject,
    validity: { notBefore: new Date(Date.now() - 1000), notAfter: new Date(Date.now() + 86_400_000) },
    subject: nameFromText('CN=RA'),
    publicKey,
    extensions: [],
  });
  return parseCertificate(
    assembleSigned(tbs, signatureAlgorithm, signWith(authority.privateKey, signatureAlgorithm, tbs)),
  );
}
