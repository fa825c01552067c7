/** The sockets of Node: its own, from version 22 on, or those of the package `ws`. */

import type { SocketClass } from "./connection.js"

/** Node's class of sockets. */
export async function findWebSocket(): Promise<SocketClass> {
  if (globalThis.WebSocket) return globalThis.WebSocket as unknown as SocketClass
  const ws = await import("ws").catch(() => {
    throw new Error("this Node has no WebSocket: install the package ws, or give one as `webSocket`")
  })
  return class extends ws.WebSocket {
    constructor(url: string, protocols: string[]) {
      // The package refuses frames of more than 100 MiB, where a topic's value may well be larger.
      super(url, protocols, { maxPayload: 0 })
    }
  } as unknown as SocketClass
}
