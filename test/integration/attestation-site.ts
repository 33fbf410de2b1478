import type { EndpointSettings } from '../../core/enrollment/endpoint.ts';
import { newId } from '../../core/store/id.ts';
import { parseCertificate, type Certificate } from '../../core/x509/certificate.ts';
import { decodePem } from '../../core/x509/pem.ts';
import type { AnchorPurpose, AnchorSettings } from '../../devices/attestation/anchors.ts';
import type { AttestationTables, EvidenceRow } from '../../devices/attestation/tables.ts';
import { trustChanged } from '../../devices/attestation/trust-store.ts';
import { CmpSite } from '../fakes/cmp-site.ts';
import { type Answer, rest, send } from '../support/installation.ts';

/** What a test says of a new endpoint. */
interface EndpointDraft extends Partial<Omit<EndpointSettings, 'protocols' | 'attestation'>> {
  readonly label: string;
  readonly profile?: string;
  readonly protocols: object;
  readonly attestation?: unknown;
}

/** The whole server with what a test of attestation asks of it: endpoints, anchors, the front door, what became of evidence. */
export class AttestationSite implements AsyncDisposable {
  readonly cmp: CmpSite;

  private constructor(cmp: CmpSite) {
    this.cmp = cmp;
  }

  static async start(): Promise<AttestationSite> {
    return new AttestationSite(await CmpSite.start());
  }

  get server() {
    return this.cmp.server;
  }

  /** The certificate that devices and verifiers trust: the root of the tenant `default`. */
  get root(): Certificate {
    return parseCertificate(decodePem(this.server.ca)[0]!.der);
  }

  async endpoint(draft: EndpointDraft): Promise<string> {
    const { status, text } = await rest(this.server, 'POST', '/endpoints?tenant=default', draft);
    if (status >= 300) throw new RangeError(`${status} ${text}`);
    return draft.label;
  }

  /** Changes what an endpoint asks of attestation: the one switch. */
  async attestation(label: string, attestation: unknown): Promise<void> {
    const { status, text } = await rest(this.server, 'PATCH', `/endpoints/${label}?tenant=default`, { attestation });
    if (status >= 300) throw new RangeError(`${status} ${text}`);
  }

  /** Has the tenant trust an authority of device makers. */
  async anchor<P extends AnchorPurpose>(
    purpose: P,
    certificate: Uint8Array,
    settings: Partial<AnchorSettings[P]> = {},
  ) {
    const { store } = this.server.server.kernel;
    const tenant = await this.cmp.tenantOf('default');
    const row = { id: newId(), tenant, purpose, name: purpose, created_at: 0, settings: JSON.stringify(settings) };
    await store.unit(async (tx) => {
      await tx
        .db<AttestationTables>()
        .insertInto('trust_anchors')
        .values({ ...row, certificate: Buffer.from(certificate) })
        .execute();
      await trustChanged(tx, tenant);
    });
  }

  /** One request to the front door, octets as base64 anywhere in it. */
  async ask(label: string, operation: string, body?: object): Promise<Answer & { readonly json: FrontDoorAnswer }> {
    const url = `${this.server.server.urls.tls}/attestation/${label}/${operation}`;
    const call = body && { method: 'POST', body: jsonOf(body), headers: { 'Content-Type': 'application/json' } };
    const answer = await send(this.server, url, call);
    return { ...answer, json: JSON.parse(answer.text) as FrontDoorAnswer };
  }

  /** A nonce for evidence at an endpoint, asked for by EST. */
  async nonce(label: string): Promise<Uint8Array> {
    const answer = await send(this.server, `${this.server.mtls}/.well-known/est/${label}/nonce`);
    return Buffer.from((JSON.parse(answer.text) as { nonce: string }).nonce, 'base64url');
  }

  /** The verdicts that were decided, oldest first. */
  async verdicts(): Promise<EvidenceRow[]> {
    const { store } = this.server.server.kernel;
    return store.read<AttestationTables>().selectFrom('evidence').selectAll().orderBy('id').execute();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cmp[Symbol.asyncDispose]();
  }
}

/** What the front door answers, by operation. */
interface FrontDoorAnswer {
  readonly nonce: string;
  readonly credential: string;
  readonly secret: string;
  readonly chain: readonly string[];
  readonly device: string;
  readonly reference: string;
  readonly challengePassword: string;
  readonly expires: string;
  readonly reason: string;
  readonly detail: string;
  readonly findings: readonly string[];
}

/** Octets of base64 text. */
export function octetsOf(base64: string): Uint8Array {
  return new Uint8Array(Buffer.from(base64, 'base64'));
}

function jsonOf(body: object): string {
  return JSON.stringify(body, (_name, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value,
  );
}
