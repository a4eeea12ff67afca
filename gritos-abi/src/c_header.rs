//! The C view of the ABI: `include/gritos.h` is exactly what [`write`] emits.
