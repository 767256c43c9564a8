//! The one place where errors become Python exceptions.

use std::io;
use std::time::Duration;

use halfkey_media::forwarder::ControlError;
use halfkey_media::{KeyError, Rejection, SealError};
use halfkey_switch::Stopped;
use pyo3::exceptions::PyValueError;
use pyo3::{PyErr, import_exception};

import_exception!(halfkey.errors, PacketRejected);
import_exception!(halfkey.errors, UsageError);

/// An error of the transforms on its way to Python: `?` converts any of them to it.
pub(crate) struct Error(PyErr);

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        error.0
    }
}

/// A peer's fault.
impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        Self(PacketRejected::new_err(rejection.name()))
    }
}

/// A caller's fault.
impl From<SealError> for Error {
    fn from(error: SealError) -> Self {
        Self(UsageError::new_err(match error {
            SealError::NotAPacket => "the bytes to protect are no RTP or RTCP packet",
            SealError::BufferTooSmall => "the buffer has no room for what is added",
            SealError::AlreadySealed => "a packet with this SSRC and index was protected before",
            SealError::IndexTooOld => "the sequence number lies too far back",
            SealError::KeyExhausted => "the key has protected all the packets that it may",
            SealError::StreamLent => "somebody else seals this SSRC's packets under this key",
            SealError::TooManySsrcs => "there are too many SSRCs under this key",
            SealError::NoInnerKey => "no inner key was set for this SSRC",
            SealError::ForeignExtension => "the header extension doesn't follow RFC 8285",
            SealError::NotAnEktField => "ekt_field is no EKT Field",
        }))
    }
}

/// A wrong argument; an SPI that is in use, or one thing too many, is misuse.
impl From<KeyError> for Error {
    fn from(error: KeyError) -> Self {
        let text = match error {
            KeyError::KeyLength => "the master key's length doesn't fit the profile",
            KeyError::SaltLength => "the master salt must be 12 bytes long",
            KeyError::EktKeyLength => "an EKTKey must be 16 or 32 bytes long",
            KeyError::KeyReused => {
                "the key serves another layer or direction already, or served before"
            }
            KeyError::Refused => "the key was refused",
            KeyError::TooManySsrcs => "there are too many SSRCs under this key",
            KeyError::SpiInUse => "the SPI names another EKT parameter set",
            KeyError::TooManyParameterSets => "there are too many EKT parameter sets",
        };
        Self(match error {
            KeyError::SpiInUse | KeyError::TooManyParameterSets | KeyError::TooManySsrcs => {
                UsageError::new_err(text)
            }
            _ => PyValueError::new_err(text),
        })
    }
}

/// An instruction to the switch that can't be followed.
impl From<ControlError> for Error {
    fn from(error: ControlError) -> Self {
        Self(UsageError::new_err(match error {
            ControlError::UnknownParticipant => "there is no participant with this number",
            ControlError::UnknownSource => "the participant has not declared this SSRC",
            ControlError::NoMidExtension => "the receiver has no id for the mid header extension",
            ControlError::AlreadyInASlot => "the receiver has this SSRC in another slot",
            ControlError::AddressTaken => "another participant has this address",
            ControlError::EmptySlot => "nothing is in this slot",
            ControlError::CredentialsTaken => "another participant has this ufrag",
        }))
    }
}

impl From<Stopped> for Error {
    fn from(stopped: Stopped) -> Self {
        Self(UsageError::new_err(stopped.to_string()))
    }
}

/// What the system says, as an OSError with its errno.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self(error.into())
    }
}

/// A switch that was closed.
pub(crate) fn closed() -> Error {
    Error(UsageError::new_err("the switch was closed"))
}

/// An argument of the right type that means nothing.
pub(crate) fn malformed(text: impl Into<String>) -> Error {
    Error(PyValueError::new_err(text.into()))
}

/// An SRTP protection profile that the class or function doesn't serve.
pub(crate) fn unknown_profile(profile: u16) -> Error {
    Error(PyValueError::new_err(format!(
        "profile {profile:#06x} can't be used here"
    )))
}

/// A number of seconds from Python.
pub(crate) fn seconds(number: f64) -> Result<Duration, Error> {
    Duration::try_from_secs_f64(number).map_err(|_| malformed("that is no number of seconds"))
}
