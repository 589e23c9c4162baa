/** One sandbox. */

import type { Api, CallOptions, Told } from "./api.js";
import { Commands } from "./commands.js";
import { IsolaTimeoutError, NotFoundError, SandboxFailedError } from "./errors.js";
import { Filesystem } from "./filesystem.js";
import { type FollowOptions, type History, type HistoryEntry, followHistory, readHistory } from "./histories.js";
import type { ContainerInfo, Labels, Network, NetworkRefusals, SandboxData, SandboxStatus } from "./models.js";
import { request, withJson } from "./protocol/messages.js";
import { waiting } from "./protocol/waiting.js";

export const SANDBOX = ["id", "status", "creationTimestamp", "podTemplate"] as const;

export interface WaitUntilOptions {
  readonly signal?: AbortSignal | undefined;
  readonly maxWaitMs?: number | undefined;
}

/** A sandbox, as it was when it was last asked for; `refresh` asks again. With `await using` it is deleted at the end. */
export class Sandbox implements AsyncDisposable {
  readonly commands: Commands;
  readonly filesystem: Filesystem;
  readonly #api: Api;
  #data: SandboxData;

  constructor(api: Api, data: SandboxData) {
    this.#api = api;
    this.#data = data;
    this.commands = new Commands(api, data.id);
    this.filesystem = new Filesystem(api, data.id);
  }

  /** All that the gateway shows. */
  get data(): SandboxData {
    return this.#data;
  }

  get id(): string {
    return this.#data.id;
  }

  /** What its log amounts to in one word. */
  get status(): SandboxStatus {
    return this.#data.status;
  }

  /** Why the status is what it is, in one word. */
  get reason(): string | undefined {
    return this.#data.reason;
  }

  /** Why, for people. */
  get message(): string | undefined {
    return this.#data.message;
  }

  get labels(): Labels {
    return this.#data.labels ?? {};
  }

  get containers(): readonly ContainerInfo[] {
    return this.#data.podTemplate.containers;
  }

  get creationTimestamp(): Date {
    return new Date(this.#data.creationTimestamp);
  }

  /** When its lifetime is over; undefined while it has not begun, or has no end. */
  get expiresAt(): Date | undefined {
    return this.#data.expiresAt === undefined ? undefined : new Date(this.#data.expiresAt);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.delete();
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
    }
  }

  /** Bring all of the above up to date, and return the sandbox itself. */
  async refresh(call: CallOptions = {}): Promise<this> {
    this.#data = (await this.#api.ask<SandboxData>(waiting(this.#where, 0), SANDBOX, call)).told;
    return this;
  }

  /**
   * Wait until it runs, 120 s by default, and return the sandbox itself.
   *
   * `SandboxFailedError`: it will never run; says why. `IsolaTimeoutError`: it does not run yet.
   */
  async wait({ maxWaitMs = 120_000, signal }: WaitUntilOptions = {}): Promise<this> {
    const until = performance.now() + maxWaitMs;
    const found = await this.#api.ask<SandboxData>(waiting(this.#where, maxWaitMs / 1000), SANDBOX, { signal });
    this.#data = await untilUp(this.#api, found, until, signal);
    return this;
  }

  /** End it; once it has ended, nothing happens. It is gone when `follow` is over. */
  async delete(call: CallOptions = {}): Promise<void> {
    await this.#api.send(request("DELETE", this.#where), call);
  }

  /** Give it another lifetime, counted from its acceptance; it must end in the future. */
  async setTimeout(timeoutSeconds: number, call: CallOptions = {}): Promise<void> {
    await this.#change({ timeoutSeconds }, call);
  }

  /** Let it reach this and nothing else, for new connections; in force on return. */
  async setNetwork(network: Network, call: CallOptions = {}): Promise<void> {
    await this.#change({ network }, call);
  }

  /** Return what it was refused on its way out by name. */
  async networkRefusals(call: CallOptions = {}): Promise<NetworkRefusals> {
    const asked = request("GET", [...this.#where, "network", "refusals"]);
    return (await this.#api.ask<NetworkRefusals>(asked, ["refusals", "replicas", "silent"], call)).told;
  }

  /** Return all that happened to it, also once it is deleted. */
  async history(call: CallOptions = {}): Promise<History> {
    return readHistory(this.#api, "sandboxes", this.id, call);
  }

  /** Yield all that happened and happens to it, until it is gone. */
  follow(options: Omit<FollowOptions, "uid"> = {}): AsyncGenerator<HistoryEntry, void, undefined> {
    return followHistory(this.#api, "sandboxes", this.id, options);
  }

  get #where(): readonly string[] {
    return ["sandboxes", this.id];
  }

  async #change(body: { timeoutSeconds: number } | { network: Network }, call: CallOptions): Promise<void> {
    // A change of the network is seen to be in force before it is answered.
    const asked = { ...withJson(request("PATCH", this.#where), body), heldMs: 25_000 };
    this.#data = (await this.#api.ask<SandboxData>(asked, SANDBOX, call)).told;
  }
}

/** Return a sandbox that runs by `until`, on the clock of `performance.now`. */
export async function untilUp(api: Api, found: Told<SandboxData>, until: number, signal: AbortSignal | undefined): Promise<SandboxData> {
  let { told, requestId } = found;
  while (told.status !== "Running") {
    const { id, status, reason, message } = told;
    if (status !== "Pending") throw new SandboxFailedError(id, status, { reason, explanation: message, requestId });
    const left = until - performance.now();
    if (left <= 0) {
      throw new IsolaTimeoutError(`sandbox ${id} does not run yet: ${reason ?? status}: ${message ?? ""}`, { requestId });
    }
    ({ told, requestId } = await api.ask<SandboxData>(waiting(["sandboxes", id], Math.max(left / 1000, 1)), SANDBOX, { signal }));
  }
  return told;
}
