/** A line to the server that can be cut, frozen, or open one way alone: bytes go through, or stay. */

import type { AddressInfo, Server, Socket } from "node:net"
import { connect, createServer } from "node:net"

export class Relay {
  readonly #server: Server
  readonly #pairs = new Set<readonly [down: Socket, up: Socket]>()
  /** Which ways bytes go through, now and on new connections. */
  #open = { up: true, down: true }

  static async start(target: string): Promise<Relay> {
    const relay = new Relay(Number(new URL(target).port))
    await new Promise<void>((resolve) => relay.#server.listen(0, "127.0.0.1", resolve))
    return relay
  }

  private constructor(port: number) {
    this.#server = createServer((down) => {
      const up = connect(port, "127.0.0.1")
      const pair = [down, up] as const
      this.#pairs.add(pair)
      down.on("data", (data) => up.write(data))
      up.on("data", (data) => down.write(data))
      for (const end of pair) {
        end.on("error", () => {})
        end.on("close", () => {
          pair.forEach((it) => it.destroy())
          this.#pairs.delete(pair)
        })
      }
      this.#apply(pair)
    })
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`
  }

  /** Cuts every connection. */
  cut(): void {
    for (const pair of this.#pairs) pair.forEach((end) => end.destroy())
  }

  /** Lets bytes through, or holds them up, each way. Nobody is told. */
  let(open: { up: boolean; down: boolean }): void {
    this.#open = open
    for (const pair of this.#pairs) this.#apply(pair)
  }

  #apply([down, up]: readonly [Socket, Socket]): void {
    if (this.#open.up) down.resume()
    else down.pause()
    if (this.#open.down) up.resume()
    else up.pause()
  }

  close(): void {
    this.cut()
    this.#server.close()
  }
}
