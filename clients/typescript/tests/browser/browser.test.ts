/** Two pages in Chromium: what is done in one shows in the other. */

import type { Browser, Page } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"
import { connect } from "../../src/index.js"
import { bundle, launch, serve } from "../support/page.js"
import { Server } from "../support/server.js"

let server: Server
let browser: Browser
let site: { url: string; close: () => void }
let pages: [Page, Page]
const errors: string[] = []
/** What a page sent, in order. */
const sent: [string[], string[]] = [[], []]

beforeAll(async () => {
  server = await Server.start()
  site = await serve(await bundle("../browser/page.tsx"))
  browser = await launch()
  pages = (await Promise.all([open("one", sent[0]), open("two", sent[1])])) as [Page, Page]
}, 60_000)

afterAll(async () => {
  await browser?.close()
  site?.close()
  await server?.end()
})

async function open(name: string, frames: string[]): Promise<Page> {
  const page = await browser.newPage()
  page.on("pageerror", (error) => errors.push(String(error)))
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()))
  page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => frames.push(String(payload))))
  await page.goto(`${site.url}?server=${encodeURIComponent(server.url)}#${name}`)
  await page.waitForFunction(() => document.getElementById("status")?.textContent === "online")
  return page
}

function shows(page: Page, selector: string) {
  return expect.poll(
    () =>
      page.evaluate((selector) => {
        const element = document.querySelector(selector)!
        return "value" in element && element.tagName === "TEXTAREA" ? element.value : element.textContent
      }, selector),
    { timeout: 5000 },
  )
}

test("typing in one window shows in the other", async () => {
  const [one, two] = pages
  await one.locator("#notes").pressSequentially("hello 😀")
  await shows(two, "#notes").toBe("hello 😀")
  await two.locator("#notes").press("Home")
  await two.locator("#notes").pressSequentially("oh, ")
  await shows(one, "#notes").toBe("oh, hello 😀")
  await one.locator("#add").click()
  await shows(two, "#todo").toBe("item 0")
})

test("StrictMode's double mount subscribes once, and so does leaving and coming back", async () => {
  const [one] = pages
  await one.locator("#toggle").click()
  await one.locator("#toggle").click()
  await shows(one, "#notes").toBe("oh, hello 😀")
  const subscriptions = sent[0].filter((frame) => frame.includes('"subscribe"')).join()
  expect(subscriptions.match(/page\/notes/g)).toHaveLength(1)
  expect(sent[0].join()).not.toContain("unsubscribe")
})

test("a component that nobody sees any more leaves its topic", async () => {
  const [, two] = pages
  await two.locator("#toggle").click()
  await expect.poll(() => sent[1].join(), { timeout: 5000 }).toContain("unsubscribe")
  await two.locator("#toggle").click()
  await shows(two, "#notes").toBe("oh, hello 😀")
})

test("a selector renders only what it selects", async () => {
  const [one, two] = pages
  const inPage = (page: Page, work: string) => page.evaluate(work)
  await inPage(one, "client.open(nodes).ready().then((it) => it.add('a', { x: 1, y: 1 }).then())")
  await shows(two, "#x").toBe("1")
  const before = await inPage(two, "renders.x")
  await inPage(one, "client.open(nodes).changeValue('a', { x: 1, y: 2 }).then()")
  await inPage(one, "client.open(nodes).changeValue('a', { x: 1, y: 3 }).then()")
  await expect.poll(() => inPage(two, "client.open(nodes).value.a.y")).toBe(3)
  expect(await inPage(two, "renders.x")).toBe(before)
  await inPage(one, "client.open(nodes).changeValue('a', { x: 2, y: 3 }).then()")
  await shows(two, "#x").toBe("2")
})

test("presence, undo and redo", async () => {
  const [one, two] = pages
  await one.locator("#hello").click()
  await two.locator("#hello").click()
  await shows(one, "#others").toBe("two")
  await shows(two, "#others").toBe("one")
  await one.evaluate("client.list('page/todo').append('undone').then()")
  await shows(two, "#todo").toBe("item 0undone")
  await one.locator("#undo").click()
  await shows(two, "#todo").toBe("item 0")
  await one.locator("#redo").click()
  await shows(two, "#todo").toBe("item 0undone")
})

test("typing in the middle leaves the cursor where it is", async () => {
  const [one, two] = pages
  await two.locator("#notes").press("Home")
  await two.locator("#notes").pressSequentially("abc")
  await shows(one, "#notes").toBe("abcoh, hello 😀")
  for (let at = 0; at < 3; at++) await two.locator("#notes").press("Backspace")
  await shows(one, "#notes").toBe("oh, hello 😀")
})

test("a topic that cannot be had shows its error, and can be tried again", async () => {
  const [one] = pages
  const other = connect(server.url)
  const int = await other.int("page/wrong").ready()
  await int.set(1)
  await one.locator("#try").click()
  await shows(one, "#error").toMatch(/^page\/wrong: wrong_type: /)
  await one.locator("#again").click()
  await shows(one, "#error").toMatch(/^page\/wrong: wrong_type: /)
  await other.request("_topicsync/remove_topic", { topic_name: int.name })
  await one.locator("#again").click()
  await shows(one, "#wrong").toBe("0 items")
  await other.close()
})

test("a page that is reloaded or closed leaves nothing of itself behind (B12)", async () => {
  const [one] = pages
  const three = await open("three", [])
  for (let visit = 0; visit < 4; visit++) {
    await three.locator("#hello").click()
    await shows(one, "#others").toBe("two,three")
    await three.reload()
    await shows(one, "#others").toBe("two")
  }
  await three.locator("#hello").click()
  await shows(one, "#others").toBe("two,three")
  await three.close({ runBeforeUnload: false })
  await shows(one, "#others").toBe("two")
})

test("a page that loses the server says so, and catches up", async () => {
  const [one, two] = pages
  await server.stop()
  await shows(one, "#status").not.toBe("online")
  await one.locator("#notes").press("End")
  await one.locator("#notes").pressSequentially("!")
  await shows(one, "#pending").toBe("1")
  await server.start()
  await shows(two, "#notes").toBe("oh, hello 😀!")
  await shows(one, "#status").toBe("online")
  await shows(one, "#pending").toBe("0")
})

test("nothing was thrown, and React had nothing to complain of", () => {
  // A browser reports a connection that fails, and React what an error boundary shows, whoever handles it.
  const expected = /WebSocket connection|TopicError: page\/wrong/
  expect(errors.filter((error) => !expected.test(error))).toEqual([])
})
