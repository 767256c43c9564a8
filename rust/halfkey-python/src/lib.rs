//! The flat Python module `halfkey._media`.
use pyo3::prelude::*;

#[pymodule]
mod _media {}
