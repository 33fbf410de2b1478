/** Characters of one text a device wrote that an audit entry has room for; the request itself stands in the row. */
const MAX_EXCERPT = 512;
/** Characters of all the names of a request together, so that the worst encoding stays below MAX_ENTRY_BYTES. */
const MAX_EXCERPTS = 4096;

/** A text a device wrote, cut to what an audit entry has room for. */
export function excerpt(text: string): string {
  return text.length <= MAX_EXCERPT ? text : `${text.slice(0, MAX_EXCERPT).toWellFormed()}…`;
}

/** The names of a request, as many as an audit entry has room for; an ellipsis stands for the others. */
export function excerpts(texts: readonly string[]): string[] {
  const kept: string[] = [];
  let room = MAX_EXCERPTS;
  for (const text of texts.map(excerpt)) {
    room -= text.length;
    if (room < 0) return [...kept, '…'];
    kept.push(text);
  }
  return kept;
}

/** A text a device wrote, without the characters a column cannot hold (PostgreSQL: NUL) or a terminal would obey. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '\uFFFD').toWellFormed();
}
