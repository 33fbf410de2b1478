import { localBuilder } from '../../core/authority/crl-building.ts';
import { Crls } from '../../core/authority/crls.ts';
import { RevocationView } from '../../core/authority/revocation-view.ts';
import { revokeCertificate, type RevocationReason } from '../../core/authority/revocation.ts';
import { ServiceIdentities } from '../../core/authority/service-identities.ts';
import type { CertificateRow } from '../../core/authority/tables.ts';
import { parseCertificate } from '../../core/x509/certificate.ts';
import type { Certificate } from '../../core/x509/certificate.ts';
import { statusServices } from '../../protocols/status/http.ts';
import type { OcspSettings, OcspSource } from '../../protocols/status/service.ts';
import { createPlainListener, type Listener } from '../../server/http/listener.ts';
import { listen, stopListeners } from '../../server/http/listening.ts';
import { issuedBy, Site, type SiteTenant } from '../enrollment/site.ts';
import { listenerContext } from '../server/support/listener-context.ts';
import { cutStore } from '../support/cut-store.ts';
import { makeCsr } from '../support/test-pki.ts';

/** The status services of a site on a listener, as a relying party meets them, with a database and a token that can be taken away. */
export class StatusSite implements AsyncDisposable {
  readonly site: Site;
  readonly tenant: SiteTenant;
  readonly issuer: Certificate;
  readonly crls: Crls;
  readonly view: RevocationView;
  readonly identities: ServiceIdentities;
  /** How each request was answered. */
  readonly sources: OcspSource[] = [];
  /** While set, nothing can be read. */
  readonly database: { away: boolean };
  #listener: Listener | undefined;
  #port = 0;

  private constructor(site: Site, tenant: SiteTenant) {
    this.site = site;
    this.tenant = tenant;
    this.issuer = parseCertificate(tenant.issuing.certificate);
    this.database = { away: false };
    const { authorities, keys } = site;
    const store = cutStore(site.store, this.database);
    this.crls = new Crls({ store, authorities, build: localBuilder(site.store) });
    this.identities = new ServiceIdentities({ store, keys, authorities });
    const hints = { publish: async () => undefined, subscribe: async () => async () => undefined };
    this.view = new RevocationView({ store, hints, report: () => undefined });
  }

  static async open(settings: Partial<OcspSettings> = {}): Promise<StatusSite> {
    const site = await Site.open('sqlite');
    const opened = new StatusSite(site, await site.tenant());
    await opened.#serve(settings);
    return opened;
  }

  get authority(): string {
    return this.tenant.issuing.id;
  }

  /** The URL of a path. */
  url(path: string): string {
    return `http://127.0.0.1:${this.#port}${path}`;
  }

  get port(): number {
    return this.#port;
  }

  async issue(): Promise<CertificateRow> {
    const { certificateId } = issuedBy(await this.site.enroll(this.tenant.endpoint, { csr: makeCsr().der }));
    return (await this.site.certificates(this.tenant.id)).find(({ id }) => id === certificateId)!;
  }

  /** Revokes without telling anybody. */
  revoke(
    { id }: CertificateRow,
    reason: RevocationReason = 'keyCompromise',
    at = this.site.clock.now(),
  ): Promise<unknown> {
    const request = { tenant: this.tenant.id, certificateId: id, reason, actor: 'test', at };
    return this.site.store.unit((tx) => revokeCertificate(tx, request));
  }

  get(request: Uint8Array, init: RequestInit = {}): Promise<Response> {
    const text = encodeURIComponent(Buffer.from(request).toString('base64'));
    return fetch(this.url(`/ocsp/${this.authority}/${text}`), init);
  }

  post(request: Uint8Array, authority = this.authority): Promise<Response> {
    const headers = { 'content-type': 'application/ocsp-request' };
    return fetch(this.url(`/ocsp/${authority}`), { method: 'POST', headers, body: new Uint8Array(request) });
  }

  async #serve(settings: Partial<OcspSettings>): Promise<void> {
    await this.view.start();
    const { crls, identities, view: revocations } = this;
    const { authorities } = this.site;
    const store = cutStore(this.site.store, this.database);
    const observe = (source: OcspSource): void => void this.sources.push(source);
    const listener = createPlainListener(listenerContext({ bodyBytes: 1_048_576 }));
    const status = statusServices({ store, authorities, crls, identities, revocations, settings, observe });
    listener.shortcut({ prefix: '/ocsp/', handler: status.ocsp });
    await listener.app.register(status.downloads);
    this.#port = await listen(listener, { host: '127.0.0.1', port: 0 });
    this.#listener = listener;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#listener) await stopListeners([this.#listener], 1);
    await this.view.stop();
    await this.site[Symbol.asyncDispose]();
  }
}
