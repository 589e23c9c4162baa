/** Files in a sandbox. */

import type { Api, CallOptions } from "./api.js";
import { NotFoundError } from "./errors.js";
import { download } from "./downloads.js";
import type { Entry, FileChange } from "./models.js";
import { OCTETS, type Query, type Request, request, withHeaders } from "./protocol/messages.js";
import { concat } from "./protocol/text.js";
import { Body, type Progress, type Upload, streamOf } from "./uploads.js";
import { watched } from "./watching.js";

export interface FileOptions extends CallOptions {
  /** Needed only where there are several. */
  readonly container?: string | undefined;
}

export interface TransferOptions extends FileOptions {
  readonly onProgress?: Progress | undefined;
}

const ENTRY = ["name", "path", "type"] as const;

/** The files of a sandbox. A relative path starts from the container's working directory. */
export class Filesystem {
  readonly #api: Api;
  readonly #sandboxId: string;

  constructor(api: Api, sandboxId: string) {
    this.#api = api;
    this.#sandboxId = sandboxId;
  }

  /**
   * Make `data` a file's content, all of it or nothing. Missing directories are made.
   *
   * A stream is sent once; bytes, a `Blob` and a function that returns a stream can be sent again where a connection is lost.
   */
  async write(path: string, data: Upload, { container, onProgress, ...call }: TransferOptions = {}): Promise<void> {
    const asked = withHeaders(this.#asked("POST", { path, container }), { "Content-Type": OCTETS });
    await this.#api.send(asked, call, new Body(data, onProgress));
  }

  /** Return a file's content. */
  async read(path: string, options: TransferOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.#pieces(path, options)) pieces.push(piece);
    return concat(pieces);
  }

  /** Return a file's content, which is UTF-8, as text. */
  async readText(path: string, options: TransferOptions = {}): Promise<string> {
    return new TextDecoder().decode(await this.read(path, options));
  }

  /**
   * Return a file's content as a web stream. A connection that is lost goes on at the very byte.
   *
   * `StreamLostError`: it cannot go on, or the file is another one by now.
   */
  stream(path: string, options: TransferOptions = {}): ReadableStream<Uint8Array> {
    return streamOf((signal) => this.#pieces(path, { ...options, signal }), options.signal);
  }

  /** Yield what is in a directory, by the bytes of the names, a page at a time. */
  async *iterate(path: string, { container, pageSize, ...call }: FileOptions & { pageSize?: number } = {}): AsyncGenerator<Entry, void, undefined> {
    let cursor: string | undefined;
    do {
      const asked = this.#asked("GET", { path, container, limit: pageSize, cursor }, "entries");
      const { told } = await this.#api.ask<{ entries: Entry[]; nextCursor?: string }>(asked, ["entries"], call);
      yield* told.entries;
      cursor = told.nextCursor;
    } while (cursor);
  }

  /** Return what is in a directory. */
  async list(path: string, options: FileOptions = {}): Promise<Entry[]> {
    const found: Entry[] = [];
    for await (const entry of this.iterate(path, options)) found.push(entry);
    return found;
  }

  /** Return what a path is; of a link, the link itself. */
  async stat(path: string, { container, ...call }: FileOptions = {}): Promise<Entry> {
    return (await this.#api.ask<Entry>(this.#asked("GET", { path, container }, "stat"), ENTRY, call)).told;
  }

  /** Return whether there is anything at a path. */
  async exists(path: string, options: FileOptions = {}): Promise<boolean> {
    try {
      await this.stat(path, options);
      return true;
    } catch (error) {
      if (error instanceof NotFoundError) return false;
      throw error;
    }
  }

  /** Make a directory and its parents, and return whether it was not there before. */
  async mkdir(path: string, { container, ...call }: FileOptions = {}): Promise<boolean> {
    const answer = await this.#api.send(this.#asked("POST", { path, container }, "directories"), call);
    return answer.status === 201;
  }

  /**
   * Remove a file, a link or an empty directory; with `recursive`, one with all in it.
   *
   * Where the answer was lost, what is gone by the next attempt counts as removed.
   */
  async remove(path: string, { container, recursive, ...call }: FileOptions & { recursive?: boolean } = {}): Promise<void> {
    const asked = this.#asked("DELETE", { path, container, recursive: recursive || undefined });
    await this.#api.send({ ...asked, goneIsDone: true }, call);
  }

  /**
   * Give a file, a link or a directory another path, within its file system. With `overwrite` a file or an empty directory
   * there is replaced.
   */
  async move(from: string, to: string, { container, overwrite, ...call }: FileOptions & { overwrite?: boolean } = {}): Promise<void> {
    await this.#api.send(this.#asked("POST", { from, to, container, overwrite: overwrite || undefined }, "move"), call);
  }

  /**
   * Yield what changes at a path, until what is there is gone.
   *
   * The first is `ready`: nothing is missed from then on. `overflow`: something was, such as when the connection was lost;
   * list again.
   */
  watch(path: string, { container, recursive, ...call }: FileOptions & { recursive?: boolean } = {}): AsyncGenerator<FileChange, void, undefined> {
    return watched(this.#api, this.#asked("GET", { path, container, recursive: recursive || undefined }, "watch"), call);
  }

  #pieces(path: string, { container, onProgress, ...call }: TransferOptions): AsyncGenerator<Uint8Array, void, undefined> {
    return download(this.#api, this.#asked("GET", { path, container }), call, onProgress);
  }

  #asked(method: Request["method"], query: Query, ...more: string[]): Request {
    return request(method, ["sandboxes", this.#sandboxId, "filesystem", ...more], query);
  }
}
