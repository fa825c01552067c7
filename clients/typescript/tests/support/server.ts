/** The real server, in a folder of its own, on a free port. */

import type { ChildProcess } from "node:child_process"
import { execFileSync, spawn } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { WebSocketServer, WebSocket } from "ws"

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url))

/** The server's program: TOPICSYNC_BIN, or what cargo builds. */
function program(): string {
  const given = process.env["TOPICSYNC_BIN"]
  if (given) return given
  const built = join(ROOT, "target/debug/topicsync")
  if (!existsSync(built)) execFileSync("cargo", ["build"], { cwd: ROOT, stdio: "inherit" })
  return built
}

export class Server {
  readonly #data = mkdtempSync(join(tmpdir(), "topicsync-test-"))
  #child: ChildProcess | undefined
  #port = 0

  static async start(): Promise<Server> {
    const server = new Server()
    await server.start()
    return server
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#port}/`
  }

  /** Starts it, after a stop on the port that it had. */
  async start(): Promise<void> {
    const args = ["--listen", `127.0.0.1:${this.#port}`, "--data", this.#data]
    const child = spawn(program(), args, { stdio: ["ignore", "ignore", "pipe"] })
    this.#child = child
    this.#port = await new Promise((resolve, reject) => {
      let said = ""
      child.stderr.on("data", (data) => {
        said += String(data)
        const port = /ws:\/\/[\d.]+:(\d+)/.exec(said)?.[1]
        if (port) resolve(Number(port))
      })
      child.on("exit", () => reject(new Error(`the server did not start: ${said}`)))
    })
  }

  /** Ends it; `SIGKILL` is a crash. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null) return
    const gone = new Promise((resolve) => child.on("exit", resolve))
    child.kill(signal)
    await gone
  }

  async end(): Promise<void> {
    await this.stop("SIGKILL")
    rmSync(this.#data, { recursive: true, force: true })
  }
}

/** A way to the server that can be cut. */
export class Proxy {
  readonly #server: WebSocketServer
  readonly #pairs = new Set<readonly [WebSocket, WebSocket]>()
  /** Whether it takes connections. */
  open = true

  /** A way to `target` that takes `delayMs`, each way. */
  static async start(target: string, delayMs = 0): Promise<Proxy> {
    const proxy = new Proxy(target, delayMs)
    await new Promise((resolve) => proxy.#server.on("listening", resolve))
    return proxy
  }

  private constructor(target: string, delayMs: number) {
    const after = (work: () => void) => void (delayMs > 0 ? setTimeout(work, delayMs) : work())
    this.#server = new WebSocketServer({ port: 0, host: "127.0.0.1" })
    this.#server.on("connection", (down, request) => {
      if (!this.open) return down.terminate()
      const up = new WebSocket(target, String(request.headers["sec-websocket-protocol"]).split(/,\s*/))
      this.#pairs.add([down, up])
      const early: unknown[] = []
      up.on("open", () => early.forEach((data) => up.send(data as string)))
      down.on("message", (data, binary) => {
        const frame = binary ? data : String(data)
        after(() => {
          if (up.readyState === WebSocket.OPEN) up.send(frame)
          else early.push(frame)
        })
      })
      up.on("message", (data, binary) => after(() => down.send(binary ? data : String(data))))
      for (const end of [up, down]) end.on("error", () => {})
      down.on("close", (code) => (code === 1000 ? up.close(1000) : up.terminate()))
      up.on("close", (code) => (code === 1006 ? down.terminate() : down.close(code)))
    })
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as { port: number }).port}/`
  }

  /** Cuts every connection, without a word. */
  cut(): void {
    for (const pair of this.#pairs) for (const end of pair) end.terminate()
    this.#pairs.clear()
  }

  close(): void {
    this.cut()
    this.#server.close()
  }
}

/** Waits until something is so. */
export async function until(isSo: () => boolean, what = "it"): Promise<void> {
  const start = Date.now()
  while (!isSo()) {
    if (Date.now() - start > 10_000) throw new Error(`${what} did not come about`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
