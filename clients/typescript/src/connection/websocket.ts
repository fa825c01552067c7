/** The platform's sockets. */

import type { SocketClass } from "./connection.js"

/** The platform's class of sockets. */
export function findWebSocket(): SocketClass {
  return globalThis.WebSocket as unknown as SocketClass
}
