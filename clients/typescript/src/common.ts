/** What all entry points have. */

export type { Undone } from "./client/core-client.js"
export {
  Closed,
  ClosedUnanswered,
  OutcomeUnknown,
  Rejected,
  ServiceError,
  TimedOut,
  TopicError,
  Unsent,
} from "./client/errors.js"
export type { UnansweredChange } from "./client/errors.js"
export type { Cut, History, HistoryEntry, Moment, PastTopic, PastValue, ViewOf } from "./client/history.js"
export type {
  BoolTopic,
  DictTopic,
  EditStep,
  EventTopic,
  GenericTopic,
  ListTopic,
  NumberTopic,
  PresenceTopic,
  SetTopic,
  SettableTopic,
  StringTopic,
} from "./client/kinds.js"
export type { Source, Stop } from "./client/listeners.js"
export type { Pending, Registration } from "./client/pending.js"
export type { AnyTopic, Declaration, Topic, TopicOptions, TypedTopic } from "./client/topic.js"
export type { Codec, Frame } from "./connection/codec.js"
export { json } from "./connection/codec.js"
export type { ConnectionOptions, Socket, SocketClass, Status } from "./connection/connection.js"
export type { Origin } from "./replica/events.js"
export type { ErrorMessage, RejectCode } from "./replica/messages.js"
export type { DictEvent } from "./types/dict.js"
export type { EmittedEvent } from "./types/event.js"
export type { ListEvent } from "./types/list.js"
export type { Add, NumberEvent } from "./types/number.js"
export type { SetEvent } from "./types/settable.js"
export type { SetTopicEvent } from "./types/set.js"
export type { StringEvent } from "./types/string.js"
export type { AnyType, Fields, Maybe, Rebased, TopicType } from "./types/type.js"
export { SEPARATE } from "./types/type.js"
export { Conflict, Invalid } from "./value/errors.js"
export type { Json, JsonObject, ReadonlyDeep } from "./value/json.js"
