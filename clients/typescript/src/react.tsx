/**
 * React hooks: topics as state.
 *
 * They are safe in StrictMode and for concurrent rendering: values come through
 * `useSyncExternalStore`, and a topic is held from effects alone. One that nobody holds any more stays
 * subscribed for a second, so that mounting twice subscribes once.
 *
 * @packageDocumentation
 */

import type { ReactNode } from "react"
import {
  createContext,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useSyncExternalStore,
} from "react"
import type { CoreClient, Undone } from "./client/core-client.js"
import type { ViewOf } from "./client/history.js"
import type { PresenceTopic } from "./client/kinds.js"
import { TopicError } from "./client/errors.js"
import type { AnyTopic, Declaration } from "./client/topic.js"
import type { Status } from "./connection/connection.js"
import type { ReadonlyDeep } from "./value/json.js"

const ClientContext = createContext<CoreClient | undefined>(undefined)

/** Gives a client to the components below. */
export function ClientProvider(props: { client: CoreClient; children?: ReactNode }): ReactNode {
  return <ClientContext.Provider value={props.client}>{props.children}</ClientContext.Provider>
}

/** The client of the nearest {@link ClientProvider}. */
export function useClient(): CoreClient {
  const client = useContext(ClientContext)
  if (!client) throw new Error("there is no ClientProvider above")
  return client
}

/**
 * Holds a topic as long as the component is mounted.
 *
 * @throws {@link TopicError} if the topic cannot be had: the nearest error boundary shows it, and the topic
 * is tried anew when the component is mounted again.
 */
function useHeld<T extends AnyTopic>(declaration: Declaration<T>): T {
  const topic = useClient().handle(declaration)
  const subscribe = useCallback((callback: () => void) => topic.observe(callback), [topic])
  const error = useSyncExternalStore(
    subscribe,
    () => topic.error,
    () => topic.error,
  )
  useEffect(() => topic.hold(), [topic])
  if (error instanceof TopicError) throw error
  return topic
}

/**
 * A topic's value, and the topic, to change it:
 *
 * ```tsx
 * const [items, todo] = useTopic(topics.list<string>("todo"))
 * ```
 */
export function useTopic<T extends AnyTopic>(declaration: Declaration<T>): readonly [ViewOf<T>, T] {
  const topic = useHeld(declaration)
  const value = useValue(declaration)
  return [value, topic]
}

/** A topic's value. */
export function useValue<T extends AnyTopic>(declaration: Declaration<T>): ViewOf<T>
/**
 * What `select` makes of a topic's value. The component renders again only when that is another, by
 * `isEqual`, which is `Object.is` by default.
 *
 * ```tsx
 * const x = useValue(nodes, (nodes) => nodes[id]?.x)
 * ```
 */
export function useValue<T extends AnyTopic, Selected>(
  declaration: Declaration<T>,
  select: (value: ViewOf<T>) => Selected,
  isEqual?: (a: Selected, b: Selected) => boolean,
): Selected
export function useValue<T extends AnyTopic>(
  declaration: Declaration<T>,
  select: (value: ViewOf<T>) => unknown = (value) => value,
  isEqual: (a: unknown, b: unknown) => boolean = Object.is,
): unknown {
  const topic = useHeld(declaration)
  const subscribe = useCallback((callback: () => void) => topic.observe(callback), [topic])
  const shown = useRef<{ readonly selected: unknown } | undefined>(undefined)
  // A selector is often a new function each time: what it gave before counts all the same.
  const snapshot = useMemo(() => {
    let last: { readonly value: unknown; readonly selected: unknown } | undefined
    return () => {
      const value = topic.value as ViewOf<T>
      if (last && Object.is(last.value, value)) return last.selected
      const before = last ?? shown.current
      const next = select(value)
      const selected = before && isEqual(before.selected, next) ? before.selected : next
      last = { value, selected }
      return selected
    }
  }, [topic, select, isEqual])
  const selected = useSyncExternalStore(subscribe, snapshot, snapshot)
  useEffect(() => {
    shown.current = { selected }
  }, [selected])
  return selected
}

/** Who is there. */
export interface PresenceState<T> {
  /** Every entry, by client id. */
  readonly all: Readonly<Record<string, ReadonlyDeep<T>>>
  /** The entries of the others, by client id. */
  readonly others: Readonly<Record<string, ReadonlyDeep<T>>>
  /** Sets this client's entry; `undefined` takes it away. */
  readonly set: (entry: ReadonlyDeep<T> | undefined) => void
}

/** The entries of a presence topic, as `topics.presence` declares one. */
export function usePresence<T>(declaration: Declaration<PresenceTopic<T>>): PresenceState<T> {
  const topic = useHeld(declaration)
  const all = useValue(declaration) as PresenceState<T>["all"]
  const set = useCallback((entry: ReadonlyDeep<T> | undefined) => topic.set(entry), [topic])
  return { all, others: topic.others, set }
}

/** Where the connection stands, and how many changes made here are not answered. */
export function useStatus(): { readonly status: Status; readonly pending: number } {
  const client = useClient()
  const subscribe = useCallback((callback: () => void) => client.subscribe(callback), [client])
  const status = useSyncExternalStore(
    subscribe,
    () => client.status,
    () => client.status,
  )
  const pending = useSyncExternalStore(
    subscribe,
    () => client.pending,
    () => client.pending,
  )
  return { status, pending }
}

/** Undo and redo of what this client did. */
export function useUndo(): {
  /** Undoes the newest action that is not undone. */
  readonly undo: () => Promise<Undone>
  /** Redoes what was undone last. */
  readonly redo: () => Promise<Undone>
} {
  const client = useClient()
  return useMemo(() => ({ undo: () => client.undo(), redo: () => client.redo() }), [client])
}
