/** A socket whose other end is the test. */

import type { Socket, SocketClass } from "../../src/connection/connection.js"

export class FakeSocket implements Socket {
  binaryType = ""
  protocol = "topicsync.v1.json"
  readyState = 0
  onopen: ((event: never) => void) | null = null
  onmessage: ((event: never) => void) | null = null
  onclose: ((event: never) => void) | null = null
  onerror: ((event: never) => void) | null = null
  /** The messages that were sent, not yet looked at. */
  sent: { type: string; content: Record<string, unknown> }[] = []
  closedWith: number | undefined

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {}

  send(data: string | Uint8Array): void {
    this.sent.push(...[JSON.parse(data as string)].flat())
  }

  close(code?: number): void {
    this.readyState = 3
    this.closedWith = code
    this.onclose?.({ code: code ?? 1005 } as never)
  }

  open(): void {
    this.readyState = 1
    this.onopen?.({} as never)
  }

  say(...messages: object[]): void {
    this.onmessage?.({ data: JSON.stringify(messages) } as never)
  }

  /** Gives a session. */
  hello(id: number, session: string, resumed = false): void {
    this.say({ type: "hello", content: { id, session, resumed } })
  }

  /** Answers a subscription with a first value. */
  give(topic_name: string, type: string, value: unknown, version = 0): void {
    const change = { type: "set", value }
    this.say(
      { type: "subscribed", content: { topic_name, type, options: {}, epoch: "e", version } },
      { type: "update", content: { topic_name, version, commit: 0, snapshot: true, change } },
    )
  }

  take(): typeof this.sent {
    return this.sent.splice(0)
  }
}

/** A class of sockets that remembers them. */
export function fakeSockets(): { sockets: FakeSocket[]; webSocket: SocketClass } {
  const sockets: FakeSocket[] = []
  class Remembered extends FakeSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols)
      sockets.push(this)
    }
  }
  return { sockets, webSocket: Remembered }
}
