/** Snapshots of root file systems. */

import type { Api, CallOptions, Told } from "./api.js";
import { IsolaTimeoutError, SnapshotFailedError } from "./errors.js";
import { type FollowOptions, type History, type HistoryEntry, type HistoryOptions, followHistory, readHistory } from "./histories.js";
import type { DeletionPolicy, Labels, RootfsSnapshotData, RootfsSnapshotStatus, RootfsSnapshotSummary } from "./models.js";
import { type PageOptions, pages, selector } from "./pages.js";
import { request, withJson } from "./protocol/messages.js";
import { held, waiting } from "./protocol/waiting.js";
import type { WaitUntilOptions } from "./sandbox.js";

const SNAPSHOT = ["id", "snapshotName", "status", "creationTimestamp"] as const;

export interface AdoptOptions extends WaitUntilOptions {
  /** How long it may take. Default: 300. */
  readonly timeoutSeconds?: number | undefined;
  /** How long it is shown once it ended. Default: 300. */
  readonly ttlSecondsAfterFinished?: number | undefined;
  readonly deletionPolicy?: DeletionPolicy | undefined;
  readonly labels?: Labels | undefined;
  /** How long to wait until it can be restored; 0: not at all. Default: 310 000. */
  readonly maxWaitMs?: number | undefined;
}

export interface SnapshotOptions extends AdoptOptions {
  readonly sandboxId: string;
  /** What it is restored by. Default: the sandbox's id. */
  readonly snapshotName?: string | undefined;
  /** Default: the first. */
  readonly containerName?: string | undefined;
  /** Whether it takes the place of one with this name. */
  readonly replace?: boolean | undefined;
  /** Whether the sandbox stands still meanwhile. */
  readonly pause?: boolean | undefined;
  /** How long what is stored is kept. Default: for ever. */
  readonly objectTTLSeconds?: number | undefined;
}

export interface SnapshotListOptions extends CallOptions {
  readonly sandboxId?: string | undefined;
  readonly snapshotName?: string | undefined;
  readonly labels?: Labels | string | undefined;
  readonly status?: RootfsSnapshotStatus | undefined;
}

/** A snapshot, as it was when it was last asked for; `refresh` asks again. */
export class RootfsSnapshot {
  readonly #api: Api;
  #data: RootfsSnapshotData;

  constructor(api: Api, data: RootfsSnapshotData) {
    this.#api = api;
    this.#data = data;
  }

  /** All that the gateway shows: sizes, digests, base image, reason ... */
  get data(): RootfsSnapshotData {
    return this.#data;
  }

  get id(): string {
    return this.#data.id;
  }

  get status(): RootfsSnapshotStatus {
    return this.#data.status;
  }

  /** What it is restored by. */
  get snapshotName(): string {
    return this.#data.snapshotName;
  }

  /** Bring all of the above up to date, and return the snapshot itself. */
  async refresh(call: CallOptions = {}): Promise<this> {
    this.#data = (await this.#api.ask<RootfsSnapshotData>(waiting(this.#where, 0), SNAPSHOT, call)).told;
    return this;
  }

  /** Wait until it can be restored, 310 s by default. `SnapshotFailedError`: there will be none; says why. */
  async wait({ maxWaitMs = 310_000, signal }: WaitUntilOptions = {}): Promise<this> {
    const known = { told: this.#data, requestId: undefined };
    this.#data = await untilThere(this.#api, known, performance.now() + maxWaitMs, signal);
    return this;
  }

  /** Remove it, with what is stored of it. */
  async delete(call: CallOptions = {}): Promise<void> {
    await this.#api.send(request("DELETE", this.#where), call);
  }

  /** Return all that happened to it, also once it is gone. */
  async history(call: CallOptions = {}): Promise<History> {
    return readHistory(this.#api, "rootfs-snapshots", this.id, call);
  }

  /** Yield all that happened and happens to it, until it is gone. */
  follow(options: Omit<FollowOptions, "uid"> = {}): AsyncGenerator<HistoryEntry, void, undefined> {
    return followHistory(this.#api, "rootfs-snapshots", this.id, options);
  }

  get #where(): readonly string[] {
    return ["rootfs-snapshots", this.id];
  }
}

/** All snapshots of a gateway. */
export class RootfsSnapshots {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  /** Take a snapshot of a running sandbox, and wait until it can be restored. */
  async create(options: SnapshotOptions): Promise<RootfsSnapshot> {
    const { maxWaitMs, signal, ...body } = options;
    return this.#ask(body, { maxWaitMs, signal });
  }

  /** Make a snapshot of what is stored under a name already, and that no snapshot knows (any more). */
  async adopt(snapshotName: string, options: AdoptOptions = {}): Promise<RootfsSnapshot> {
    const { maxWaitMs, signal, ...body } = options;
    return this.#ask({ ...body, adopt: true, snapshotName }, { maxWaitMs, signal });
  }

  /** Return a snapshot as it is now. */
  async get(id: string, call: CallOptions = {}): Promise<RootfsSnapshot> {
    const { told } = await this.#api.ask<RootfsSnapshotData>(waiting(["rootfs-snapshots", id], 0), SNAPSHOT, call);
    return new RootfsSnapshot(this.#api, told);
  }

  /** Yield snapshots, the oldest first, a page at a time. */
  iterate(options: SnapshotListOptions & PageOptions = {}): AsyncGenerator<RootfsSnapshotSummary, void, undefined> {
    const { sandboxId, snapshotName, labels, status, pageSize, ...call } = options;
    const query = { sandboxId, snapshotName, labels: selector(labels), status, limit: pageSize };
    return pages<RootfsSnapshotSummary>(this.#api, ["rootfs-snapshots"], "rootfsSnapshots", query, call);
  }

  /** Return snapshots, the oldest first. */
  async list(options: SnapshotListOptions = {}): Promise<RootfsSnapshotSummary[]> {
    const found: RootfsSnapshotSummary[] = [];
    for await (const each of this.iterate(options)) found.push(each);
    return found;
  }

  /** Remove a snapshot, with what is stored of it. */
  async delete(id: string, call: CallOptions = {}): Promise<void> {
    await this.#api.send(request("DELETE", ["rootfs-snapshots", id]), call);
  }

  /** Return all that happened to a snapshot, also once it is gone. */
  async history(id: string, options: HistoryOptions = {}): Promise<History> {
    return readHistory(this.#api, "rootfs-snapshots", id, options);
  }

  async #ask(body: object, { maxWaitMs = 310_000, signal }: WaitUntilOptions): Promise<RootfsSnapshot> {
    const until = performance.now() + maxWaitMs;
    const asked = held(withJson(request("POST", ["rootfs-snapshots"]), body), maxWaitMs);
    const found = await this.#api.ask<RootfsSnapshotData>(asked, SNAPSHOT, { signal });
    return new RootfsSnapshot(this.#api, maxWaitMs > 0 ? await untilThere(this.#api, found, until, signal) : found.told);
  }
}

async function untilThere(api: Api, found: Told<RootfsSnapshotData>, until: number, signal: AbortSignal | undefined): Promise<RootfsSnapshotData> {
  let { told, requestId } = found;
  while (told.status !== "Succeeded") {
    const { id, status, reason, message } = told;
    if (status === "Failed") throw new SnapshotFailedError(id, { reason, explanation: message, requestId });
    const left = until - performance.now();
    if (left <= 0) throw new IsolaTimeoutError(`snapshot ${id} is not there yet: it is ${status}`, { requestId });
    ({ told, requestId } = await api.ask<RootfsSnapshotData>(waiting(["rootfs-snapshots", id], Math.max(left / 1000, 1)), SNAPSHOT, { signal }));
  }
  return told;
}
