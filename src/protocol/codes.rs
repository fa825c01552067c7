//! Why something was refused, as the wire says it.

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Every code.
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// The code on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)*
                }
            }

            /// The code that stands on the wire.
            pub fn from_code(code: &str) -> Option<$name> {
                Self::ALL.iter().copied().find(|it| it.as_str() == code)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

codes! {
    /// The `code` of a `reject_update`.
    RejectCode {
        /// Fine at its base, but it cannot be rebased to the head.
        Stale = "stale",
        /// Malformed, or it cannot be applied where nothing came in between, or a validator refused it.
        Invalid = "invalid",
        /// There is no such topic.
        UnknownTopic = "unknown_topic",
        /// The topic is of another type.
        WrongType = "wrong_type",
        /// The author may not make it.
        Forbidden = "forbidden",
        /// It is larger than a message may be.
        TooLarge = "too_large",
        /// The server is over its limits: send it again later, under the same id.
        Busy = "busy",
        /// It could not be made durable; nothing was published.
        Unavailable = "unavailable",
    }
}

codes! {
    /// The `code` of an `error`.
    ErrorCode {
        /// The message cannot be read.
        Malformed = "malformed",
        /// There is no message of this type.
        UnknownType = "unknown_type",
        /// There is no such topic, and no type was given to make it.
        UnknownTopic = "unknown_topic",
        /// The topic is of another type.
        WrongType = "wrong_type",
        /// The topic that was subscribed to was removed.
        TopicRemoved = "topic_removed",
        /// Another session provides the service.
        ServiceTaken = "service_taken",
        /// The session that was to be resumed is over, or never was.
        SessionUnknown = "session_unknown",
        /// The client may not do it.
        Forbidden = "forbidden",
        /// It can be read, and cannot be.
        Invalid = "invalid",
        /// The session, or the server, has as many as it may have.
        Limit = "limit",
        /// It cannot be read, or not be made durable.
        Unavailable = "unavailable",
    }
}

codes! {
    /// The `code` in the `error` of a `response`.
    ServiceErrorCode {
        /// Nobody provides the service.
        NoSuchService = "no_such_service",
        /// The provider's session ended before it answered.
        ProviderLeft = "provider_left",
        /// The provider did not answer in time.
        Timeout = "timeout",
        /// The provider says that it failed.
        Failed = "failed",
        /// The client may not ask for it.
        Forbidden = "forbidden",
        /// The arguments are none of the service's.
        Invalid = "invalid",
        /// There is no such topic.
        UnknownTopic = "unknown_topic",
    }
}
