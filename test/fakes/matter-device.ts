import { type KeyObject, randomBytes, sign } from 'node:crypto';
import { encode } from 'cborg';
import { makeCsr, makeKey } from '../support/test-pki.ts';
import { DeclarationAuthority } from './matter-declaration.ts';
import { makeDac, makePaa, makePai, type MatterIdentity } from './matter-authority.ts';
import { tlvOctets, tlvStructure, tlvUnsigned } from './matter-tlv.ts';

/** What one answer of a device holds: elements in TLV, and r ‖ s by the DAC's key over them and the attestation challenge. */
export interface SignedAnswer {
  readonly elements: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * A Matter device on an operational session: it answers AttestationRequest and CSRRequest as §11.18 of the Matter Core
 * Specification has it, and nothing else can make its DAC's key sign.
 */
export class MatterDevice {
  readonly dac: Uint8Array;
  readonly pai: Uint8Array;
  /** Of the operational key: what the NOCSR asks a certificate for. */
  readonly operationalKey: KeyObject = makeKey();
  readonly #dacKey: KeyObject;
  readonly #declaration: Uint8Array;

  constructor(device: { dac: Uint8Array; pai: Uint8Array; dacKey: KeyObject; declaration: Uint8Array }) {
    this.dac = device.dac;
    this.pai = device.pai;
    this.#dacKey = device.dacKey;
    this.#declaration = device.declaration;
  }

  /** AttestationResponse. */
  attest(nonce: Uint8Array, challenge: Uint8Array): SignedAnswer {
    const elements = tlvStructure(tlvOctets(1, this.#declaration), tlvOctets(2, nonce), tlvUnsigned(3, 0));
    return this.#signed(elements, challenge);
  }

  /** CSRResponse. */
  requestCertificate(nonce: Uint8Array, challenge: Uint8Array): SignedAnswer & { readonly csr: Uint8Array } {
    const { der: csr } = makeCsr({ subject: 'O=CSA', key: this.operationalKey });
    return { csr, ...this.#signed(tlvStructure(tlvOctets(1, csr), tlvOctets(2, nonce)), challenge) };
  }

  /** Both answers of one session as evidence of type `matter-dac`; `change` has the last word on its members. */
  evidence(nonce: Uint8Array, change: (members: EvidenceMembers) => object = (members) => members): Uint8Array {
    const challenge = new Uint8Array(randomBytes(16));
    const nocsr = this.requestCertificate(nonce, challenge);
    const attestation = this.attest(nonce, challenge);
    return encode(
      change({
        dac: this.dac,
        pai: this.pai,
        challenge,
        nocsr: nocsr.elements,
        nocsrSignature: nocsr.signature,
        elements: attestation.elements,
        elementsSignature: attestation.signature,
      }),
    );
  }

  /** Signs any elements, as no device would. */
  signElements(elements: Uint8Array, challenge: Uint8Array): Uint8Array {
    return this.#signed(elements, challenge).signature;
  }

  #signed(elements: Uint8Array, challenge: Uint8Array): SignedAnswer {
    const signed = Buffer.concat([elements, challenge]);
    const signature = sign('sha256', signed, { key: this.#dacKey, dsaEncoding: 'ieee-p1363' });
    return { elements: new Uint8Array(elements), signature: new Uint8Array(signature) };
  }
}

/** The members of evidence of type `matter-dac`, before CBOR. */
export interface EvidenceMembers {
  readonly dac: Uint8Array;
  readonly pai: Uint8Array;
  readonly challenge: Uint8Array;
  readonly nocsr: Uint8Array;
  readonly nocsrSignature: Uint8Array;
  readonly elements: Uint8Array;
  readonly elementsSignature: Uint8Array;
}

/** A vendor's whole world: PAA, PAI, a key for declarations, and devices of vendor FFF1, product 8000. */
export class MatterVendor {
  readonly paa: MatterIdentity = makePaa();
  readonly pai: MatterIdentity = makePai(this.paa);
  readonly declarations = new DeclarationAuthority();

  /** A device with a DAC of its own. */
  device(declaration: Uint8Array = this.declarations.sign()): MatterDevice {
    const dac = makeDac(this.pai);
    return new MatterDevice({ dac: dac.der, pai: this.pai.der, dacKey: dac.privateKey, declaration });
  }
}
