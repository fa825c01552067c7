/** The sockets of Node: its own, from version 22 on, or those of the package `ws`. */

import type { SocketClass } from "./connection.js"

/** Node's class of sockets. */
export async function findWebSocket(): Promise<SocketClass> {
  if (globalThis.WebSocket) return globalThis.WebSocket as unknown as SocketClass
  const ws = await import("ws").catch(() => {
    throw new Error("this Node has no WebSocket: install the package ws, or give one as `webSocket`")
  })
  return ws.WebSocket as unknown as SocketClass
}
