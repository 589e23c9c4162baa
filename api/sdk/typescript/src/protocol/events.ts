/** Server-sent events, as the HTML standard reads them: bytes in, events out. */

export interface ServerEvent {
  readonly data: string;
  /** What it is about, if it says so. */
  readonly name: string;
}

/** Makes events of the consecutive pieces of a stream. An event that is cut off is none. */
export class EventDecoder {
  readonly #decoder = new TextDecoder();
  #rest = "";
  #data: string[] = [];
  #name = "";

  /** Return the events that end with this piece. */
  feed(piece: Uint8Array): ServerEvent[] {
    const text = this.#rest + this.#decoder.decode(piece, { stream: true });
    const found: ServerEvent[] = [];
    let begin = 0;
    for (const end of text.matchAll(/\r\n|\n|\r/g)) {
      const after = end.index + end[0].length;
      if (end[0] === "\r" && after === text.length) break; // it may be half of a line's end
      const event = this.#take(text.slice(begin, end.index));
      if (event) found.push(event);
      begin = after;
    }
    this.#rest = text.slice(begin);
    return found;
  }

  #take(line: string): ServerEvent | undefined {
    if (line === "") {
      const event = this.#data.length ? { data: this.#data.join("\n"), name: this.#name } : undefined;
      this.#data = [];
      this.#name = "";
      return event;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#name = value;
    return undefined;
  }
}
