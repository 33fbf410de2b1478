/** What is done to devices that do not enrol by themselves (implemented by adapters/). */
export interface CertificatePusher {
  /**
   * Begins to bring new certificates to every service of a device. Returns the id of the plan; what becomes of it is read there.
   * @throws PeerError `not-found`; PolicyError `policy-refused` for a device without access, services or a driver that can do
   *   them; StateError `conflict` while another plan of the device is under way.
   */
  rotate(tenant: string, device: string, actor: string): Promise<string>;
}
