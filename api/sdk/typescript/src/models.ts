/** What is sent and what comes back, as the REST API spells it. Times are RFC 3339 text. */

export type SandboxStatus = "Pending" | "Running" | "Terminating" | "Succeeded" | "Failed";
export type RootfsSnapshotStatus = "Pending" | "Running" | "Succeeded" | "Failed";
/** What becomes of what is stored when somebody deletes the custom resource past this API. */
export type DeletionPolicy = "Retain" | "Delete";
export type Labels = Readonly<Record<string, string>>;

/** Amounts, as Kubernetes quantities: `500m`, `512Mi`. */
export interface ResourceList {
  readonly cpu?: string | undefined;
  readonly memory?: string | undefined;
  readonly ephemeralStorage?: string | undefined;
}

/** What a container may use at most, and what is set aside for it. */
export interface ResourceRequirements {
  readonly limits?: ResourceList | undefined;
  readonly requests?: ResourceList | undefined;
}

/** A container of a sandbox, as it is shown. */
export interface ContainerInfo {
  readonly name: string;
  readonly image: string;
  readonly rootfsSnapshotName?: string | undefined;
  readonly command?: readonly string[] | undefined;
  readonly resources?: ResourceRequirements | undefined;
}

/** A container to be run. */
export interface Container extends Omit<ContainerInfo, "name"> {
  /** Default: `sandbox0`, `sandbox1` ... */
  readonly name?: string | undefined;
  /** Never shown again. */
  readonly env?: Readonly<Record<string, string>> | undefined;
}

/** What a sandbox may reach. Without it: nothing. */
export interface Network {
  /** Everything that is not private or special. */
  readonly allowInternetEgress?: boolean | undefined;
  /** Ranges, at most 16. */
  readonly allowedEgressCIDRs?: readonly string[] | undefined;
  /** Names, resolved by the cluster. */
  readonly allowClusterDNS?: boolean | undefined;
  /** Names, resolved by these, at most 3. */
  readonly nameservers?: readonly string[] | undefined;
  /** Needed for whatever is IPv6 among the others. */
  readonly allowIPv6Egress?: boolean | undefined;
  /** Of the whole sandbox. */
  readonly egressRateLimitBytesPerSecond?: number | undefined;
  /** Names, by TLS and HTTP: `pypi.org`, `*.pythonhosted.org`, `db.example.com:8443`. An empty list: none yet. */
  readonly allowedEgressDomains?: readonly string[] | undefined;
}

/** The root file system is kept before the sandbox goes. */
export interface SnapshotRootfs {
  /** Default: the sandbox's id. */
  readonly snapshotName?: string | undefined;
  /** Default: 300. */
  readonly timeoutSeconds?: number | undefined;
}

/** What happens at the end of a sandbox. */
export interface TerminationPolicy {
  readonly type: "Delete" | "SnapshotRootfs";
  readonly snapshotRootfs?: SnapshotRootfs | undefined;
}

/** A sandbox in a list. */
export interface SandboxSummary {
  readonly id: string;
  readonly status: SandboxStatus;
  readonly creationTimestamp: string;
  readonly labels?: Labels | undefined;
}

/** A sandbox as the gateway shows it. */
export interface SandboxData extends SandboxSummary {
  readonly podTemplate: { readonly containers: readonly ContainerInfo[] };
  readonly startupTimeoutSeconds: number;
  /** Its lifetime, as it was last set; undefined: no limit. */
  readonly timeoutSeconds?: number | undefined;
  /** When its lifetime is over; undefined while it has not begun, or has no end. */
  readonly expiresAt?: string | undefined;
  readonly network?: Network | undefined;
  readonly terminationPolicy?: TerminationPolicy | undefined;
  /** Why the status is what it is, in one word. */
  readonly reason?: string | undefined;
  /** Why, for people. */
  readonly message?: string | undefined;
  /** Of a sandbox that ended by itself. */
  readonly exitCode?: number | undefined;
  /** The node it was assigned to. */
  readonly node?: string | undefined;
}

/** Something that a sandbox asked for by name and was not given, as often as it did. */
export interface NetworkRefusal {
  /** `NameNotAllowed`, `PortNotAllowed`, `NameMissing`, `AddressBlocked` ... */
  readonly reason: string;
  /** `dns`, `tls`, `http` or `tcp`. */
  readonly protocol: string;
  readonly name?: string | undefined;
  /** Where the name leads, if that is why. */
  readonly address?: string | undefined;
  /** Undefined where the name was only looked up. */
  readonly port?: number | undefined;
  readonly count: number;
  readonly firstTime: string;
  readonly lastTime: string;
}

/** The latest refusals, the very latest first. */
export interface NetworkRefusals {
  readonly refusals: readonly NetworkRefusal[];
  /** How many replicas of the egress component there are. */
  readonly replicas: number;
  /** How many of them did not answer: what they know is missing. */
  readonly silent: number;
}

/** How a command stands. */
export interface CommandStatus {
  /** Null while it runs; -1 unless it exited by itself. */
  readonly exitCode: number | null;
  /** How it ended: `Lost`: nobody knows. */
  readonly cause?: "Exited" | "Signalled" | "TimedOut" | "Lost" | undefined;
  /** Which, if one ended it. */
  readonly signal?: string | undefined;
}

/** A command in a list. */
export interface CommandInfo extends CommandStatus {
  readonly id: string;
  readonly container: string;
  readonly args: readonly string[];
}

/** Of a terminal, in characters. */
export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** What a path is; of a link, the link itself. */
export interface Entry {
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  readonly type: "file" | "directory" | "symlink" | "other";
  readonly size: number;
  /** Octal, such as `0644`. */
  readonly permissions: string;
  readonly uid: number;
  readonly gid: number;
  readonly modifiedTime: string;
  readonly symlinkTarget?: string | undefined;
  /** Only of a path that is not UTF-8: its bytes, percent-encoded. */
  readonly encodedPath?: string | undefined;
}

/** Something that changed in a file system. */
export interface FileChange {
  /** `overflow`: changes were lost, list again. `ready`: from here on nothing is missed. */
  readonly kind: "created" | "modified" | "removed" | "renamed" | "overflow" | "ready";
  /** Absolute; of `ready` what is watched. */
  readonly path?: string | undefined;
  readonly type?: string | undefined;
  /** Of `renamed`: what it was called before. */
  readonly previousPath?: string | undefined;
}

/** A sandbox that is gone, and whose history is on record. */
export interface RecordSummary {
  readonly id: string;
  readonly uid: string;
  readonly recordedAt: string;
}

/** A snapshot in a list. */
export interface RootfsSnapshotSummary {
  readonly id: string;
  readonly sandboxId: string;
  readonly snapshotName: string;
  readonly status: RootfsSnapshotStatus;
  readonly creationTimestamp: string;
  readonly labels?: Labels | undefined;
}

/** What a snapshot is taken from, as it was found there. */
export interface SnapshotSource {
  readonly sandboxUid: string;
  readonly node: string;
  readonly container: string;
  readonly containerId: string;
  readonly image: string;
  readonly imageId: string;
}

/** What is in the bucket: sizes in bytes, the digest of what is stored. */
export interface StoredObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly compression: string;
  readonly expiresAt?: string | undefined;
}

/** A snapshot as the gateway shows it. */
export interface RootfsSnapshotData extends RootfsSnapshotSummary {
  readonly containerName?: string | undefined;
  readonly timeoutSeconds: number;
  readonly ttlSecondsAfterFinished: number;
  readonly replace?: boolean | undefined;
  readonly pause?: boolean | undefined;
  readonly adopt?: boolean | undefined;
  readonly deletionPolicy?: DeletionPolicy | undefined;
  readonly objectTTLSeconds?: number | undefined;
  readonly trigger?: string | undefined;
  readonly reason?: string | undefined;
  readonly message?: string | undefined;
  readonly source?: SnapshotSource | undefined;
  readonly sizeBytes?: number | undefined;
  readonly sha256?: string | undefined;
  readonly stored?: StoredObject | undefined;
  readonly acceptedAt?: string | undefined;
  readonly finishedAt?: string | undefined;
  readonly deletionRequestedAt?: string | undefined;
}
