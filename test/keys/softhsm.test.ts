import { privateSoftHsm } from '../support/softhsm.ts';
import { type TokenUnderTest, describeTokenContract } from './contract.ts';

const prepare =
  (variant: Pick<TokenUnderTest['config'], 'process' | 'rsaDecryption'>) => async (): Promise<TokenUnderTest> => {
    const { label, module, pin, remove } = await privateSoftHsm();
    return { config: { label, module, pin, ...variant }, remove };
  };
const SHA1_OAEP_ONLY = 'SoftHSM removes OAEP padding with SHA-1 only';

describeTokenContract('SoftHSM in this process', prepare({ process: 'shared' }));
describeTokenContract('SoftHSM in the signer process', prepare({ process: 'own' }));
describeTokenContract('SoftHSM removing RSA padding itself', prepare({ process: 'shared', rsaDecryption: 'unwrap' }), {
  'oaep-sha256': SHA1_OAEP_ONLY,
  'oaep-sha384': SHA1_OAEP_ONLY,
  'oaep-sha512': SHA1_OAEP_ONLY,
});
