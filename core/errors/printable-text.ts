/**
 * A message as it may reach a peer, a log or a terminal: at most so many characters of printable ASCII on one line. Messages
 * quote what came, and nothing in them may start a line, move a cursor or fill a log (V50).
 */
export function printableText(message: string, maxCharacters: number): string {
  return message.slice(0, maxCharacters).replaceAll(/[^\u0020-\u007e]/g, '?');
}
