/** The README's example: two windows, one text. */

import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Browser } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"
import { launch } from "../support/page.js"
import { Server } from "../support/server.js"

let server: Server
let site: ChildProcess
let browser: Browser
let url: string

beforeAll(async () => {
  server = await Server.start()
  const cwd = fileURLToPath(new URL("../../", import.meta.url))
  site = spawn("node", ["example/serve.mjs", "0"], { cwd })
  url = await new Promise((resolve, reject) => {
    site.stdout!.on("data", (data) => resolve(/http:\S+/.exec(String(data))![0]))
    site.on("exit", () => reject(new Error("the example is not served")))
  })
  browser = await launch()
}, 60_000)

afterAll(async () => {
  await browser?.close()
  site?.kill()
  await server?.end()
})

test("what is typed into one window shows in the other", async () => {
  const open = async () => {
    const page = await browser.newPage()
    // The example speaks to the port that the server has by default.
    await page.addInitScript(`{
      const Native = WebSocket
      globalThis.WebSocket = class extends Native {
        constructor(_url, protocols) { super(${JSON.stringify(server.url)}, protocols) }
      }
    }`)
    await page.goto(url)
    await page.waitForFunction(() => document.getElementById("status")!.textContent === "online")
    return page
  }
  const [one, two] = await Promise.all([open(), open()])
  const notes = () => two.locator("#notes").inputValue()
  await one.locator("#notes").pressSequentially("to 😀 do")
  await expect.poll(notes).toBe("to 😀 do")
  await two.locator("#notes").press("Home")
  await two.locator("#notes").pressSequentially("> ")
  await one.locator("#notes").pressSequentially("!")
  await expect.poll(notes).toBe("> to 😀 do!")
  await one.locator("#item").fill("milk")
  await one.locator("#item").press("Enter")
  await expect.poll(() => two.locator("#todo").textContent()).toBe("milk")
  await one.mouse.move(50, 60)
  await expect.poll(() => two.locator(".dot").count()).toBe(1)
  await one.locator("#undo").click()
  await expect.poll(() => two.locator("#todo").textContent()).toBe("")
})
