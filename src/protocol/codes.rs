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

            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)*
                }
            }

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
        /// Fine at its base, but it cannot be carried to the head.
        Stale = "stale",
        /// Malformed, or it cannot be applied where nothing came in between, or a validator refused it.
        Invalid = "invalid",
        UnknownTopic = "unknown_topic",
        WrongType = "wrong_type",
        Forbidden = "forbidden",
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
        Malformed = "malformed",
        /// Of a message.
        UnknownType = "unknown_type",
        UnknownTopic = "unknown_topic",
        WrongType = "wrong_type",
        TopicRemoved = "topic_removed",
        ServiceTaken = "service_taken",
        SessionUnknown = "session_unknown",
        Forbidden = "forbidden",
        Invalid = "invalid",
        Limit = "limit",
        /// It cannot be read, or not be made durable.
        Unavailable = "unavailable",
    }
}

codes! {
    /// The `code` in the `error` of a `response`.
    ServiceErrorCode {
        NoSuchService = "no_such_service",
        ProviderLeft = "provider_left",
        Timeout = "timeout",
        Failed = "failed",
        Forbidden = "forbidden",
        Invalid = "invalid",
        UnknownTopic = "unknown_topic",
    }
}
