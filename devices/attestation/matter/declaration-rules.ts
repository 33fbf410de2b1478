import { EvidenceFault } from '../findings.ts';
import type { CertificationDeclaration } from './certification-declaration.ts';
import type { MatterChain } from './chain.ts';

/**
 * That a declaration speaks of the product whose certificates these are (Matter Core Specification §6.2.3.1): VID and PID of DAC
 * and PAI by `dac_origin` where it is there, else by `vendor_id` and `product_id_array`; and that the PAA is one of the list.
 * @throws EvidenceFault `cd-vendor-mismatch`, `cd-product-mismatch`, `cd-paa-not-authorized`
 */
export function checkDeclaration(declaration: CertificationDeclaration, { dac, pai, paa }: MatterChain): void {
  const { dacOrigin, authorizedPaas } = declaration;
  const vendorId = dacOrigin?.vendorId ?? declaration.vendorId;
  const productIds = dacOrigin === undefined ? declaration.productIds : [dacOrigin.productId];
  for (const found of [dac.vendorId, pai.vendorId]) {
    if (found !== vendorId) throw new EvidenceFault('cd-vendor-mismatch', `expected ${vendorId}, found ${found}`);
  }
  for (const found of [dac.productId!, ...(pai.productId === undefined ? [] : [pai.productId])]) {
    if (productIds.includes(found)) continue;
    throw new EvidenceFault('cd-product-mismatch', `expected one of ${productIds.join(', ')}, found ${found}`);
  }
  if (authorizedPaas === undefined || authorizedPaas.includes(paa.subjectKeyId)) return;
  throw new EvidenceFault(
    'cd-paa-not-authorized',
    `expected one of ${authorizedPaas.join(', ')}, found ${paa.subjectKeyId}`,
  );
}
