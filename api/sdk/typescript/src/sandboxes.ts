/** Sandboxes: made, found and listed. */

import type { Api, CallOptions } from "./api.js";
import { type FollowOptions, type History, type HistoryEntry, type HistoryOptions, followHistory, readHistory } from "./histories.js";
import type { Container, Labels, Network, RecordSummary, SandboxData, SandboxStatus, SandboxSummary, SnapshotRootfs } from "./models.js";
import { request, withJson } from "./protocol/messages.js";
import { type PageOptions, pages, selector } from "./pages.js";
import { held, waiting } from "./protocol/waiting.js";
import { SANDBOX, Sandbox, type WaitUntilOptions, untilUp } from "./sandbox.js";

interface CommonCreateOptions extends WaitUntilOptions {
  /** What it may reach. Default: nothing. */
  readonly network?: Network | undefined;
  /** Its lifetime. Default: no limit. */
  readonly timeoutSeconds?: number | undefined;
  /** Default: 90. */
  readonly startupTimeoutSeconds?: number | undefined;
  /** Keep the root file system at the end. */
  readonly terminationPolicy?: SnapshotRootfs | undefined;
  /** To find it by. */
  readonly labels?: Labels | undefined;
  /** How long to wait until it runs; 0: not at all. Default: 120 000. */
  readonly maxWaitMs?: number | undefined;
}

interface LoneContainer {
  readonly image: string;
  /** A snapshot that it starts from. */
  readonly rootfsSnapshotName?: string | undefined;
  /** Its argv. Default: sleep for ever. */
  readonly command?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Cores. */
  readonly cpu?: number | undefined;
  /** MiB. */
  readonly memory?: number | undefined;
  /** MiB. */
  readonly ephemeralStorage?: number | undefined;
}

type Never<T> = { readonly [K in keyof T]?: undefined };

/** Either the settings of the only container, or all `containers`. */
export type CreateOptions = CommonCreateOptions &
  ((LoneContainer & { readonly containers?: undefined }) | (Never<LoneContainer> & { readonly containers: readonly Container[] }));

export interface ListOptions extends CallOptions {
  /** Only those with all of these; as text, `a=1,b!=2`. */
  readonly labels?: Labels | string | undefined;
  readonly status?: SandboxStatus | undefined;
}

/** All sandboxes of a gateway. */
export class Sandboxes {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  /**
   * Create a sandbox, and wait until it runs.
   *
   * `SandboxFailedError`: it will never run; says why. `IsolaTimeoutError`: it does not run yet. It is there: `list` has it.
   */
  async create(options: CreateOptions): Promise<Sandbox> {
    const { maxWaitMs = 120_000, signal, network, timeoutSeconds, startupTimeoutSeconds, terminationPolicy: kept, labels } = options;
    const until = performance.now() + maxWaitMs;
    const body = {
      podTemplate: { containers: options.containers ?? [loneContainer(options)] },
      network,
      timeoutSeconds,
      startupTimeoutSeconds,
      terminationPolicy: kept && { type: "SnapshotRootfs", snapshotRootfs: kept },
      labels,
    };
    const asked = held(withJson(request("POST", ["sandboxes"]), body), maxWaitMs);
    const found = await this.#api.ask<SandboxData>(asked, SANDBOX, { signal });
    return new Sandbox(this.#api, maxWaitMs > 0 ? await untilUp(this.#api, found, until, signal) : found.told);
  }

  /** Return a sandbox as it is now. */
  async get(id: string, call: CallOptions = {}): Promise<Sandbox> {
    return new Sandbox(this.#api, (await this.#api.ask<SandboxData>(waiting(["sandboxes", id], 0), SANDBOX, call)).told);
  }

  /** Yield sandboxes, the oldest first, a page at a time. */
  iterate({ labels, status, pageSize, ...call }: ListOptions & PageOptions = {}): AsyncGenerator<SandboxSummary, void, undefined> {
    return pages<SandboxSummary>(this.#api, ["sandboxes"], "sandboxes", { labels: selector(labels), status, limit: pageSize }, call);
  }

  /** Return sandboxes, the oldest first. */
  async list(options: ListOptions = {}): Promise<SandboxSummary[]> {
    const found: SandboxSummary[] = [];
    for await (const each of this.iterate(options)) found.push(each);
    return found;
  }

  /** End a sandbox; one that does not exist has ended. */
  async delete(id: string, call: CallOptions = {}): Promise<void> {
    await this.#api.send(request("DELETE", ["sandboxes", id]), call);
  }

  /** Return all that happened to a sandbox, also once it is deleted. */
  async history(id: string, options: HistoryOptions = {}): Promise<History> {
    return readHistory(this.#api, "sandboxes", id, options);
  }

  /** Yield all that happened and happens to a sandbox, until it is gone. */
  follow(id: string, options: FollowOptions = {}): AsyncGenerator<HistoryEntry, void, undefined> {
    return followHistory(this.#api, "sandboxes", id, options);
  }

  /** Yield sandboxes that are gone and whose history is on record, the latest first. */
  records({ pageSize, ...call }: PageOptions & CallOptions = {}): AsyncGenerator<RecordSummary, void, undefined> {
    return pages<RecordSummary>(this.#api, ["records"], "records", { limit: pageSize }, call);
  }
}

function loneContainer(options: CreateOptions): Container {
  const { image, rootfsSnapshotName, command, env, cpu, memory, ephemeralStorage } = options;
  if (image === undefined) throw new TypeError("give either `image` or `containers`");
  const amounts = {
    cpu: cpu === undefined ? undefined : `${Math.round(cpu * 1000)}m`,
    memory: memory === undefined ? undefined : `${memory}Mi`,
    ephemeralStorage: ephemeralStorage === undefined ? undefined : `${ephemeralStorage}Mi`,
  };
  const bounded = cpu ?? memory ?? ephemeralStorage;
  const resources = bounded === undefined ? undefined : { limits: amounts, requests: amounts };
  return { image, rootfsSnapshotName, command, env, resources };
}
