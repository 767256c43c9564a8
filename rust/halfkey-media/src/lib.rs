//! Pure packet transforms.
#![forbid(unsafe_code)]
