/**
 * Text of output. UTF-8, with one U+FFFD for each byte that is none (the platform's decoder stands one for a whole cut
 * sequence); `\r\n` and `\r` become `\n`. It is what the gateway's own text streams say, and the Python client.
 */
export class LineDecoder {
  #rest: Uint8Array = new Uint8Array();
  #return = "";

  /** Return the text that can be decided after one more piece. */
  feed(piece: Uint8Array, last = false): string {
    const bytes = concat([this.#rest, piece]);
    const parts: string[] = [];
    let [begin, at] = [0, 0];
    while (at < bytes.length) {
      const size = sequenceAt(bytes, at);
      if (size > 0) {
        at += size;
        continue;
      }
      if (size === CUT && !last) break;
      parts.push(plain(bytes.subarray(begin, at)), "\ufffd");
      begin = at += 1;
    }
    parts.push(plain(bytes.subarray(begin, at)));
    this.#rest = bytes.slice(at);
    return this.#lines(parts.join(""), last);
  }

  #lines(found: string, last: boolean): string {
    let text = this.#return + found;
    this.#return = "";
    if (text.endsWith("\r") && !last) {
      this.#return = "\r"; // it may be half of a line's end
      text = text.slice(0, -1);
    }
    return text.replace(/\r\n?/g, "\n");
  }
}

/** Return whole output as text. */
export function decoded(bytes: Uint8Array): string {
  return new LineDecoder().feed(bytes, true);
}

export function concat(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

const NONE = 0;
const CUT = -1;

/** Return the length of the UTF-8 sequence at `at`, `NONE` if there is none, `CUT` if there may be with more bytes. */
function sequenceAt(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const size = first < 0xc2 ? NONE : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : NONE;
  for (let index = 1; index < size; index++) {
    const byte = bytes[at + index];
    if (byte === undefined) return CUT;
    if (byte >> 6 !== 2) return NONE;
    // Overlong, a surrogate, or past U+10FFFF (Unicode, table 3-7).
    if (index === 1 && (first === 0xe0 ? byte < 0xa0 : first === 0xed ? byte > 0x9f : first === 0xf0 ? byte < 0x90 : first === 0xf4 && byte > 0x8f)) return NONE;
  }
  return size;
}

function plain(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}
