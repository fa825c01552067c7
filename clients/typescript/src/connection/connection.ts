/** The connection: moves the replica's messages, and comes back after a loss. */

import { report } from "../report.js"
import type { ServerMessage } from "../replica/messages.js"
import type { Replica } from "../replica/replica.js"
import type { Codec, Frame } from "./codec.js"
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
  /** How long whatever is awaited may take, in milliseconds; 30,000 by default, `Infinity` for ever. */
  readonly timeoutMs?: number
  /** How long `close` waits for answers, in milliseconds; 5,000 by default. */
  readonly closeTimeoutMs?: number
}

/** What a connection tells its client. */
export interface ConnectionHooks {
  /** The replica may have something to tell. */
  settle(): void
  status(status: Status): void
  /** Something is wrong that nobody waits for. */
  warn(text: string): void
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

/** A connection, as its client has it. */
export interface Connection {
  /** Sends what there is to be sent, at the end of the present task: what was made in it together. */
  flushSoon(): void
  /** The server had no room: what it refused is sent again after a while. */
  busy(): void
  /** Sends what can be sent and ends the session; settles when the connection is closed. */
  close(): Promise<void>
}

/** Passes what can be the address of a server. */
function checkUrl(url: string): void {
  try {
    const { protocol, hash } = new URL(url)
    if (/^wss?:$/.test(protocol) && hash === "") return
  } catch {
    // It is no address at all.
  }
  throw new TypeError(`${JSON.stringify(url)} is no address of a server: one is ws://host:port/`)
}

/**
 * Connects a replica, again and again.
 *
 * @throws `TypeError` if `url` is no address.
 */
export function keepConnected(
  replica: Replica,
  url: string,
  options: ConnectionOptions,
  hooks: ConnectionHooks,
): Connection {
  checkUrl(url)
  const { codec = json, retryMinMs = 100, retryMaxMs = 10_000, silenceMs = 40_000 } = options
  let { webSocket } = options
  let socket: Socket | undefined
  /** That of the present socket. */
  let chosen = json
  let status: Status = "connecting"
  let retryMs = retryMinMs
  /** Whether the present connection brought all that was asked for: only then the next wait is short. */
  let works = false
  /** Why the present connection was lost, as far as that is known. */
  let reason = ""
  let timer: ReturnType<typeof setTimeout> | undefined
  let watch: ReturnType<typeof setInterval> | undefined
  /** Half-times of silence in a row. */
  let silent = 0
  let flushing = false

  function send(frame: Frame): void {
    socket!.send(frame as string | Uint8Array<ArrayBuffer>)
  }

  /** Sends what there is. Nothing is thrown: it runs where nobody would catch it. */
  function flush(): void {
    flushing = false
    if (socket?.readyState !== OPEN) return
    try {
      for (const frame of frames(replica, chosen, socket.protocol !== "")) send(frame)
    } catch (error) {
      report(error)
    }
    hooks.settle()
  }

  async function connect(): Promise<void> {
    setStatus("connecting")
    silent = 0
    works = false
    reason = ""
    clearInterval(watch)
    watch = setInterval(listen, silenceMs / 2)
    try {
      webSocket ??= await hooks.findWebSocket()
      if (status === "connecting") open(webSocket)
    } catch (error) {
      reason = `${error}`
      lost()
    }
  }

  function open(webSocket: SocketClass): void {
    const codecs = [codec, json]
    const opened = new webSocket(url, [...new Set(codecs.map((it) => it.subprotocol))])
    socket = opened
    opened.binaryType = "arraybuffer"
    opened.onopen = () => {
      chosen = codecs.find((it) => it.subprotocol === opened.protocol) ?? json
    }
    opened.onmessage = ({ data }: { data: string | ArrayBuffer }) => {
      if (opened === socket) receive(data)
    }
    // An error is followed by a close, which in browsers says as much.
    opened.onerror = ({ message }: { message?: string }) => {
      if (opened === socket && message) reason = message
    }
    opened.onclose = ({ code, reason: said }: { code: number; reason?: string }) => {
      if (opened !== socket) return
      reason ||= [`closed with ${code}`, said].filter(Boolean).join(": ")
      if (code === RESUMED_ELSEWHERE) {
        hooks.warn(`the session of ${url} was resumed elsewhere`)
        stop()
      } else lost()
    }
  }

  function receive(data: string | ArrayBuffer): void {
    silent = 0
    try {
      const messages = chosen.decode(data) as ServerMessage | ServerMessage[]
      replica.receiveFrame([messages].flat())
    } catch (error) {
      reason = `a frame cannot be read: ${error}`
      works = false
      return lost()
    }
    if (replica.isOnline) setStatus("online")
    if (!works && replica.isCaughtUp) {
      works = true
      retryMs = retryMinMs
    }
    hooks.settle()
    // Once for all frames that came together: to look through what waits takes its time.
    flushSoon()
  }

  function flushSoon(): void {
    if (!flushing) queueMicrotask(flush)
    flushing = true
  }

  /** Every half of the time that a server may be silent: asks, and at last gives up. */
  function listen(): void {
    silent++
    if (silent >= 3 && status !== "offline") lost()
    else if (silent === 2 && socket?.readyState === OPEN) send(chosen.encode(PROBE))
  }

  function lost(): void {
    drop()?.close()
    if (!works) hooks.warn(`no connection to ${url}: ${reason || "it is silent"}; trying again`)
    replica.disconnected()
    setStatus("offline")
    hooks.settle()
    // Up to twice as long each time, and never in step with others.
    timer = setTimeout(connect, retryMs * (0.5 + Math.random() / 2))
    retryMs = Math.min(retryMs * 2, retryMaxMs)
  }

  function retryNow(): void {
    if (status !== "offline") return
    clearTimeout(timer)
    void connect()
  }

  /**
   * The page goes away: the session ends, so that others see at once that this client has left. A page
   * that comes back from the browser's cache begins another session.
   */
  function leave(): void {
    if (status === "closed") return
    flush()
    clearTimeout(timer)
    drop()?.close(NORMAL)
    replica.disconnected()
    setStatus("offline")
    hooks.settle()
  }

  /** Hears no more of the present socket. */
  function drop(): Socket | undefined {
    const dropped = socket
    socket = undefined
    return dropped
  }

  function stop(): Socket | undefined {
    clearTimeout(timer)
    clearInterval(watch)
    for (const [type, listener] of EVENTS) globalThis.removeEventListener?.(type, listener)
    const dropped = drop()
    setStatus("closed")
    return dropped
  }

  function setStatus(now: Status): void {
    if (status === now) return
    status = now
    hooks.status(now)
  }

  const EVENTS = [
    ["online", retryNow],
    ["pagehide", leave],
    ["pageshow", retryNow],
  ] as const
  for (const [type, listener] of EVENTS) globalThis.addEventListener?.(type, listener)
  void connect()
  return {
    flushSoon,
    busy() {
      setTimeout(() => {
        replica.resendBusy()
        flush()
      }, BUSY_MS)
    },
    async close() {
      if (status === "closed") return
      flush()
      const dropped = stop()
      if (!dropped) return
      await new Promise<void>((resolve) => {
        const patience = setTimeout(resolve, CLOSE_MS)
        dropped.onclose = () => {
          clearTimeout(patience)
          resolve()
        }
        dropped.close(NORMAL)
      })
    },
  }
}
