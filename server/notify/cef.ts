import { lineText, type Notification, NOTIFICATION_TYPES } from './notification.ts';

/** From syslog's severity (0 worst) to CEF's (10 worst). */
const CEF_SEVERITY = [10, 9, 8, 7, 5, 4, 3, 1] as const;

/** One line of ArcSight's Common Event Format, version 0: `CEF:0|vendor|product|version|class|name|severity|extension`. */
export function cefLine({ id, type, at, tenant, summary, details }: Notification, version: string): string {
  const { classId, severity, title } = NOTIFICATION_TYPES[type];
  const header = ['Muster', 'Muster', version, classId, title, String(CEF_SEVERITY[severity])].map(headerField);
  const members = { externalId: id, rt: Date.parse(at), msg: summary, cs1Label: 'tenant', cs1: tenant, ...details };
  const extension = Object.entries(members).map(([name, value]) => `${name}=${extensionValue(value)}`);
  return `CEF:0|${header.join('|')}|${extension.join(' ')}`;
}

function headerField(text: string): string {
  return lineText(text).replace(/[\\|]/g, String.raw`\$&`);
}

function extensionValue(value: string | number): string {
  return lineText(String(value)).replace(/[\\=]/g, String.raw`\$&`);
}
