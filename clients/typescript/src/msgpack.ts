/**
 * MessagePack in binary frames: `connect(url, { codec: msgpack })`.
 *
 * It is written here, as the packages for it refuse or rename keys such as `__proto__`, and limit how
 * deep values nest: any value that a topic can hold has to pass.
 *
 * @packageDocumentation
 */

import type { Codec } from "./connection/codec.js"
import type { Json } from "./value/json.js"

/** Messages as MessagePack. It is smaller than JSON where values are numbers. */
export const msgpack: Codec = {
  subprotocol: "topicsync.v1.msgpack",
  encode(message) {
    const writer = new Writer()
    writer.value(message)
    return writer.bytes
  },
  byteLength: (frame) => frame.length,
  join(encoded) {
    const writer = new Writer()
    writer.head(ARRAY, encoded.length)
    for (const message of encoded) writer.raw(message as Uint8Array)
    return writer.bytes
  },
  decode: (frame) => new Reader(frame as ArrayBuffer).value(),
}

/** The first bytes of a kind of value that has a length. */
interface Head {
  /** The first byte of a short one; its length, below `limit`, is added to it. */
  readonly short: number
  readonly limit: number
  /** The first byte of one whose length follows in `size` bytes. The next byte has twice as many. */
  readonly long: number
  readonly size: number
}

const TEXT: Head = { short: 0xa0, limit: 32, long: 0xd9, size: 1 }
const ARRAY: Head = { short: 0x90, limit: 16, long: 0xdc, size: 2 }
const MAP: Head = { short: 0x80, limit: 16, long: 0xde, size: 2 }
/** The first bytes of numbers of one byte. The next ones have 2, 4 and 8. */
const [UNSIGNED, SIGNED] = [0xcc, 0xd0]

class Writer {
  #bytes = new Uint8Array(256)
  #view = new DataView(this.#bytes.buffer)
  #length = 0

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  /** Makes room for so many bytes, and gives where they begin. */
  #grow(size: number): number {
    const at = this.#length
    this.#length += size
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(this.#length * 2)
      larger.set(this.#bytes)
      this.#bytes = larger
      this.#view = new DataView(larger.buffer)
    }
    return at
  }

  raw(bytes: Uint8Array): void {
    const at = this.#grow(bytes.length)
    this.#bytes.set(bytes, at)
  }

  #byte(byte: number): void {
    const at = this.#grow(1)
    this.#bytes[at] = byte
  }

  /** A whole number in `size` bytes, behind a byte that says so. A negative one is in two's complement. */
  #whole(code: number, size: number, number: number): void {
    this.#byte(code)
    const at = this.#grow(size)
    if (size === 1) this.#view.setUint8(at, number)
    else if (size === 2) this.#view.setUint16(at, number)
    else if (size === 4) this.#view.setUint32(at, number)
    else this.#view.setBigInt64(at, BigInt(number))
  }

  head({ short, limit, long, size }: Head, length: number): void {
    if (length < limit) return this.#byte(short + length)
    while (length >= 2 ** (8 * size)) {
      long++
      size *= 2
    }
    this.#whole(long, size, length)
  }

  value(value: unknown): void {
    if (typeof value === "number") this.#number(value)
    else if (typeof value === "string") this.#text(value)
    else if (typeof value === "boolean") this.#byte(value ? 0xc3 : 0xc2)
    else if (typeof value !== "object") throw new TypeError(`${typeof value} is not a value`)
    else if (value === null) this.#byte(0xc0)
    else if (Array.isArray(value)) {
      this.head(ARRAY, value.length)
      for (const item of value) this.value(item)
    } else {
      // Fields that are undefined are left out, as in JSON.
      const entries = Object.entries(value).filter(([, it]) => it !== undefined)
      this.head(MAP, entries.length)
      for (const [key, it] of entries) {
        this.#text(key)
        this.value(it)
      }
    }
  }

  #text(text: string): void {
    const bytes = new TextEncoder().encode(text)
    this.head(TEXT, bytes.length)
    this.raw(bytes)
  }

  #number(number: number): void {
    if (!Number.isSafeInteger(number)) {
      this.#byte(0xcb)
      const at = this.#grow(8)
      return this.#view.setFloat64(at, number)
    }
    if (number >= -32 && number < 128) return this.#byte(number & 0xff)
    // Of a signed number one bit is the sign.
    const least = number < 0 ? -2 * number : number + 1
    let power = 0
    while (least > 2 ** (8 << power)) power++
    this.#whole((number < 0 ? SIGNED : UNSIGNED) + power, 1 << power, number)
  }
}

/** Keeps a U+FEFF at the beginning of a text: there it is a character like any other. */
const DECODER = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true })

class Reader {
  readonly #view: DataView
  readonly #bytes: Uint8Array
  #at = 0

  constructor(frame: ArrayBuffer) {
    this.#view = new DataView(frame)
    this.#bytes = new Uint8Array(frame)
  }

  /** Takes so many bytes, and gives where they begin. */
  #take(size: number): number {
    const at = this.#at
    this.#at += size
    if (this.#at > this.#bytes.length) throw new RangeError("a frame ends within a value")
    return at
  }

  value(): Json {
    const code = this.#view.getUint8(this.#take(1))
    if (code < MAP.short) return code
    if (code < ARRAY.short) return this.#map(code - MAP.short)
    if (code < TEXT.short) return this.#array(code - ARRAY.short)
    if (code < 0xc0) return this.#text(code - TEXT.short)
    if (code >= 0xe0) return code - 0x100
    if (code === 0xc0) return null
    if (code === 0xc2 || code === 0xc3) return code === 0xc3
    if (code === 0xca) return this.#view.getFloat32(this.#take(4))
    if (code === 0xcb) return this.#view.getFloat64(this.#take(8))
    if (code >= MAP.long) return this.#map(this.#unsigned(MAP.size << (code - MAP.long)))
    if (code >= ARRAY.long) return this.#array(this.#unsigned(ARRAY.size << (code - ARRAY.long)))
    if (code >= TEXT.long) return this.#text(this.#unsigned(TEXT.size << (code - TEXT.long)))
    if (code >= UNSIGNED && code < SIGNED) return this.#unsigned(1 << (code - UNSIGNED))
    if (code >= SIGNED && code < SIGNED + 4) return this.#signed(1 << (code - SIGNED))
    // Bytes and extensions, which no message has.
    throw new TypeError(`byte 0x${code.toString(16)} at ${this.#at - 1} begins no value`)
  }

  #unsigned(size: number): number {
    const at = this.#take(size)
    if (size === 1) return this.#view.getUint8(at)
    if (size === 2) return this.#view.getUint16(at)
    return size === 4 ? this.#view.getUint32(at) : Number(this.#view.getBigUint64(at))
  }

  #signed(size: number): number {
    const at = this.#take(size)
    if (size === 1) return this.#view.getInt8(at)
    if (size === 2) return this.#view.getInt16(at)
    return size === 4 ? this.#view.getInt32(at) : Number(this.#view.getBigInt64(at))
  }

  #text(length: number): string {
    const at = this.#take(length)
    return DECODER.decode(this.#bytes.subarray(at, this.#at))
  }

  #array(length: number): Json[] {
    const items: Json[] = []
    while (items.length < length) items.push(this.value())
    return items
  }

  #map(length: number): Json {
    const map: Record<string, Json> = {}
    for (let read = 0; read < length; read++) {
      const key = this.value()
      if (typeof key !== "string") throw new TypeError("a key is not a text")
      const value = this.value()
      // To assign to `__proto__` would set the prototype.
      if (key !== "__proto__") map[key] = value
      else Object.defineProperty(map, key, { value, enumerable: true, writable: true, configurable: true })
    }
    return map
  }
}
