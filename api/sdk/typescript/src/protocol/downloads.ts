/** A download that goes on where it broke off, as long as the file is still the same one. */

import type { Answer } from "./messages.js";

const PARTIAL = 206;
export const BEYOND = 416;

/** How far a file was read. */
export class PartialFile {
  /** Bytes that were delivered. */
  offset = 0;
  /** Of the whole file in bytes, once that is known. */
  size: number | undefined;
  #tag = "";

  /**
   * Return what the next attempt asks for.
   *
   * The first one asks for a part as well, all of it: only then is its length told, without which a connection that is cut
   * looks like the end.
   */
  headers(): Record<string, string> {
    const asked = { Range: `bytes=${this.offset}-` };
    return this.offset ? { ...asked, "If-Range": this.#tag } : asked;
  }

  /** Take note of what the next bytes are, and return whether they are the same file's. */
  begins({ status, headers }: Pick<Answer, "status" | "headers">): boolean {
    const tag = headers.get("etag") ?? "";
    if (this.offset && (status !== PARTIAL || tag !== this.#tag)) return false;
    this.#tag = tag;
    this.size = status === PARTIAL ? sizeOf(headers) : undefined;
    return true;
  }

  /** Whether the gateway says that nothing follows: an empty file, or one that was read. */
  isPastEnd({ status, headers }: Answer): boolean {
    return status === BEYOND && sizeOf(headers) === this.offset;
  }

  /** Whether an answer that just ended well was all of the file. */
  get isWhole(): boolean {
    return this.size === undefined || this.offset >= this.size;
  }
}

function sizeOf(headers: Headers): number | undefined {
  const found = /^bytes (?:\d+-\d+|\*)\/(\d+)$/.exec(headers.get("content-range") ?? "");
  return found ? Number(found[1]) : undefined;
}
