/** Participants of the soak on one server, with their connections cut: all end with one value. */

import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { expect, test } from "vitest"
import { Proxy, Server } from "../support/server.js"

const HERE = fileURLToPath(new URL("../../", import.meta.url))

class Participant {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  #errors = ""

  constructor(url: string, seed: number) {
    this.#child = spawn("node", ["soak/participant.mjs", url, String(seed)], { cwd: HERE })
    this.#child.stderr!.on("data", (data) => (this.#errors += String(data)))
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]()
  }

  async ask(command: string): Promise<string> {
    this.#child.stdin!.write(`${command}\n`)
    const { value } = await this.#lines.next()
    if (value === undefined) throw new Error(`a participant ended: ${this.#errors}`)
    return value as string
  }

  async quit(): Promise<number | null> {
    const ended = new Promise<number | null>((resolve) => this.#child.on("exit", resolve))
    this.#child.stdin!.write("quit\n")
    return ended
  }
}

test("participants converge, however often they are cut off", async () => {
  const server = await Server.start()
  const proxy = await Proxy.start(server.url)
  const seed = Number(process.env["SEED"] ?? 1)
  const all = [seed, seed + 1, seed + 2].map((seed) => new Participant(proxy.url, seed))
  const cutting = setInterval(() => proxy.cut(), 150)
  for (let round = 0; round < 3; round++) {
    await Promise.all(all.map((it) => it.ask("edit 200")))
  }
  clearInterval(cutting)
  let values: string[] = []
  // What one sends last the others receive a moment later.
  for (let attempt = 0; attempt < 20 && new Set(values).size !== 1; attempt++) {
    await Promise.all(all.map((it) => it.ask("settle")))
    await new Promise((resolve) => setTimeout(resolve, 100))
    values = await Promise.all(all.map((it) => it.ask("values")))
    values = values.map((it) => JSON.stringify(sorted(JSON.parse(it))))
  }
  expect(new Set(values).size, values.join("\n")).toBe(1)
  expect(await Promise.all(all.map((it) => it.quit()))).toEqual([0, 0, 0])
  proxy.close()
  await server.end()
}, 120_000)

/** With the keys of every dict in order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== "object" || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, value]) => [key, sorted(value)]))
}
