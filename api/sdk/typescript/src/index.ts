/** Client of Isola: sandboxes for AI agents on Kubernetes. */

export type { CallOptions, OpenWebSocket } from "./api.js";
export { Isola, type IsolaOptions } from "./client.js";
export { Command, type CommandResult, Commands, type RunOptions, type SpawnOptions, type WaitOptions } from "./commands.js";
export * from "./errors.js";
export type { Fetch } from "./exchange.js";
export { type FileOptions, Filesystem, type TransferOptions } from "./filesystem.js";
export { type FollowOptions, type History, type HistoryEntry, type HistoryOptions, verifyHistory } from "./histories.js";
export type * from "./models.js";
export type { PageOptions } from "./pages.js";
export type { Retrying } from "./protocol/retrying.js";
export { Sandbox, type WaitUntilOptions } from "./sandbox.js";
export { type CreateOptions, type ListOptions, Sandboxes } from "./sandboxes.js";
export { type AdoptOptions, RootfsSnapshot, RootfsSnapshots, type SnapshotListOptions, type SnapshotOptions } from "./snapshots.js";
export { OutputReader, type StreamName, type StreamOptions } from "./streams.js";
export { Terminal, type TerminalOptions } from "./terminals.js";
export type { Progress, Source, Upload } from "./uploads.js";
export { VERSION } from "./version.js";
