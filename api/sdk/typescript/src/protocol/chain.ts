/**
 * The chain of digests that a history's entries form, and what breaks it.
 *
 * The digest of an entry is, in lower-case hex,
 *
 *     SHA-256( the digest before it, or the object's UID before the first
 *              + LF + the entry without its digest, as JSON with sorted keys, no spaces, UTF-8 )
 *
 * so an entry that was edited, put in, taken out or moved shows, and so does another object's history. What was cut off at
 * the end does not, and neither does a chain that was written anew: for that, note a number and its digest elsewhere.
 */

import { TamperedHistoryError } from "../errors.js";

/** An entry as it came. */
export type RawEntry = Readonly<Record<string, unknown>>;

/** Return the digest of an entry that follows the digest `previous`. */
export async function digest(entry: RawEntry, previous: string): Promise<string> {
  const { digest: _, ...content } = entry;
  const bytes = new TextEncoder().encode(`${previous}\n${canonical(content)}`);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Return JSON as Python writes it with `sort_keys=True, separators=(",", ":"), ensure_ascii=False`; of numbers, integers. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([one], [other]) => byCodePoint(one, other));
  return `{${entries.map(([key, each]) => `${JSON.stringify(key)}:${canonical(each)}`).join(",")}}`;
}

/** JavaScript itself compares UTF-16 units, which puts U+FFFF behind U+10000. */
function byCodePoint(one: string, other: string): number {
  const [a, b] = [Array.from(one), Array.from(other)];
  for (let index = 0; index < Math.min(a.length, b.length); index++) {
    const difference = (a[index]?.codePointAt(0) ?? 0) - (b[index]?.codePointAt(0) ?? 0);
    if (difference) return difference;
  }
  return a.length - b.length;
}

/** A history up to some entry, all of it verified. */
export class Chain {
  #last: string;
  #sequence = 0;

  /** Begin before the first entry of the object with this UID. */
  constructor(uid: string) {
    this.#last = uid;
  }

  /** The digest of the last entry; of none, the UID. */
  get last(): string {
    return this.#last;
  }

  /** Take one more entry, or throw `TamperedHistoryError`: it does not follow. */
  async follow(entry: RawEntry): Promise<void> {
    const [number, stored, expected] = [entry["sequence"], entry["digest"], this.#sequence + 1];
    if (number !== expected) {
      throw new TamperedHistoryError(`entry ${expected} is missing: what follows is ${String(number)}`, expected);
    }
    if (typeof stored !== "string" || stored !== (await digest(entry, this.#last))) {
      throw new TamperedHistoryError(`entry ${expected} does not match its digest: it, or what was before, changed`, expected);
    }
    this.#last = stored;
    this.#sequence = expected;
  }
}
