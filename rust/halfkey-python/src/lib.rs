//! The flat Python module `halfkey._media`: a thin binding, one file per group of classes.

mod double;
mod ekt;
mod errors;
mod figures;
mod load;
mod srtp;
mod switch;

use pyo3::prelude::*;

#[pymodule]
mod _media {
    #[pymodule_export]
    use crate::double::{DoubleReceiver, DoubleSender, UnprotectedPacket};
    #[pymodule_export]
    use crate::ekt::{derive_srtp_session_key, full_ekt_field};
    #[pymodule_export]
    use crate::load::{LoadGenerator, measure_load_floor};
    #[pymodule_export]
    use crate::srtp::{SrtpReceiver, SrtpSender};
    #[pymodule_export]
    use crate::switch::Switch;
    #[pymodule_export]
    const MAX_WORKERS: usize = halfkey_switch::MAX_WORKERS;
}
