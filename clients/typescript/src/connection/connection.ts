/** The connection: moves the replica's messages, and comes back after a loss. */

import type { ServerMessage } from "../replica/messages.js"
import type { Replica } from "../replica/replica.js"
import type { Codec } from "./codec.js"
import { json } from "./codec.js"
import { frames } from "./frames.js"

/**
 * Where a connection stands: `connecting`; `online`; `offline`, it is lost and another attempt
 * follows; `closed`, there will be no other attempt, as the client was closed or its session resumed
 * elsewhere.
 */
export type Status = "connecting" | "online" | "offline" | "closed"

/** The part of a `WebSocket` that is used here: a browser's, or one of the package `ws`. */
export interface Socket {
  /** Set to `"arraybuffer"`. */
  binaryType: string
  /** The subprotocol that the server chose. */
  readonly protocol: string
  /** 1 if it is open. */
  readonly readyState: number
  /** Told once, when it is open. */
  onopen: ((event: never) => void) | null
  /** Told of every frame, as `data`: text, or an `ArrayBuffer`. */
  onmessage: ((event: never) => void) | null
  /** Told once, when it is closed, with the `code`. */
  onclose: ((event: never) => void) | null
  /** Told of what goes wrong, before it is closed. */
  onerror: ((event: never) => void) | null
  /** Sends a frame. */
  send(data: string | Uint8Array<ArrayBuffer>): void
  /** Closes it; 1000 ends the session. */
  close(code?: number): void
}

/** A class of sockets. */
export type SocketClass = new (url: string, protocols: string[]) => Socket

/** How a client connects. */
export interface ConnectionOptions {
  /** How messages are written; JSON by default. `topicsync/msgpack` has the other. */
  readonly codec?: Codec
  /** The class of sockets; by default that of the platform, or of the package `ws`. */
  readonly webSocket?: SocketClass
  /** How long to wait before the second attempt, at most, in milliseconds; 100 by default. */
  readonly retryMinMs?: number
  /** The longest wait between attempts, in milliseconds; 10,000 by default. */
  readonly retryMaxMs?: number
  /** A server that was silent for so long is gone, in milliseconds; 40,000 by default. */
  readonly silenceMs?: number
}

/** What a connection tells its client. */
export interface ConnectionHooks {
  /** The replica may have something to tell. */
  settle(): void
  status(status: Status): void
  /** Finds the class of sockets, where none was given. */
  findWebSocket(): SocketClass | Promise<SocketClass>
}

const OPEN = 1
const NORMAL = 1000
/** The session was resumed by another connection. */
const RESUMED_ELSEWHERE = 4001
/** How long a close waits for the server's. */
const CLOSE_MS = 1000
/** How long to wait before what the server had no room for is sent again. */
const BUSY_MS = 250

/** Asks for an answer that changes nothing, to hear whether the server is there. */
const PROBE = { type: "unsubscribe", content: { topic_name: "_topicsync/ping" } } as const

export class Connection {
  readonly #replica: Replica
  readonly #url: string
  readonly #options: Required<Omit<ConnectionOptions, "webSocket">>
  readonly #hooks: ConnectionHooks
  #webSocket: SocketClass | undefined
  #socket: Socket | undefined
  #codec: Codec = json
  #status: Status = "connecting"
  #retryMs: number
  #timer: ReturnType<typeof setTimeout> | undefined
  /** Half-times of silence in a row. */
  #silent = 0
  #watch: ReturnType<typeof setInterval> | undefined
  #flushing = false

  constructor(replica: Replica, url: string, options: ConnectionOptions, hooks: ConnectionHooks) {
    this.#replica = replica
    this.#url = url
    this.#hooks = hooks
    this.#webSocket = options.webSocket
    const { codec = json, retryMinMs = 100, retryMaxMs = 10_000, silenceMs = 40_000 } = options
    this.#options = { codec, retryMinMs, retryMaxMs, silenceMs }
    this.#retryMs = retryMinMs
    globalThis.addEventListener?.("online", this.#retryNow)
    void this.#connect()
  }

  /** Sends what there is to be sent, at the end of the present task: what was made in it together. */
  flushSoon(): void {
    if (this.#flushing) return
    this.#flushing = true
    queueMicrotask(() => {
      this.#flushing = false
      this.flush()
    })
  }

  flush(): void {
    const socket = this.#socket
    if (socket?.readyState !== OPEN) return
    const arrays = socket.protocol !== ""
    for (const frame of frames(this.#replica, this.#codec, arrays)) this.#send(socket, frame)
    this.#hooks.settle()
  }

  /** The server had no room: what it refused is sent again after a while. */
  busy(): void {
    setTimeout(() => {
      this.#replica.resendBusy()
      this.flush()
    }, BUSY_MS)
  }

  /** Sends what can be sent and ends the session; settles when the connection is closed. */
  async close(): Promise<void> {
    if (this.#status === "closed") return
    this.flush()
    const socket = this.#socket
    this.#stop()
    if (!socket) return
    await new Promise<void>((resolve) => {
      const patience = setTimeout(resolve, CLOSE_MS)
      socket.onclose = () => {
        clearTimeout(patience)
        resolve()
      }
      socket.close(NORMAL)
    })
  }

  async #connect(): Promise<void> {
    this.#setStatus("connecting")
    this.#silent = 0
    clearInterval(this.#watch)
    this.#watch = setInterval(() => this.#listen(), this.#options.silenceMs / 2)
    try {
      this.#webSocket ??= await this.#hooks.findWebSocket()
      if (this.#status === "connecting") this.#open(this.#webSocket)
    } catch (error) {
      console.error(error)
      this.#lost()
    }
  }

  #open(webSocket: SocketClass): void {
    const codecs = [this.#options.codec, json]
    const socket = new webSocket(this.#url, [...new Set(codecs.map((it) => it.subprotocol))])
    this.#socket = socket
    socket.binaryType = "arraybuffer"
    socket.onopen = () => {
      this.#codec = codecs.find((it) => it.subprotocol === socket.protocol) ?? json
    }
    socket.onmessage = ({ data }: { data: string | ArrayBuffer }) => {
      if (socket === this.#socket) this.#receive(data)
    }
    // An error is followed by a close, which says the same.
    socket.onerror = () => {}
    socket.onclose = ({ code }: { code: number }) => {
      if (socket !== this.#socket) return
      if (code === RESUMED_ELSEWHERE) this.#stop()
      else this.#lost()
    }
  }

  #receive(data: string | ArrayBuffer): void {
    this.#silent = 0
    try {
      const messages = this.#codec.decode(data) as ServerMessage | ServerMessage[]
      for (const message of [messages].flat()) this.#replica.receive(message)
    } catch (error) {
      console.error("topicsync: a frame makes no sense", error)
      return this.#lost()
    }
    if (this.#replica.isOnline) {
      this.#retryMs = this.#options.retryMinMs
      this.#setStatus("online")
    }
    this.#hooks.settle()
    this.flush()
  }

  /** Every half of the time that a server may be silent: asks, and at last gives up. */
  #listen(): void {
    this.#silent++
    const socket = this.#socket
    if (this.#silent >= 3 && this.#status !== "offline") this.#lost()
    else if (this.#silent === 2 && socket?.readyState === OPEN) {
      this.#send(socket, this.#codec.encode(PROBE))
    }
  }

  #send(socket: Socket, frame: string | Uint8Array): void {
    socket.send(frame as string | Uint8Array<ArrayBuffer>)
  }

  #lost(): void {
    this.#drop()
    this.#replica.disconnected()
    this.#setStatus("offline")
    this.#hooks.settle()
    // Up to twice as long each time, and never in step with others.
    const wait = this.#retryMs * (0.5 + Math.random() / 2)
    this.#retryMs = Math.min(this.#retryMs * 2, this.#options.retryMaxMs)
    this.#timer = setTimeout(() => void this.#connect(), wait)
  }

  readonly #retryNow = () => {
    if (this.#status !== "offline") return
    clearTimeout(this.#timer)
    void this.#connect()
  }

  #stop(): void {
    const socket = this.#socket
    this.#socket = undefined
    if (socket) socket.onmessage = null
    clearTimeout(this.#timer)
    clearInterval(this.#watch)
    globalThis.removeEventListener?.("online", this.#retryNow)
    this.#setStatus("closed")
  }

  #drop(): void {
    const socket = this.#socket
    this.#socket = undefined
    socket?.close()
  }

  #setStatus(status: Status): void {
    if (this.#status === status) return
    this.#status = status
    this.#hooks.status(status)
  }
}
