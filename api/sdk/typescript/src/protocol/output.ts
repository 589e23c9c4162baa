/**
 * A command's output: where a stream goes on, and whether it is over.
 *
 * The sandbox keeps the output, and whoever asks says from which byte on. So a connection may break anywhere: the next one
 * begins where this one ended, and no byte comes twice or not at all.
 *
 * When is it over? An answer that ends well does not prove it: a proxy may have ended it. It is over when an answer *from
 * the very end* brought nothing more, after the command was known to have ended.
 */
export class Position {
  /** Bytes that were delivered, counted from the output's beginning. */
  offset: number;
  #gained = 0;
  #endedBefore = false;
  #cameWhole = false;

  constructor(offset = 0) {
    this.offset = offset;
  }

  /** Return the `Last-Event-ID` of the next attempt. `ended`: whether the command is known to have ended before it begins. */
  asked(ended: boolean): string {
    this.#gained = 0;
    this.#cameWhole = false;
    this.#endedBefore = ended;
    return String(this.offset);
  }

  took(size: number): void {
    this.offset += size;
    this.#gained += size;
  }

  /** Note that the answer ended as answers do, and did not break off. */
  cameWhole(): void {
    this.#cameWhole = true;
  }

  /** Whether this attempt brought anything. */
  get gained(): boolean {
    return this.#gained > 0;
  }

  /** Whether the latest attempt was the last that is needed. */
  get isOver(): boolean {
    return this.#cameWhole && this.#endedBefore && !this.#gained;
  }
}
