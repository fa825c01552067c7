/** Pages in Chromium, bundled by esbuild and served on a free port. */

import { execFileSync } from "node:child_process"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import type { Browser } from "playwright-core"
import { chromium } from "playwright-core"

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
]

export function launch(): Promise<Browser> {
  const names = "command -v chromium || command -v chromium-browser || command -v google-chrome"
  const executablePath = execFileSync("sh", ["-c", names], { encoding: "utf8" }).trim()
  return chromium.launch({ executablePath, args: FLAGS })
}

/** Bundles a page's program as a browser would load it. */
export async function bundle(file: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(file, import.meta.url))],
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    jsx: "automatic",
    alias: { "#websocket": fileURLToPath(new URL("../../src/connection/websocket.ts", import.meta.url)) },
    define: { "process.env.NODE_ENV": '"development"' },
  })
  return outputFiles[0]!.text
}

/** Serves an empty page that runs a program; gives its address, and what ends it. */
export async function serve(program: string): Promise<{ url: string; close: () => void }> {
  const html =
    '<!doctype html><meta charset="utf-8"><div id="root"></div><script type="module" src="/program.js"></script>'
  const server = createServer((request, response) => {
    const isProgram = request.url === "/program.js"
    response.setHeader("content-type", isProgram ? "text/javascript" : "text/html")
    response.end(isProgram ? program : html)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}/`, close: () => server.close() }
}
