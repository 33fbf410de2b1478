/** Tables of this folder. Times are epoch milliseconds. */
export interface InventoryTables {
  devices: DeviceRow;
}

export interface DeviceRow {
  id: string;
  tenant: string;
  /** How its requests name it: serialNumber, else CN, else first subjectAltName. Unique in the tenant. */
  name: string;
  state: 'expected' | 'enrolled' | 'blocked';
  /** The certificate it got last, and when that ends. */
  certificate: string | null;
  certificate_not_after: number | null;
  created_at: number;
  updated_at: number;
}
