import type { GuideFacts } from '../guide-facts.ts';

/** What happens to a request between the device that made it and the certificate it gets, as comments. */
export function carriedRequest({ label, doors }: GuideFacts, comment: '!' | '#', file: string): string[] {
  const lines =
    doors.est === undefined
      ? [`Save the request as ${file}. A workstation could send it by EST, for which this endpoint is closed.`]
      : [
          `Save the request as ${file} on a workstation, and send it by EST with the lines of`,
          `  muster endpoint show ${label} --for curl`,
        ];
  return lines.map((line) => `${comment} ${line}`);
}
