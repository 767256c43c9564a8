//! Why a packet was refused. A peer's fault and a caller's fault are different types.

use core::fmt;

macro_rules! named_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every value, in the order of their discriminants: the rows of a table of counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name, used as a counter's name and as the reason in Python.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::error::Error for $name {}
    };
}

named_enum! {
    /// Why a STUN message gets no answer.
    StunRejection {
        /// It breaks the rules of RFC 8489, is too long, or has no FINGERPRINT that fits.
        Malformed = "stun_malformed",
        /// It isn't a Binding request.
        Unsupported = "stun_unsupported",
        /// Its USERNAME is of no session.
        UnknownUsername = "stun_unknown_username",
        /// MESSAGE-INTEGRITY doesn't prove it.
        Authentication = "stun_authentication",
    }
}

named_enum! {
    /// Why a packet that arrived was refused. Two things stay of it: the key of a Full EKT Field
    /// that was good in itself, and, where only the end-to-end layer was at fault, the packet's
    /// index at the hop, which is used up.
    Rejection {
        /// Not an RTP or RTCP packet, or too short to hold what it must.
        Malformed = "malformed",
        /// The packet's index was received before (RFC 3711 section 3.3.2).
        Replayed = "replayed",
        /// The packet's index lies before the replay window.
        TooOld = "too_old",
        /// The hop-by-hop authentication tag is wrong.
        HopAuthentication = "hop_authentication",
        /// No more SSRCs are taken under these keys.
        SsrcLimit = "ssrc_limit",
        /// The Original Header Block breaks the rules of RFC 8723 section 4.
        OriginalHeaderBlock = "original_header_block",
        /// The EKT Field's length or form is wrong.
        EktField = "ekt_field",
        /// No EKT parameter set has this SPI.
        UnknownSpi = "unknown_spi",
        /// The EKTCiphertext isn't authentic under the EKTKey.
        EktAuthentication = "ekt_authentication",
        /// The EKTPlaintext isn't a key, an SSRC and a ROC.
        EktPlaintext = "ekt_plaintext",
        /// The SRTP master key in an EKT Field doesn't fit the profile.
        EktKeyLength = "ekt_key_length",
        /// The epoch is one already seen, or an older one, and brings another key.
        EktEpoch = "ekt_epoch",
        /// No end-to-end key is known for the SSRC.
        NoInnerKey = "no_inner_key",
        /// The end-to-end authentication tag is wrong under every known key.
        InnerAuthentication = "inner_authentication",
        /// The end-to-end index was received before, or lies before the window.
        InnerReplayed = "inner_replayed",
    }
}

named_enum! {
    /// Why a packet could not be sealed. Nothing was sealed then.
    SealError {
        /// The bytes to seal aren't an RTP or RTCP packet.
        NotAPacket = "not_a_packet",
        /// The buffer has no room for what is added.
        BufferTooSmall = "buffer_too_small",
        /// A packet with this SSRC and index was sealed before: a nonce is never used twice.
        AlreadySealed = "already_sealed",
        /// The index lies so far back that it can't be told whether it was used.
        IndexTooOld = "index_too_old",
        /// All indices are used up (2^48 SRTP or 2^31 SRTCP packets); new keys are needed.
        KeyExhausted = "key_exhausted",
        /// No more SSRCs are taken under these keys.
        TooManySsrcs = "too_many_ssrcs",
        /// Somebody else seals this SSRC's packets under this key.
        StreamLent = "stream_lent",
        /// No end-to-end key was set for the SSRC.
        NoInnerKey = "no_inner_key",
        /// The header extension has none of RFC 8285's forms, as RFC 8723 section 5.1 asks.
        ForeignExtension = "foreign_extension",
        /// What should be an EKT Field isn't one.
        NotAnEktField = "not_an_ekt_field",
    }
}

named_enum! {
    /// Why key material was refused.
    KeyError {
        /// The master key's length doesn't fit the profile.
        KeyLength = "key_length",
        /// The master salt isn't 12 bytes long.
        SaltLength = "salt_length",
        /// The EKTKey isn't 16 or 32 bytes long.
        EktKeyLength = "ekt_key_length",
        /// No more SSRCs get an end-to-end key.
        TooManySsrcs = "too_many_ssrcs",
        /// No more EKT parameter sets are kept.
        TooManyParameterSets = "too_many_parameter_sets",
        /// The SPI already names another EKT parameter set.
        SpiInUse = "spi_in_use",
        /// The key already serves the other layer or the other direction: nonces would repeat.
        KeyReused = "key_reused",
        /// The cryptographic library refused the key.
        Refused = "key_refused",
    }
}
