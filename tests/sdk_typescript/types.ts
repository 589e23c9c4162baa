/** What the types of the client promise: this file is compiled, and never run. */

import { type CreateOptions, type History, Isola, type IsolaOptions, NotFoundError, type Sandbox, type SandboxStatus, verifyHistory } from "@isola/sdk";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

function isSame<_ extends true>(): void {}

declare const client: Isola;
declare const sandbox: Sandbox;
declare const caught: unknown;

isSame<Same<Awaited<ReturnType<Isola["sandboxes"]["create"]>>, Sandbox>>();
isSame<Same<Sandbox["status"], SandboxStatus>>();
isSame<Same<SandboxStatus, "Pending" | "Running" | "Terminating" | "Succeeded" | "Failed">>();
isSame<Same<Sandbox["expiresAt"], Date | undefined>>();

const lone: CreateOptions = { image: "a", cpu: 1, memory: 2 };
const several: CreateOptions = { containers: [{ image: "a", env: { A: "1" } }] };
// @ts-expect-error neither image nor containers
const neither: CreateOptions = { timeoutSeconds: 1 };
// @ts-expect-error both
const both: CreateOptions = { image: "a", containers: [{ image: "b" }] };
// @ts-expect-error a setting of the only container, beside `containers`
const beside: CreateOptions = { containers: [{ image: "b" }], memory: 1 };
// @ts-expect-error misspelt
const misspelt: CreateOptions = { image: "a", timeoutSecond: 1 };
// Code that does not care for `exactOptionalPropertyTypes` may pass what it has.
const options: IsolaOptions = { url: undefined, headers: undefined };

export async function calls(): Promise<void> {
  await using made = await client.sandboxes.create(lone);
  // @ts-expect-error what is there cannot be set
  made.status = "Failed";
  const result = await sandbox.commands.run(["a"], { input: new Uint8Array(), signal: AbortSignal.timeout(1) });
  isSame<Same<typeof result.exitCode, number>>();
  isSame<Same<(typeof result)["cause"], "Exited" | "Signalled" | "TimedOut" | "Lost" | undefined>>();
  // @ts-expect-error argv is a list
  await sandbox.commands.run("a");
  // @ts-expect-error there is no such stream
  sandbox.commands.get("a").output("stdall");
  for await (const text of sandbox.commands.get("a").stdout) isSame<Same<typeof text, string>>();
  isSame<Same<ReturnType<Sandbox["filesystem"]["stream"]>, ReadableStream<Uint8Array>>>();
  await sandbox.filesystem.write("a", () => new Blob().stream());
  const history: History = await sandbox.history();
  isSame<Same<Awaited<ReturnType<typeof verifyHistory>>, string>>();
  await verifyHistory(history);
  // @ts-expect-error no sandbox has this status
  await client.sandboxes.list({ status: "running" });
  if (caught instanceof NotFoundError) isSame<Same<typeof caught.requestId, string | undefined>>();
}

void [lone, several, neither, both, beside, misspelt, options];
